"""The renderer: a plan as one SELECT. The only place in Outlay where questions become SQL.

    u      usages by bucket and group          (two levels where sessions are counted)
    o      outcomes by bucket and group
    g      both, joined by what they share
    ranked the groups that come by name
    rows   g, everything not ranked folded into `(other)`
    total  over all of u and o, never over rows

Every row that comes back has: `total` (1 for the one total), `rank` (null for `(other)`), `bucket`, `d0` … in text,
and one column per aggregate: `a0` … from usages, `s0` … of sessions, `b0` … from outcomes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from outlay.core.period import Grain
from outlay.core.session import NO_SESSION
from outlay.metrics import measures
from outlay.metrics.dialect import Dialect
from outlay.metrics.dimensions import OTHER, SEVERAL, Dimension
from outlay.metrics.expressions import Add, Aggregate, Divide, Expression, Sessions, SessionTime, Subtract
from outlay.metrics.parts import (
    CHARGES,
    OUTCOME,
    RUNS,
    TASKS,
    USAGE,
    Statement,
    aggregate,
    condition,
    filter_condition,
    outcome_value,
    period_conditions,
    quoted,
    usage_value,
)
from outlay.metrics.plan import Plan

NO_USAGE = "(no usage)"
ROWS_MAX = 100_000
"""A longer answer is an export; the statement stops one row later, so that the caller can refuse it."""
_GENERATIONS_MAX = 32


@dataclass(frozen=True, slots=True)
class Rendered:
    """A statement with its values, and which column holds which aggregate."""

    sql: str
    parameters: list[object]
    columns: dict[Aggregate, str]


def columns_of(plan: Plan) -> dict[Aggregate, str]:
    """The column of every aggregate of a plan."""
    named: dict[Aggregate, str] = {item: f"a{place}" for place, item in enumerate(plan.usage_sums)}
    named |= {item: f"s{place}" for place, item in enumerate(plan.session_sums)}
    return named | {item: f"b{place}" for place, item in enumerate(plan.outcome_sums)}


def render(plan: Plan, dialect: Dialect) -> Rendered:
    """The statement that answers a plan: its rows and its total."""
    statement = Statement(dialect)
    columns = columns_of(plan)
    tables = _tables(statement, plan)
    keys = _keys(plan)
    split = [*_bucket_key(plan), *keys]
    tables.append(f"folded AS ({_folded(plan)})" if keys else "folded AS (SELECT g.*, CAST(1 AS BIGINT) AS rank FROM g)")
    tables.append(f"total AS ({_total(statement, plan)})")
    values = list(columns.values())
    picked = ", ".join(["0 AS total", "rank", *(split or []), *values])
    nothing = [f"{dialect.null_time()} AS bucket" for _ in _bucket_key(plan)] + [f"{dialect.null_text()} AS {key}" for key in keys]
    summed = ", ".join(["1 AS total", "CAST(NULL AS BIGINT) AS rank", *nothing, *values])
    sql = (
        f"WITH RECURSIVE {', '.join(tables)} "
        f"SELECT {summed} FROM total UNION ALL SELECT * FROM (SELECT {picked} FROM folded LIMIT {ROWS_MAX + 1})"
    )
    return Rendered(sql, statement.parameters, columns)


def render_rest(plan: Plan, dialect: Dialect) -> Rendered:
    """The session figures of `(other)`, by bucket: they cannot be had by adding up what was folded."""
    statement = Statement(dialect)
    tables = _tables(statement, plan)
    named = " AND ".join(
        f"ranked.d{place} = {dialect.text(usage_value(statement, item))}" for place, item in enumerate(plan.dimensions)
    )
    rest = _usage_groups(statement, plan, (), plan.query.grain, f"NOT EXISTS (SELECT 1 FROM ranked WHERE {named})")
    columns = columns_of(plan)
    picked = ", ".join([*_bucket_key(plan), *(columns[item] for item in plan.session_sums)])
    return Rendered(f"WITH RECURSIVE {', '.join(tables)} SELECT {picked} FROM ({rest}) AS rest", statement.parameters, columns)


def _tables(statement: Statement, plan: Plan) -> list[str]:
    tables = work_tables(statement.dialect) if plan.with_work else []
    if not plan.only_outcomes:
        tables.append(f"u AS ({_usage_groups(statement, plan, plan.dimensions, plan.query.grain)})")
    if plan.outcome_sums:
        tables.append(f"o AS ({_outcome_groups(statement, plan)})")
    tables.append(f"g AS ({_joined(statement, plan)})")
    if plan.dimensions:
        tables.append(f"ranked AS ({_ranked(plan, statement.dialect)})")
    return tables


def _keys(plan: Plan) -> list[str]:
    return [f"d{place}" for place in range(len(plan.dimensions))]


def _bucket_key(plan: Plan) -> list[str]:
    return ["bucket"] if plan.query.grain else []


def _outcome_keys(plan: Plan) -> list[str]:
    return [f"d{place}" for place, item in enumerate(plan.dimensions) if item.on_outcomes]


def _select(selected: Iterable[str], source: str, wheres: Iterable[str] = (), groups: Sequence[str] = ()) -> str:
    where = " AND ".join(wheres)
    text = f"SELECT {', '.join(selected)} FROM {source}"
    text += f" WHERE {where}" if where else ""
    return text + (f" GROUP BY {', '.join(groups)}" if groups else "")


# ---- work: which task a usage worked on -----------------------------------------------------------------------------


def work_tables(dialect: Dialect) -> list[str]:
    """The tables `wt` (tasks by id) and `ws` (tasks by session; a session without a task has that of the one above)."""

    def one(name: str) -> str:
        return f"CASE WHEN min({name}) = max({name}) THEN min({name}) ELSE '{SEVERAL}' END AS {name}"

    facts = ", ".join((one("task_id"), one("status"), one("task_type")))
    named = "coalesce(task_type, '') AS task_type"
    return [
        f"{TASKS} AS (SELECT task_id, {one('status')}, {one('task_type')} FROM "
        f"(SELECT task_id, status, {named} FROM outcomes WHERE current) AS t GROUP BY task_id)",
        f"own AS (SELECT session_id, {facts} FROM (SELECT {dialect.elements('session_ids')} AS session_id, task_id, "
        f"status, {named} FROM outcomes WHERE current) AS t GROUP BY session_id)",
        "links AS (SELECT DISTINCT session_id, parent_session_id FROM usages WHERE parent_session_id <> '')",
        "line AS (SELECT session_id, task_id, status, task_type, 0 AS generation FROM own "
        "UNION SELECT links.session_id, line.task_id, line.status, line.task_type, line.generation + 1 "
        "FROM line JOIN links ON links.parent_session_id = line.session_id "
        "WHERE links.session_id NOT IN (SELECT session_id FROM own WHERE session_id IS NOT NULL) "
        f"AND line.generation < {_GENERATIONS_MAX})",
        f"{RUNS} AS (SELECT session_id, {facts} FROM line GROUP BY session_id)",
    ]


# ---- usages ---------------------------------------------------------------------------------------------------------


def usage_source(plan: Plan) -> str:
    """Usages, joined with what the plan needs beside them."""
    source = f"usages AS {USAGE}"
    if plan.with_charges:
        source += f" JOIN charges AS {CHARGES} ON {CHARGES}.seq = {USAGE}.seq"
    if plan.with_work:
        source += f" LEFT JOIN {TASKS} ON {TASKS}.task_id = {USAGE}.task_id"
        source += f" LEFT JOIN {RUNS} ON {RUNS}.session_id = {USAGE}.session_id"
    return source


def usage_conditions(statement: Statement, plan: Plan) -> list[str]:
    """The part of usages a plan asks for."""
    wheres = [f"{USAGE}.counted"] if plan.query.counted_only and not plan.with_superseded else []
    wheres += period_conditions(statement, plan, USAGE)
    if plan.with_charges:
        wheres += period_conditions(statement, plan, CHARGES)
    return wheres + [filter_condition(statement, one, item, usage_value(statement, one)) for one, item in plan.filters]


def _usage_groups(
    statement: Statement, plan: Plan, split: Sequence[Dimension], grain: Grain | None, beside: str = ""
) -> str:
    """Usages by bucket and dimensions: `k`, `bucket`, `d0` …, `a0` …, `s0` …; `beside` is one more condition."""
    guard = plan.with_superseded and plan.query.counted_only
    time = f"{USAGE}.time"
    by_day = grain in (Grain.MONTH, Grain.QUARTER, Grain.YEAR) and not plan.session_sums
    keys = [f"{usage_value(statement, item)} AS d{place}" for place, item in enumerate(split)]
    if grain is not None:
        keys.insert(0, f"{statement.dialect.day(time) if by_day else statement.dialect.bucket(grain, time)} AS bucket")
    sums = [
        f"{aggregate(statement, item, counted=guard and item != measures.SUPERSEDED)} AS a{place}"
        for place, item in enumerate(plan.usage_sums)
    ]
    names = [key.rsplit(" AS ", 1)[1] for key in keys]
    inner_keys = [*keys, f"{USAGE}.session_id AS run"] if plan.session_sums else keys
    inner = [*inner_keys, *sums, *_session_parts(statement, plan, guard=guard)] or ["1 AS k"]
    wheres = [*usage_conditions(statement, plan), *([beside] if beside else [])]
    groups = [str(place + 1) for place in range(len(inner_keys))]
    rows = _select(inner, usage_source(plan), wheres, groups)
    again = [f"sum(a{place}) AS a{place}" for place in range(len(sums))]
    if plan.session_sums:
        again += [_session_sum(item, place) for place, item in enumerate(plan.session_sums)]
        return _select(["1 AS k", *names, *again], f"({rows}) AS runs", groups=names)
    if by_day and grain is not None:
        bucket = statement.dialect.bucket(grain, "bucket")
        outer = ["1 AS k", f"{bucket} AS bucket", *names[1:], *again]
        return _select(outer, f"({rows}) AS days", groups=[str(place + 2) for place in range(len(names))])
    return f"SELECT 1 AS k, q.* FROM ({rows}) AS q"


def _session_parts(statement: Statement, plan: Plan, *, guard: bool) -> list[str]:
    """What must be known of each session before sessions can be counted or timed."""
    parts: list[str] = []
    for place, item in enumerate(plan.session_sums):
        conditions = [f"{USAGE}.counted"] if guard else []
        if isinstance(item, Sessions) and item.where is not None:
            conditions.append(condition(statement, item.where, USAGE))
        chosen = f" FILTER (WHERE {' AND '.join(conditions)})" if conditions else ""
        if isinstance(item, Sessions):
            parts.append(f"count(*){chosen} AS n{place}")
        else:
            end = statement.dialect.end_of(f"{USAGE}.time", f"{USAGE}.duration_ms")
            first, last = f"min({USAGE}.time){chosen}", f"max({end}){chosen}"
            parts.append(f"{statement.dialect.us_between(first, last)} AS n{place}")
    return parts


def _session_sum(item: Sessions | SessionTime, place: int) -> str:
    named = f"run <> '{NO_SESSION}'"
    if isinstance(item, Sessions):
        return f"count(*) FILTER (WHERE n{place} > 0 AND {named}) AS s{place}"
    return f"sum(n{place}) FILTER (WHERE {named}) AS s{place}"


# ---- outcomes -------------------------------------------------------------------------------------------------------


def outcome_conditions(statement: Statement, plan: Plan) -> list[str]:
    """The part of outcomes a plan asks for: filters on what outcomes do not have leave them as they are."""
    wheres = [f"{OUTCOME}.{quoted('current')}", *period_conditions(statement, plan, OUTCOME)]
    known = ((one, item) for one, item in plan.filters if one.on_outcomes)
    return wheres + [filter_condition(statement, one, item, outcome_value(statement, one)) for one, item in known]


def _outcome_groups(statement: Statement, plan: Plan) -> str:
    """Outcomes by bucket and by the dimensions they have: `k`, `bucket`, `d0` …, `b0` …."""
    grain = plan.query.grain
    keys = [f"{statement.dialect.bucket(grain, f'{OUTCOME}.time')} AS bucket"] if grain else []
    keys += [
        f"{outcome_value(statement, item)} AS d{place}" for place, item in enumerate(plan.dimensions) if item.on_outcomes
    ]
    sums = [f"{aggregate(statement, item, counted=False)} AS b{place}" for place, item in enumerate(plan.outcome_sums)]
    groups = [str(place + 2) for place in range(len(keys))]
    return _select(["1 AS k", *keys, *sums], f"outcomes AS {OUTCOME}", outcome_conditions(statement, plan), groups)


# ---- groups, ranking, folding, total --------------------------------------------------------------------------------


def _joined(statement: Statement, plan: Plan) -> str:
    """Usage groups and outcome groups side by side; a group of one kind only stays."""
    if plan.only_outcomes:
        return "SELECT * FROM o"
    sums = [*(f"u.a{place}" for place in range(len(plan.usage_sums))), *(f"u.s{p}" for p in range(len(plan.session_sums)))]
    texts = [statement.dialect.text(f"u.{key}") for key in _keys(plan)]
    if not plan.outcome_sums:
        keys = [*(f"u.{key}" for key in _bucket_key(plan)), *(f"{text} AS {key}" for text, key in zip(texts, _keys(plan), strict=True))]
        return _select([*keys, *sums] or ["u.k"], "u")
    both = [*_bucket_key(plan), *_outcome_keys(plan)]
    keys = [f"coalesce(u.{key}, o.{key}) AS {key}" for key in _bucket_key(plan)]
    for key, text in zip(_keys(plan), texts, strict=True):
        keys.append(f"coalesce({text}, {f'o.{key}' if key in both else repr(NO_USAGE)}) AS {key}")
    sums += [f"o.b{place}" for place in range(len(plan.outcome_sums))]
    join = " AND ".join(f"u.{key} = o.{key}" for key in ("k", *both))
    return _select([*keys, *sums], f"u FULL OUTER JOIN o ON {join}")


def _ranked(plan: Plan, dialect: Dialect) -> str:
    """The first groups in the order asked, over all buckets; ties by name, so that the answer is the same every time."""
    keys, columns = _keys(plan), columns_of(plan)
    order = plan.query.ranked_by
    if order.name in plan.query.measures:
        ranking = _ranking(plan.definitions[plan.query.measures.index(order.name)], columns, dialect)
    else:
        ranking = keys[plan.query.by.index(order.name)]
    source = "g"
    if plan.query.grain:
        sums = [f"sum({name}) AS {name}" for name in columns.values()]
        source = f"({_select([*keys, *sums], 'g', groups=keys)}) AS g"
    way = "DESC" if order.descending else "ASC"
    sequence = ", ".join([f"{ranking} {way} NULLS LAST", *keys])
    place = f"row_number() OVER (ORDER BY {sequence}) AS rank"
    return f"{_select([*keys, place], source)} ORDER BY {sequence} LIMIT {plan.query.limit}"


def _ranking(expression: Expression, columns: dict[Aggregate, str], dialect: Dialect) -> str:
    """A measure in SQL, only to rank by: the figures themselves are computed exactly, from integers."""
    match expression:
        case Divide(over, under):
            return dialect.quotient(_ranking(over, columns, dialect), _ranking(under, columns, dialect))
        case Add(left, right):
            return f"({_ranking(left, columns, dialect)} + {_ranking(right, columns, dialect)})"
        case Subtract(left, right):
            return f"({_ranking(left, columns, dialect)} - {_ranking(right, columns, dialect)})"
        case _:
            return columns[expression]


def _folded(plan: Plan) -> str:
    """Groups with their rank; what is not ranked becomes `(other)`, outcomes that several groups share counted once."""
    keys, columns = _keys(plan), columns_of(plan)
    join = " AND ".join(f"ranked.{key} = g.{key}" for key in keys)
    labels = [f"CASE WHEN ranked.rank IS NULL THEN '{OTHER}' ELSE g.{key} END AS {key}" for key in keys]
    buckets = [f"g.{key}" for key in _bucket_key(plan)]
    same = ", ".join([*buckets, "ranked.rank", *(f"g.{key}" for key in _outcome_keys(plan))])
    first = f"row_number() OVER (PARTITION BY {same}) AS first"
    shared = bool(plan.outcome_sums) and len(_outcome_keys(plan)) < len(keys)
    selected = [*buckets, "ranked.rank AS rank", *labels, *(f"g.{name}" for name in columns.values())]
    rows = _select([*selected, first] if shared else selected, f"g LEFT JOIN ranked ON {join}")
    outcome_names = {columns[item] for item in plan.outcome_sums}
    sums = [
        f"sum({name}){' FILTER (WHERE first = 1)' if shared and name in outcome_names else ''} AS {name}"
        for name in columns.values()
    ]
    groups = [*_bucket_key(plan), "rank", *keys]
    return _select([*groups, *sums], f"({rows}) AS labelled", groups=groups)


def _total(statement: Statement, plan: Plan) -> str:
    """The total over everything asked for, whatever the rows show."""
    usage = [f"sum(a{place}) AS a{place}" for place in range(len(plan.usage_sums))]
    if plan.only_outcomes:
        parts: list[str] = []
    elif plan.session_sums and (plan.dimensions or plan.query.grain):
        parts = [f"({_usage_groups(statement, plan, (), None)}) AS usage_total"]
    else:
        usage += [f"sum(s{place}) AS s{place}" for place in range(len(plan.session_sums))]
        parts = [f"({_select(usage or ['count(*) AS k'], 'u')}) AS usage_total"]
    if plan.outcome_sums:
        outcome = [f"sum(b{place}) AS b{place}" for place in range(len(plan.outcome_sums))]
        parts.append(f"({_select(outcome, 'o')}) AS outcome_total")
    return _select(columns_of(plan).values(), " CROSS JOIN ".join(parts))
