"""Groups: the inner half of a statement — what is read from usages and outcomes, by bucket and dimension."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from outlay.core.period import Grain
from outlay.core.session import NO_SESSION
from outlay.metrics import measures
from outlay.metrics.dimensions import Place
from outlay.metrics.expressions import Count, Sessions, SessionTime, Sum
from outlay.metrics.parts import (
    CHARGES,
    OUTCOME,
    RUNS,
    TASKS,
    USAGE,
    Statement,
    aggregate,
    columns_read,
    condition,
    filter_condition,
    outcome_value,
    period_conditions,
    quoted,
    usage_value,
)
from outlay.metrics.plan import Plan
from outlay.metrics.rolled_sessions import session_aggregate
from outlay.metrics.rolled_source import rolled_source

WORKED = "worked"
"""The table of what is asked about, where the tasks of sessions are looked up; see `work.py`."""


def select(selected: Iterable[str], source: str, wheres: Iterable[str] = (), groups: Sequence[str] = ()) -> str:
    """A SELECT from its parts."""
    where = " AND ".join(wheres)
    text = f"SELECT {', '.join(selected)} FROM {source}"
    text += f" WHERE {where}" if where else ""
    return text + (f" GROUP BY {', '.join(groups)}" if groups else "")


def key_names(plan: Plan) -> list[str]:
    """`d0`, `d1`, …: one a dimension."""
    return [f"d{place}" for place in range(len(plan.dimensions))]


def bucket_name(plan: Plan) -> list[str]:
    """`bucket`, where the question has a grain."""
    return ["bucket"] if plan.query.grain else []


def outcome_key_names(plan: Plan) -> list[str]:
    """The keys that outcomes have too."""
    return [f"d{place}" for place, item in enumerate(plan.dimensions) if item.on_outcomes]


# ---- usages ---------------------------------------------------------------------------------------------------------


def usage_source(statement: Statement, plan: Plan, read: Iterable[str]) -> str:
    """Usages, joined with what the plan needs beside them; charges alone where nothing else is asked for.

    `read` is what the statement says of usages: the narrowest table that holds those columns is taken.
    """
    columns = columns_read(read)
    if plan.reads_sessions and plan.with_work:
        return f"{WORKED} AS {USAGE}{_work_joins(plan)}"
    if plan.reading is not None:
        return rolled_source(statement, plan, plan.reading, columns)
    if plan.charges_alone:
        return f"charges AS {CHARGES}"
    source = f"{statement.dialect.usages(columns)} AS {USAGE}"
    if plan.with_charges:
        source += f" JOIN charges AS {CHARGES} ON {CHARGES}.seq = {USAGE}.seq"
    return source + _work_joins(plan)


def _work_joins(plan: Plan) -> str:
    if not plan.with_work:
        return ""
    return (
        f" LEFT JOIN {TASKS} ON {TASKS}.task_id = {USAGE}.task_id"
        f" LEFT JOIN {RUNS} ON {RUNS}.session_id = {USAGE}.session_id"
    )


def usage_conditions(statement: Statement, plan: Plan) -> list[str]:
    """The part of usages a plan asks for. Charges have the time their usage had, and that is the one that counts."""
    of_work = plan.reads_sessions and plan.with_work
    filters = [
        filter_condition(statement, one, item, usage_value(statement, one))
        for one, item in plan.filters
        if one.place is Place.WORK or not of_work  # the others are met by all that was worked
    ]
    if of_work:
        return filters
    only_counted = plan.query.counted_only and not plan.with_superseded
    if plan.reading is not None:
        return ([f"{CHARGES if plan.with_charges else USAGE}.counted"] if only_counted else []) + filters
    if plan.charges_alone:
        rows = statement.dialect.usages(frozenset(("seq", "counted")))
        counted = [f"{CHARGES}.seq NOT IN (SELECT seq FROM {rows} WHERE NOT counted)"] if only_counted else []
        return [*counted, *period_conditions(statement, plan, CHARGES), *filters]
    wheres = [f"{USAGE}.counted"] if only_counted else []
    return [*wheres, *period_conditions(statement, plan, CHARGES if plan.with_charges else USAGE), *filters]


def usage_tables(statement: Statement, plan: Plan) -> list[str]:
    """The table `u`: `k`, `bucket`, `d0` …, `a0` …, `s0` …; where sessions are counted, `runs` under it."""
    if not plan.session_sums:
        return [f"u AS ({usage_groups(statement, plan)})"]
    names = [*bucket_name(plan), *key_names(plan)]
    if plan.sessions_add_up:  # one row a session already
        kept = [f"a{place}" for place in range(len(plan.usage_sums))]
        figures = select(["1 AS k", *names, *kept, *_own_sums(plan)], "runs")
        return [f"runs AS ({_runs(statement, plan)})", f"u AS ({figures})"]
    if plan.reads_sessions or (plan.reading is None and plan.session_reading is None):
        again = [f"sum(a{place}) AS a{place}" for place in range(len(plan.usage_sums))]
        figures = select(["1 AS k", *names, *again, *_session_sums(plan)], "runs", (), names)
        return [f"runs AS ({_runs(statement, plan)})", f"u AS ({figures})"]
    # Sums and sessions apart: rollups answer one of them, and a row a session and group need not carry the sums.
    sums = usage_groups(statement, replace(plan, session_sums=(), session_reading=None))
    runs = _runs(statement, replace(plan, usage_sums=(), reading=plan.session_reading))
    figures = select(["1 AS k", *names, *_session_sums(plan)], "runs", (), names)
    same = " AND ".join(f"v.{name} IS NOT DISTINCT FROM us.{name}" for name in ("k", *names))
    kept = [f"a{place}" for place in range(len(plan.usage_sums))]
    kept += [
        f"coalesce(s{place}, 0) AS s{place}" if isinstance(item, Sessions) else f"s{place}"
        for place, item in enumerate(plan.session_sums)
    ]
    # A group of superseded reports only has no session.
    both = select(["v.k", *(f"v.{name}" for name in names), *kept], f"({sums}) AS v LEFT JOIN us ON {same}")
    return [f"runs AS ({runs})", f"us AS ({figures})", f"u AS ({both})"]


def usage_groups(statement: Statement, plan: Plan) -> str:
    """Sums of usages by bucket and group: `k`, `bucket`, `d0` …, `a0` …."""
    grain = plan.query.grain
    by_day = grain in (Grain.MONTH, Grain.QUARTER, Grain.YEAR)
    rows = _grouped(statement, plan, [], by_day=by_day)
    if grain is None or not by_day:
        return f"SELECT 1 AS k, q.* FROM ({rows}) AS q"
    again = [f"sum(a{place}) AS a{place}" for place in range(len(plan.usage_sums))]
    outer = ["1 AS k", f"{statement.dialect.bucket(grain, 'bucket')} AS bucket", *key_names(plan), *again]
    return select(outer, f"({rows}) AS days", (), [str(place + 2) for place in range(1 + len(plan.dimensions))])


def _runs(statement: Statement, plan: Plan) -> str:
    """A row a session, bucket and group."""
    guard = plan.with_superseded and plan.query.counted_only
    return _grouped(statement, plan, _session_parts(statement, plan, guard=guard), by_day=False)


def _grouped(statement: Statement, plan: Plan, session_parts: list[str], *, by_day: bool) -> str:
    guard = plan.with_superseded and plan.query.counted_only
    grain = plan.query.grain
    table = CHARGES if plan.with_charges else USAGE
    weight = f"{table}.n" if plan.reading is not None else ""
    keys = [f"{usage_value(statement, item)} AS d{place}" for place, item in enumerate(plan.dimensions)]
    if grain is not None:
        time = f"{table}.time"
        keys.insert(0, f"{statement.dialect.day(time) if by_day else statement.dialect.bucket(grain, time)} AS bucket")
    if session_parts and not plan.sessions_add_up:
        keys.append(f"{USAGE}.session_id AS run")
    sums = [
        f"{_sum_of(statement, plan, item, guard=guard, weight=weight)} AS a{place}"
        for place, item in enumerate(plan.usage_sums)
    ]
    selected = [*keys, *sums, *session_parts] or ["count(*) AS n"]
    wheres = usage_conditions(statement, plan)
    source = usage_source(statement, plan, [*selected, *wheres])
    return select(selected, source, wheres, [str(place + 1) for place in range(len(keys))])


def _sum_of(statement: Statement, plan: Plan, item: Count | Sum, *, guard: bool, weight: str) -> str:
    counted = guard and item != measures.SUPERSEDED
    if plan.reads_sessions:
        return session_aggregate(statement, item, counted=counted)
    return aggregate(statement, item, counted=counted, weight=weight)


def session_groups(statement: Statement, plan: Plan, ranked: Sequence[Sequence[str | None]] | None) -> str:
    """The session figures `s0` … of a plan: by bucket and group, or by bucket over the groups that are not `ranked`."""
    runs = _runs(statement, plan)
    if ranked is None:
        names = [*bucket_name(plan), *key_names(plan)]
        return f"WITH runs AS ({runs}) {select([*names, *_session_sums(plan)], 'runs', (), names)}"
    texts = [statement.dialect.text(f"runs.{key}") for key in key_names(plan)]
    named = " OR ".join(
        "(" + " AND ".join(f"{text} = {statement.bind(value)}" for text, value in zip(texts, keys, strict=True)) + ")"
        for keys in ranked
    )
    return f"WITH runs AS ({runs}) {sessions_over(plan, bucket_name(plan), f'NOT ({named})' if named else '')}"


def sessions_over(plan: Plan, keys: Sequence[str], where: str = "") -> str:
    """The session figures `s0` … by `keys` only: a session that stands in several groups counts once."""
    kept: list[str] = []
    for place, item in enumerate(plan.session_sums):
        if isinstance(item, Sessions):
            kept.append(f"sum(n{place}) AS n{place}")
        else:
            kept += [f"min(f{place}) AS f{place}", f"max(l{place}) AS l{place}"]
    rows = select([*keys, "run", *kept], "runs", [where] if where else (), [*keys, "run"])
    return select([*keys, *_session_sums(plan)], f"({rows}) AS apart", (), keys)


def _session_parts(statement: Statement, plan: Plan, *, guard: bool) -> list[str]:
    """What must be known of each session before sessions can be counted or timed: how many usages, first, last sign."""
    parts: list[str] = []
    for place, item in enumerate(plan.session_sums):
        conditions = [f"{USAGE}.counted"] if guard else []
        if isinstance(item, Sessions) and item.where is not None:
            conditions.append(condition(statement, item.where, USAGE))
        chosen = f" FILTER (WHERE {' AND '.join(conditions)})" if conditions else ""
        if isinstance(item, Sessions):
            parts.append(f"count(*){chosen} AS n{place}")
        else:
            rolled = plan.reading is not None
            end = f"{USAGE}.ended_us" if rolled else statement.dialect.end_of(f"{USAGE}.time", f"{USAGE}.duration_ms")
            start = f"{USAGE}.first" if rolled else f"{USAGE}.time"
            parts.append(f"{statement.dialect.us(f'min({start}){chosen}')} AS f{place}")
            parts.append(f"max({end}){chosen} AS l{place}")
    return parts


def _session_sums(plan: Plan) -> list[str]:
    return [f"{_session_sum(item, place)} AS s{place}" for place, item in enumerate(plan.session_sums)]


def _own_sums(plan: Plan) -> list[str]:
    """The session figures `s0` … of rows of one session each, `d0`."""
    named = f"d0 <> '{NO_SESSION}'"
    return [
        f"CASE WHEN n{place} > 0 AND {named} THEN 1 ELSE 0 END AS s{place}"
        if isinstance(item, Sessions)
        else f"CASE WHEN {named} THEN l{place} - f{place} END AS s{place}"
        for place, item in enumerate(plan.session_sums)
    ]


def _session_sum(item: Sessions | SessionTime, place: int) -> str:
    named = f"run <> '{NO_SESSION}'"
    if isinstance(item, Sessions):
        return f"count(*) FILTER (WHERE n{place} > 0 AND {named})"
    return f"sum(l{place} - f{place}) FILTER (WHERE {named})"


# ---- outcomes -------------------------------------------------------------------------------------------------------


def outcome_conditions(statement: Statement, plan: Plan) -> list[str]:
    """The part of outcomes a plan asks for: filters on what outcomes do not have leave them as they are."""
    wheres = [f"{OUTCOME}.{quoted('current')}", *period_conditions(statement, plan, OUTCOME)]
    known = ((one, item) for one, item in plan.filters if one.on_outcomes)
    return wheres + [filter_condition(statement, one, item, outcome_value(statement, one)) for one, item in known]


def outcome_groups(statement: Statement, plan: Plan) -> str:
    """Outcomes by bucket and by the dimensions they have: `k`, `bucket`, `d0` …, `b0` …."""
    grain = plan.query.grain
    keys = [f"{statement.dialect.bucket(grain, f'{OUTCOME}.time')} AS bucket"] if grain else []
    keys += [
        f"{outcome_value(statement, item)} AS d{place}"
        for place, item in enumerate(plan.dimensions)
        if item.on_outcomes
    ]
    sums = [f"{aggregate(statement, item, counted=False)} AS b{place}" for place, item in enumerate(plan.outcome_sums)]
    groups = [str(place + 2) for place in range(len(keys))]
    return select(["1 AS k", *keys, *sums], f"outcomes AS {OUTCOME}", outcome_conditions(statement, plan), groups)
