"""Expressions: what a measure is made of, said without naming an engine.

A measure is arithmetic (`Add`, `Subtract`, `Divide`) over aggregates; an aggregate is a sum or a count over the rows
of one table that meet a condition. Renderers translate aggregates and conditions; `arithmetic_of` is the arithmetic,
exactly, on the integers that came back. Unknown is None and spreads: nothing unknown becomes 0.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any

CHARGE = "charge."
"""Prefix of a column that stands on charges; without it a column stands on the table the aggregate counts in."""
OUTCOME_OF_WORK = "outcome"
"""The column of usages that is not stored: what became of the task the usage worked on."""


class Facts(StrEnum):
    """The tables of the books a measure may count in."""

    USAGES = "usages"
    CHARGES = "charges"
    OUTCOMES = "outcomes"


@dataclass(frozen=True, slots=True)
class OneOf:
    """The column's value is one of `values`; with `exclude`, none of them."""

    column: str
    values: tuple[str, ...]
    exclude: bool = False


@dataclass(frozen=True, slots=True)
class Is:
    """A yes-or-no column says `value`."""

    column: str
    value: bool = True


@dataclass(frozen=True, slots=True)
class Positive:
    """The column's number is above zero."""

    column: str


@dataclass(frozen=True, slots=True)
class Coded:
    """The column holds one of these codes."""

    column: str
    codes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """The column has a value (`value` False: it has none)."""

    column: str
    value: bool = True


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every part holds."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one part holds."""

    parts: tuple[Condition, ...]


Condition = OneOf | Is | Positive | Coded | Known | AllOf | AnyOf


def all_of(*parts: Condition | None) -> Condition | None:
    """The conjunction of the conditions that are given; None where there is none."""
    given = tuple(part for part in parts if part is not None)
    return given[0] if len(given) == 1 else AllOf(given) if given else None


@dataclass(frozen=True, slots=True)
class Count:
    """How many rows of `facts` meet `where`."""

    facts: Facts
    where: Condition | None = None


@dataclass(frozen=True, slots=True)
class Sum:
    """The sum of `columns` over the rows of `facts` that meet `where`.

    `unknown` says which rows lack the figure (the books hold 0 or null there): where such rows are all there is to the
    sum, it is unknown, not 0.
    """

    facts: Facts
    columns: tuple[str, ...]
    where: Condition | None = None
    unknown: Condition | None = None

    @property
    def lacking(self) -> Count | None:
        """The count of rows that lack the figure."""
        return Count(self.facts, all_of(self.where, self.unknown)) if self.unknown is not None else None


@dataclass(frozen=True, slots=True)
class Sessions:
    """How many different sessions have a usage that meets `where`. Not additive: rows may share a session."""

    where: Condition | None = None


@dataclass(frozen=True, slots=True)
class SessionTime:
    """Microseconds from the first to the last sign of each session, added over sessions. Not additive."""


Aggregate = Count | Sum | Sessions | SessionTime


@dataclass(frozen=True, slots=True)
class Add:
    """The sum of two figures."""

    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Subtract:
    """The difference of two figures."""

    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Divide:
    """The quotient of two figures; unknown where the divisor is 0."""

    over: Expression
    under: Expression


Expression = Aggregate | Add | Subtract | Divide


def aggregates_of(expression: Expression) -> Iterator[Aggregate]:
    """The aggregates an expression rests on, those that tell known from unknown included."""
    match expression:
        case Add(left, right) | Subtract(left, right) | Divide(left, right):
            yield from aggregates_of(left)
            yield from aggregates_of(right)
        case Sum():
            yield expression
            if expression.lacking is not None:
                yield expression.lacking
        case Count() | Sessions() | SessionTime():
            yield expression


Value = int | Fraction | None
Found = Sequence[int | None]
"""Aggregates as they came back, in some order."""


def arithmetic_of(expression: Expression, places: Mapping[Aggregate, int]) -> Callable[[Found], Value]:
    """The exact value of an expression over aggregates as they came back, each at its place; None is unknown.

    Made once an answer: it is asked for each row.
    """
    match expression:
        case Add(left, right):
            return _joined(arithmetic_of(left, places), arithmetic_of(right, places), operator.add)
        case Subtract(left, right):
            return _joined(arithmetic_of(left, places), arithmetic_of(right, places), operator.sub)
        case Divide(left, right):
            return _joined(arithmetic_of(left, places), arithmetic_of(right, places), _quotient)
        case Sum():
            lacking = places.get(expression.lacking) if expression.lacking is not None else None
            return _sum_at(places[expression], lacking)
        case Count() | Sessions() | SessionTime():
            place = places[expression]
            return lambda found: found[place] or 0


def _joined(
    left: Callable[[Found], Value], right: Callable[[Found], Value], join: Callable[[Any, Any], Value]
) -> Callable[[Found], Value]:
    def joined(found: Found) -> Value:
        one, other = left(found), right(found)
        return None if one is None or other is None else join(one, other)

    return joined


def _quotient(over: int | Fraction, under: int | Fraction) -> Fraction | None:
    return Fraction(over) / Fraction(under) if under else None  # exact: Fraction


def _sum_at(place: int, lacking: int | None) -> Callable[[Found], Value]:
    if lacking is None:
        return lambda found: found[place] or 0
    return lambda found: None if not found[place] and found[lacking] else found[place] or 0
