"""Rollups are invisible: every answer is the one the rows give, whatever came, was corrected or was added up when."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.strategies import fact_rows, outcome_rows

from outlay.core.errors import QueryError
from outlay.core.period import Grain, Period, ns_of
from outlay.ledger import checks
from outlay.ledger.duckdb_books import DuckBooks
from outlay.ledger.posting import Clerk, PostReport
from outlay.ledger.reprice import reprice
from outlay.ledger.rollups import STRETCHES_MAX, Reading, Stretch, reading_of
from outlay.ledger.settling import roll_up, settle
from outlay.ledger.store import Snapshot
from outlay.metrics.answer import ask
from outlay.metrics.dimensions import DIMENSIONS
from outlay.metrics.filters import Filter
from outlay.metrics.measures import MEASURES
from outlay.metrics.query import Query
from outlay.pricing.book import PriceBook
from outlay.sources.facts import facts_of, outcomes_of

FIRST_NS = 1_760_000_000 * 10**9
SPREAD = 45
"""The facts of the strategy lie within some hours; so many times further apart they lie in several months."""
ON_CHARGES = ("cost", "charges", "cost_recorded", "cost_priced", "tasks_completed")


class RowByRow:
    """The same moment of the same books, without rollups."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.dialect = snapshot.dialect
        self.rows = snapshot.rows
        self.records = snapshot.records

    def stale_days(self) -> None:
        """No rollup may be used."""


@pytest.fixture(scope="module")
def prices() -> PriceBook:
    return PriceBook.load(None)


@pytest.fixture(scope="module")
def later_prices(tmp_path_factory: pytest.TempPathFactory) -> PriceBook:
    """A price for the model that had none, and another one for a model that had one."""
    folder = tmp_path_factory.mktemp("prices")
    blocks = [
        f'[[price]]\nmodel = "{model}"\ninput = "3.50 per 1M"\noutput = "20 per 1M"\n'
        for model in ("in-house-7b", "gpt-4.1")
    ]
    (folder / "overrides.toml").write_text("".join(blocks))
    return PriceBook.load(folder)


