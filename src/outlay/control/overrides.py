"""Exceptions as they are stored: asked for, decided once, ended by themselves, each step with a line in the audit log.

An approved exception is a grant with an end, so its money counts at once and what is left of it goes back by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update

from outlay.control import audit
from outlay.control.budgets import insert_grant, named_budget, touch
from outlay.control.leases import book_of
from outlay.control.store import ControlStore
from outlay.control.tables import budgets, grants, overrides
from outlay.core.budget import Budget
from outlay.core.errors import InputError

PENDING, APPROVED, DENIED, EXPIRED, WITHDRAWN, ENDED = "pending", "approved", "denied", "expired", "withdrawn", "ended"
STATES = (PENDING, APPROVED, DENIED, EXPIRED, WITHDRAWN, ENDED)
POLICY_ACTOR = "policy"
"""Who denied a request that nobody decided in time."""

PRIORITY = 10
"""Money of an exception burns before the allocation: it is the part that ends."""

Judge = Callable[["OverrideRow", Budget], str]
"""Why somebody may not decide a request; empty if they may."""


@dataclass(frozen=True, slots=True)
class OverrideRow:
    """One request with what became of it; `approved_nano` may be less than was asked for."""

    id: int
    budget: str
    part: str
    amount_nano: int
    reason: str
    until_ns: int
    requested_by: str
    requested_ns: int
    state: str
    decided_by: str
    decided_ns: int | None
    approved_nano: int | None
    grant_id: int | None


def request(
    store: ControlStore,
    name: str,
    amount_nano: int,
    *,
    reason: str,
    until_ns: int,
    actor: str,
    part: str = "",
    now_ns: int | None = None,
) -> OverrideRow:
    """Asks for more money for a budget until a moment. Raises InputError."""
    now = time.time_ns() if now_ns is None else now_ns
    if until_ns <= now:
        raise InputError("the exception would end before it begins", hint="--until a moment to come, like 7d or a day")
    with store.writing() as connection:
        budget = named_budget(book_of(connection).budgets(), name)
        values = {
            "budget_id": budget.id,
            "part": part,
            "amount_nano": amount_nano,
            "reason": reason,
            "until_ns": until_ns,
            "requested_by": actor,
            "requested_ns": now,
            "state": PENDING,
        }
        made = int(connection.execute(insert(overrides).values(**values).returning(overrides.c.id)).scalar_one())
        after = {"budget": name, "part": part, "amount_nano": amount_nano, "until_ns": until_ns, "reason": reason}
        audit.append(connection, actor, "override.request", subject_of(made), after=after)
        return _row(connection, made)


def approve(
    store: ControlStore,
    number: int,
    *,
    actor: str,
    judge: Judge,
    amount_nano: int | None = None,
    note: str = "",
    now_ns: int | None = None,
) -> OverrideRow:
    """Grants all or a part of what was asked for. Raises InputError if it is decided, too late, or not for them."""
    now = time.time_ns() if now_ns is None else now_ns
    with store.writing() as connection:
        touch(connection)  # writers wait for each other here: a request is decided once
        row, budget = _pending(connection, number, now)
        given = row.amount_nano if amount_nano is None else amount_nano
        if not 0 < given <= row.amount_nano:
            raise InputError("an approval is more than 0 and at most what was asked for", hint="ask anew for more")
        _may_decide(row, budget, judge)
        grant_id = insert_grant(
            connection, budget.id, row.part, "override", given, now, row.until_ns, PRIORITY, row.reason, actor, now
        )
        _decide(connection, number, APPROVED, actor, now, approved_nano=given, grant_id=grant_id)
        after = {"state": APPROVED, "approved_nano": given, "grant": grant_id, "note": note}
        audit.append(connection, actor, "override.approve", subject_of(number), before={"state": PENDING}, after=after)
        return _row(connection, number)


def deny(
    store: ControlStore, number: int, *, actor: str, judge: Judge, note: str = "", now_ns: int | None = None
) -> OverrideRow:
    """Says no. Raises InputError as `approve` does."""
    now = time.time_ns() if now_ns is None else now_ns
    with store.writing() as connection:
        touch(connection)
        row, budget = _pending(connection, number, now)
        _may_decide(row, budget, judge)
        _close(connection, number, DENIED, actor, now, "override.deny", note)
        return _row(connection, number)


def withdraw(store: ControlStore, number: int, *, actor: str, now_ns: int | None = None) -> OverrideRow:
    """Takes back a request that nobody decided yet; only who asked may. Raises InputError."""
    now = time.time_ns() if now_ns is None else now_ns
    with store.writing() as connection:
        touch(connection)
        row, _ = _pending(connection, number, now)
        if row.requested_by != actor:
            raise InputError(f"only {row.requested_by} may take this request back", hint="outlay overrides deny")
        _close(connection, number, WITHDRAWN, actor, now, "override.withdraw", "")
        return _row(connection, number)


def end(store: ControlStore, number: int, *, actor: str, note: str = "", now_ns: int | None = None) -> OverrideRow:
    """Ends an approved exception before its time; what was spent of it stays spent. Raises InputError."""
    now = time.time_ns() if now_ns is None else now_ns
    with store.writing() as connection:
        touch(connection)
        row = _row(connection, number)
        if row.state != APPROVED or row.until_ns <= now:
            raise InputError(f"exception {number} is {row.state}, not in force", hint="outlay overrides list")
        connection.execute(update(grants).where(grants.c.id == row.grant_id).values(ends_ns=now))
        connection.execute(update(overrides).where(overrides.c.id == number).values(state=ENDED))
        audit.append(
            connection,
            actor,
            "override.end",
            subject_of(number),
            before={"state": APPROVED, "until_ns": row.until_ns},
            after={"state": ENDED, "until_ns": now, "note": note},
        )
        return _row(connection, number)


def sweep(store: ControlStore, deny_after_ns: int, now_ns: int | None = None) -> int:
    """Denies what nobody decided in time, and closes what has run out; how many there were.

    The money of an exception that has run out is gone from the limit already: its grant has an end of its own.
    """
    now = time.time_ns() if now_ns is None else now_ns
    with store.reading() as connection:
        if not _due(connection, deny_after_ns, now):
            return 0
    with store.writing() as connection:
        touch(connection)
        due = _due(connection, deny_after_ns, now)
        for number, state, until_ns in due:
            if state == APPROVED:
                _end_by_time(connection, number, until_ns)
            elif until_ns <= now:
                _close(connection, number, EXPIRED, POLICY_ACTOR, now, "override.expire", "its time is over")
            else:
                _close(connection, number, DENIED, POLICY_ACTOR, now, "override.deny", "nobody decided in time")
    return len(due)


def list_overrides(store: ControlStore, *, state: str = "", budget: str = "", newest: int = 200) -> list[OverrideRow]:
    """Requests, the newest first; of one state or one budget if named."""
    wanted = _wanted().order_by(overrides.c.id.desc()).limit(newest)
    if state:
        wanted = wanted.where(overrides.c.state == state)
    if budget:
        wanted = wanted.where(budgets.c.name == budget)
    with store.reading() as connection:
        return [_of(row) for row in connection.execute(wanted)]


def find_override(store: ControlStore, number: int) -> OverrideRow:
    """One request. Raises InputError (404) where there is none."""
    with store.reading() as connection:
        return _row(connection, number)


def subject_of(number: int) -> str:
    """What the audit log calls a request."""
    return f"override:{number}"


def _due(connection: Connection, deny_after_ns: int, now_ns: int) -> list[tuple[int, str, int]]:
    late = (overrides.c.state == PENDING) & (
        (overrides.c.requested_ns <= now_ns - deny_after_ns) | (overrides.c.until_ns <= now_ns)
    )
    over = (overrides.c.state == APPROVED) & (overrides.c.until_ns <= now_ns)
    wanted = select(overrides.c.id, overrides.c.state, overrides.c.until_ns).where(late | over).order_by(overrides.c.id)
    return [(row.id, row.state, row.until_ns) for row in connection.execute(wanted)]


def _end_by_time(connection: Connection, number: int, until_ns: int) -> None:
    connection.execute(update(overrides).where(overrides.c.id == number).values(state=ENDED))
    audit.append(
        connection,
        POLICY_ACTOR,
        "override.end",
        subject_of(number),
        before={"state": APPROVED},
        after={"state": ENDED, "until_ns": until_ns, "note": "its time is over"},
    )


def _close(connection: Connection, number: int, state: str, actor: str, now_ns: int, action: str, note: str) -> None:
    _decide(connection, number, state, actor, now_ns)
    audit.append(
        connection, actor, action, subject_of(number), before={"state": PENDING}, after={"state": state, "note": note}
    )


def _decide(connection: Connection, number: int, state: str, actor: str, now_ns: int, **more: Any) -> None:
    values = {"state": state, "decided_by": actor, "decided_ns": now_ns, **more}
    connection.execute(update(overrides).where(overrides.c.id == number).values(**values))


def _pending(connection: Connection, number: int, now_ns: int) -> tuple[OverrideRow, Budget]:
    row = _row(connection, number)
    if row.state != PENDING:
        by = f" by {row.decided_by}" if row.decided_by else ""
        raise InputError(f"request {number} is {row.state}{by} already", hint="outlay overrides list --state pending")
    if row.until_ns <= now_ns:
        raise InputError(f"the time that request {number} asked for is over", hint="ask anew")
    return row, named_budget(book_of(connection).budgets(), row.budget)


def _may_decide(row: OverrideRow, budget: Budget, judge: Judge) -> None:
    why_not = judge(row, budget)
    if why_not:
        refused = InputError(why_not, hint="outlay overrides show NUMBER says who may decide")
        refused.status = 403
        raise refused


def _wanted() -> Any:
    return select(overrides, budgets.c.name.label("budget")).join(budgets, budgets.c.id == overrides.c.budget_id)


def _row(connection: Connection, number: int) -> OverrideRow:
    row = connection.execute(_wanted().where(overrides.c.id == number)).first()
    if row is None:
        missing = InputError(f"there is no request {number}", hint="outlay overrides list")
        missing.status = 404
        raise missing
    return _of(row)


def _of(row: Any) -> OverrideRow:
    return OverrideRow(
        row.id,
        row.budget,
        row.part,
        row.amount_nano,
        row.reason,
        row.until_ns,
        row.requested_by,
        row.requested_ns,
        row.state,
        row.decided_by or "",
        row.decided_ns,
        row.approved_nano,
        row.grant_id,
    )
