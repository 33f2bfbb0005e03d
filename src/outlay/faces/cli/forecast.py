"""`outlay forecast`: what a month will have cost when it is over."""

from __future__ import annotations

from typing import Any

import click

from outlay.faces.cli.books import open_desk
from outlay.faces.cli.coverage import coverage_line
from outlay.faces.cli.options import asked, current, shared
from outlay.faces.cli.output import note, show

_COLUMNS = ("spent", "forecast", "low_80", "high_80", "limit", "beyond", "verdict", "passed")


@click.command()
@click.option("--by", metavar="NAME", help="One dimension to split by, like team.")
@click.option("--month", metavar="MONTH", help="Like 2026-11; the present month if left out.")
@click.option("--where", multiple=True, metavar="NAME:VALUE", help="Filter, like team:search|billing or team!=search.")
@shared
def forecast(**options: Any) -> None:
    """What a month will have cost when it is over.

    Four of five months end between low and high; --json also has the 50 and 95 % intervals. Beside teams stand
    their monthly budgets.

    \b
    outlay forecast
    outlay forecast --by team
    outlay forecast --by feature --where team:support
    """  # noqa: D301 - click reads the mark as a character
    context = current()
    with open_desk(context) as desk:
        reply = desk.forecast(asked(**options))
    by, basis = reply["query"]["by"], reply["total"]["basis"]
    if context.form == "table":
        for row in (*reply["rows"], reply["total"]):  # where there is no budget, nothing is unknown about it
            row.update({name: "" for name in ("limit", "beyond", "passed") if row[name] is None})
        if not by:
            reply["rows"], reply["total"] = [reply["total"]], {}
    show(context, reply, columns=(*by, *_COLUMNS), footer=coverage_line(reply))
    if basis == "prior":
        note("The history is too short to have been forecast before: the interval is a wide guess.")
