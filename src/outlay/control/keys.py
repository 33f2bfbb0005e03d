"""API keys: 256 random bits, shown once, kept as SHA-256, with what each may do, for whom and until when.

A slow hash guards guessable secrets; a key of 256 random bits cannot be guessed, so one SHA-256 is enough and a request
costs microseconds. A key that was revoked stays as a row, so that the audit log has something to point at.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from outlay.control import audit
from outlay.control.store import ControlStore
from outlay.control.tables import api_keys
from outlay.core.envelope import KEY_TAGS, UNTAGGED, VALUE_CHARACTERS_MAX
from outlay.core.errors import InputError, nearest

_PREFIX = "outlay_"
NAME_CHARACTERS_MAX = 100


class Permission(StrEnum):
    """What a key may do; `admin` may do everything."""

    WRITE = "write"  # telemetry and outcomes, for all teams or for those it names
    READ = "read"  # every question, and the page
    DECIDE = "decide"  # ask for money and settle it, for all teams or for those it names
    APPROVE = "approve"  # decide about exceptions, where the policy allows it
    GOVERN = "govern"  # change budgets, prices, targets, alerts and policies
    ADMIN = "admin"  # all of it, and alone: keys, the audit log, rebuilding the books


def _no_tags() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One stored key without its secret. No teams means every team; None never expires, was not revoked, not used."""

    name: str
    permissions: tuple[str, ...]
    teams: tuple[str, ...] = ()
    created_ns: int | None = None
    created_by: str = ""
    expires_ns: int | None = None
    revoked_ns: int | None = None
    used_ns: int | None = None
    tags: Mapping[str, str] = field(default_factory=_no_tags)  # of facts sent with it that name none

    def may(self, permission: str) -> bool:
        """Whether the key carries this permission."""
        return permission in self.permissions or Permission.ADMIN in self.permissions

    @property
    def role(self) -> str:
        """The role whose permissions these are, empty where there is none."""
        return next((role for role, may in ROLES.items() if set(may) == set(self.permissions)), "")

    def expired(self, now_ns: int) -> bool:
        """Whether its time is over."""
        return self.expires_ns is not None and self.expires_ns <= now_ns


ROLES: dict[str, tuple[Permission, ...]] = {
    "viewer": (Permission.READ,),
    "lead": (Permission.READ, Permission.DECIDE, Permission.APPROVE),
    "finops": (Permission.READ, Permission.DECIDE, Permission.APPROVE, Permission.GOVERN),
    "administrator": (Permission.ADMIN,),
}
"""Who people are, as what they may do; a lead's key names its teams."""

EVERYTHING = (Permission.ADMIN.value,)
"""The permissions of a key that may do all there is."""


