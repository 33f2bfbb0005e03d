"""`outlay views`: which page each role is led to first."""

from __future__ import annotations

import click

from outlay.faces.cli.control import open_control_desk
from outlay.faces.cli.options import current, shared
from outlay.faces.cli.output import note, show


@click.command()
@click.argument("role", required=False)
@click.argument("view", required=False)
@click.option("--reset", is_flag=True, help="Go back to the defaults.")
@shared
def views(role: str | None, view: str | None, *, reset: bool) -> None:
    """Which page each role is led to first; with a role and a view, change it.

    Roles: local, viewer, lead, finops, administrator. Views: overview, tactical, strategic, executive.

    \b
    outlay views
    outlay views viewer strategic
    """  # noqa: D301 - click reads the mark as a character
    context = current()
    if (role is None) != (view is None) or (reset and role):
        raise click.UsageError("say a role and a view, like: outlay views viewer strategic")
    with open_control_desk(context) as desk:
        reply = desk.set_views({} if reset or role is None else {role: view}) if role or reset else desk.views()
    show(context, reply if context.form == "json" else {**reply, "total": {}}, columns=("role", "view", "default"))
    if "changed" in reply["total"]:
        note("In force." if reply["total"]["changed"] else "Nothing was different.")
