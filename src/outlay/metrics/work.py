"""Work: which task each usage worked on and what became of it, as tables of a statement.

`wt` holds tasks by id and `ws` tasks by session; a session without a task has that of the nearest one above it. Where
the days of sessions are read, `worked` holds what is asked about, and only its tasks and sessions are looked up: so
the price of it is that of the sessions of a period, not of all tasks there ever were.
"""

from __future__ import annotations

from outlay.metrics.dialect import Dialect
from outlay.metrics.dimensions import SEVERAL, Place
from outlay.metrics.expressions import SessionTime
from outlay.metrics.groups import WORKED, select
from outlay.metrics.parts import (
    RUNS,
    TASKS,
    USAGE,
    Statement,
    columns_read,
    filter_condition,
    quoted,
    usage_value,
)
from outlay.metrics.plan import Plan
from outlay.metrics.rolled_sessions import session_aggregate
from outlay.metrics.rolled_source import parents_source, rolled_source

_GENERATIONS_MAX = 32
"""Sessions start sessions start sessions; relations that run in a circle end here."""


def work_tables(statement: Statement, plan: Plan) -> list[str]:
    """The tables `wt` and `ws`, and those they are made of; none where a plan does not ask for tasks."""
    if not plan.with_work:
        return []

    def one(name: str) -> str:
        return f"CASE WHEN min({name}) = max({name}) THEN min({name}) ELSE '{SEVERAL}' END AS {name}"

    facts = ", ".join(one(name) for name in plan.work_columns)
    of_task = ", ".join(one(name) for name in plan.work_columns if name != "task_id") or "1 AS known"
    few = plan.reads_sessions
    current = "task_id, status, coalesce(task_type, '') AS task_type FROM outcomes WHERE current"
    tasks = f"{current} AND task_id IN (SELECT task_id FROM {WORKED} WHERE task_id <> '')" if few else current
    asked = " JOIN asked USING (session_id)" if few else ""
    listed = f"SELECT {statement.dialect.elements('task_sessions')} AS session_id, {current}"
    linked = "links AS (SELECT * FROM parents WHERE session_id IN (SELECT session_id FROM asked))"
    inherited = f"SELECT line.session_id, {facts} FROM line JOIN own ON own.session_id = line.above GROUP BY 1"
    return [
        *(_asked_tables(statement, plan) if few else ()),
        f"{TASKS} AS (SELECT task_id, {of_task} FROM (SELECT {tasks}) AS t GROUP BY task_id)",
        f"own AS (SELECT session_id, {facts} FROM ({listed}) AS t{asked} GROUP BY session_id)",
        *line_tables(linked if few else links_table(statement.dialect)),
        f"{RUNS} AS (SELECT * FROM own UNION ALL {inherited})",
    ]


def links_table(dialect: Dialect) -> str:
    """The table `links`: every session that another one started, and which."""
    rows = dialect.usages(frozenset(("session_id", "parent_session_id")))
    return f"links AS (SELECT DISTINCT session_id, parent_session_id FROM {rows} WHERE parent_session_id <> '')"


def line_tables(links: str) -> list[str]:
    """The table `line`: a session that is not in the table `own`, and the nearest session above it that may be."""
    above = "links.parent_session_id AS above"
    fresh = "WHERE links.session_id NOT IN (SELECT session_id FROM own WHERE session_id IS NOT NULL)"
    climb = (
        f"SELECT links.session_id, {above}, 1 AS generation FROM links {fresh} UNION "
        f"SELECT line.session_id, {above}, line.generation + 1 FROM line JOIN links ON links.session_id = line.above "
        f"{fresh} AND line.generation < {_GENERATIONS_MAX}"
    )
    return [links, f"line AS ({climb})"]


def _asked_tables(statement: Statement, plan: Plan) -> list[str]:
    """`worked`, what is asked about; `parents`, who started whom; `asked`, its sessions and all that stand above.

    A session may stand in them several times: what is told of it is the least and the greatest of what it meets.
    """
    climb = (
        f"SELECT parent_session_id AS session_id FROM parents WHERE session_id IN (SELECT session_id FROM {WORKED}) "
        "UNION SELECT parents.parent_session_id FROM higher JOIN parents ON parents.session_id = higher.session_id"
    )
    return [
        f"{WORKED} AS ({_worked(statement, plan)})",
        f"parents AS ({parents_source(statement, plan)})",
        f"higher AS ({climb})",
        f"every AS (SELECT session_id FROM {WORKED} UNION ALL SELECT session_id FROM higher)",
        f"asked AS ({statement.dialect.taken_for_few('session_id', 'every')})",
    ]


def _worked(statement: Statement, plan: Plan) -> str:
    """The days of sessions a plan is about, with the columns it reads; filters on tasks come later."""
    if plan.reading is None:
        raise ValueError("only the days of sessions are looked up so")
    unused = Statement(statement.dialect)
    texts = [usage_value(unused, item) for item in plan.dimensions]
    texts += [session_aggregate(unused, item, counted=True) for item in plan.usage_sums]
    columns = columns_read(texts) | {"session_id", "task_id", "counted"}
    columns |= {"time"} if plan.query.grain else set()
    columns |= {"first", "ended_us"} if any(isinstance(item, SessionTime) for item in plan.session_sums) else set()
    wheres = [] if not plan.query.counted_only or plan.with_superseded else [f"{USAGE}.counted"]
    for dimension, item in plan.filters:
        if dimension.place is not Place.WORK:
            wheres.append(filter_condition(statement, dimension, item, usage_value(statement, dimension)))
    source = rolled_source(statement, plan, plan.reading, columns | columns_read(wheres))
    return select([f"{USAGE}.{quoted(name)}" for name in sorted(columns)], source, wheres)