def digest_of(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def new_secret() -> str:
    """A new secret of 256 random bits."""
    return _PREFIX + secrets.token_urlsafe(32)


def make_key(
    store: ControlStore,
    name: str,
    permissions: Iterable[str] = EVERYTHING,
    teams: Iterable[str] = (),
    *,
    actor: str,
    expires_ns: int | None = None,
    tags: Mapping[str, str] | None = None,
) -> tuple[str, ApiKey]:
    """Makes a key; the secret that is returned cannot be read again. Raises InputError."""
    now_ns = time.time_ns()
    key = ApiKey(
        _name(name), _permissions(permissions), _teams(teams), now_ns, actor, expires_ns, tags=_tags(tags or {})
    )
    if expires_ns is not None and expires_ns <= now_ns:
        raise InputError("the key would have expired before it was made", hint="a moment to come, like 2027-01-01")
    if key.teams and not ({Permission.WRITE, Permission.DECIDE} & set(key.permissions)):
        raise InputError("teams bound what a key writes or decides, and this one does neither", hint="--may write")
    if key.teams and (key.may(Permission.ADMIN) or key.may(Permission.GOVERN)):
        raise InputError("a key that may govern every team is bound to no team", hint="--role lead")
    if key.tags and not key.may(Permission.WRITE):
        raise InputError("tags are of what a key writes, and this one writes nothing", hint="--may write")
    team = key.tags.get("team", "")
    if team and key.teams and team not in key.teams:
        raise InputError(f'the key says team "{team}" and may not write it', hint=", ".join(key.teams))
    secret = new_secret()
    with store.writing() as connection:
        if _live(connection, key.name) is not None:
            raise InputError(f'there is already a key named "{key.name}"', hint=f"outlay keys revoke {key.name}")
        _insert(connection, key, digest_of(secret))
        audit.append(connection, actor, "key.add", key.name, after=_told(key))
    return secret, key


def revoke_key(store: ControlStore, name: str, *, actor: str) -> ApiKey:
    """Takes a key away for good; servers notice within a second. Raises InputError if there is none of that name."""
    with store.writing() as connection:
        row = _live(connection, name)
        if row is None:
            raise InputError(f'no key named "{name}"', hint="outlay keys list")
        key = _key(row)
        connection.execute(update(api_keys).where(api_keys.c.id == row.id).values(revoked_ns=time.time_ns()))
        audit.append(connection, actor, "key.revoke", name, before=_told(key))
    return key


def list_keys(store: ControlStore, *, revoked: bool = False) -> tuple[ApiKey, ...]:
    """The keys, oldest first; the revoked ones only if asked for."""
    wanted = select(api_keys).order_by(api_keys.c.id)
    if not revoked:
        wanted = wanted.where(api_keys.c.revoked_ns.is_(None))
    with store.reading() as connection:
        return tuple(_key(row) for row in connection.execute(wanted))


def live_keys(store: ControlStore) -> dict[str, ApiKey]:
    """Every key that was not revoked, by its SHA-256."""
    with store.reading() as connection:
        rows = connection.execute(select(api_keys).where(api_keys.c.revoked_ns.is_(None)))
        return {row.sha256: _key(row) for row in rows}


def take_over(store: ControlStore, hashed: Mapping[str, str], *, actor: str) -> int:
    """Takes keys that were kept elsewhere, name by SHA-256, with every permission; known ones stay as they are.

    Returns how many were new. A name that is taken gets a number behind it.
    """
    taken = 0
    with store.writing() as connection:
        known = set(connection.execute(select(api_keys.c.sha256)).scalars())
        names = set(connection.execute(select(api_keys.c.name).where(api_keys.c.revoked_ns.is_(None))).scalars())
        for sha256, name in hashed.items():
            if sha256 in known:
                continue
            free = next(
                free
                for number in range(1, 10_000)
                if (free := name if number == 1 else f"{name} {number}") not in names
            )
            names.add(free)
            key = ApiKey(free, EVERYTHING, (), time.time_ns(), actor)
            _insert(connection, key, sha256)
            audit.append(connection, actor, "key.take-over", free, after=_told(key))
            taken += 1
    return taken


def mark_used(store: ControlStore, used: Mapping[str, int]) -> None:
    """Writes down when keys, by their SHA-256, were last used."""
    with store.writing() as connection:
        for sha256, used_ns in used.items():
            connection.execute(update(api_keys).where(api_keys.c.sha256 == sha256).values(used_ns=used_ns))


def _insert(connection: Connection, key: ApiKey, sha256: str) -> None:
    values = {
        "name": key.name,
        "sha256": sha256,
        "scopes": ",".join(key.permissions),
        "teams": json.dumps(key.teams, ensure_ascii=False),
        "tags": json.dumps(dict(key.tags), ensure_ascii=False),
        "created_ns": key.created_ns,
        "created_by": key.created_by,
        "expires_ns": key.expires_ns,
    }
    try:
        connection.execute(insert(api_keys).values(**values))
    except IntegrityError as error:  # PostgreSQL: somebody else was quicker
        raise InputError(f'there is already a key named "{key.name}"', hint="choose another name") from error


def _live(connection: Connection, name: str) -> Any:
    wanted = select(api_keys).where(api_keys.c.name == name, api_keys.c.revoked_ns.is_(None))
    return connection.execute(wanted.with_for_update()).first()


def _key(row: Any) -> ApiKey:
    teams = tuple(json.loads(row.teams))
    permissions = tuple(row.scopes.split(","))
    moments = row.created_ns, row.created_by, row.expires_ns, row.revoked_ns, row.used_ns
    return ApiKey(row.name, permissions, teams, *moments, json.loads(row.tags))


def _told(key: ApiKey) -> dict[str, object]:
    """What the audit log says of a key; never the secret, nor its hash."""
    told: dict[str, object] = {"permissions": key.permissions, "teams": key.teams, "expires_ns": key.expires_ns}
    return {**told, "tags": dict(key.tags)} if key.tags else told


def _name(name: str) -> str:
    clean = name.strip()
    if not clean or len(clean) > NAME_CHARACTERS_MAX or not clean.isprintable():
        raise InputError(f"a key's name has 1 to {NAME_CHARACTERS_MAX} printable characters", hint="like ci-collector")
    return clean


def _permissions(said: Iterable[str]) -> tuple[str, ...]:
    valid = [item.value for item in Permission]
    asked = {word.strip() for word in said}
    for word in sorted(asked):
        if word not in valid:
            raise InputError(f'no permission is called "{word}"', hint=nearest(word, valid))
    if not asked:
        raise InputError("a key that may do nothing opens nothing", hint="valid: " + ", ".join(valid))
    return tuple(word for word in valid if word in asked)


def _teams(said: Iterable[str]) -> tuple[str, ...]:
    teams = tuple(dict.fromkeys(team.strip() for team in said))
    for team in teams:
        if not team or len(team) > VALUE_CHARACTERS_MAX or not team.isprintable():
            raise InputError(f'"{team}" is no team', hint=f"1 to {VALUE_CHARACTERS_MAX} printable characters")
    return teams


def _tags(said: Mapping[str, str]) -> dict[str, str]:
    for name, value in said.items():
        if name not in KEY_TAGS:
            raise InputError(f'a key says nothing about "{name}"', hint=nearest(name, KEY_TAGS))
        if not value.strip() or value == UNTAGGED or len(value) > VALUE_CHARACTERS_MAX or not value.isprintable():
            raise InputError(f'"{value}" is no {name}', hint=f"1 to {VALUE_CHARACTERS_MAX} printable characters")
    return {name: said[name].strip() for name in KEY_TAGS if name in said}
