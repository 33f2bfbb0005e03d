"""`outlay reprice`."""

from __future__ import annotations

import click

from outlay.faces.cli.books import open_desk
from outlay.faces.cli.options import current, shared
from outlay.faces.cli.output import note, show
from outlay.faces.cli.progress import progress_bar


@click.command()
@click.option(
    "--from", "since", default="", metavar="TIME", help="From this moment, included: 2026-11-01, 2026-11, 30d."
)
@click.option("--to", "until", default="", metavar="TIME", help="Up to this moment, not included.")
@shared
def reprice(since: str, until: str) -> None:
    """Value a period again at today's price book.

    The quantities stay; where an amount changes, a reversing line and a new one are written, and nothing is
    overwritten. A price is still that of the day a thing happened.

    \b
    outlay reprice --from 2026-11
    outlay reprice --from 2026-10-01 --to 2026-11-01
    """  # noqa: D301 - click reads the mark as a character
    context = current()
    with progress_bar(context, "pricing") as told, open_desk(context) as desk:
        reply = desk.reprice(since, until, told)
    if context.form == "table":
        total = reply["total"]
        reply["rows"], reply["total"] = [total], {}
        note(f"{total['changed']} of {total['usages']} usages changed; {total['still_unpriced']} still have no price")
    show(context, reply)
