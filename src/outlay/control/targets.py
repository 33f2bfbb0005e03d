"""Targets as they are stored: what a completed task of a feature may cost in a quarter, every change audited."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from outlay.control import audit
from outlay.control.store import ControlStore
from outlay.control.tables import targets
from outlay.core.errors import InputError
from outlay.core.money import DEFAULT_CURRENCY


@dataclass(frozen=True, slots=True)
class Target:
    """One target: `amount_nano` for one completed task of `feature` in `quarter` (`2026-Q4`).

    `decision` is what the review of the quarter decided, empty until then.
    """

    feature: str
    quarter: str
    amount_nano: int
    currency: str = DEFAULT_CURRENCY
    note: str = ""
    changed_ns: int = 0
    changed_by: str = ""
    decision: str = ""
    decided_ns: int | None = None
    decided_by: str | None = None


def list_targets(store: ControlStore, quarters: Sequence[str] = ()) -> tuple[Target, ...]:
    """The targets of these quarters, of all where none is named, by quarter and feature."""
    wanted = select(targets).order_by(targets.c.quarter, targets.c.feature)
    if quarters:
        wanted = wanted.where(targets.c.quarter.in_(quarters))
    with store.reading() as connection:
        return tuple(_target(row) for row in connection.execute(wanted))


def set_targets(store: ControlStore, wanted: Sequence[Target], actor: str) -> int:
    """Sets targets, all of them or none; returns how many were new or different. What was decided stays."""
    with store.writing() as connection:
        return sum([_set(connection, item, actor, time.time_ns()) for item in wanted])


def remove_target(store: ControlStore, feature: str, quarter: str, actor: str) -> None:
    """Takes a target away. Raises InputError (404) where there is none."""
    with store.writing() as connection:
        held = _held(connection, feature, quarter)
        connection.execute(delete(targets).where(targets.c.feature == feature, targets.c.quarter == quarter))
        audit.append(connection, actor, "target.remove", _subject(held), before=_told(held))


def decide(store: ControlStore, feature: str, quarter: str, decision: str, actor: str) -> None:
    """Writes down what a review decided about a feature. Raises InputError (404) where it has no target."""
    with store.writing() as connection:
        held = _held(connection, feature, quarter)
        values = {"decision": decision, "decided_ns": time.time_ns(), "decided_by": actor}
        found = targets.c.feature == feature, targets.c.quarter == quarter
        connection.execute(update(targets).where(*found).values(**values))
        before = {"decision": held.decision} if held.decision else None
        audit.append(connection, actor, "target.decide", _subject(held), before=before, after={"decision": decision})


def _set(connection: Connection, target: Target, actor: str, now_ns: int) -> bool:
    found = targets.c.feature == target.feature, targets.c.quarter == target.quarter
    row = connection.execute(select(targets).where(*found).with_for_update()).first()
    before = None if row is None else _told(_target(row))
    after = _told(target)
    if before == after:
        return False
    values = {**after, "changed_ns": now_ns, "changed_by": actor}
    if row is None:
        names = {"feature": target.feature, "quarter": target.quarter}
        connection.execute(insert(targets).values(**names, **values))
    else:
        connection.execute(update(targets).where(*found).values(**values))
    audit.append(connection, actor, "target.set", _subject(target), before=before, after=after)
    return True


def _held(connection: Connection, feature: str, quarter: str) -> Target:
    found = targets.c.feature == feature, targets.c.quarter == quarter
    row = connection.execute(select(targets).where(*found).with_for_update()).first()
    if row is None:
        missing = InputError(f'"{feature}" has no target in {quarter}', hint="outlay targets list")
        missing.status = 404
        raise missing
    return _target(row)


def _told(target: Target) -> dict[str, Any]:
    return {"amount_nano": target.amount_nano, "currency": target.currency, "note": target.note}


def _subject(target: Target) -> str:
    return f"target:{target.feature}@{target.quarter}"


def _target(row: Row[Any]) -> Target:
    return Target(
        row.feature,
        row.quarter,
        row.amount_nano,
        row.currency,
        row.note,
        row.changed_ns,
        row.changed_by,
        row.decision,
        row.decided_ns,
        row.decided_by,
    )
