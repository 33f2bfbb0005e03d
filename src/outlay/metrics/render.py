"""The renderer: a plan as one SELECT. The only place in Outlay where questions become SQL.

    u      usages by bucket and group          (two levels where sessions are counted)
    o      outcomes by bucket and group
    g      both, joined by what they share
    ranked the groups that come by name
    folded g, everything not ranked folded into `(other)`
    total  over all of u and o, never over rows

Every row that comes back has: `kind`, `rank` (null for `(other)`), `bucket`, `d0` … in text, and one column per
aggregate: `a0` … from usages, `s0` … of sessions, `b0` … from outcomes. Session figures do not add up: those of the
total and of `(other)` are counted again from `runs`, which has one row a session and group.
"""

from __future__ import annotations

from dataclasses import dataclass

from outlay.metrics.dialect import Dialect
from outlay.metrics.dimensions import OTHER
from outlay.metrics.expressions import Add, Aggregate, Divide, Expression, Subtract
from outlay.metrics.groups import (
    bucket_name,
    key_names,
    outcome_groups,
    outcome_key_names,
    select,
    sessions_over,
    usage_tables,
)
from outlay.metrics.parts import Statement
from outlay.metrics.plan import Plan
from outlay.metrics.work import work_tables

NO_USAGE = "(no usage)"
ROWS_MAX = 100_000
"""A longer answer is an export; the statement stops one row later, so that the caller can refuse it."""

ROW, TOTAL, REST = 0, 1, 2
"""Kinds of rows that come back."""


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
    """The statement that answers a plan: its rows, its total, and the session figures of `(other)`."""
    statement = Statement(dialect)
    columns = columns_of(plan)
    keys = key_names(plan)
    tables = _tables(statement, plan)
    no_bucket = [f"{dialect.null_time()} AS bucket" for _ in bucket_name(plan)]
    no_keys = [f"{dialect.null_text()} AS {key}" for key in keys]
    no_rank = f"{dialect.null_whole()} AS rank"
    values = list(columns.values())
    total = select([f"{TOTAL} AS kind", no_rank, *no_bucket, *no_keys, *values], "total")
    rows = select([f"{ROW} AS kind", "rank", *bucket_name(plan), *keys, *values], "folded")
    # In order: at a bare LIMIT the engine waited for ever on its own tasks, where there were more than 122,880 groups.
    branches = [total, f"SELECT * FROM ({rows} ORDER BY rank NULLS LAST LIMIT {ROWS_MAX + 1}) AS shown"]
    if plan.session_sums and keys and not plan.sessions_add_up:
        named = " AND ".join(f"ranked.{key} = {dialect.text(f'runs.{key}')}" for key in keys)
        rest = sessions_over(plan, bucket_name(plan), f"NOT EXISTS (SELECT 1 FROM ranked WHERE {named})")
        apart = [name if name.startswith("s") else f"{dialect.null_whole()} AS {name}" for name in values]
        branches.append(select([f"{REST} AS kind", no_rank, *bucket_name(plan), *no_keys, *apart], f"({rest}) AS rest"))
    sql = f"WITH RECURSIVE {', '.join(tables)} {' UNION ALL '.join(branches)}"
    return Rendered(sql, statement.parameters, columns)


def _tables(statement: Statement, plan: Plan) -> list[str]:
    tables = work_tables(statement, plan)
    tables += [] if plan.only_outcomes else usage_tables(statement, plan)
    if plan.outcome_sums:
        tables.append(f"o AS ({outcome_groups(statement, plan)})")
    tables.append(f"g AS ({_joined(statement, plan)})")
    if plan.dimensions:
        tables.append(f"ranked AS ({_ranked(plan, statement.dialect)})")
        tables.append(f"folded AS ({_folded(plan)})")
    else:
        tables.append("folded AS (SELECT g.*, 1 AS rank FROM g)")
    return [*tables, f"total AS ({_total(plan)})"]


# ---- groups, ranking, folding, total --------------------------------------------------------------------------------


