"""`outlay efficiency`: what an outcome costs against a year ago."""

from __future__ import annotations

from typing import Any

import click

from outlay.faces.cli.books import open_desk
from outlay.faces.cli.coverage import coverage_line
from outlay.faces.cli.options import asked, current, shared
from outlay.faces.cli.output import show


@click.command()
@click.option("--by", metavar="NAME", help="What a kind of work is: feature, product_line, agent.  [default: feature]")
@click.option("--month", metavar="MONTH", help="The last month, like 2026-11; the present one if left out.")
@click.option("--where", multiple=True, metavar="NAME:VALUE", help="Filter, like team:search|billing or team!=search.")
@shared
def efficiency(**options: Any) -> None:
    """What an outcome costs against a year ago, month by month.

    100 is as dear as a year ago, 78 is 22 % cheaper. The outcomes of each month are valued at what each kind cost
    then and a year ago, so a changed mix does not move it.

    \b
    outlay efficiency
    outlay efficiency --by product_line --where team:support
    """  # noqa: D301 - click reads the mark as a character
    context = current()
    with open_desk(context) as desk:
        reply = desk.efficiency(asked(**options))
    footer = coverage_line(reply)
    show(context, reply if context.form == "json" else {**reply, "total": {}}, footer=footer)