def spread(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Facts with their times so far apart that days and months are between them."""
    first = min((row["start_ns"] for row in rows), default=0)
    moved = []
    for row in rows:
        start = FIRST_NS + (row["start_ns"] - first) * SPREAD
        moved.append({**row, "start_ns": start, "end_ns": start + row["end_ns"] - row["start_ns"]})
    return moved


MEASURED = tuple(item.name for item in MEASURES if item.name != "quantity")
OF_SESSIONS = (
    *("cost", "cost_recorded", "cost_priced", "cost_estimated", "inference_cost", "hidden_cost", "retry_cost"),
    *("failed_task_cost", "cost_without_task", "unattributed_cost", "usages", "retries", "unpriced_usages"),
    *("input_tokens", "output_tokens", "total_tokens", "unpriced_tokens", "superseded_usages", "retry_multiplier"),
    *("sessions", "session_seconds", "tasks_completed", "cost_per_completed_task", "hidden_share", "retry_rate"),
)
"""What the days of sessions answer, by whatever they keep apart."""
APART = ("session", "parent_session", "customer", "user", "task", "task_type", "outcome", "team", "agent", "counted")


def queries(
    names: Sequence[str] = MEASURED, by: Sequence[str] = tuple(item.name for item in DIMENSIONS)
) -> st.SearchStrategy[Query]:
    """Questions of every kind, those that no rollup answers among them."""
    moments = st.none() | st.integers(0, 75 * 24).map(lambda hours: FIRST_NS + hours * 3_600 * 10**9)
    whole = st.integers(0, 70).map(lambda days: ns_of(datetime(2025, 10, 1, tzinfo=UTC) + timedelta(days=days)))
    wheres = st.sampled_from(
        [
            (),
            (Filter("team", ("support",)),),
            (Filter("centre", ("inference",), exclude=True),),
            (Filter("agent", ("bot",)),),
            (Filter("outcome", ("done", "(no outcome)")),),
            (Filter("session", ("session a", "s1")), Filter("user", ("u1",), exclude=True)),
        ]
    )
    return st.builds(
        Query,
        measures=st.lists(st.sampled_from(names), min_size=1, max_size=5, unique=True).map(tuple) | st.just(ON_CHARGES),
        by=st.lists(st.sampled_from(by), max_size=2, unique=True).map(tuple),
        grain=st.sampled_from([None, *Grain]),
        where=wheres,
        period=st.builds(Period, moments | whole, moments | whole),
        top=st.sampled_from([None, 2]),
        counted_only=st.sampled_from([True, True, False]),
    )


def assert_the_same(books: DuckBooks, asked: Sequence[Query]) -> None:
    with books.reading() as snapshot:
        for query in asked:
            try:
                expected = ask(RowByRow(snapshot), query)
            except QueryError:
                continue
            assert ask(snapshot, query) == expected, query


@settings(
    max_examples=12, phases=[Phase.explicit, Phase.reuse, Phase.generate]
)  # every example asks several dozen questions twice
@given(
    facts=fact_rows(),
    outcomes=outcome_rows(),
    asked=st.tuples(*[queries()] * 3, *[queries(OF_SESSIONS, APART)] * 4),
    data=st.data(),
)
def test_an_answer_is_the_same_at_any_moment(
    prices: PriceBook,
    later_prices: PriceBook,
    facts: list[Any],
    outcomes: list[Any],
    asked: tuple[Query, ...],
    data: st.DataObject,
) -> None:
    facts = data.draw(st.permutations(spread(facts)))
    cut = data.draw(st.integers(0, len(facts)))
    books = DuckBooks(None)
    try:
        clerk = Clerk(books, prices)
        for number, (part, ended) in enumerate(((facts[:cut], outcomes), (facts[cut:], [])), 1):
            before = PostReport(received=len(part) + len(ended))
            clerk.post(facts_of(part), outcomes_of(ended), through=number, before=before, accepted_ns=time.time_ns())
            for step in data.draw(st.permutations([settle, DuckBooks.roll_up, assert_nothing])):
                step(books)
                assert_the_same(books, asked)
        reprice(books, Clerk(books, later_prices), None, None)
        assert_the_same(books, asked)
        roll_up(books)
        assert_the_same(books, asked)
        assert checks.check_rollups(books).ok
        with books.reading() as snapshot:
            assert snapshot.stale_days() == ()
    finally:
        books.close()


def assert_nothing(books: DuckBooks) -> None:
    """A step that does nothing."""


def test_what_changes_later_reaches_days_that_were_added_up(prices: PriceBook, later_prices: PriceBook) -> None:
    """A larger report and a new price both touch days that were added up long ago."""
    row = {"fact_id": "f", "tree_id": "t", "source": "test", "signal": "span", "start_ns": FIRST_NS, "end_ns": FIRST_NS}
    row |= {"operation": "chat", "provider": "openai", "model_served": "in-house-7b", "input_tokens": 1_000_000}
    books = DuckBooks(None)
    clerk = Clerk(books, prices)

    def post(fact: dict[str, Any], number: int) -> None:
        clerk.post(facts_of([fact]), None, through=number, before=PostReport(1), accepted_ns=time.time_ns())

    def assert_figures(**expected: object) -> None:
        for step in (assert_nothing, settle, roll_up):
            step(books)
            with books.reading() as snapshot:
                asked = Query(("cost", "input_tokens", "unpriced_usages"))
                assert ask(snapshot, asked).total == expected
                by = ask(snapshot, Query(("cost",), ("provenance",)))
                assert [item["cost"] for item in by.rows if item["cost"]] == [expected["cost"]] * bool(expected["cost"])

    post(row, 1)
    assert_figures(cost=None, input_tokens=1_000_000, unpriced_usages=1)
    post(row | {"input_tokens": 2_000_000}, 2)
    assert_figures(cost=None, input_tokens=2_000_000, unpriced_usages=1)
    reprice(books, Clerk(books, later_prices), None, None)
    assert_figures(cost="7", input_tokens=2_000_000, unpriced_usages=0)
    books.close()


def test_a_broken_rollup_is_found(prices: PriceBook) -> None:
    row = {"fact_id": "f", "tree_id": "t", "source": "test", "signal": "span", "start_ns": FIRST_NS, "end_ns": FIRST_NS}
    row |= {"operation": "chat", "cost_nano": 7, "cost_source": "emitter"}
    books = DuckBooks(None)
    Clerk(books, prices).post(
        facts_of([row]), None, through=1, before=PostReport(received=1), accepted_ns=time.time_ns()
    )
    settle(books)
    assert checks.check_rollups(books).ok  # nothing is added up, so nothing can be wrong
    roll_up(books)
    assert checks.check_rollups(books).ok
    for table in ("usage_days", "usage_months", "charge_days", "charge_months", "session_days"):
        with books.writing() as transaction:
            transaction.execute(f"UPDATE {table} SET amount_nano = amount_nano + 1")
        assert not checks.check_rollups(books).ok, table
        with books.writing() as transaction:
            transaction.execute(f"UPDATE {table} SET amount_nano = amount_nano - 1")
    books.close()


@given(
    start=st.none() | st.datetimes(datetime(2026, 1, 1), datetime(2026, 6, 1)),  # noqa: DTZ001
    length=st.none() | st.timedeltas(timedelta(0), timedelta(days=200)),
    stale=st.lists(st.dates(date(2025, 12, 1), date(2026, 9, 1)), max_size=30, unique=True),
    by_month=st.booleans(),
    moments=st.lists(st.datetimes(datetime(2025, 11, 1), datetime(2026, 10, 1)), min_size=20, max_size=20),  # noqa: DTZ001
)
def test_every_moment_is_read_once(
    start: datetime | None, length: timedelta | None, stale: list[date], by_month: bool, moments: list[datetime]
) -> None:
    end = None if length is None else (start or datetime(2026, 1, 1)) + length  # noqa: DTZ001
    reading = reading_of(start, end, sorted(stale), by_month=by_month)
    if reading is None:
        return
    edges = [moment for moment in (start, end) if moment]
    for moment in (*moments, *edges, *(datetime(day.year, day.month, day.day) for day in stale)):  # noqa: DTZ001
        places = read_at(reading, moment)
        inside = (start is None or moment >= start) and (end is None or moment < end)
        assert len(places) == inside, (moment, reading)
        if moment.date() in stale:
            assert places in ([], ["rows"])
    if by_month:
        assert all(edge is None or edge.day == 1 for item in reading.months for edge in (item.start, item.end))
    else:
        assert not reading.months
    assert len(reading.rows) <= STRETCHES_MAX + 2


def read_at(reading: Reading, moment: datetime) -> list[str]:
    """Where a moment is read."""

    def holds(item: Stretch) -> bool:
        return (item.start is None or item.start <= moment) and (item.end is None or moment < item.end)

    return [name for name in ("months", "days", "rows") for item in getattr(reading, name) if holds(item)]


def test_who_started_whom_may_have_been_said_on_any_day(prices: PriceBook) -> None:
    """A session's task is that of the one above, also where the one between did nothing in the period asked about."""
    row = {"source": "test", "signal": "span", "operation": "chat", "cost_nano": 7, "cost_source": "emitter"}
    later = FIRST_NS + 40 * 86_400 * 10**9
    first = row | {"fact_id": "a", "session_id": "middle", "parent_session_id": "top", "start_ns": FIRST_NS}
    second = row | {"fact_id": "b", "session_id": "low", "parent_session_id": "middle", "start_ns": later}
    told = {"outcome_id": "o", "task_id": "t", "session_ids": ["top"], "status": "done", "at_ns": FIRST_NS}
    books = DuckBooks(None)
    Clerk(books, prices).post(
        facts_of([first, second]), outcomes_of([told]), through=1, before=PostReport(3), accepted_ns=time.time_ns()
    )
    asked = Query(("cost",), ("session", "outcome"), period=Period(later - 10**9, None))
    for step in (settle, roll_up, assert_nothing):
        step(books)
        with books.reading() as snapshot:
            rows = ask(snapshot, asked).rows
        assert [(item["session"], item["outcome"], item["cost"]) for item in rows] == [("low", "done", "0.000000007")]
    books.close()
