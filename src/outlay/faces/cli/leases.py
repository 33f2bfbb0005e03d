"""`outlay leases`: the money that is held for work at hand."""

from __future__ import annotations

import click

from outlay.faces.cli.control import open_control_desk
from outlay.faces.cli.lazy import Entry, LazyGroup
from outlay.faces.cli.options import current, shared
from outlay.faces.cli.output import note, show

_HERE = "outlay.faces.cli.leases"
_SHOWN = ("lease", "for", "held", "lent", "spent", "expires_in_s", "holder")


@click.group(
    cls=LazyGroup,
    entries={
        "list": Entry(f"{_HERE}:list_", "The leases that live, those that expire first on top."),
        "return": Entry(f"{_HERE}:return_", "Give a lease back in its owner's place."),
    },
)
def leases() -> None:
    """Money that is held for work at hand: list it, give it back."""


@click.command("list")
@click.option("--budget", default="", metavar="NAME", help="Only those that hold money of this budget.")
@shared
def list_(budget: str) -> None:
    """The leases that live, those that expire first on top."""
    context = current()
    with open_control_desk(context) as desk:
        show(context, desk.leases(budget), columns=_SHOWN)


@click.command("return")
@click.argument("lease")
@shared
def return_(lease: str) -> None:
    """Give a lease back in its owner's place.

    What it held is free again at once. If its owner lives after all and settles, the lease counts as over and the
    books say what was spent.
    """
    context = current()
    with open_control_desk(context) as desk:
        reply = desk.return_lease(lease)
    if context.form != "table":
        show(context, reply)
    note(f"{reply['total']['returned']} is free again.")
