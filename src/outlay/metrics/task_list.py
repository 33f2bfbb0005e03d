"""Single tasks: what each cost, what it was worth, and every report on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from outlay.core.errors import QueryError
from outlay.core.outcome import OutcomeStatus
from outlay.ledger.store import Reader
from outlay.metrics.outcomes import OutcomeRow, list_outcomes, outcome_history
from outlay.metrics.query import Query
from outlay.metrics.tasks import costs_of

SEVERAL_CURRENCIES = "(several currencies)"


@dataclass(frozen=True, slots=True)
class TaskRow:
    """One task by its latest report. `cost_nano` None is unpriced or in several currencies, `value_nano` None unknown.

    `currency` is that of the cost, `value_currency` that of the value; where they differ there is no margin. A task
    that was not done lost its cost. `found` is False where the books hold no work on it.
    """

    task: str
    outcome: str
    task_type: str
    cost_nano: int | None
    currency: str
    value_nano: int | None
    value_currency: str
    margin_nano: int | None
    sessions: tuple[str, ...]
    time_ns: int
    source: str
    found: bool
    envelope: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Report:
    """One report on a task; `current` is the one that stands."""

    reported_ns: int
    time_ns: int
    outcome: str
    value_nano: int | None
    currency: str
    sessions: tuple[str, ...]
    source: str
    origin: str
    current: bool


@dataclass(frozen=True, slots=True)
class TaskDetail:
    """A task with all reports on it, latest reported first."""

    row: TaskRow
    reports: tuple[Report, ...]


def list_tasks(reader: Reader, query: Query, limit: int) -> list[TaskRow]:
    """The tasks in the part and period of a question by the time they ended, latest first, at most `limit`."""
    outcomes = list_outcomes(reader, query, limit=limit)
    costs = costs_of(reader, [row.task for row in outcomes])
    return [_row(outcome, costs.get(outcome.task, {})) for outcome in outcomes]


def task_detail(reader: Reader, task: str) -> TaskDetail:
    """One task; QueryError where no report names it."""
    history = outcome_history(reader, task)
    if not history:
        raise QueryError(f'no task is called "{task}"', hint="outlay outcomes list")
    now = next((row for row in history if row.current), history[0])
    reports = sorted(map(_report, history), key=lambda report: (-report.reported_ns, not report.current))
    return TaskDetail(_row(now, costs_of(reader, [task]).get(task, {})), tuple(reports))


def _report(said: OutcomeRow) -> Report:
    return Report(
        reported_ns=said.reported_ns,
        time_ns=said.time_ns,
        outcome=said.outcome,
        value_nano=said.value_nano,
        currency=said.currency,
        sessions=said.sessions,
        source=said.source,
        origin=said.origin,
        current=said.current,
    )


def _row(said: OutcomeRow, costs: Mapping[str, int]) -> TaskRow:
    currency, cost = next(iter(costs.items())) if len(costs) == 1 else ("", None)
    worth = said.value_nano if said.outcome == OutcomeStatus.DONE else 0
    same = said.value_nano is None or said.currency == currency
    return TaskRow(
        task=said.task,
        outcome=said.outcome,
        task_type=said.task_type,
        cost_nano=cost,
        currency=SEVERAL_CURRENCIES if len(costs) > 1 else currency,
        value_nano=said.value_nano,
        value_currency=said.currency if said.value_nano is not None else "",
        margin_nano=None if cost is None or worth is None or not same else worth - cost,
        sessions=said.task_sessions or said.sessions,
        time_ns=said.time_ns,
        source=said.source,
        found=said.found,
        envelope=said.envelope,
    )
