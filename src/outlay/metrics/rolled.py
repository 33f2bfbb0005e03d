"""Rolled: which questions the rollups of whole days can answer, and how much of the period they cover.

A rollup answers what the rows would answer, or it is not asked: a question must split, filter and test only by what a
rollup keeps apart, and cut time into nothing finer than days. `ledger/rollups.py` says how its rows come about.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from outlay.core.meters import TOKEN_METERS
from outlay.core.period import Grain, moment_of
from outlay.ledger.rollups import (
    CHARGE_DAY_COLUMNS,
    NULLABLE,
    ROLLUP_LABELS,
    SESSION_LABELS,
    SIGNED,
    SUMS,
    USAGE_DAY_COLUMNS,
    reading_of,
)
from outlay.ledger.store import Snapshot
from outlay.metrics.dimensions import Dimension, Place
from outlay.metrics.expressions import (
    CHARGE,
    AllOf,
    AnyOf,
    Coded,
    Condition,
    Count,
    Is,
    Known,
    OneOf,
    Positive,
    Sessions,
    Sum,
)
from outlay.metrics.plan import Plan
from outlay.metrics.rolled_sessions import fits_sessions

_OF_SESSIONS = frozenset((*SESSION_LABELS, "session_id", "customer", "user", "counted"))


def rolled(plan: Plan, reader: Snapshot) -> Plan:
    """The plan, with the part of its period that rollups may answer; as it is where they cannot."""
    sums = is_kept(plan)
    by_session = not sums and fits_sessions(plan)
    runs = bool(plan.session_sums) and sums and keeps_sessions(plan)
    wanted = plan.query.grain not in (Grain.MINUTE, Grain.HOUR) and (sums or by_session)
    stale = reader.stale_days() if wanted else None
    if stale is None or (plan.session_sums and plan.with_charges):
        return plan
    period = plan.query.period
    start, end = (None if ns is None else moment_of(ns).replace(tzinfo=None) for ns in (period.start_ns, period.end_ns))
    by_month = plan.query.grain not in (Grain.DAY, Grain.WEEK) and not by_session
    return replace(
        plan,
        reading=reading_of(start, end, stale, by_month=by_month),
        session_reading=reading_of(start, end, stale, by_month=False) if runs else None,
        history=reading_of(None, None, stale, by_month=False) if by_session and plan.with_work else None,
        by_session=by_session,
    )


def is_kept(plan: Plan, beside: frozenset[str] = frozenset()) -> bool:
    """Everything the plan splits, filters and tests by is kept apart in the rollup it would read, or `beside` it."""
    named = (*plan.dimensions, *(dimension for dimension, _ in plan.filters))
    if plan.with_charges:
        return all(map(_on_charge_days, named)) and all(map(_sums_charges, plan.usage_sums))
    kept = ((item.place is Place.USAGE and item.column in beside) or _on_usage_days(item) for item in named)
    return all(kept) and all(map(_sums_usages, plan.usage_sums))


def keeps_sessions(plan: Plan) -> bool:
    """Sessions are counted and timed by nothing that a session's day does not keep apart."""
    named = (*plan.dimensions, *(dimension for dimension, _ in plan.filters))
    conditions = (item.where for item in plan.session_sums if isinstance(item, Sessions))
    by_tags = all(item.place is Place.USAGE and not item.tag and item.column in _OF_SESSIONS for item in named)
    return by_tags and not any(conditions)


def _on_usage_days(dimension: Dimension) -> bool:
    return dimension.place is Place.USAGE and not dimension.tag and dimension.column in USAGE_DAY_COLUMNS


def _on_charge_days(dimension: Dimension) -> bool:
    if dimension.place is Place.CHARGE:
        return dimension.column in CHARGE_DAY_COLUMNS
    return dimension.place is Place.USAGE and not dimension.tag and dimension.column in ROLLUP_LABELS


def _sums_usages(item: Count | Sum) -> bool:
    if not all(map(_tests_usages, _parts(item.where))):
        return False
    if isinstance(item, Count):
        return True
    # A row without one of two added columns would be left out, and their sums would not: tokens are never missing.
    return set(item.columns) <= (set(TOKEN_METERS) if len(item.columns) > 1 else set(SUMS))


def _tests_usages(part: Condition) -> bool:
    match part:
        case OneOf(column):
            return column in ROLLUP_LABELS
        case Is(column):
            return column in USAGE_DAY_COLUMNS
        case Positive(column):
            return column in SIGNED
        case Known(column):
            return column in NULLABLE
        case _:
            return False


def _sums_charges(item: Count | Sum) -> bool:
    columns = item.columns if isinstance(item, Sum) else ()
    kept = len(columns) < 2 and all(column in (f"{CHARGE}amount_nano", f"{CHARGE}quantity") for column in columns)
    return kept and all(map(_tests_charges, _parts(item.where)))


def _tests_charges(part: Condition) -> bool:
    match part:
        case OneOf(column):
            return column in ROLLUP_LABELS
        case Coded(column):
            return column.removeprefix(CHARGE) in CHARGE_DAY_COLUMNS
        case Known(column):
            return column == f"{CHARGE}amount_nano"
        case _:
            return False


def _parts(condition: Condition | None) -> Iterable[Condition]:
    """The conditions within a condition."""
    match condition:
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from _parts(part)
        case None:
            return
        case _:
            yield condition
