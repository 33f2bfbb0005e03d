"""Answers: a question put to the books, and what comes back to every face alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeVar

from outlay.core.errors import QueryError
from outlay.core.money import DEFAULT_CURRENCY
from outlay.core.period import Period
from outlay.ledger.store import Snapshot
from outlay.metrics.coverage import coverage_of, tokens_lack_prices, value_currencies
from outlay.metrics.dialect import dialect_named
from outlay.metrics.dimensions import OTHER
from outlay.metrics.expressions import Aggregate
from outlay.metrics.groups import key_names
from outlay.metrics.kept import KeptAnswers
from outlay.metrics.measures import Measure, measure_named
from outlay.metrics.parts import shown
from outlay.metrics.piece_store import ToldRows
from outlay.metrics.pieces import Pieces
from outlay.metrics.plan import Plan, about_outcomes_alone, plan_of
from outlay.metrics.query import Query, check, time_text
from outlay.metrics.render import NO_USAGE, REST, ROW, ROWS_MAX, TOTAL, columns_of, render
from outlay.metrics.rolled import rolled
from outlay.metrics.telling import Telling, is_money
from outlay.metrics.values import values_like, values_of

TIME = "time"
"""Key of the start of a row's bucket."""

_NO_TIME = datetime.min  # noqa: DTZ901 - UTC without a zone, as the books hold it

Row = dict[str, Any]
Columns = dict[Aggregate, str]
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Answer:
    """`rows` and `total` map dimension and measure names to plain values, `coverage` says how far to trust them.

    Money, ratios and seconds are exact decimal texts of at most nine places, counts and tokens whole numbers, times
    `2026-11-01T00:00:00Z`; null is unknown. A bucket without a row had no data: it is not a zero.
    """

    query: dict[str, object]
    rows: list[dict[str, Any]]
    total: dict[str, Any]
    coverage: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """The object that `--json` prints and the API sends."""
        return asdict(self)


def word_for_null(measure: str) -> str:
    """What a face shows where a measure is null: `(unpriced)` for an amount, `unknown` for anything else."""
    return measure_named(measure).word_for_null


class Moment:
    """A conversation with the books as they are at one moment: its answers agree, and what several need is read once.

    Amounts of several currencies are never added: the rows are then split by currency and the total has no money.
    `currency` is the one that amounts without a word are in. `kept` has the answers of earlier conversations with the
    same state of the books. Used by one thread.
    """

    def __init__(
        self,
        reader: Snapshot,
        currency: str = DEFAULT_CURRENCY,
        kept: KeptAnswers | None = None,
        now: datetime | None = None,
    ) -> None:
        self.reader = reader
        self._currency = currency
        self._kept = kept or KeptAnswers()
        store = self._kept.pieces
        self._pieces = None if store is None else Pieces(reader, store, now)

    def ask(self, query: Query) -> Answer:
        """The answer to a question, not to be changed; QueryError where it names what is not, or asks too much."""
        check(query)
        return self._kept.get(("answer", query, self._currency), lambda: self._answered(query), size=_size)

    def expect(self, *periods: Period) -> None:
        """Say about which periods questions will come, so that what they share is read at once."""
        if self._pieces is not None:
            self._pieces.expect(*periods)

    def metas(self) -> dict[str, int]:
        """Every whole number kept in the books, by name."""
        return self.once(("metas",), lambda: metas_of(self.reader), size=len)

    def once(self, key: tuple[object, ...], make: Callable[[], Made], size: Callable[[Made], int]) -> Made:
        """What is made of this state of the books, made once; it is not to be changed."""
        return self._kept.get(("once", *key), make, size=size)

    def values(self, dimension: str) -> tuple[str, ...]:
        """The first values by name that usages ever carried of a dimension that is kept as a label."""
        if self._pieces is not None:
            return self._pieces.values(dimension)
        return self._kept.get(("values", dimension), lambda: values_of(self.reader, dimension))

    def like(self, dimension: str, text: str) -> tuple[str, ...]:
        """A few values of a dimension that hold a text, the text itself first if it is one; see `values_like`."""
        return self._kept.get(("like", dimension, text), lambda: values_like(self.reader, dimension, text))

    def _answered(self, query: Query) -> Answer:
        if self._pieces is not None:
            key = ("answer", query, self._currency)
            return self._pieces.whole(key, query, lambda: self._asked(query), size=_size)
        return self._asked(query)

    def _asked(self, query: Query) -> Answer:
        part = ("coverage", query.where, query.period, query.counted_only, self._currency)
        coverage = self._kept.get(part, lambda: coverage_of(self.reader, query, self._currency, self._pieces))
        return _answer(self.reader, query, dict(coverage), self._currency, self._pieces)


def metas_of(reader: Snapshot) -> dict[str, int]:
    """Every whole number kept in the books at a moment, by name."""
    return {row["name"]: int(row["value"]) for row in reader.records("SELECT name, value FROM meta")}


def ask(reader: Snapshot, query: Query, currency: str = DEFAULT_CURRENCY) -> Answer:
    """The answer to a single question; see `Moment`."""
    return Moment(reader, currency).ask(query)


