"""Plan: what a question needs from the books, decided without a word of SQL.

Every question has one of a closed set of forms: usages summed by group, or usages joined with their charges where a
dimension stands on charges; outcomes summed apart and joined by the dimensions both have; two levels (session, then
group) where sessions are counted or timed, since these do not add up over groups.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

from outlay.core.charge import PROVENANCE_CODE, Provenance
from outlay.core.errors import QueryError
from outlay.ledger.rollups import Reading
from outlay.metrics.dimensions import Dimension, Place, dimension_named
from outlay.metrics.expressions import (
    CHARGE,
    OUTCOME_OF_WORK,
    Add,
    Aggregate,
    AllOf,
    AnyOf,
    Coded,
    Condition,
    Count,
    Divide,
    Expression,
    Facts,
    Known,
    OneOf,
    Sessions,
    SessionTime,
    Subtract,
    Sum,
    aggregates_of,
    all_of,
)
from outlay.metrics.filters import Filter
from outlay.metrics.measures import METERED, SUPERSEDED, TASKS, TOTAL_TOKENS, UNPRICED_TOKENS, Measure, measure_named
from outlay.metrics.query import Query

_CHARGE_AMOUNT = f"{CHARGE}amount_nano"
_BY_PROVENANCE = {
    "recorded_nano": Provenance.RECORDED,
    "priced_nano": Provenance.PRICED,
    "estimated_nano": Provenance.ESTIMATED,
}
CURRENCY = "currency"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to fetch: `usage_sums` and `session_sums` from usages, `outcome_sums` from outcomes, split by `dimensions`.

    `definitions` are the measures' expressions in the order asked, as this form of question computes them.
    """

    query: Query
    dimensions: tuple[Dimension, ...]
    measures: tuple[Measure, ...]
    definitions: tuple[Expression, ...]
    usage_sums: tuple[Count | Sum, ...]
    session_sums: tuple[Sessions | SessionTime, ...]
    outcome_sums: tuple[Count | Sum, ...]
    with_charges: bool
    reading: Reading | None = None
    """Where the period is read: from rollups in part, or, without it, row by row."""
    outcomes_alone: bool = False
    """Only outcomes are asked about: a currency is then the one they state."""
    session_reading: Reading | None = None
    """The same for what is asked of sessions."""
    history: Reading | None = None
    """The same for all time: who started whom may have been said on any day."""
    by_session: bool = False
    """Rollups are read session by session, sums and sessions alike; see `rolled_sessions.py`."""

    @property
    def filters(self) -> tuple[tuple[Dimension, Filter], ...]:
        """The filters on usages, each with its dimension."""
        return tuple((_dimension(item.dimension, alone=self.outcomes_alone), item) for item in self.query.where)

    @property
    def reads_sessions(self) -> bool:
        """Whether the days of sessions are what is read."""
        return self.by_session and self.reading is not None

    @property
    def sessions_add_up(self) -> bool:
        """Each session stands in one group only, its own."""
        return [item.name for item in self.dimensions] == ["session"] and self.query.grain is None

    @property
    def with_work(self) -> bool:
        """Usages must be joined with the tasks they worked on."""
        return bool(self.work_columns)

    @property
    def work_columns(self) -> tuple[str, ...]:
        """What must be known of the tasks that usages worked on."""
        named = (*self.dimensions, *(dimension for dimension, _ in self.filters))
        conditions = (
            item.where for item in (*self.usage_sums, *self.session_sums) if not isinstance(item, SessionTime)
        )
        columns = {item.column for item in named if item.place is Place.WORK}
        return tuple(sorted(columns | ({"status"} if any(map(_asks_for_outcome, conditions)) else set())))

    @property
    def charges_alone(self) -> bool:
        """Charges answer without their usages, which saves the one join that is dear."""
        named = (*self.dimensions, *(dimension for dimension, _ in self.filters))
        conditions = [item.where for item in self.usage_sums if item.where is not None]
        on_charges = all(isinstance(item, Coded | Known) and item.column.startswith(CHARGE) for item in conditions)
        elsewhere = self.session_sums or any(item.place is not Place.CHARGE for item in named)
        return self.with_charges and on_charges and not elsewhere

    @property
    def with_superseded(self) -> bool:
        """Superseded reports must be read too, to be counted as such."""
        return SUPERSEDED in self.usage_sums

    @property
    def about_all_work(self) -> bool:
        """No filter picks a part of the work: the usages are all that the tasks of this question cost."""
        return all(dimension.on_outcomes for dimension, _ in self.filters)

    @property
    def only_outcomes(self) -> bool:
        """Nothing is asked of usages, not even a group."""
        return not self.usage_sums and not self.session_sums and all(item.on_outcomes for item in self.dimensions)

    @property
    def unsplit(self) -> tuple[str, ...]:
        """Dimensions and filters asked for that tasks do not have: tasks are those of the set without them."""
        named = (*self.dimensions, *(dimension for dimension, _ in self.filters))
        return tuple(dict.fromkeys(item.name for item in named if not item.on_outcomes)) if self.outcome_sums else ()


def plan_of(query: Query, *, split_currency: bool = False, judge_unpriced: bool = False) -> Plan:
    """The plan of a checked query.

    `split_currency` adds the currency as a last dimension, `judge_unpriced` the token counts that tell whether a
    figure derived from cost may be given. QueryError where a measure cannot be split in the way asked.
    """
    return replace(_plan_of(query.at_any_time, split_currency, judge_unpriced), query=query)


