"""Targets judged: what a completed task of a feature cost in a quarter, what it may cost, and what moved it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from outlay.control.budgets import list_budgets
from outlay.control.store import ControlStore
from outlay.control.targets import Target, list_targets
from outlay.core.calendar import Calendar
from outlay.core.errors import InputError, QueryError
from outlay.core.money import DEFAULT_CURRENCY, nano_of
from outlay.core.period import NS_PER_US, Grain, Period, moment_of, ns_of
from outlay.govern.outlook import Asks
from outlay.metrics.answer import Answer
from outlay.metrics.dimensions import OTHER
from outlay.metrics.filters import VALUES_MAX, Filter
from outlay.metrics.query import Query

NEAR = Fraction(1, 20)
"""Less than so much over its target a feature is near it: a warning, not a failure."""
TASKS_MIN = 10
"""Fewer completed tasks than this are no ground for a verdict."""
FEATURES_MAX = 200
YEAR_MAX = 9999

_QUARTER = re.compile(r"(\d{4})-Q([1-4])")
_MEASURES = ("cost", "tasks_completed", "completion_rate", "cost_per_completed_task")


@dataclass(frozen=True, slots=True)
class Quarter:
    """A quarter (UTC) of a year that begins with `month`: `2026-Q4`, half-open; named after the year it began in."""

    name: str
    start: datetime
    end: datetime
    month: int = 1

    @property
    def before(self) -> Quarter:
        """The quarter before it."""
        return quarter_at(moment_of(ns_of(self.start) - NS_PER_US), self.month)

    @property
    def after(self) -> Quarter:
        """The quarter after it."""
        return quarter_at(self.end, self.month)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a figure stands against its target: `word` is met, near, over, few, none or open; `over` is relative."""

    word: str
    over: Fraction | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """What one feature did in one stretch of time; amounts are nano-units, None where not known."""

    cost_nano: int | None
    tasks_completed: int
    completion_rate: str | None
    per_task_nano: int | None
    by_centre_nano: Mapping[str, int] = field(default_factory=dict[str, int])
    """Cost for each completed task by cost centre."""


@dataclass(frozen=True, slots=True)
class Reviewed:
    """One feature in one quarter beside the one before; `moved_nano` is each centre's change a completed task."""

    feature: str
    team: str
    now: Figures
    before: Figures
    target: Target | None
    verdict: Verdict
    moved_nano: Mapping[str, int]
    weeks: tuple[tuple[datetime, int | None], ...]


@dataclass(frozen=True, slots=True)
class Review:
    """Every feature of a quarter that cost something or has a target, the dearest first."""

    quarter: Quarter
    rows: tuple[Reviewed, ...]
    answer: Answer

    def counted(self, *words: str) -> int:
        """How many features have one of these verdicts."""
        return sum(row.verdict.word in words for row in self.rows)


def fiscal_month(store: ControlStore) -> int:
    """The month a year begins with, as the company's budget of a quarter or a year says; January where none does."""
    whole = (budget.calendar for budget in list_budgets(store) if not budget.scope)
    return next((found.start_month for found in whole if found.period in {"quarter", "year"}), 1)


def quarter_at(moment: datetime, month: int = 1) -> Quarter:
    """The quarter that holds a moment, of a year that begins with a month."""
    calendar = Calendar("quarter", start_month=month)
    start_ns, end_ns = calendar.window(ns_of(moment))
    return Quarter(calendar.label(start_ns), moment_of(start_ns), moment_of(end_ns), month)


def quarter_named(name: str, month: int = 1) -> Quarter:
    """The quarter of a name such as 2026-Q4, of a year that begins with a month. Raises InputError."""
    found = _QUARTER.fullmatch(name.strip().upper())
    if found is None or not 1 <= int(found[1]) < YEAR_MAX:
        raise InputError(f'"{name}" is no quarter', hint="like 2026-Q4")
    year, first = divmod(int(found[1]) * 12 + month - 1 + (int(found[2]) - 1) * 3, 12)
    return quarter_at(datetime(year, first + 1, 1, tzinfo=UTC), month)


def verdict_of(per_task_nano: int | None, target_nano: int | None, tasks_completed: int) -> Verdict:
    """How the cost of a completed task stands against a target."""
    if target_nano is None:
        return Verdict("none")
    if per_task_nano is None or not tasks_completed:
        return Verdict("open")
    over = Fraction(per_task_nano - target_nano, target_nano)
    if tasks_completed < TASKS_MIN:
        return Verdict("few", over)
    return Verdict("met" if over <= 0 else "near" if over < NEAR else "over", over)


