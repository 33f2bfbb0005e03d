"""`outlay audit`: who changed what, and whether the log is as it was written."""

from __future__ import annotations

import json

import click

from outlay.faces.cli.control import open_control_desk
from outlay.faces.cli.lazy import Entry, LazyGroup
from outlay.faces.cli.options import asked, current, shared
from outlay.faces.cli.output import note, show

_HERE = "outlay.faces.cli.audit"
_SHOWN = ("number", "at", "actor", "action", "subject", "before", "after")


@click.group(
    cls=LazyGroup,
    entries={
        "show": Entry(f"{_HERE}:show_", "The newest lines."),
        "verify": Entry(f"{_HERE}:verify", "Read the whole chain and say whether it holds."),
        "export": Entry(f"{_HERE}:export", "Every line as JSON, oldest first, for keeping elsewhere."),
    },
)
def audit() -> None:
    """Who changed which budget, price, key or override, from what to what, when."""


@click.command("show")
@click.option("--subject", metavar="NAME", help="Only lines about this budget, key or price.")
@click.option("--top", metavar="N", help="The newest N lines.  [default: 50]")
@shared
def show_(subject: str | None, top: str | None) -> None:
    """The newest lines."""
    context = current()
    with open_control_desk(context) as desk:
        reply = desk.audit(asked(subject=subject, top=top))
    if context.form == "table":
        for row in reply["rows"]:
            row["before"], row["after"] = (_short(row[name]) for name in ("before", "after"))
    show(context, reply, columns=_SHOWN)


@click.command()
@click.option("--expect", metavar="HASH", default="", help="A hash that was noted earlier and must still be there.")
@shared
def verify(expect: str) -> None:
    """Read the whole chain and say whether it holds.

    Note the hash it prints where this machine cannot write: with --expect even a log that was made anew is found.
    """
    context = current()
    with open_control_desk(context) as desk:
        reply = desk.verify_audit(expect)
    show(context, reply)
    note(f"{reply['total']['lines']} lines, nothing changed, nothing missing.")


@click.command()
@shared
def export() -> None:
    """Every line as JSON, oldest first, for keeping elsewhere."""
    from outlay.control.audit import lines
    from outlay.faces.audit import line_row
    from outlay.faces.plain import plain

    with open_control_desk(current()) as desk, desk.store.reading() as connection:
        for line in lines(connection):
            click.echo(json.dumps(plain(line_row(line)), ensure_ascii=False))


def _short(value: object) -> str:
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:79] + "…"