@lru_cache(maxsize=1024)
def _plan_of(query: Query, split_currency: bool, judge_unpriced: bool) -> Plan:  # noqa: FBT001 - by place: a key
    """Pages ask the same at each look, of another period."""
    measures = tuple(measure_named(name) for name in query.measures)
    alone = about_outcomes_alone(query)
    names = (*query.by, CURRENCY) if split_currency and CURRENCY not in query.by else query.by
    dimensions = tuple(_dimension(name, alone=alone) for name in names)
    with_charges = _needs_charges(query, dimensions, measures)
    definitions = tuple(_charged(item, item.definition) if with_charges else item.definition for item in measures)
    _check_quantity(query)
    asked = [part for definition in definitions for part in aggregates_of(definition)]
    if judge_unpriced and not with_charges and any(item.derived_from_cost for item in measures):
        asked += [TOTAL_TOKENS, UNPRICED_TOKENS]
    if any(isinstance(item, Count | Sum) and item.facts is Facts.OUTCOMES for item in asked):
        asked += [TASKS, METERED] if any(item.rests_on_cost for item in measures) else []
    sums = _of_kind(asked, (Count, Sum))
    return Plan(
        query=query,
        dimensions=dimensions,
        measures=measures,
        definitions=definitions,
        usage_sums=tuple(item for item in sums if item.facts is not Facts.OUTCOMES),  # type: ignore[union-attr]
        session_sums=_of_kind(asked, (Sessions, SessionTime)),  # type: ignore[arg-type]
        outcome_sums=tuple(item for item in sums if item.facts is Facts.OUTCOMES),  # type: ignore[union-attr]
        with_charges=with_charges,
        outcomes_alone=alone,
    )


def about_outcomes_alone(query: Query) -> bool:
    """Nothing is asked that stands on usages, charges or sessions."""
    return _are_about_outcomes(query.measures)


@lru_cache(maxsize=1024)
def _are_about_outcomes(measures: tuple[str, ...]) -> bool:
    parts = (part for name in measures for part in aggregates_of(measure_named(name).definition))
    return all(isinstance(part, Count | Sum) and part.facts is Facts.OUTCOMES for part in parts)


def _dimension(name: str, *, alone: bool) -> Dimension:
    """The dimension of that name; a currency stands on outcomes too where nothing else is asked about."""
    found = dimension_named(name)
    return replace(found, outcome_column=CURRENCY) if alone and name == CURRENCY else found


def plan_of_usages(query: Query) -> Plan:
    """The plan that reads the usages a query is about, as they are: no dimension, no measure, no charge.

    A filter on meter or provenance falls away: it picks charges, not usages.
    """
    where = tuple(item for item in query.where if dimension_named(item.dimension).place is not Place.CHARGE)
    return Plan(replace(query, where=where), (), (), (), (), (), (), with_charges=False)


def _of_kind(asked: Iterable[Aggregate], kinds: tuple[type, ...]) -> tuple[Aggregate, ...]:
    return tuple(dict.fromkeys(item for item in asked if isinstance(item, kinds)))


def _needs_charges(query: Query, dimensions: Iterable[Dimension], measures: Iterable[Measure]) -> bool:
    filtered = (dimension_named(item.dimension) for item in query.where)
    if any(item.place is Place.CHARGE for item in (*dimensions, *filtered)):
        return True
    parts = (part for measure in measures for part in aggregates_of(measure.definition))
    return any(isinstance(part, Count | Sum) and part.facts is Facts.CHARGES for part in parts)


def _check_quantity(query: Query) -> None:
    """Quantities of different meters have different units: they are never added."""
    one_meter = any(item.dimension == "meter" and len(item.values) == 1 and not item.exclude for item in query.where)
    if "quantity" in query.measures and "meter" not in query.by and not one_meter:
        raise QueryError(
            "quantity adds only within one meter", hint="split by meter, or filter with where=meter:<name>"
        )


def _charged(measure: Measure, expression: Expression) -> Expression:
    """The expression over charges instead of usages; QueryError where a measure does not stand on charges."""
    match expression:
        case Add(left, right) | Subtract(left, right) | Divide(left, right):
            return type(expression)(_charged(measure, left), _charged(measure, right))
        case Sum(Facts.USAGES, ("amount_nano",), where):
            return Sum(Facts.CHARGES, (_CHARGE_AMOUNT,), where, Known(_CHARGE_AMOUNT, value=False))
        case Sum(Facts.USAGES, (column,), where) if column in _BY_PROVENANCE and where is None:
            code = PROVENANCE_CODE[_BY_PROVENANCE[column].value]
            return Sum(Facts.CHARGES, (_CHARGE_AMOUNT,), all_of(where, Coded(f"{CHARGE}provenance", (code,))))
        case Sessions() | Count(Facts.CHARGES | Facts.OUTCOMES) | Sum(Facts.CHARGES | Facts.OUTCOMES):
            return expression
        case _:
            raise QueryError(
                f"{measure.name} stands on whole usages: it cannot be split by meter or provenance",
                hint="ask for it by another dimension, or for cost, charges, sessions or tasks by this one",
            )


def _asks_for_outcome(condition: Condition | None) -> bool:
    match condition:
        case AllOf(parts) | AnyOf(parts):
            return any(map(_asks_for_outcome, parts))
        case OneOf(column):
            return column == OUTCOME_OF_WORK
        case _:
            return False
