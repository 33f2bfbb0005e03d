"""`outlay keys`: who may ask a server that listens beyond this machine, what for, and until when."""

from __future__ import annotations

import click

from outlay.faces.cli.control import open_control_desk
from outlay.faces.cli.lazy import Entry, LazyGroup
from outlay.faces.cli.options import current, name_and_value, shared
from outlay.faces.cli.output import note, show

_HERE = "outlay.faces.cli.keys"
_SHOWN = ("name", "may", "teams", "tags", "state", "expires", "used")


@click.group(
    cls=LazyGroup,
    entries={
        "list": Entry(f"{_HERE}:list_", "The keys: what each may do, for whom, until when, last used when."),
        "add": Entry(f"{_HERE}:add", "Make a key; it is printed once and kept only as a hash."),
        "revoke": Entry(f"{_HERE}:revoke", "Take a key away; a running server refuses it within a second."),
    },
)
def keys() -> None:
    """API keys, for a server that listens beyond this machine."""


@click.command("list")
@click.option("--revoked", is_flag=True, help="The revoked ones too.")
@shared
def list_(*, revoked: bool) -> None:
    """The keys: what each may do, for whom, until when, last used when."""
    context = current()
    with open_control_desk(context) as desk:
        show(context, desk.keys(revoked=revoked), columns=_SHOWN)


@click.command()
@click.argument("name")
@click.option(
    "--may", metavar="WHAT,…", help="write, read, decide, approve, govern, admin.  [default: write,read,decide]"
)
@click.option("--role", metavar="ROLE", help="What a person needs: viewer, lead, finops or administrator.")
@click.option("--team", "teams", multiple=True, metavar="NAME", help="Write and decide only for this team; repeatable.")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="Tag of what names none; repeatable.")
@click.option("--expires", metavar="TIME", help="24h, 90d, 12w, or a day like 2027-01-01; never if left out.")
@shared
def add(
    name: str, may: str | None, role: str | None, teams: tuple[str, ...], tags: tuple[str, ...], expires: str | None
) -> None:
    """Make a key; it is printed once and kept only as a hash.

    \b
    outlay keys add collector --may write
    outlay keys add support-agents --may write,decide --team support --expires 90d
    outlay keys add ci --may write --tag team=platform --tag environment=ci
    outlay keys add terraform --may admin
    outlay keys add ana --role lead --team support
    """  # noqa: D301 - click reads the mark as a character
    context = current()
    said: dict[str, object] = {
        "name": name,
        "may": may or "",
        "role": role or "",
        "teams": list(teams),
        "expires": expires or "",
    }
    if tags:
        said["tags"] = dict(map(name_and_value, tags))
    with open_control_desk(context) as desk:
        reply = desk.add_key(said)
    if context.form == "table":
        click.echo(reply["rows"][0]["key"])
    else:
        show(context, reply)
    note(f"It may {reply['rows'][0]['may']}, for teams: {reply['rows'][0]['teams']}. It cannot be read again.")


@click.command()
@click.argument("name")
@shared
def revoke(name: str) -> None:
    """Take a key away; a running server refuses it within a second."""
    context = current()
    with open_control_desk(context) as desk:
        reply = desk.remove_key(name)
    if context.form != "table":
        show(context, reply)
    note(f'The key "{name}" is revoked.')
