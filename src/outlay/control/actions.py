"""Actions as they are stored: what follows when money runs short, in force by a stop, asked for first or not.

An action and its stop are one transaction; its key is unique, so that what was reversed by hand is not done again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select, update

from outlay.control import audit
from outlay.control.alerts import inserting
from outlay.control.budgets import touch
from outlay.control.stops import lift_stop, set_stop
from outlay.control.store import ControlStore
from outlay.control.tables import actions, budgets, stops
from outlay.core.calendar import LIFE
from outlay.core.errors import InputError

PENDING, IN_FORCE, DENIED, EXPIRED, REVERSED = "pending", "in force", "denied", "expired", "reversed"
STATES = (PENDING, IN_FORCE, DENIED, EXPIRED, REVERSED)
POLICY_ACTOR = "policy"
"""Who acts where nobody has to be asked."""

LISTED_MAX = 500


@dataclass(frozen=True, slots=True)
class Wanted:
    """An action that a rule asks for. `version` is of the newest grant of the balance."""

    series: str
    budget_id: int
    part: str
    scope: Mapping[str, str]
    level: str
    percent: int
    version: int
    approval: bool
    reason: str
    until_ns: int

    @property
    def key(self) -> str:
        """Unique for what it does."""
        return f"{self.series}:{self.percent}"


@dataclass(frozen=True, slots=True)
class ActionRow:
    """One action with what became of it."""

    id: int
    key: str
    budget_id: int
    budget: str
    part: str
    scope: Mapping[str, str]
    level: str
    percent: int
    state: str
    reason: str
    created_ns: int
    until_ns: int
    decided_by: str
    decided_ns: int | None
    stop_id: int | None
    reversed_by: str
    reversed_ns: int | None

    @property
    def version(self) -> int:
        """The newest grant of its balance when it came up: the part of the key before the percentage."""
        return int(self.key.split(":")[-2])


def begin(connection: Connection, wanted: Wanted, now_ns: int) -> int | None:
    """Puts an action into force, or has it wait for approval; None where it came up before. Its number."""
    values: dict[str, Any] = {
        "key": wanted.key,
        "budget_id": wanted.budget_id,
        "part": wanted.part,
        "scope": json.dumps(dict(wanted.scope), ensure_ascii=False),
        "level": wanted.level,
        "percent": wanted.percent,
        "state": PENDING,
        "reason": wanted.reason,
        "created_ns": now_ns,
        "until_ns": wanted.until_ns,
        "decided_by": "",
    }
    number = connection.execute(inserting(connection, actions, values, "key").returning(actions.c.id)).scalar()
    if number is None:
        return None
    after = {"level": wanted.level, "percent": wanted.percent, "reason": wanted.reason, "approval": wanted.approval}
    audit.append(connection, POLICY_ACTOR, "action.propose", subject_of(number), after=after, at_ns=now_ns)
    if not wanted.approval:
        _execute(connection, _row(connection, number), POLICY_ACTOR, now_ns)
    return number


def decide(store: ControlStore, number: int, *, approve: bool, actor: str, note: str = "", now_ns: int) -> ActionRow:
    """Says yes or no to an action that waits. Raises InputError (404; 400 where it does not wait any more)."""
    with store.writing() as connection:
        touch(connection)  # writers wait for each other here: an action is decided once
        row = _row(connection, number)
        if row.state != PENDING or row.until_ns <= now_ns:
            raise InputError(f"action {number} is {row.state}, it does not wait", hint="outlay actions list")
        if approve:
            _execute(connection, row, actor, now_ns, note)
        else:
            values = {"state": DENIED, "decided_by": actor, "decided_ns": now_ns}
            connection.execute(update(actions).where(actions.c.id == number).values(**values))
            after = {"state": DENIED, "note": note}
            audit.append(connection, actor, "action.deny", subject_of(number), before={"state": PENDING}, after=after)
        return _row(connection, number)


def close(connection: Connection, row: ActionRow, actor: str, why: str, now_ns: int) -> None:
    """Ends an action, and its stop with it where that is still in force."""
    state = REVERSED if row.state == IN_FORCE else EXPIRED
    if row.stop_id is not None and _stop_lives(connection, row.stop_id, now_ns):
        lift_stop(connection, row.stop_id, actor, now_ns=now_ns)
    values = {"state": state, "reversed_by": actor, "reversed_ns": now_ns}
    connection.execute(update(actions).where(actions.c.id == row.id).values(**values))
    after = {"state": state, "why": why}
    audit.append(connection, actor, "action.reverse", subject_of(row.id), before={"state": row.state}, after=after)


def lifted_by(connection: Connection, row: ActionRow) -> str:
    """Who lifted the stop of an action by hand; empty where nobody did."""
    wanted = select(stops.c.lifted_by).where(stops.c.id == row.stop_id, stops.c.lifted_ns.is_not(None))
    return connection.execute(wanted).scalar() or ""


def find_action(store: ControlStore, number: int) -> ActionRow:
    """One action. Raises InputError (404)."""
    with store.reading() as connection:
        return _row(connection, number)


def list_actions(store: ControlStore, *, state: str = "", limit: int = LISTED_MAX) -> list[ActionRow]:
    """Actions, the newest first; only those of a state if named."""
    wanted = _wanted().order_by(actions.c.id.desc()).limit(limit)
    if state:
        wanted = wanted.where(actions.c.state == state)
    with store.reading() as connection:
        return [_of(row) for row in connection.execute(wanted)]


def open_actions(connection: Connection) -> list[ActionRow]:
    """Those that wait or are in force."""
    rows = connection.execute(_wanted().where(actions.c.state.in_([PENDING, IN_FORCE])).order_by(actions.c.id))
    return [_of(row) for row in rows]


def open_parts(store: ControlStore) -> dict[int, set[str]]:
    """The balances that have an action that waits or is in force, by budget."""
    found: dict[int, set[str]] = {}
    with store.reading() as connection:
        for row in open_actions(connection):
            found.setdefault(row.budget_id, set()).add(row.part)
    return found


def subject_of(number: int) -> str:
    """How the audit log names an action."""
    return f"action:{number}"


def _execute(connection: Connection, row: ActionRow, actor: str, now_ns: int, note: str = "") -> None:
    until = None if row.until_ns >= LIFE[1] else row.until_ns
    stop = set_stop(connection, row.scope, row.level, actor, reason=row.reason, until_ns=until, now_ns=now_ns)
    values = {"state": IN_FORCE, "decided_by": actor, "decided_ns": now_ns, "stop_id": stop.id}
    connection.execute(update(actions).where(actions.c.id == row.id).values(**values))
    after = {"state": IN_FORCE, "stop": stop.id, "note": note}
    audit.append(connection, actor, "action.execute", subject_of(row.id), before={"state": PENDING}, after=after)


def _stop_lives(connection: Connection, number: int, now_ns: int) -> bool:
    wanted = select(stops.c.id).where(stops.c.id == number, stops.c.lifted_ns.is_(None), stops.c.until_ns > now_ns)
    return connection.execute(wanted).first() is not None


def _wanted() -> Any:
    return select(actions, budgets.c.name.label("budget")).join(budgets, budgets.c.id == actions.c.budget_id)


def _row(connection: Connection, number: int) -> ActionRow:
    row = connection.execute(_wanted().where(actions.c.id == number)).first()
    if row is None:
        missing = InputError(f"there is no action {number}", hint="outlay actions list")
        missing.status = 404
        raise missing
    return _of(row)


def _of(row: Any) -> ActionRow:
    return ActionRow(
        row.id,
        row.key,
        row.budget_id,
        row.budget,
        row.part,
        json.loads(row.scope),
        row.level,
        row.percent,
        row.state,
        row.reason,
        row.created_ns,
        row.until_ns,
        row.decided_by,
        row.decided_ns,
        row.stop_id,
        row.reversed_by,
        row.reversed_ns,
    )
