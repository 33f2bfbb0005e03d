"""`outlay why FEATURE`: what a completed task of a feature costs, and what that money goes to."""

from __future__ import annotations

import click

from outlay.faces.cli.books import open_desk
from outlay.faces.cli.coverage import coverage_line
from outlay.faces.cli.options import asked, current, shared
from outlay.faces.cli.output import show

_COLUMNS = ("kind", "name", "each", "share", "usual_share", "count")


@click.command()
@click.argument("feature")
@click.option("--since", metavar="TIME", help="From this moment: 2026-11-01, 30d, 24h, today.  [default: 30d]")
@click.option("--until", metavar="TIME", help="Up to this moment, not included.  [default: now]")
@shared
def why(feature: str, since: str | None, until: str | None) -> None:
    """Why a completed task of a feature costs what it costs.

    \b
    outlay why kyc-onboarding
    outlay why kyc-onboarding --since 2026-10-01 --until 2026-11-01
    """  # noqa: D301 - click reads the mark as a character
    context = current()
    with open_desk(context) as desk:
        reply = desk.why(feature, asked(since=since, until=until))
    footer = "\n".join([*(f"  {sentence}" for sentence in reply["total"]["why"]), coverage_line(reply)])
    show(context, reply if context.form != "table" else {**reply, "total": {}}, columns=_COLUMNS, footer=footer)
