"""Parts of a statement: columns, conditions and aggregates in SQL, with every value bound."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

from outlay.core.period import moment_of
from outlay.ledger.rollups import Stretch
from outlay.metrics.dialect import Dialect
from outlay.metrics.dimensions import NO_OUTCOME, Dimension, Place
from outlay.metrics.expressions import (
    CHARGE,
    OUTCOME_OF_WORK,
    AllOf,
    AnyOf,
    Coded,
    Condition,
    Count,
    Facts,
    Is,
    Known,
    OneOf,
    Positive,
    Sum,
)
from outlay.metrics.filters import Filter
from outlay.metrics.plan import CURRENCY, Plan

USAGE, CHARGES, OUTCOME, TASKS, RUNS = "u", "c", "o", "wt", "ws"
"""Aliases: usages, charges, outcomes, tasks by id, tasks by session."""
_USAGE_COLUMN = re.compile(rf'\b{USAGE}\."?(\w+)')


class Statement:
    """A statement under construction: it owns the bound values, so no value ever stands in the text."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.parameters: list[object] = []

    def bind(self, value: object) -> str:
        """The placeholder of a value."""
        self.parameters.append(value)
        return self.dialect.placeholder(len(self.parameters))

    def bind_all(self, values: tuple[str, ...] | tuple[int, ...]) -> str:
        """Placeholders of several values, with commas."""
        return ", ".join(self.bind(value) for value in values)


def columns_read(texts: Iterable[str]) -> frozenset[str]:
    """The columns of usages that parts of a statement name."""
    return frozenset(_USAGE_COLUMN.findall(" ".join(texts)))


def quoted(name: str) -> str:
    """A column name of the books, safe beside keywords (`user`, `current`)."""
    return f'"{name}"'


def column(name: str, table: str) -> str:
    """A column that an expression names, on the table its aggregate counts in."""
    if name == OUTCOME_OF_WORK:
        return f"coalesce({TASKS}.status, {RUNS}.status, '{NO_OUTCOME}')"
    if name.startswith(CHARGE):
        return f"{CHARGES}.{quoted(name.removeprefix(CHARGE))}"
    return f"{table}.{quoted(name)}"


def condition(statement: Statement, wanted: Condition, table: str) -> str:
    """A condition as a boolean SQL expression."""
    match wanted:
        case OneOf(name, values, exclude):
            return f"{column(name, table)} {'NOT IN' if exclude else 'IN'} ({statement.bind_all(values)})"
        case Coded(name, codes):
            return f"{column(name, table)} IN ({statement.bind_all(codes)})"
        case Is(name, value):
            return column(name, table) if value else f"NOT {column(name, table)}"
        case Positive(name):
            return f"{column(name, table)} > 0"
        case Known(name, value):
            return f"{column(name, table)} IS {'NOT ' if value else ''}NULL"
        case AllOf(parts):
            return "(" + " AND ".join(condition(statement, part, table) for part in parts) + ")"
        case AnyOf(parts):
            return "(" + " OR ".join(condition(statement, part, table) for part in parts) + ")"


def aggregate(statement: Statement, wanted: Count | Sum, *, counted: bool, weight: str = "") -> str:
    """An aggregate as SQL; with `counted` it leaves superseded reports out, which the WHERE clause then lets in.

    `weight` is the column that says how many rows a row stands for, where it is not one.
    """
    table = OUTCOME if wanted.facts is Facts.OUTCOMES else USAGE
    conditions = [condition(statement, wanted.where, table)] if wanted.where is not None else []
    if counted and table == USAGE:
        conditions.append(f"{USAGE}.counted")
    chosen = f" FILTER (WHERE {' AND '.join(conditions)})" if conditions else ""
    if isinstance(wanted, Sum):
        return f"sum({' + '.join(column(name, table) for name in wanted.columns)}){chosen}"
    return f"coalesce(sum({weight}){chosen}, 0)" if weight else f"count(*){chosen}"


def usage_value(statement: Statement, dimension: Dimension) -> str:
    """Where a dimension stands for a usage: raw, so that grouping stays cheap."""
    name = quoted(dimension.column)
    if dimension.tag:
        return _tag(statement, dimension, USAGE)
    if dimension.place is Place.CHARGE:
        return f"{CHARGES}.{name}"
    if dimension.name == CURRENCY:
        return f"coalesce(nullif({USAGE}.{name}, ''), {statement.bind(dimension.empty)})"
    if dimension.place is Place.USAGE:
        return f"{USAGE}.{name}"
    if dimension.column == "status":
        return column(OUTCOME_OF_WORK, USAGE)
    own = f"nullif({USAGE}.{name}, '')" if dimension.column == "task_id" else f"{TASKS}.{name}"
    return f"coalesce({own}, {RUNS}.{name}, '')"


def outcome_value(statement: Statement, dimension: Dimension) -> str:
    """Where a dimension stands for an outcome."""
    if dimension.tag:
        return _tag(statement, dimension, OUTCOME)
    return f"coalesce({OUTCOME}.{quoted(dimension.outcome_column)}, '')"


def _tag(statement: Statement, dimension: Dimension, table: str) -> str:
    path = statement.bind(statement.dialect.tag_path(dimension.tag))
    return f"coalesce({statement.dialect.tag(f'{table}.tags', path)}, {statement.bind(dimension.empty)})"


def stored(dimension: Dimension, value: str) -> tuple[str | int | bool, ...]:
    """A value as a person writes it, as the books may hold it; the name of the empty group also stands for no text."""
    if dimension.coded:
        return (dimension.values.index(value),)
    if dimension.flag:
        return (value == "yes",)
    return (value, "") if value == dimension.empty else (value,)


def shown(dimension: Dimension, value: str) -> str:
    """A value as it came back in text, as a person reads it."""
    if dimension.coded and value.isdigit():
        return dimension.values[int(value)]
    if dimension.flag and value in ("true", "false"):
        return "yes" if value == "true" else "no"
    return value or dimension.empty


def filter_condition(statement: Statement, dimension: Dimension, item: Filter, place: str) -> str:
    """A person's filter as SQL, `place` being where the dimension stands."""
    marks = ", ".join(statement.bind(held) for value in item.values for held in stored(dimension, value))
    return f"{place} {'NOT IN' if item.exclude else 'IN'} ({marks})"


def period_conditions(statement: Statement, plan: Plan, table: str) -> list[str]:
    """The period asked for, on one table's time."""
    period = plan.query.period
    bounds = ((">=", period.start_ns), ("<", period.end_ns))
    return [f"{table}.time {sign} {statement.bind(_moment(ns))}" for sign, ns in bounds if ns is not None]


def within(statement: Statement, stretch: Stretch) -> str:
    """The column `time` lies in a stretch."""
    bounds = ((">=", stretch.start), ("<", stretch.end))
    return " AND ".join(f"time {sign} {statement.bind(moment)}" for sign, moment in bounds if moment) or "true"


def _moment(ns: int) -> datetime:
    """Times stand in the books in UTC without a zone."""
    return moment_of(ns).replace(tzinfo=None)
