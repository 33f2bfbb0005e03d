"""Orders about API keys, and keys of an earlier Outlay, which were lines of a file.

A key is made with what it may do (write, read, decide, admin), for which teams, and until when.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from outlay.control.keys import ROLES, ApiKey, Permission, list_keys, make_key, revoke_key, take_over
from outlay.control.store import ControlStore
from outlay.core.errors import InputError, nearest
from outlay.core.period import ns_of
from outlay.faces.orders import end_ns, known_fields
from outlay.faces.plain import Reply, reply

KEYS_VARIABLE = "OUTLAY_API_KEYS"
"""The environment variable that names a file of hashed keys; a server takes them over when it starts."""

KEYS_FILE = "keys.jsonl"
"""Where an earlier Outlay kept them in the home."""

DEFAULT_PERMISSIONS = (Permission.WRITE.value, Permission.READ.value, Permission.DECIDE.value)
"""What a key may do when nothing is said: everything but administer."""

_FIELDS = ("name", "may", "role", "teams", "tags", "expires")
_MOVED = ".moved"


def keys_reply(store: ControlStore, *, revoked: bool = False) -> Reply:
    """The keys without their secrets, a row each."""
    rows = [_row(key) for key in list_keys(store, revoked=revoked)]
    return reply({"revoked": revoked}, rows, {"keys": len(rows)})


def add_key(store: ControlStore, said: Mapping[str, Any], actor: str) -> Reply:
    """Makes a key from _FIELDS; its secret is in the reply and nowhere else."""
    known_fields(said, _FIELDS, "a key")
    name = said.get("name")
    if not isinstance(name, str):
        raise InputError("which name shall the key have?", hint='{"name": "ci-collector", "may": ["write"]}')
    permissions = _role(said) or _texts(said, "may") or DEFAULT_PERMISSIONS
    expires = said.get("expires") or ""
    if not isinstance(expires, str):
        raise InputError("expires must be a text", hint="90d, or a day like 2027-01-01")
    ends_ns, tags = end_ns(expires, datetime.now(UTC)), _tags(said)
    secret, key = make_key(store, name, permissions, _texts(said, "teams"), actor=actor, expires_ns=ends_ns, tags=tags)
    return reply({"name": key.name}, [{**_row(key), "key": secret}], {"keys": 1})


def remove_key(store: ControlStore, name: str, actor: str) -> Reply:
    """Revokes a key. Raises InputError if there is none of that name."""
    key = revoke_key(store, name, actor=actor)
    return reply({"name": name}, [_row(key)], {"revoked": 1})


def take_over_files(store: ControlStore, home: Path, actor: str) -> int:
    """Takes over the keys that files hold: the home's own, which is then put aside, and the one the environment names.

    Returns how many were new. Raises InputError naming the line that is no key.
    """
    taken = 0
    own, named = home / KEYS_FILE, os.environ.get(KEYS_VARIABLE, "")
    for path in (own, *([Path(named).expanduser()] if named else [])):
        if path.exists():
            taken += take_over(store, _read(path), actor=actor)
    with suppress(FileNotFoundError):  # nothing to put aside, or another process did
        own.replace(own.with_name(KEYS_FILE + _MOVED))
    return taken


def _read(path: Path) -> dict[str, str]:
    """Names by SHA-256, of a file with one JSON object a line."""
    hashed: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            said = json.loads(line)
            sha256, name = str(said["sha256"]), str(said["name"])
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path.name} line {number} is not an API key", hint="outlay keys add NAME") from error
        if len(sha256) != 64:
            raise InputError(f"{path.name} line {number} has no SHA-256", hint="outlay keys add NAME")
        hashed[sha256] = name
    return hashed


def _role(said: Mapping[str, Any]) -> tuple[str, ...]:
    role = said.get("role") or ""
    if not role:
        return ()
    if not isinstance(role, str) or role not in ROLES:
        raise InputError(f'no role is called "{role}"', hint=nearest(str(role), ROLES))
    if said.get("may"):
        raise InputError("a key has a role, or permissions, not both", hint="leave one out")
    return tuple(item.value for item in ROLES[role])


def _texts(said: Mapping[str, Any], name: str) -> tuple[str, ...]:
    given = said.get(name) or ()
    if isinstance(given, str):
        given = given.split(",")
    if not isinstance(given, (list, tuple)) or not all(isinstance(item, str) for item in given):
        raise InputError(f"{name} must be a list of texts", hint='like ["write", "read"]')
    return tuple(given)


def _tags(said: Mapping[str, Any]) -> dict[str, str]:
    given = said.get("tags") or {}
    if not isinstance(given, Mapping) or not all(isinstance(item, str) for pair in given.items() for item in pair):
        raise InputError("tags must be texts by name", hint='like {"team": "search"}')
    return dict(given)


def _row(key: ApiKey) -> dict[str, Any]:
    now_ns = ns_of(datetime.now(UTC))
    state = "revoked" if key.revoked_ns else "expired" if key.expired(now_ns) else "live"
    return {
        "name": key.name,
        "may": ", ".join(key.permissions),
        "role": key.role,
        "teams": ", ".join(key.teams) or "(all)",
        "tags": ", ".join(f"{name}={value}" for name, value in key.tags.items()),
        "state": state,
        "created_ns": key.created_ns,
        "created_by": key.created_by,
        "expires_ns": key.expires_ns,
        "used_ns": key.used_ns,
    }
