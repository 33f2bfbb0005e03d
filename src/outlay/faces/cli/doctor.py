"""`outlay doctor`."""

from __future__ import annotations

import click

from outlay.faces.cli.books import open_desk
from outlay.faces.cli.options import current, shared
from outlay.faces.cli.output import show


@click.command()
@shared
def doctor() -> None:
    """Check the books, the prices and the coverage, one line each.

    Exits with 1 when a check failed.
    """
    context = current()
    with open_desk(context) as desk:
        reply = desk.doctor()
    failed = reply["total"]["failed"]
    remark = f"{failed} of {reply['total']['checks']} checks failed" if failed else "every check passed"
    show(context, reply, columns=("ok", "name", "text", "hint"), footer=remark)
    if failed:
        click.get_current_context().exit(1)
