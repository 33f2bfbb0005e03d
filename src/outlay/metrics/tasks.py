"""Tasks as data: what each task cost, to the last unit, however many sessions worked on it and it shared.

A usage that names its task is that task's. Every other usage is divided evenly among the tasks of its session, whole
nano-units, the first tasks by id taking one more where it does not come out even (largest remainder of equal shares).
A session that works on no task takes part in the tasks of the session that started it. What is left is work without a
task: the cost of all tasks and that of work without one are the total.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from outlay.core.money import DEFAULT_CURRENCY, decimal_text, nano_of
from outlay.core.outcome import OutcomeStatus
from outlay.ledger.store import Reader, Snapshot
from outlay.metrics.answer import TIME, Answer, ask
from outlay.metrics.dialect import Dialect, dialect_named
from outlay.metrics.expressions import Count, Facts, Sum, aggregates_of
from outlay.metrics.groups import outcome_conditions
from outlay.metrics.intervals import interval_of_ratio
from outlay.metrics.measures import TASKS_DONE
from outlay.metrics.parts import OUTCOME, Statement, outcome_value, shown
from outlay.metrics.plan import Plan, plan_of
from outlay.metrics.query import MEASURES_MAX, Query, check, time_text
from outlay.metrics.work import line_tables, links_table

PER_TASK = "cost_per_completed_task"
LOW, HIGH, TASKS_BEHIND = "interval_low", "interval_high", "interval_tasks"
_NEEDED = ("cost", "tasks", "tasks_completed")


@dataclass(frozen=True, slots=True)
class Division:
    """The cost of all tasks, and of work that belongs to none, by currency, in nano-units: together the total."""

    of_tasks: Mapping[str, int]
    without_task: Mapping[str, int]


def ask_outcomes(reader: Snapshot, query: Query) -> Answer:
    """The answer to a question about outcomes; where it asks what a completed task costs, with an interval.

    `interval_low` and `interval_high` bound the figure at 95 %, `interval_tasks` says how many tasks it rests on. They
    are null where tasks are not split or picked as the cost is, where currencies differ, and where nothing can be said.
    """
    extra = tuple(name for name in _NEEDED if name not in query.measures)
    if PER_TASK not in query.measures or len(query.measures) + len(extra) > MEASURES_MAX:
        return ask(reader, query)
    answer = ask(reader, replace(query, measures=(*query.measures, *extra), order=query.ranked_by))
    plan = plan_of(query)
    one_currency = len(answer.coverage["currencies"]) < 2
    by_group = _samples(reader, plan) if one_currency and not plan.unsplit else {}
    keys = [*([TIME] if query.grain else []), *(item.name for item in plan.dimensions)]
    for row in answer.rows:
        _add_interval(row, by_group.get(tuple(row[key] for key in keys)))
    _add_interval(answer.total, _joined(list(by_group.values())))
    described = {**answer.query, "measures": list(query.measures)}
    for row in (*answer.rows, answer.total):
        for name in extra:
            row.pop(name)
    return replace(answer, query=described)


def asks_how_tasks_ended(query: Query) -> bool:
    """Whether an answer may change when a task is given up: whatever counts only completed tasks does not."""
    plan = plan_of(check(query))
    asked = (part for definition in plan.definitions for part in aggregates_of(definition))
    counted = (part for part in asked if isinstance(part, Count | Sum) and part.facts is Facts.OUTCOMES)
    return plan.with_work or any(part.where != TASKS_DONE.where for part in counted)


def divide(reader: Reader) -> Division:
    """How the whole cost of the books falls on tasks and on work without a task."""
    dialect = dialect_named(reader.dialect)
    sql = (
        f"WITH RECURSIVE {', '.join(_tables(dialect))} "
        "SELECT task_id IS NOT NULL AS of_task, currency, sum(cost) AS cost FROM shares GROUP BY 1, 2"
    )
    found: tuple[dict[str, int], dict[str, int]] = ({}, {})
    for row in reader.rows(sql, ()).to_pylist():
        currency, side = row["currency"] or DEFAULT_CURRENCY, found[0 if row["of_task"] else 1]
        side[currency] = side.get(currency, 0) + int(row["cost"] or 0)
    return Division(*found)


def costs_of(reader: Reader, tasks: Sequence[str]) -> dict[str, dict[str, int]]:
    """What these tasks cost, by task and currency, in nano-units; a task without priced work is not in it."""
    statement = Statement(dialect_named(reader.dialect))
    wanted = statement.bind_all(tuple(tasks)) if tasks else "NULL"
    sql = (
        f"WITH RECURSIVE {', '.join(_tables(statement.dialect))} "
        f"SELECT task_id, currency, sum(cost) AS cost FROM shares WHERE task_id IN ({wanted}) AND priced GROUP BY 1, 2"
    )
    found: dict[str, dict[str, int]] = {}
    for row in reader.rows(sql, statement.parameters).to_pylist():
        costs = found.setdefault(row["task_id"], {})
        currency = row["currency"] or DEFAULT_CURRENCY
        costs[currency] = costs.get(currency, 0) + int(row["cost"])
    return found


@dataclass(frozen=True, slots=True)
class _Sample:
    """The tasks of one group: what each cost in nano-units, and whether it was done."""

    costs: np.ndarray
    done: np.ndarray


def _tables(dialect: Dialect) -> list[str]:
    """The table `shares`: `task_id` (null where work belongs to none), `currency`, `cost`, `priced`."""
    share = dialect.whole_quotient("abs(w.cost)", "t.tasks")
    one_more = "CASE WHEN t.place <= abs(w.cost) % t.tasks THEN 1 ELSE 0 END"
    part = f"CASE WHEN t.tasks IS NULL THEN w.cost ELSE sign(w.cost) * ({share} + {one_more}) END"
    read = frozenset(("session_id", "task_id", "currency", "amount_nano", "unpriced_meters", "counted"))
    task = "CASE WHEN u.task_id IN (SELECT task_id FROM ended) THEN u.task_id ELSE '' END AS task_id"
    priced = "count(*) FILTER (WHERE u.amount_nano <> 0 OR u.unpriced_meters = 0) > 0 AS priced"
    session = f"{dialect.elements('task_sessions')} AS session_id"
    above = "SELECT line.session_id, own.task_id FROM line JOIN own ON own.session_id = line.above"
    place = "row_number() OVER (PARTITION BY session_id ORDER BY task_id) AS place"
    tasks = "count(*) OVER (PARTITION BY session_id) AS tasks"
    cost = f"u.currency, sum(u.amount_nano) AS cost, {priced}"
    work = f"SELECT u.session_id, {task}, {cost} FROM {dialect.usages(read)} AS u"
    direct = "SELECT task_id, currency, cost, priced FROM work WHERE task_id <> ''"
    divided = f"SELECT t.task_id, w.currency, {part} AS cost, w.priced FROM work AS w LEFT JOIN sharing AS t"
    return [
        "ended AS (SELECT task_id FROM outcomes WHERE current)",
        f"own AS (SELECT DISTINCT {session}, task_id FROM outcomes WHERE current)",
        *line_tables(links_table(dialect)),
        f"given AS (SELECT * FROM own UNION {above})",
        f"sharing AS (SELECT session_id, task_id, {place}, {tasks} FROM given)",
        f"work AS ({work} WHERE u.counted GROUP BY 1, 2, 3)",
        f"shares AS ({direct} UNION ALL {divided} ON t.session_id = w.session_id WHERE w.task_id = '')",
    ]


def _samples(reader: Reader, plan: Plan) -> dict[tuple[str, ...], _Sample]:
    """The tasks with work in the books, by the group each belongs to."""
    statement = Statement(dialect_named(reader.dialect))
    tables = _tables(statement.dialect)
    grain = plan.query.grain
    keys = [f"{statement.dialect.bucket(grain, f'{OUTCOME}.time')} AS bucket"] if grain else []
    keys += [f"{outcome_value(statement, item)} AS d{place}" for place, item in enumerate(plan.dimensions)]
    wheres = outcome_conditions(statement, plan)
    done = f"{OUTCOME}.status = {statement.bind(OutcomeStatus.DONE.value)} AS done"
    selected = ", ".join([*keys, done, "k.cost AS cost"])
    sql = (
        f"WITH RECURSIVE {', '.join(tables)}, k AS (SELECT task_id, sum(cost) AS cost FROM shares "
        "WHERE task_id IS NOT NULL GROUP BY task_id) "
        f"SELECT {selected} FROM outcomes AS {OUTCOME} JOIN k ON k.task_id = {OUTCOME}.task_id "
        f"WHERE {' AND '.join(wheres)} ORDER BY {OUTCOME}.task_id"
    )
    return _grouped(reader.rows(sql, statement.parameters), plan)


def _grouped(found: pa.Table, plan: Plan) -> dict[tuple[str, ...], _Sample]:
    values = [int(value or 0) for value in found.column("cost").to_pylist()]
    costs = np.array(values, dtype=np.float64)  # not money: a sample, for the spread of an estimate
    done = found.column("done").to_numpy()
    labels: list[list[str]] = []
    if plan.query.grain:
        labels.append([time_text(moment) for moment in found.column("bucket").to_pylist()])
    for place, item in enumerate(plan.dimensions):
        labels.append([shown(item, value) for value in found.column(f"d{place}").to_pylist()])
    places: dict[tuple[str, ...], list[int]] = {}
    for row in range(found.num_rows):
        places.setdefault(tuple(column[row] for column in labels), []).append(row)
    return {group: _Sample(costs[rows], done[rows]) for group, rows in places.items()}


def _joined(samples: Sequence[_Sample]) -> _Sample | None:
    if not samples:
        return None
    return _Sample(np.concatenate([one.costs for one in samples]), np.concatenate([one.done for one in samples]))


def _add_interval(row: dict[str, Any], sample: _Sample | None) -> None:
    """What belongs to no single task stands fixed beside the sample.

    Where tasks cost more than the group does, in part outside its period, they are taken in proportion.
    """
    row |= {LOW: None, HIGH: None, TASKS_BEHIND: 0 if sample is None else len(sample.costs)}
    if sample is None or row[PER_TASK] is None or row["cost"] is None:
        return
    cost, drawn = nano_of(row["cost"]), int(sample.costs.sum())
    part = cost / drawn if drawn > max(cost, 0) else 1  # not money: it scales the spread of an estimate
    more_done = row["tasks_completed"] - int(sample.done.sum())
    low, high = interval_of_ratio(sample.costs * part, sample.done, max(0, cost - drawn), more_done)
    row[LOW] = None if low is None else decimal_text(low)
    row[HIGH] = None if high is None else decimal_text(high)
