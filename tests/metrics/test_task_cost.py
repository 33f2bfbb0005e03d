"""Why a completed task costs what it costs: parts that add up, drivers in order, and what is not known."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from outlay.core.errors import QueryError
from outlay.core.period import Period
from outlay.faces.task_reasons import why_each
from outlay.metrics.answer import Answer
from outlay.metrics.query import Query, check
from outlay.metrics.task_cost import MEASURES, DriverKind, task_cost

PERIOD = Period(1_000, 2_000)
ZERO = dict.fromkeys(MEASURES, "0") | dict.fromkeys(("tasks", "tasks_completed", "tasks_failed", "tasks_abandoned"), 0)


def totals(cost: str, done: int, lost: int, usages: int) -> dict[str, Any]:
    each = f"{Decimal(cost) / done:.9f}" if done else None
    counts = {"tasks": done + lost, "tasks_completed": done, "tasks_failed": lost, "usages": usages}
    return {**ZERO, **counts, "cost": cost, "cost_per_completed_task": each}


OWN = totals("100", 10, 4, 400)
USUAL = totals("400", 100, 10, 2_000)
USUAL_ENDS = [
    {"outcome": "failed", "cost": "15"},
    {"outcome": "abandoned", "cost": "5"},
    {"outcome": "(several)", "cost": "7"},
]
BEFORE = totals("50", 10, 0, 200)
PARTS: Mapping[str, list[dict[str, Any]]] = {
    "centre": [
        {"centre": "inference", "cost": "70", "usages": 300},
        {"centre": "retries", "cost": "30", "usages": 100},
    ],
    "outcome": [{"outcome": "done", "cost": "70", "usages": 280}, {"outcome": "failed", "cost": "30", "usages": 120}],
    "model": [{"model": "big", "cost": "60", "usages": 100}, {"model": "(none)", "cost": "40", "usages": 300}],
    "agent": [{"agent": "a", "cost": "100", "usages": 400}],
}


def asks(own: Mapping[str, Any] = OWN, before: Mapping[str, Any] = BEFORE) -> Any:
    def ask(query: Query) -> Answer:
        check(query)
        if query.by == ("centre",) and not query.where:
            return Answer({}, [{"centre": "retries", "cost": "40"}], {}, {})
        if query.by == ("outcome",) and not query.where:
            return Answer({}, USUAL_ENDS, {}, {})
        if query.by:
            return Answer({}, PARTS[query.by[0]], {}, {})
        assert query.period is not None
        if not query.where:
            return Answer({}, [], dict(USUAL), {})
        return Answer({}, [], dict(own if query.period == PERIOD else before), {"usages": 1})

    return ask


def test_drivers_say_what_of_each_task_they_take_the_largest_first_the_model_last() -> None:
    found = task_cost(asks(), "kyc", PERIOD)
    assert [(item.kind, item.name, item.each_nano) for item in found.drivers] == [
        (DriverKind.STEPS, "", 5 * 10**9),  # 40 steps a task, 20 are usual: half of 10
        (DriverKind.FAILURES, "", 3 * 10**9),
        (DriverKind.CENTRE, "retries", 3 * 10**9),
        (DriverKind.MODEL, "big", 6 * 10**9),
    ]
    retries = found.drivers[2]
    assert (retries.share, retries.usual_share) == (Decimal("0.3"), Decimal("0.1"))
    assert found.each_nano == 10 * 10**9
    assert (found.total["failed_task_cost"], found.total["cost_without_task"]) == ("30", "0")
    assert found.usual["failed_task_cost"] == "20"


def test_what_has_no_price_is_not_what_failure_costs() -> None:
    rows = [{"outcome": "failed", "cost": None, "usages": 3}, {"outcome": "(no outcome)", "cost": None, "usages": 1}]

    def ask(query: Query) -> Answer:
        return Answer({}, rows, {}, {}) if query.by == ("outcome",) and query.where else asks()(query)

    total = task_cost(ask, "kyc", PERIOD).total
    assert (total["failed_task_cost"], total["cost_without_task"]) == (None, None)


def test_the_sentences_compare_first() -> None:
    told = why_each(task_cost(asks(), "kyc", PERIOD))
    assert told[0] == "A completed task costs $10.00, 2.50× the $4.00 of all features together."
    assert told[1] == "In the time before it was $5.00: 100.0 % more now."
    assert told[2] == "It takes 40 steps a completed task, 20 are usual: those beyond cost $5.00 of each (50.0 %)."
    assert told[3].startswith("$3.00 of each (30.0 %) pays for 4 tasks that failed or were abandoned; over all")


def test_without_a_completed_task_there_is_no_cost_of_one() -> None:
    found = task_cost(asks(own=totals("5", 0, 3, 10)), "kyc", PERIOD)
    assert found.drivers == ()
    assert found.each_nano is None
    assert why_each(found) == ["None of its 3 tasks was completed, so there is no cost per completed task."]
    nothing = task_cost(asks(own={**totals("5", 0, 0, 10)}), "kyc", PERIOD)
    assert "No task was reported" in why_each(nothing)[0]


def test_an_unpriced_cost_is_no_zero() -> None:
    own = {**OWN, "cost": None, "cost_per_completed_task": None}
    found = task_cost(asks(own=own), "kyc", PERIOD)
    assert found.drivers == ()
    assert found.each_nano is None


def test_a_feature_without_work_is_not_there() -> None:
    with pytest.raises(QueryError, match="no work of the feature"):
        task_cost(asks(own={**ZERO, "usages": 0}), "nothing", PERIOD)