def targets_in(store: ControlStore, quarter: Quarter) -> dict[str, Target]:
    """The targets of a quarter by feature."""
    return {target.feature: target for target in list_targets(store, (quarter.name,))}


def review(
    ask: Asks, targets: Mapping[str, Target], quarter: Quarter, now: datetime, where: tuple[Filter, ...] = ()
) -> Review:
    """A quarter up to now, or whole once it is over, beside the one before it."""
    if quarter.start > now:
        raise QueryError(f"{quarter.name} has not begun", hint=f"--quarter {quarter_at(now, quarter.month).name}")
    end = min(quarter.end, now)
    present = Period(ns_of(quarter.start), ns_of(end))
    earlier = Period(ns_of(quarter.before.start), ns_of(quarter.start))
    answer = ask(Query(_MEASURES, ("feature",), None, where, present, top=FEATURES_MAX))
    names = tuple(str(row["feature"]) for row in answer.rows)
    if OTHER in names:  # of a million features the dearest and those with a target are told, and no others are read
        picked = tuple(dict.fromkeys((*(name for name in names if name != OTHER), *targets)))[:VALUES_MAX]
        where = (*where, Filter("feature", picked))
        answer = ask(Query(_MEASURES, ("feature",), None, where, present))
    figures = _figures(answer, ask(Query(("cost",), ("feature", "centre"), None, where, present)))
    before = _figures(
        ask(Query(_MEASURES, ("feature",), None, where, earlier)),
        ask(Query(("cost",), ("feature", "centre"), None, where, earlier)),
    )
    weekly = Query(("cost_per_completed_task",), ("feature",), Grain.WEEK, where, present, top=VALUES_MAX)
    weeks = _weeks(ask(weekly))
    teams = _teams(ask(Query(("cost",), ("feature", "team"), None, where, present)))
    nothing = Figures(None, 0, None, None)
    rows = [
        _reviewed(
            name,
            teams.get(name, ""),
            figures.get(name, nothing),
            before.get(name, nothing),
            targets.get(name),
            weeks.get(name, ()),
        )
        for name in dict.fromkeys((*figures, *targets))
    ]
    return Review(quarter, tuple(rows), answer)


def _reviewed(
    feature: str,
    team: str,
    now: Figures,
    before: Figures,
    target: Target | None,
    weeks: tuple[tuple[datetime, int | None], ...],
) -> Reviewed:
    verdict = verdict_of(now.per_task_nano, None if target is None else target.amount_nano, now.tasks_completed)
    moved = {}
    if now.per_task_nano is not None and before.per_task_nano is not None:
        centres = dict.fromkeys((*now.by_centre_nano, *before.by_centre_nano))
        moved = {centre: now.by_centre_nano.get(centre, 0) - before.by_centre_nano.get(centre, 0) for centre in centres}
    return Reviewed(feature, team, now, before, target, verdict, moved, weeks)


def _figures(answer: Answer, centres: Answer) -> dict[str, Figures]:
    """What each feature did, the dearest first."""
    split: dict[str, dict[str, int]] = {}
    for row in _dollars(centres.rows):
        if row.get("cost") is not None:
            split.setdefault(str(row["feature"]), {})[str(row["centre"])] = nano_of(row["cost"])
    found = {}
    for row in _dollars(answer.rows):
        name, done = str(row["feature"]), row.get("tasks_completed") or 0
        each = {centre: round(Fraction(nano, done)) for centre, nano in split.get(name, {}).items()} if done else {}
        found[name] = Figures(
            _nano(row.get("cost")), done, row.get("completion_rate"), _nano(row.get("cost_per_completed_task")), each
        )
    return found


def _weeks(answer: Answer) -> dict[str, tuple[tuple[datetime, int | None], ...]]:
    found: dict[str, list[tuple[datetime, int | None]]] = {}
    for row in _dollars(answer.rows):
        at = datetime.fromisoformat(str(row["time"]))
        found.setdefault(str(row["feature"]), []).append((at, _nano(row.get("cost_per_completed_task"))))
    return {name: tuple(weeks) for name, weeks in found.items()}


def _teams(answer: Answer) -> dict[str, str]:
    """The team that spends most on each feature."""
    found: dict[str, str] = {}
    for row in answer.rows:  # the dearest first
        found.setdefault(str(row["feature"]), str(row["team"]))
    return found


def _dollars(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Targets are in dollars: what is in another currency has none."""
    return [row for row in rows if row.get("currency", DEFAULT_CURRENCY) == DEFAULT_CURRENCY]


def _nano(value: object) -> int | None:
    return None if value is None else nano_of(value)
