"""Why a completed task of a feature costs what it costs: what its money went to, beside what is usual elsewhere.

A cost per completed task is the cost of a step times the steps a completed task takes, and it carries the work that was
not completed. Each driver is a part of that cost; drivers look at the same money from several sides, so they overlap
and are not to be added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from outlay.core.centre import CostCentre
from outlay.core.errors import QueryError
from outlay.core.money import decimal_text, nano_of
from outlay.core.outcome import OutcomeStatus
from outlay.core.period import Period
from outlay.metrics.answer import Answer
from outlay.metrics.dimensions import NO_OUTCOME
from outlay.metrics.filters import Filter
from outlay.metrics.query import Query

Asks = Callable[[Query], Answer]

MEASURES = (
    *("cost", "inference_cost", "retry_cost"),
    *("tasks", "tasks_completed", "tasks_failed", "tasks_abandoned", "completion_rate", "cost_per_completed_task"),
    *("sessions", "usages", "retries", "total_tokens", "hidden_share", "retry_multiplier"),
)
ENDS = {
    "failed_task_cost": (OutcomeStatus.FAILED.value, OutcomeStatus.ABANDONED.value),
    "cost_without_task": (NO_OUTCOME,),
}
"""Measures that the split by what became of the work tells as well: asking for them would look up every task again."""
SHARE_MIN = Decimal("0.05")
"""A driver that explains less than this share is not told."""
PARTS_MAX = 8


class DriverKind(StrEnum):
    """What a part of the cost is paid for."""

    FAILURES = "failures"
    CENTRE = "centre"
    MODEL = "model"
    STEPS = "steps"


@dataclass(frozen=True, slots=True)
class Driver:
    """One part: `each_nano` of every completed task, `share` of the cost here and over all features together.

    `name` is the centre or model. `count` are tasks that failed or were abandoned, else steps. For STEPS it is the
    steps a completed task takes, `usual_count` those over all features, and the amount what those beyond it cost.
    """

    kind: DriverKind
    name: str
    each_nano: int
    share: Decimal
    usual_share: Decimal | None
    count: int = 0
    usual_count: int | None = None


@dataclass(frozen=True, slots=True)
class TaskCost:
    """What a completed task of a feature costs. `total`, `usual` and `before` hold MEASURES, as answers tell them.

    `total` and `usual` hold ENDS too.

    `usual` is every feature together in the same period, `before` the same feature over as long a time before it.
    The parts split the whole cost without remainder: by centre, by what became of the work, by model, by agent.
    """

    feature: str
    total: Mapping[str, Any]
    usual: Mapping[str, Any]
    before: Mapping[str, Any]
    drivers: tuple[Driver, ...]
    parts: Mapping[str, tuple[Mapping[str, Any], ...]]
    coverage: Mapping[str, Any]

    @property
    def each_nano(self) -> int | None:
        """Nano-units a completed task costs; None where none was completed or a price is not known."""
        told = self.total.get("cost_per_completed_task")
        return nano_of(told) if isinstance(told, str) else None


def task_cost(ask: Asks, feature: str, period: Period) -> TaskCost:
    """What a completed task of a feature cost in a period, and why. Raises QueryError for a feature without work."""
    here = (Filter("feature", (feature,)),)
    own = ask(Query(MEASURES, where=here, period=period))
    if not own.total.get("usages"):
        raise QueryError(
            f'no work of the feature "{feature}" in that period', hint="outlay spend --by feature lists what there is"
        )
    usual = ask(Query(MEASURES, period=period)).total
    usual = {**usual, **_ends(ask(Query(("cost",), ("outcome",), period=period)).rows)}
    length_ns = (period.end_ns or 0) - (period.start_ns or 0)
    earlier = Period((period.start_ns or 0) - length_ns, period.start_ns)
    before = ask(Query(MEASURES, where=here, period=earlier)).total
    parts = {
        name: tuple(ask(Query(("cost", "usages"), (name,), where=here, period=period, top=PARTS_MAX)).rows)
        for name in ("centre", "outcome", "model", "agent")
    }
    centres = {str(row["centre"]): row for row in ask(Query(("cost",), ("centre",), period=period)).rows}
    total = {**own.total, **_ends(parts["outcome"])}
    drivers = _drivers(total, usual, parts, centres)
    return TaskCost(feature, total, usual, before, drivers, parts, own.coverage)


def _ends(rows: Iterable[Mapping[str, Any]]) -> dict[str, str | None]:
    """The measures in ENDS; unknown where nothing of such work has a price."""
    found: dict[str, str | None] = {}
    held = {str(row["outcome"]): row.get("cost") for row in rows}
    for name, outcomes in ENDS.items():
        told = [held[outcome] for outcome in outcomes if outcome in held]
        amount = sum(nano_of(cost) for cost in told if isinstance(cost, str))
        found[name] = None if not amount and None in told else decimal_text(amount)
    return found


def _drivers(
    total: Mapping[str, Any],
    usual: Mapping[str, Any],
    parts: Mapping[str, tuple[Mapping[str, Any], ...]],
    centres: Mapping[str, Mapping[str, Any]],
) -> tuple[Driver, ...]:
    cost, done = _decimal(total.get("cost")), int(total.get("tasks_completed") or 0)
    whole = _decimal(usual.get("cost"))
    if not cost or not done:
        return ()

    def part(kind: DriverKind, name: str, amount: Decimal | None, overall: Decimal | None, count: int = 0) -> Driver:
        share = (amount or Decimal(0)) / cost  # not money: a share
        usually = overall / whole if overall is not None and whole else None  # not money: a share
        return Driver(kind, name, _each(amount or Decimal(0), done), share, usually, count)

    lost = int(total.get("tasks_failed") or 0) + int(total.get("tasks_abandoned") or 0)
    failed = _decimal(total.get("failed_task_cost")), _decimal(usual.get("failed_task_cost"))
    found = [part(DriverKind.FAILURES, "", *failed, lost)]
    for row in parts["centre"]:
        name = str(row["centre"])
        if name != CostCentre.INFERENCE and not name.startswith("("):
            overall = _decimal(centres.get(name, {}).get("cost"))
            found.append(part(DriverKind.CENTRE, name, _decimal(row.get("cost")), overall, int(row["usages"])))
    models = [row for row in parts["model"] if not str(row["model"]).startswith("(")]
    if models:
        dearest = max(models, key=lambda row: _decimal(row.get("cost")) or Decimal(0))
        amount = _decimal(dearest.get("cost"))
        found.append(part(DriverKind.MODEL, str(dearest["model"]), amount, None, int(dearest["usages"])))
    told = [driver for driver in found if driver.share >= SHARE_MIN]
    steps = _steps(total, usual, cost, done)
    if steps is not None:
        told.append(steps)
    return tuple(sorted(told, key=lambda driver: (driver.kind is DriverKind.MODEL, -driver.each_nano, driver.name)))


def _steps(total: Mapping[str, Any], usual: Mapping[str, Any], cost: Decimal, done: int) -> Driver | None:
    """Steps beyond the usual number, at what a step costs here."""
    usages, all_done = int(total["usages"]), int(usual.get("tasks_completed") or 0)
    if not all_done:
        return None
    here = Decimal(usages) / done  # not money: steps
    overall = Decimal(int(usual["usages"])) / all_done  # not money: steps
    more = (here - overall) * done / usages * cost  # exact: decimals, rounded once
    if more < cost * SHARE_MIN:
        return None
    share = more / cost  # not money: a share
    return Driver(DriverKind.STEPS, "", _each(more, done), share, None, round(here), round(overall))


def _each(amount: Decimal, done: int) -> int:
    return nano_of(amount / done)  # exact: decimals, rounded once


def _decimal(value: object) -> Decimal | None:
    return Decimal(value) if isinstance(value, (str, int)) else None