def _joined(statement: Statement, plan: Plan) -> str:
    """Usage groups and outcome groups side by side; a group of one kind only stays."""
    if plan.only_outcomes:
        return "SELECT * FROM o"
    sums = [
        *(f"u.a{place}" for place in range(len(plan.usage_sums))),
        *(f"u.s{p}" for p in range(len(plan.session_sums))),
    ]
    texts = [statement.dialect.text(f"u.{key}") for key in key_names(plan)]
    if not plan.outcome_sums:
        keys = [
            *(f"u.{key}" for key in bucket_name(plan)),
            *(f"{text} AS {key}" for text, key in zip(texts, key_names(plan), strict=True)),
        ]
        return select([*keys, *sums] or ["u.k"], "u")
    both = [*bucket_name(plan), *outcome_key_names(plan)]
    keys = [f"coalesce(u.{key}, o.{key}) AS {key}" for key in bucket_name(plan)]
    for key, text in zip(key_names(plan), texts, strict=True):
        keys.append(f"coalesce({text}, {f'o.{key}' if key in both else repr(NO_USAGE)}) AS {key}")
    sums += [f"o.b{place}" for place in range(len(plan.outcome_sums))]
    join = " AND ".join(f"u.{key} = o.{key}" for key in ("k", *both))
    return select([*keys, *sums], f"u FULL OUTER JOIN o ON {join}")


def _ranked(plan: Plan, dialect: Dialect) -> str:
    """The first groups in the order asked, over all buckets; ties by name, so the answer is always the same."""
    keys, columns = key_names(plan), columns_of(plan)
    order = plan.query.ranked_by
    if order.name in plan.query.measures:
        ranking = _ranking(plan.definitions[plan.query.measures.index(order.name)], columns, dialect)
    else:
        ranking = keys[plan.query.by.index(order.name)]
    source = "g"
    if plan.query.grain:
        sums = [f"sum({name}) AS {name}" for name in columns.values()]
        source = f"({select([*keys, *sums], 'g', groups=keys)}) AS g"
    way = "DESC" if order.descending else "ASC"
    sequence = ", ".join([f"worth {way} NULLS LAST", *keys])
    # First the few, then their places: numbering all groups costs more than everything else.
    first = f"{select([*keys, f'{ranking} AS worth'], source)} ORDER BY {sequence} LIMIT {plan.query.limit}"
    return select([*keys, f"row_number() OVER (ORDER BY {sequence}) AS rank"], f"({first}) AS first")


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
    """Groups with their rank; what is not ranked becomes `(other)`, outcomes that several groups share counted once.

    The ranked groups are few and stay as they are; all others are added up without a look at their names.
    """
    keys, columns = key_names(plan), columns_of(plan)
    buckets = [f"g.{key}" for key in bucket_name(plan)]
    same = " AND ".join(f"ranked.{key} = g.{key}" for key in keys)
    figures = [*(f"g.{key}" for key in keys), *(f"g.{name}" for name in columns.values())]
    named = select([*buckets, "ranked.rank AS rank", *figures], f"g JOIN ranked ON {same}")
    rest = select(["g.*"], "g", [f"NOT EXISTS (SELECT 1 FROM ranked WHERE {same})"])
    once: set[str] = set()
    if plan.outcome_sums and len(outcome_key_names(plan)) < len(keys):
        shared = ", ".join((*bucket_name(plan), *outcome_key_names(plan))) or "1"
        rest = select(["*", f"row_number() OVER (PARTITION BY {shared}) AS first"], f"({rest}) AS apart")
        once = {columns[item] for item in plan.outcome_sums}
    sums = [f"sum({name}){' FILTER (WHERE first = 1)' if name in once else ''} AS {name}" for name in columns.values()]
    other = [*buckets, "NULL AS rank", *(f"'{OTHER}' AS {key}" for key in keys), *sums]
    return f"{named} UNION ALL {select(other, f'({rest}) AS g', (), buckets)} HAVING count(*) > 0"


def _total(plan: Plan) -> str:
    """The total over everything asked for, whatever the rows show."""
    parts: list[str] = []
    if plan.usage_sums:
        sums = [f"sum(a{place}) AS a{place}" for place in range(len(plan.usage_sums))]
        parts.append(f"({select(sums, 'u')}) AS usage_total")
    if plan.session_sums and plan.sessions_add_up:
        sums = [f"sum(s{place}) AS s{place}" for place in range(len(plan.session_sums))]
        parts.append(f"({select(sums, 'u')}) AS session_total")
    elif plan.session_sums:
        parts.append(f"({sessions_over(plan, ())}) AS session_total")
    if plan.outcome_sums:
        sums = [f"sum(b{place}) AS b{place}" for place in range(len(plan.outcome_sums))]
        parts.append(f"({select(sums, 'o')}) AS outcome_total")
    return select(columns_of(plan).values(), " CROSS JOIN ".join(parts))
