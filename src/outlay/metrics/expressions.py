"""Expressions: what a measure is made of, said without naming an engine.

A measure is arithmetic (`Add`, `Subtract`, `Divide`) over aggregates; an aggregate is a sum or a count over the rows
of one table that meet a condition. Renderers translate aggregates and conditions; `value_of` does the arithmetic,
exactly, on the integers that came back. Unknown is None and spreads: nothing unknown becomes 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

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


def value_of(expression: Expression, found: Mapping[Aggregate, int | None]) -> int | Fraction | None:
    """The exact value of an expression over aggregates as they came back; None is unknown."""
    match expression:
        case Add(left, right):
            pair = value_of(left, found), value_of(right, found)
            return None if pair[0] is None or pair[1] is None else pair[0] + pair[1]
        case Subtract(left, right):
            pair = value_of(left, found), value_of(right, found)
            return None if pair[0] is None or pair[1] is None else pair[0] - pair[1]
        case Divide(left, right):
            pair = value_of(left, found), value_of(right, found)
            return None if pair[0] is None or not pair[1] else Fraction(pair[0]) / Fraction(pair[1])  # exact: Fraction
        case Sum():
            known = found.get(expression)
            lacking = expression.lacking
            return None if not known and lacking is not None and found.get(lacking) else known or 0
        case Count() | Sessions() | SessionTime():
            return found.get(expression) or 0
