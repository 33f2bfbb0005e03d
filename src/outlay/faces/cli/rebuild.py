"""`outlay rebuild`."""

from __future__ import annotations

import click

from outlay.faces.cli.books import open_desk
from outlay.faces.cli.options import current, shared
from outlay.faces.cli.output import note, show
from outlay.faces.cli.progress import progress_bar


@click.command()
@shared
def rebuild() -> None:
    """Make the books again from the journal and compare.

    Exits with 1 when a figure of the new books differs from the old one; the new books stand either way.
    """
    context = current()
    with progress_bar(context, "rebuilding") as told, open_desk(context) as desk:
        reply = desk.rebuild(told)
    matches = bool(reply["total"]["matches"])
    if context.form == "table" and matches:
        show(context, {**reply, "rows": [reply["total"]], "total": {}})
    else:
        show(context, reply)
    note("Every figure is equal." if matches else "Figures differ; they are listed above.")
    if not matches:
        click.get_current_context().exit(1)
