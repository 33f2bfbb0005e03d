"""`outlay keys`: who may ask a server that listens beyond this machine."""

from __future__ import annotations

import click

from outlay.faces.cli.lazy import Entry, LazyGroup
from outlay.faces.cli.options import current, shared
from outlay.faces.cli.output import note, show
from outlay.faces.keys import add_key, keys_path, load_keys, remove_key
from outlay.faces.plain import reply

_HERE = "outlay.faces.cli.keys"


@click.group(
    cls=LazyGroup,
    entries={
        "list": Entry(f"{_HERE}:list_", "The names of the keys."),
        "add": Entry(f"{_HERE}:add", "Make a key; it is printed once and kept only as a hash."),
        "remove": Entry(f"{_HERE}:remove", "Take a key away; a running server keeps it until it restarts."),
    },
)
def keys() -> None:
    """API keys, for a server that listens beyond this machine."""


@click.command("list")
@shared
def list_() -> None:
    """The names of the keys."""
    context = current()
    stored = load_keys(keys_path(context.folder))
    rows = [{"name": key.name, "created": key.created} for key in stored]
    show(context, reply({}, rows, {"keys": len(rows)}), columns=("name", "created"))


@click.command()
@click.argument("name")
@shared
def add(name: str) -> None:
    """Make a key; it is printed once and kept only as a hash."""
    context = current()
    secret = add_key(keys_path(context.folder), name)
    if context.form == "table":
        click.echo(secret)
    else:
        show(context, reply({"name": name}, [{"name": name, "key": secret}], {"keys": 1}))
    note("Keep it now: it cannot be read again. A running server knows it after a restart.")


@click.command()
@click.argument("name")
@shared
def remove(name: str) -> None:
    """Take a key away; a running server keeps it until it restarts."""
    context = current()
    remove_key(keys_path(context.folder), name)
    if context.form != "table":
        show(context, reply({"name": name}, (), {"removed": 1}))
    note(f'The key "{name}" is gone.')
