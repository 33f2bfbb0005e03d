"""Budgets and their grants as they are stored: every change with its line in the audit log, in one transaction.

Grants are immutable: a new amount is a new grant, and the old one ends where the new one begins.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from outlay.control import audit
from outlay.control.leases import book_of
from outlay.control.store import ControlStore
from outlay.control.tables import balances, budgets, counters, grants
from outlay.core.budget import Budget, Standing
from outlay.core.calendar import LIFE
from outlay.core.errors import ConflictError, InputError, nearest

FOREVER_NS = LIFE[1]


@dataclass(frozen=True, slots=True)
class GrantRow:
    """One grant as it is stored."""

    id: int
    budget: str
    part: str
    kind: str
    amount_nano: int
    starts_ns: int
    ends_ns: int
    priority: int
    reason: str
    granted_by: str
    created_ns: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """A budget as somebody wants it: what it is, what each window gets, and windows that get something else.

    `plans` maps the start and end of a window to its amount.
    """

    budget: Budget
    amount_nano: int
    plans: Mapping[tuple[int, int], int] = field(default_factory=dict)


def set_budget(store: ControlStore, wanted: Wanted, actor: str, *, expect: str = "", now_ns: int | None = None) -> bool:
    """Makes a budget or changes the one of its name; False where nothing was different.

    With `expect` only if it still is as it was seen (`version_of`). Raises InputError, ConflictError.
    """
    with store.writing() as connection:
        return _set(connection, wanted, actor, time.time_ns() if now_ns is None else now_ns, expect)


def set_budgets(store: ControlStore, wanted: Sequence[Wanted], removed: Sequence[str], actor: str) -> None:
    """Puts several budgets into force and takes others out, all of it or nothing. Raises InputError."""
    now = time.time_ns()
    with store.writing() as connection:
        for item in wanted:
            _set(connection, item, actor, now)
        for name in removed:
            _remove(connection, name, actor, now)


def remove_budget(store: ControlStore, name: str, actor: str) -> None:
    """Takes a budget out of force; its grants and balances stay. Raises InputError if there is none of that name."""
    with store.writing() as connection:
        _remove(connection, name, actor, time.time_ns())


def grant(
    store: ControlStore,
    name: str,
    kind: str,
    amount_nano: int,
    *,
    actor: str,
    reason: str,
    part: str = "",
    starts_ns: int | None = None,
    ends_ns: int | None = None,
    priority: int = 100,
) -> GrantRow:
    """Gives a budget more money until a moment, the end of its window if left out."""
    with store.writing() as connection:
        return _grant(connection, name, kind, amount_nano, actor, reason, part, (starts_ns, ends_ns), priority)


def transfer(
    store: ControlStore,
    name: str,
    to: str,
    amount_nano: int,
    *,
    actor: str,
    reason: str,
    starts_ns: int | None = None,
    ends_ns: int | None = None,
) -> tuple[GrantRow, GrantRow]:
    """Moves money from a budget to another until a moment: two grants, one below 0, both or neither."""
    with store.writing() as connection:
        span = (starts_ns, ends_ns)
        taken = _grant(connection, name, "transfer", -amount_nano, actor, reason, "", span)
        return taken, _grant(connection, to, "transfer", amount_nano, actor, reason, "", span)


def end_grant(store: ControlStore, grant_id: int, actor: str) -> None:
    """Ends a grant now; what was spent of it stays spent, the rest goes back."""
    now = time.time_ns()
    with store.writing() as connection:
        touch(connection)
        row = connection.execute(select(grants).where(grants.c.id == grant_id)).first()
        if row is None or row.ends_ns <= now:
            raise InputError(f"no live grant has the number {grant_id}", hint="outlay budgets show NAME lists them")
        connection.execute(update(grants).where(grants.c.id == grant_id).values(ends_ns=now))
        name = connection.execute(select(budgets.c.name).where(budgets.c.id == row.budget_id)).scalar_one()
        before = {"grant": grant_id, "amount_nano": row.amount_nano, "until_ns": row.ends_ns}
        audit.append(connection, actor, "budget.end-grant", name, before=before, after={"until_ns": now})


def list_budgets(store: ControlStore) -> tuple[Budget, ...]:
    """The budgets in force."""
    with store.reading() as connection:
        return book_of(connection).budgets()


def wanted_of(store: ControlStore, budget: Budget, now_ns: int | None = None) -> Wanted:
    """A budget with the amounts it has at a moment."""
    now = time.time_ns() if now_ns is None else now_ns
    with store.reading() as connection:
        amount_nano, plans = _amounts(connection, budget, now)
    return Wanted(budget, amount_nano, plans)


def grants_of(store: ControlStore, budget: Budget) -> tuple[GrantRow, ...]:
    """Every grant a budget ever had, oldest first."""
    with store.reading() as connection:
        rows = connection.execute(select(grants).where(grants.c.budget_id == budget.id).order_by(grants.c.id))
        return tuple(
            GrantRow(
                row.id,
                budget.name,
                row.part,
                row.kind,
                row.amount_nano,
                row.starts_ns,
                row.ends_ns,
                row.priority,
                row.reason,
                row.granted_by,
                row.created_ns,
            )
            for row in rows
        )


def standings(
    store: ControlStore, budget: Budget, now_ns: int | None = None, *, most: int | None = None
) -> tuple[Standing, ...]:
    """How the balances of a budget stand in the present window; one that was never asked for stands untouched.

    With `most` only so many, those of which most is used: a budget for each session has a balance a session.
    """
    now = time.time_ns() if now_ns is None else now_ns
    start_ns, _ = budget.calendar.window(now)
    with store.writing() as connection:
        book = book_of(connection)
        version = book.version()
        wanted = select(balances.c.part).where(balances.c.budget_id == budget.id, balances.c.start_ns == start_ns)
        if most is not None:
            used = balances.c.spent_nano + balances.c.held_nano + balances.c.presumed_nano
            wanted = wanted.order_by(used.desc(), balances.c.part).limit(most)
        parts = sorted(connection.execute(wanted).scalars())
        if not parts and "*" not in budget.scope.values():
            parts = [""]
        return tuple(book.standing(budget, part, version, now) for part in parts)


def balances_now(store: ControlStore, budget: Budget, now_ns: int) -> int:
    """How many balances a budget has in the present window."""
    start_ns, _ = budget.calendar.window(now_ns)
    wanted = select(func.count()).where(balances.c.budget_id == budget.id, balances.c.start_ns == start_ns)
    with store.reading() as connection:
        return int(connection.execute(wanted).scalar_one())


def past_balances(store: ControlStore, budget: Budget, *, newest: int | None = None) -> list[dict[str, Any]]:
    """The balances a budget has had, oldest first; all of them, or only so many of the newest."""
    newest_first = (balances.c.start_ns.desc(), balances.c.opened_ns.desc(), balances.c.part)
    wanted = select(balances).where(balances.c.budget_id == budget.id).order_by(*newest_first).limit(newest)
    with store.reading() as connection:
        rows = [dict(row) for row in connection.execute(wanted).mappings()]
    return sorted(rows, key=lambda row: (row["start_ns"], row["part"]))


def described(budget: Budget, amount_nano: int, plans: Mapping[tuple[int, int], int]) -> dict[str, Any]:
    """A budget as the audit log and a difference tell it."""
    calendar = budget.calendar
    return {
        "scope": dict(sorted(budget.scope.items())),
        "amount_nano": amount_nano,
        "period": calendar.period,
        "zone": calendar.zone,
        "start_month": calendar.start_month,
        "start_day": calendar.start_day,
        "week_start": calendar.week_start,
        "plans": {calendar.label(start): amount for (start, _), amount in sorted(plans.items())},
        **{name: getattr(budget, name) for name in _PLAIN},
        "caps": dict(sorted(budget.caps.items())),
        "ladder": dict(sorted(budget.ladder.items())),
    }


def version_of(told: Mapping[str, Any] | None) -> str:
    """A short name for a budget exactly as it is described; `none` where there is no such budget."""
    return "none" if told is None else hashlib.sha256(audit.canonical(told).encode()).hexdigest()[:16]


_PLAIN = (*("mode", "fail", "unpriced", "currency", "rollover_percent", "carry_overage", "reserve_percent", "owner"),)


def _amounts(connection: Connection, budget: Budget, now_ns: int) -> tuple[int, dict[tuple[int, int], int]]:
    """What each window gets, and the windows that get something else, from the live grants."""
    wanted = select(grants).where(
        grants.c.budget_id == budget.id, grants.c.ends_ns > now_ns, grants.c.kind.in_(["allocation", "plan"])
    )
    amount, plans = 0, {}
    for row in connection.execute(wanted):
        if row.kind == "allocation":
            amount = row.amount_nano
        else:
            plans[row.starts_ns, row.ends_ns] = row.amount_nano
    return amount, plans


def touch(connection: Connection) -> None:
    """Counts the version up; every limit is worked out again. It also makes writers wait for each other."""
    number = counters.c.number + 1
    connection.execute(update(counters).where(counters.c.name == "budgets").values(number=number))


def _set(connection: Connection, wanted: Wanted, actor: str, now_ns: int, expect: str = "") -> bool:
    book = book_of(connection)
    touch(connection)
    held = next((item for item in book.budgets() if item.name == wanted.budget.name), None)
    before = None if held is None else described(held, *_amounts(connection, held, now_ns))
    after = described(wanted.budget, wanted.amount_nano, wanted.plans)
    if expect and expect != version_of(before):
        raise ConflictError(
            f'"{wanted.budget.name}" was changed since you looked at it',
            detail=["nothing was written"],
            hint="look at it as it is now, then say again what shall be different",
        )
    if before == after:
        return False
    budget_id = _write(connection, wanted.budget, held, now_ns)
    if before is None or before["amount_nano"] != wanted.amount_nano:
        _regrant(connection, budget_id, "allocation", LIFE[0], FOREVER_NS, wanted.amount_nano, actor, now_ns)
    _write_plans(connection, budget_id, wanted.plans, actor, now_ns)
    audit.append(connection, actor, "budget.set", wanted.budget.name, before=before, after=after)
    return True


def _remove(connection: Connection, name: str, actor: str, now_ns: int) -> None:
    touch(connection)
    held = named_budget(book_of(connection).budgets(), name)
    connection.execute(update(budgets).where(budgets.c.id == held.id).values(removed_ns=now_ns))
    before = described(held, *_amounts(connection, held, now_ns))
    audit.append(connection, actor, "budget.remove", name, before=before)


def _grant(
    connection: Connection,
    name: str,
    kind: str,
    amount_nano: int,
    actor: str,
    reason: str,
    part: str,
    span: tuple[int | None, int | None],
    priority: int = 100,
) -> GrantRow:
    now = time.time_ns()
    touch(connection)
    held = named_budget(book_of(connection).budgets(), name)
    start = now if span[0] is None else span[0]
    end = held.calendar.window(now)[1] if span[1] is None else span[1]
    if end <= start:
        raise InputError("the grant ends before it begins", hint="--until a moment to come")
    made = insert_grant(connection, held.id, part, kind, amount_nano, start, end, priority, reason, actor, now)
    after = {"kind": kind, "amount_nano": amount_nano, "until_ns": end, "reason": reason, "part": part}
    audit.append(connection, actor, "budget.grant", name, after=after)
    return GrantRow(made, name, part, kind, amount_nano, start, end, priority, reason, actor, now)


def _write(connection: Connection, budget: Budget, held: Budget | None, now_ns: int) -> int:
    calendar = budget.calendar
    values = {
        "name": budget.name,
        "scope": json.dumps(dict(sorted(budget.scope.items())), ensure_ascii=False),
        "period": calendar.period,
        "zone": calendar.zone,
        "start_month": calendar.start_month,
        "start_day": calendar.start_day,
        "week_start": calendar.week_start,
        **{name: getattr(budget, name) for name in _PLAIN},
        "carry_overage": int(budget.carry_overage),
        "caps": json.dumps(dict(budget.caps)),
        "ladder": json.dumps(dict(budget.ladder), ensure_ascii=False),
    }
    if held is not None:
        connection.execute(update(budgets).where(budgets.c.id == held.id).values(**values))
        return held.id
    try:
        made = connection.execute(insert(budgets).values(**values, created_ns=now_ns).returning(budgets.c.id))
    except IntegrityError as error:
        raise InputError(f'there is already a budget named "{budget.name}"', hint="try again") from error
    return int(made.scalar_one())


def _write_plans(
    connection: Connection, budget_id: int, plans: Mapping[tuple[int, int], int], actor: str, now_ns: int
) -> None:
    live = select(grants).where(grants.c.budget_id == budget_id, grants.c.kind == "plan", grants.c.ends_ns > now_ns)
    held = {(row.starts_ns, row.ends_ns): row for row in connection.execute(live)}
    for window, row in held.items():
        if plans.get(window) != row.amount_nano:
            # A plan counts only where it spans its window exactly: ended, it no longer does.
            connection.execute(update(grants).where(grants.c.id == row.id).values(ends_ns=row.starts_ns))
    for (start, end), amount in plans.items():
        if (start, end) not in held or held[start, end].amount_nano != amount:
            insert_grant(connection, budget_id, "", "plan", amount, start, end, 100, "planned", actor, now_ns)


def _regrant(
    connection: Connection, budget_id: int, kind: str, start_ns: int, end_ns: int, amount: int, actor: str, now_ns: int
) -> None:
    connection.execute(
        update(grants)
        .where(grants.c.budget_id == budget_id, grants.c.kind == kind, grants.c.ends_ns > now_ns)
        .values(ends_ns=now_ns)
    )
    insert_grant(connection, budget_id, "", kind, amount, start_ns, end_ns, 1000, "", actor, now_ns)


def insert_grant(
    connection: Connection,
    budget_id: int,
    part: str,
    kind: str,
    amount_nano: int,
    starts_ns: int,
    ends_ns: int,
    priority: int,
    reason: str,
    actor: str,
    now_ns: int,
) -> int:
    """Writes a grant within the caller's transaction, which has called `touch`; its number."""
    values = {
        "budget_id": budget_id,
        "part": part,
        "kind": kind,
        "amount_nano": amount_nano,
        "starts_ns": starts_ns,
        "ends_ns": ends_ns,
        "priority": priority,
        "reason": reason,
        "granted_by": actor,
        "created_ns": now_ns,
    }
    return int(connection.execute(insert(grants).values(**values).returning(grants.c.id)).scalar_one())


def named_budget(held: Sequence[Budget], name: str) -> Budget:
    """The budget of that name. Raises InputError with the nearest name otherwise."""
    found = next((budget for budget in held if budget.name == name), None)
    if found is None:
        raise InputError(
            f'no budget is called "{name}"',
            hint=nearest(name, [item.name for item in held]) if held else "outlay budgets set --team NAME --month 1000",
        )
    return found