def _size(answer: Answer) -> int:
    return 1 + len(answer.rows)


def _answer(reader: Snapshot, query: Query, coverage: dict[str, Any], currency: str, pieces: Pieces | None) -> Answer:
    coverage["tasks_not_split_by"] = list(plan_of(query).unsplit)
    asked = [measure_named(name) for name in query.measures]
    values: list[str] = []
    if any(item.rests_on_value for item in asked):
        values = coverage["value_currencies"] = value_currencies(reader, query, currency, pieces)
    alone = about_outcomes_alone(query)
    split = len(values if alone else coverage["currencies"]) > 1 and any(map(is_money, asked))
    mixed = frozenset(item.name for item in asked if not alone and _mixes(item, values, coverage["currencies"]))
    judge = tokens_lack_prices(coverage)
    plan = rolled(plan_of(query, split_currency=split, judge_unpriced=judge), reader)
    columns, telling = _told_by(query.at_any_time, split, judge, mixed)
    found = _found(reader, plan, pieces)
    rows = [row for row in found if row["kind"] == ROW and not _is_empty(row, plan, columns)]
    if len(rows) > ROWS_MAX:
        raise QueryError(
            f"the answer has more than {ROWS_MAX:,} rows",
            hint="narrow the period, take a coarser grain or a smaller top",
        )
    (total,) = (row for row in found if row["kind"] == TOTAL)
    _fill_rest(plan, columns, rows, [row for row in found if row["kind"] == REST])
    rows.sort(key=_place)
    held = None if pieces is None else pieces.told((query.at_any_time, split, judge, mixed))
    described = {**query.described(), "by": [item.name for item in plan.dimensions]}
    return Answer(
        query=described,
        rows=_rows_told(plan, rows, telling, held),
        total=telling.figures(total, money=not split),
        coverage=coverage,
    )


def _rows_told(plan: Plan, rows: Sequence[Row], telling: Telling, held: ToldRows | None) -> list[dict[str, Any]]:
    """The rows in plain values; those that earlier answers told of the same figures are taken from them."""
    if held is None:
        return [{**_labels(plan, row), **telling.figures(row)} for row in rows]
    keys, found = ["bucket", *key_names(plan)], list[dict[str, Any]]()
    for row in rows:
        key, figures = tuple(map(row.get, keys)), [row[name] for name in telling.names]
        known = held.get(key)
        if known is None or known[0] != figures:
            known = held[key] = figures, {**_labels(plan, row), **telling.figures(row)}
        found.append(known[1])
    return found


@lru_cache(maxsize=1024)
def _told_by(
    query: Query,
    split: bool,  # noqa: FBT001 - by place: a key
    judge: bool,  # noqa: FBT001
    mixed: frozenset[str],
) -> tuple[Columns, Telling]:
    """How figures are told hangs on what is asked, not on when."""
    plan = plan_of(query, split_currency=split, judge_unpriced=judge)
    columns = columns_of(plan)
    return columns, Telling(plan, columns, mixed)


def _found(reader: Snapshot, plan: Plan, pieces: Pieces | None) -> list[Row]:
    """The rows of a plan: put together from what is kept, or else from the engine."""
    together = None if pieces is None else pieces.rows(plan)
    if together is not None:
        return together
    rendered = render(plan, dialect_named(reader.dialect))
    return reader.records(rendered.sql, rendered.parameters)


def _mixes(measure: Measure, values: list[str], costs: list[str]) -> bool:
    """Whether a figure would add values of several currencies, or put values beside costs of another one."""
    return measure.rests_on_value and bool(values) and (len(values) > 1 or values != costs)


def _is_empty(row: Mapping[str, Any], plan: Plan, columns: Columns) -> bool:
    """A group without a usage in a set without a task: there is nothing to say."""
    without_usage = any(row.get(f"d{place}") == NO_USAGE for place in range(len(plan.dimensions)))
    return without_usage and not any(row[columns[item]] for item in plan.outcome_sums)


def _fill_rest(plan: Plan, columns: Columns, rows: list[Row], rest: list[Row]) -> None:
    """Sets the session figures of the `(other)` rows, which folding cannot add up."""
    if plan.sessions_add_up:
        return
    named = [columns[item] for item in plan.session_sums]
    by_bucket = {row.get("bucket"): row for row in rest}
    for row in rows:
        if row["rank"] is None:
            apart = by_bucket.get(row.get("bucket"), {})
            row.update({name: apart.get(name) for name in named})


def _place(row: Row) -> tuple[datetime, bool, int]:
    """Rows stand in order of time, then of rank, `(other)` last."""
    return (row.get("bucket") or _NO_TIME, row["rank"] is None, row["rank"] or 0)


def _labels(plan: Plan, row: Mapping[str, Any]) -> dict[str, str]:
    labels = {TIME: time_text(row["bucket"])} if plan.query.grain else {}
    for place, item in enumerate(plan.dimensions):
        value = row[f"d{place}"]
        labels[item.name] = value if value in (OTHER, NO_USAGE) else shown(item, value)
    return labels
