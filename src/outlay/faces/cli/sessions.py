"""`outlay sessions` and `outlay session ID`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from outlay.faces.cli.books import open_desk
from outlay.faces.cli.coverage import coverage_line, page_line, session_line, tag_lines
from outlay.faces.cli.options import Context, asked, current, question, shared
from outlay.faces.cli.output import show
from outlay.faces.formats import safe
from outlay.faces.reasons import why_dear

if TYPE_CHECKING:
    from outlay.faces.desk import Params

_COLUMNS = ("time", "operation", "centre", "name", "model", "input_tokens", "output_tokens", "cost", "remark")


@click.command()
@click.argument("session_id", required=False, metavar="[ID]")
@question
@shared
def sessions(session_id: str | None, **options: Any) -> None:
    """The dearest sessions, or one of them.

    \b
    outlay sessions --since 24h --top 5
    outlay sessions --where team:billing --measures cost,duration
    outlay sessions ID
    """  # noqa: D301 - click reads the mark as a character
    context = current()
    params = asked(**options)
    if session_id is not None:
        if params:
            raise click.UsageError("a session by its ID takes no question", click.get_current_context())
        _show_session(context, session_id, {})
        return
    with open_desk(context) as desk:
        reply = desk.sessions(params)
    show(context, reply, footer=coverage_line(reply))


@click.command()
@click.argument("session_id", metavar="ID")
@click.option("--top", metavar="N", help="This many steps, at most 10000; 1000 if left out.")
@click.option("--order", metavar="time|cost", help="In order of time, or the dearest first.")
@click.option("--only", metavar="failed|retries|unpriced", help="Only steps like these.")
@click.option("--after", metavar="PLACE", help="Behind this place: the last line of a page names it.")
@click.option("--before", metavar="PLACE", help="In front of this place.")
@shared
def session(session_id: str, **options: Any) -> None:
    """One session, why it is dear, and its steps a page at a time.

    \b
    outlay session ID --order cost --top 20
    outlay session ID --only failed
    """  # noqa: D301 - click reads the mark as a character
    _show_session(current(), session_id, asked(**options))


def _show_session(context: Context, session_id: str, params: Params) -> None:
    with open_desk(context) as desk:
        reply = desk.session(session_id, params)
    if context.form != "table":
        show(context, reply)
        return
    rows = [_step(row) for row in reply["rows"]]
    footer = " ".join([*why_dear(reply["total"]), coverage_line(reply)])
    show(context, {**reply, "rows": rows}, columns=_COLUMNS, title=session_line(reply), footer=footer)
    for line in (*tag_lines(reply), *page_line(reply)):
        click.echo(safe(line))


def _step(row: dict[str, Any]) -> dict[str, Any]:
    """A usage as a line of the table: indented under what it was part of, with a word on what is odd about it."""
    remarks = [row["error_type"] or "failed"] if row["failed"] else []
    remarks += row["tag_gaps"]
    remarks += [word for word in (row["reason"], row["why_not_counted"]) if word]
    return {
        **row,
        "time": row["time"][:19].replace("T", " "),
        "operation": "  " * row["depth"] + row["operation"],
        "cost": row["cost"] if row["charges"] else "",  # a step without charges has no cost, not a cost of zero
        "remark": ", ".join(remarks),
    }
