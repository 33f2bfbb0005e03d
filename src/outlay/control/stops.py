"""Stops as they are stored: set and lifted, each with its line in the audit log, in one transaction."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

from sqlalchemy import Connection, insert, select, update

from outlay.control import audit
from outlay.control.leases import book_of
from outlay.control.store import ControlStore
from outlay.control.tables import counters, stops
from outlay.core.budget import SCOPE_KEYS
from outlay.core.calendar import LIFE
from outlay.core.errors import InputError, nearest
from outlay.core.stop import LEVELS, Stop


class Stops:
    """The stops of one control store; a change reaches every decision that comes after it."""

    def __init__(self, store: ControlStore) -> None:
        self._store = store

    def set(
        self,
        scope: Mapping[str, str],
        level: str,
        actor: str,
        *,
        reason: str = "",
        until_ns: int | None = None,
        now_ns: int | None = None,
    ) -> Stop:
        """Orders a stop until a moment, or until it is lifted. Raises InputError."""
        with self._store.writing() as connection:
            return set_stop(connection, scope, level, actor, reason=reason, until_ns=until_ns, now_ns=now_ns)

    def lift(self, number: int, actor: str, *, now_ns: int | None = None) -> None:
        """Takes a stop back. Raises InputError (404) where none of that number is in force."""
        with self._store.writing() as connection:
            lift_stop(connection, number, actor, now_ns=now_ns)

    def live(self, now_ns: int | None = None) -> tuple[Stop, ...]:
        """The stops in force."""
        with self._store.reading() as connection:
            return book_of(connection).stops(time.time_ns() if now_ns is None else now_ns)


def set_stop(
    connection: Connection,
    scope: Mapping[str, str],
    level: str,
    actor: str,
    *,
    reason: str = "",
    until_ns: int | None = None,
    now_ns: int | None = None,
) -> Stop:
    """Orders a stop within the caller's writing transaction. Raises InputError."""
    now = time.time_ns() if now_ns is None else now_ns
    until = LIFE[1] if until_ns is None else until_ns
    _check(scope, level)
    if until <= now:
        raise InputError("the stop ends before it begins", hint="name a moment to come")
    _touch(connection)
    wanted = dict(sorted(scope.items()))
    values = {
        "scope": json.dumps(wanted, ensure_ascii=False),
        "level": level,
        "reason": reason,
        "set_by": actor,
        "set_ns": now,
        "until_ns": until,
    }
    number = int(connection.execute(insert(stops).values(**values).returning(stops.c.id)).scalar_one())
    after = {"stop": number, "level": level, "reason": reason, "until_ns": None if until == LIFE[1] else until}
    audit.append(connection, actor, "stop.set", _subject(wanted), after=after)
    return Stop(number, wanted, level, reason, actor, now, until)


def lift_stop(connection: Connection, number: int, actor: str, *, now_ns: int | None = None) -> None:
    """Takes a stop back within the caller's writing transaction. Raises InputError (404)."""
    now = time.time_ns() if now_ns is None else now_ns
    _touch(connection)
    row = connection.execute(select(stops).where(stops.c.id == number)).first()
    if row is None or row.lifted_ns is not None or row.until_ns <= now:
        missing = InputError(f"no stop in force has the number {number}", hint="list those in force")
        missing.status = 404
        raise missing
    connection.execute(update(stops).where(stops.c.id == number).values(lifted_ns=now, lifted_by=actor))
    before = {"stop": number, "level": row.level, "reason": row.reason}
    audit.append(connection, actor, "stop.lift", _subject(json.loads(row.scope)), before=before)


def _check(scope: Mapping[str, str], level: str) -> None:
    if level not in LEVELS:
        raise InputError(f'a stop has no level "{level}"', hint=nearest(level, LEVELS))
    for key, value in scope.items():
        if key not in SCOPE_KEYS:
            raise InputError(f'a stop has no scope "{key}"', hint=nearest(key, SCOPE_KEYS))
        if not value or not value.isprintable():
            raise InputError(f'the {key} of a stop must be a printable text, not "{value}"', hint="name one")


def _touch(connection: Connection) -> None:
    number = counters.c.number + 1
    connection.execute(update(counters).where(counters.c.name == "controls").values(number=number))


def _subject(scope: Mapping[str, str]) -> str:
    return ", ".join(f"{key} {value}" for key, value in scope.items()) or "everything"
