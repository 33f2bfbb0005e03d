"""Channels as they are stored: where alerts go. A secret of one is in no answer and in no line of the audit log."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection, delete, insert, select, update

from outlay.control import audit
from outlay.control.store import ControlStore
from outlay.control.tables import channels
from outlay.core.errors import InputError, nearest

KINDS = ("slack", "webhook", "email", "pagerduty")
SET, NONE = "(set)", "(none)"
"""What stands in place of a secret, and of one that is not there."""

REFERENCES = ("env:", "file:")
"""How a secret begins that is not one but says where it is found; that much may be shown."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel. `secret` is an address (slack), a signing key (webhook), a password (email), a routing key."""

    name: str
    kind: str
    settings: Mapping[str, Any]
    secret: str = field(default="", repr=False)


def list_channels(store: ControlStore) -> tuple[Channel, ...]:
    """Every channel, by name."""
    with store.reading() as connection:
        return channels_of(connection)


def channels_of(connection: Connection) -> tuple[Channel, ...]:
    """Every channel as one transaction sees them, by name."""
    rows = connection.execute(select(channels).order_by(channels.c.name))
    return tuple(Channel(row.name, row.kind, json.loads(row.settings), row.secret) for row in rows)


def channel_named(store: ControlStore, name: str) -> Channel:
    """The channel of that name. Raises InputError (404) with the nearest name."""
    held = {channel.name: channel for channel in list_channels(store)}
    if name not in held:
        hint = nearest(name, held) if held else "outlay alerts channels add NAME --slack URL"
        missing = InputError(f'no channel is called "{name}"', hint=hint)
        missing.status = 404
        raise missing
    return held[name]


def set_channel(store: ControlStore, channel: Channel, actor: str) -> bool:
    """Makes a channel or changes the one of its name; False where nothing was different."""
    written = json.dumps(dict(channel.settings), sort_keys=True, ensure_ascii=False)
    values = {"kind": channel.kind, "settings": written, "secret": channel.secret}
    with store.writing() as connection:
        held = connection.execute(select(channels).where(channels.c.name == channel.name).with_for_update()).first()
        if held is not None and (held.kind, held.settings, held.secret) == tuple(values.values()):
            return False
        stamp = {"changed_ns": time.time_ns(), "changed_by": actor}
        if held is None:
            connection.execute(insert(channels).values(name=channel.name, **values, **stamp))
        else:
            connection.execute(update(channels).where(channels.c.name == channel.name).values(**values, **stamp))
        before = None
        if held is not None:
            before = masked(Channel(held.name, held.kind, json.loads(held.settings), held.secret))
        after = masked(channel) | {"secret_changed": held is None or held.secret != channel.secret}
        audit.append(connection, actor, "channel.set", f"channel:{channel.name}", before=before, after=after)
    return True


def remove_channel(store: ControlStore, name: str, actor: str) -> None:
    """Takes a channel away; what still waits for it is dead and can be sent elsewhere. Raises InputError (404)."""
    held = channel_named(store, name)
    with store.writing() as connection:
        connection.execute(delete(channels).where(channels.c.name == name))
        audit.append(connection, actor, "channel.remove", f"channel:{name}", before=masked(held))


def masked(channel: Channel) -> dict[str, Any]:
    """A channel as anybody may see it: of an address its host, of a secret that there is one."""
    shown = dict(channel.settings)
    if "url" in shown:
        shown["url"] = masked_url(str(shown["url"]))
    secret = channel.secret
    if not secret.startswith(REFERENCES):
        secret = (masked_url(secret) if channel.kind == "slack" else SET) if secret else NONE
    return {"name": channel.name, "kind": channel.kind, **shown, "secret": secret}


def masked_url(url: str) -> str:
    """Scheme and host: paths and queries of webhooks are passwords."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}/…"
