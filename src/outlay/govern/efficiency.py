"""Efficiency: what an outcome costs today against a year ago, for the mix of work there is today.

An average cost moves when the mix moves: more of the cheap work looks like progress. So the outcomes of each month are
valued twice, at what each kind cost then and at what it cost in the base month; the index is the first over the second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from outlay.core.money import DEFAULT_CURRENCY, nano_of
from outlay.core.period import Grain, Period, ns_of
from outlay.metrics.answer import Answer
from outlay.metrics.filters import Filter
from outlay.metrics.query import Query

KINDS_MAX = 200
"""More kinds of work than this are one kind together, the ones that cost least."""
BASE = 100
"""The index of the base month."""


@dataclass(frozen=True, slots=True)
class Made:
    """What one kind of work cost in one month, and how many outcomes it brought."""

    cost_nano: int
    outcomes: int


@dataclass(frozen=True, slots=True)
class Point:
    """The index of one month; None where no kind of work had outcomes in it and in the base month.

    `covered` is the share of the month's cost that the index stands on: kinds without an outcome in the base month have
    nothing to be compared with.
    """

    month: datetime
    index: Fraction | None
    covered: Fraction


Months = Mapping[datetime, Mapping[str, Made]]
Asks = Callable[[Query], Answer]


def year_of(
    ask: Asks, months: Sequence[datetime], until: datetime, by: str = "feature", where: tuple[Filter, ...] = ()
) -> tuple[list[Point], Answer]:
    """The index of each month (starts, oldest first, the last one up to `until`) against the first of them.

    `by` says what a kind of work is. Also the answer it stands on.
    """
    period = Period(ns_of(months[0]), ns_of(until))
    answer = ask(Query(("cost", "tasks_completed"), (by,), Grain.MONTH, where, period, top=KINDS_MAX))
    return indices(made_of(answer.rows, by), months, months[0]), answer


def indices(made: Months, months: Sequence[datetime], base: datetime) -> list[Point]:
    """The index of each month against the base month: 100 is as dear as then, 78 is 22 % cheaper."""
    then = {kind: item for kind, item in made.get(base, {}).items() if item.outcomes and item.cost_nano > 0}
    return [_point(month, made.get(month, {}), then) for month in months]


def _point(month: datetime, now: Mapping[str, Made], then: Mapping[str, Made]) -> Point:
    both = [kind for kind, item in now.items() if item.outcomes and kind in then]
    whole = sum(item.cost_nano for item in now.values())
    actual = sum(now[kind].cost_nano for kind in both)
    at_then = sum(
        (Fraction(then[kind].cost_nano * now[kind].outcomes, then[kind].outcomes) for kind in both), Fraction(0)
    )
    covered = Fraction(actual, whole) if whole > 0 else Fraction(0)
    return Point(month, Fraction(actual) / at_then * BASE if at_then else None, covered)


def made_of(rows: Sequence[Mapping[str, Any]], kind: str) -> dict[datetime, dict[str, Made]]:
    """What rows by month and kind of work say; rows whose cost is not known, or in another currency, are left out."""
    made: dict[datetime, dict[str, Made]] = {}
    for row in rows:
        if row.get("cost") is None or row.get("currency", DEFAULT_CURRENCY) != DEFAULT_CURRENCY:
            continue
        month = datetime.fromisoformat(str(row["time"])).astimezone(UTC)
        made.setdefault(month, {})[str(row[kind])] = Made(nano_of(row["cost"]), row.get("tasks_completed") or 0)
    return made
