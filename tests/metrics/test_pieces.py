"""Pieces are invisible: what is put together from kept stretches of time is what the rows give, whatever came since."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.ledger.test_rollups import FIRST_NS, SPREAD, RowByRow, queries, spread
from tests.strategies import fact_rows, outcome_rows

from outlay.core.errors import QueryError
from outlay.core.outcome import Timeouts
from outlay.core.period import Grain, Period, moment_of, ns_of
from outlay.ledger.duckdb_books import DuckBooks
from outlay.ledger.posting import Clerk, PostReport
from outlay.ledger.reprice import reprice
from outlay.ledger.rollups import Stretch
from outlay.ledger.settling import roll_up, settle
from outlay.ledger.touched import Touched
from outlay.metrics import few_rows
from outlay.metrics.answer import Answer, Moment, ask
from outlay.metrics.cube import Cube, Kernel, fold
from outlay.metrics.dimensions import dimension_named
from outlay.metrics.division import divided
from outlay.metrics.filters import Filter
from outlay.metrics.kept import KeptAnswers
from outlay.metrics.measures import COST, MEASURES
from outlay.metrics.piece_store import LATE_DAYS_MAX, PIECES_ROWS_MAX, PieceStore
from outlay.metrics.query import Query
from outlay.pricing.book import PriceBook
from outlay.sources.facts import facts_of, outcomes_of

BY_FEATURE = Query(("cost", "tasks_completed", "cost_per_completed_task"), ("feature",), Grain.DAY)
ASKED = ("quantity", "sessions_seen", "session_seconds", "failed_task_cost", "cost_without_task")
EXAMPLES = int(os.environ.get("OUTLAY_PIECES_EXAMPLES", "3"))  # each asks some sixty questions
MEASURED = ("sessions", "cost_per_session", *(item.name for item in MEASURES if item.name not in ASKED))
"""Sessions twice among what is asked, and not what is asked of the engine in any case."""
HOUR, HOUR_NS = timedelta(hours=1), 3_600 * 10**9


@pytest.fixture(scope="module")
def prices() -> PriceBook:
    return PriceBook.load(None)


@pytest.fixture(scope="module")
def later_prices(tmp_path_factory: pytest.TempPathFactory) -> PriceBook:
    """Another price for a model that has one."""
    folder = tmp_path_factory.mktemp("prices")
    price = '[[price]]\nmodel = "gpt-4.1"\ninput = "3.50 per 1M"\noutput = "20 per 1M"\n'
    (folder / "overrides.toml").write_text(price)
    return PriceBook.load(folder)


def assert_the_same(books: DuckBooks, store: PieceStore, asked: Sequence[Query], now: datetime) -> None:
    """Each question gets the answer of the rows."""
    with books.reading() as snapshot:
        for query in asked:
            try:
                expected = ask(RowByRow(snapshot), query)
            except QueryError:
                continue
            moment = Moment(snapshot, kept=KeptAnswers(store), now=now)
            moment.expect(*(other.period for other in asked if ordered(other.period)))
            assert moment.ask(query) == expected, query


def ordered(period: Period) -> bool:
    return period.start_ns is None or period.end_ns is None or period.start_ns < period.end_ns


def of_sessions(query: Query) -> Query:
    """The same about two sessions by name."""
    return replace(query, where=(*query.where, Filter("session", ("session a", "session b"))))


@settings(max_examples=EXAMPLES, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    facts=fact_rows(),
    outcomes=outcome_rows(),
    asked=st.lists(
        queries(MEASURED) | queries().map(of_sessions) | queries(MEASURED, ("customer", "user", "team")),
        min_size=4,
        max_size=4,
    ),
    hours=st.lists(st.integers(0, 75 * 24), min_size=2, max_size=2).map(sorted),
    data=st.data(),
)
def test_an_answer_is_the_same_at_any_moment(
    prices: PriceBook,
    later_prices: PriceBook,
    facts: list[Any],
    outcomes: list[Any],
    asked: list[Query],
    hours: list[int],
    data: st.DataObject,
) -> None:
    facts = data.draw(st.permutations(spread(facts)))
    for told in outcomes:
        told["at_ns"] = FIRST_NS + told["at_ns"] // HOUR_NS % 41 * SPREAD * HOUR_NS
    cut, ended = data.draw(st.integers(0, len(facts))), data.draw(st.integers(0, len(outcomes)))
    moments = [moment_of(FIRST_NS) + hour * HOUR for hour in hours]
    books, store = DuckBooks(None), PieceStore()
    try:
        clerk = Clerk(books, prices)
        halves = ((facts[:cut], outcomes[:ended]), (facts[cut:], outcomes[ended:]))
        for number, ((part, told), now) in enumerate(zip(halves, moments, strict=True), 1):
            before = PostReport(received=len(part) + len(told))
            clerk.post(facts_of(part), outcomes_of(told), through=number, before=before, accepted_ns=time.time_ns())
            for step in data.draw(st.permutations([settle, DuckBooks.roll_up, give_up])):
                step(books)
                assert_the_same(books, store, asked, now)
        reprice(books, Clerk(books, later_prices), None, None)
        assert_the_same(books, store, asked, moments[1])
        roll_up(books)
        assert_the_same(books, store, asked, moments[1])
    finally:
        books.close()


def test_what_names_no_currency_is_one_group_with_the_main_one() -> None:
    flags = {"counted": np.array([True, True, True])}
    numbers = {"amount_nano": np.array([5, 7, 9])}
    cube = Cube(np.zeros(3, dtype=np.int64), numbers, {}, flags, lambda _: (np.array([0, 1, 2]), ["", "USD", "EUR"]))
    kernel = Kernel((dimension_named("currency"),), (COST,), (), None, only_counted=True)
    assert fold(cube, kernel) == {(None, "USD"): [12], (None, "EUR"): [9]}


def give_up(books: DuckBooks) -> None:
    """Tasks that nobody completed for a week are abandoned."""
    with books.writing() as transaction:
        books.settle_timeouts(transaction, Timeouts(default_s=7 * 86_400), moment_of(FIRST_NS) + timedelta(days=40))


SUMMED = tuple(item.name for item in MEASURES if item.name not in (*ASKED, "sessions", "cost_per_session"))


@settings(max_examples=EXAMPLES, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    facts=fact_rows(),
    outcomes=outcome_rows(),
    asked=st.lists(queries(SUMMED), min_size=3, max_size=3),
    most=st.sampled_from((0, 3, few_rows.ROWS_MAX)),
)
def test_few_rows_are_folded_as_they_are(
    prices: PriceBook, facts: list[Any], outcomes: list[Any], asked: list[Query], most: int
) -> None:
    for place, row in enumerate((*facts, *outcomes)):
        row["at_ns" if "at_ns" in row else "start_ns"] = FIRST_NS + place % 7 * HOUR_NS // 7
        row.pop("end_ns", None)
    books, store = DuckBooks(None), PieceStore()
    hour = Period(FIRST_NS, FIRST_NS + HOUR_NS)
    about_it = [replace(query, period=hour) for query in asked]
    by_session = [
        replace(query, by=tuple(dict.fromkeys(("session", *query.by)))[:2], order=None, top=2) for query in about_it
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(few_rows, "ROWS_MAX", most)
        try:
            before = PostReport(received=len(facts) + len(outcomes))
            clerk = Clerk(books, prices)
            clerk.post(facts_of(facts), outcomes_of(outcomes), through=1, before=before, accepted_ns=time.time_ns())
            settle(books)
            assert_the_same(books, store, [*about_it, *by_session], moment_of(FIRST_NS) + HOUR)
        finally:
            books.close()


@given(
    start=st.none() | st.datetimes(datetime(2026, 1, 1), datetime(2026, 6, 1)),  # noqa: DTZ001
    length=st.none() | st.timedeltas(timedelta(seconds=1), timedelta(days=200)),
    now=st.datetimes(datetime(2025, 12, 1), datetime(2026, 9, 1)),  # noqa: DTZ001
    changing=st.lists(st.dates(date(2025, 12, 1), date(2026, 9, 1)), max_size=20, unique=True),
    by_month=st.booleans(),
    moments=st.lists(st.datetimes(datetime(2025, 11, 1), datetime(2026, 10, 1)), min_size=20, max_size=20),  # noqa: DTZ001
)
def test_every_moment_is_in_one_stretch(
    start: datetime | None,
    length: timedelta | None,
    now: datetime,
    changing: list[date],
    by_month: bool,
    moments: list[datetime],
) -> None:
    end = None if length is None else (start or datetime(2026, 1, 1)) + length  # noqa: DTZ001
    bounds = (None if at is None else ns_of(at.replace(tzinfo=UTC)) for at in (start, end))
    found = divided(Period(*bounds), now, changing, by_month=by_month)
    edges = [moment for moment in (start, end) if moment]
    for moment in (*moments, *edges, now, *(datetime(day.year, day.month, day.day) for day in changing)):  # noqa: DTZ001
        inside = (start is None or moment >= start) and (end is None or moment < end)
        whole = [item for item in found.days if holds(item, moment)]
        read = [item for item in (*found.reading.months, *found.reading.days) if holds(item, moment)]
        parts = [item for item in found.parts if holds(item, moment)]
        assert len(whole) == len(read), moment
        assert len(whole) + len(parts) == inside, moment
        if moment.date() in (*changing, now.date()):
            assert not whole
    assert not found.reading.rows


def holds(item: Stretch, moment: datetime) -> bool:
    return (item.start is None or item.start <= moment) and (item.end is None or moment < item.end)


def test_a_transaction_touches_hours_and_no_others() -> None:
    first = Touched()
    second = first.after({5, 6}, {5})
    third = second.after((), {30})
    day = datetime(1970, 1, 1)  # noqa: DTZ001
    assert first.last(None, None) == (0, 0)
    assert second.last(day + 5 * HOUR, day + 6 * HOUR) == (1, 1)
    assert second.last(day + 6 * HOUR, day + 6 * HOUR + timedelta(minutes=1)) == (1, 0)
    assert second.last(day + 7 * HOUR, None) == (0, 0)
    assert third.last(None, day + 5 * HOUR + timedelta(minutes=1)) == (1, 1)
    assert third.last(day, day + 31 * HOUR) == (1, 2)
    assert second.last(None, None) == (1, 1), "a state does not change"
    assert third.since(1) == {30}
    assert third.began is first.began


def test_what_is_kept_of_a_stretch_goes_when_it_is_touched_and_when_there_is_too_much() -> None:
    store, state = PieceStore(), Touched()
    store.begin(state)
    store.put("old", 1, "figures", 10)
    assert store.get("old", 1) == "figures"
    assert store.get("old", 2) is None
    store.put("large", 1, "rows", PIECES_ROWS_MAX)
    assert store.get("old", 1) is None, "what was not asked for longest goes first"
    store.put("new", 1, "figures", 1)
    store.begin(state.after({1}, ()))
    assert store.get("new", 1) == "figures"
    store.begin(Touched())
    assert store.get("new", 1) is None, "the books were opened anew"


def test_days_with_late_facts_stand_apart_until_they_are_many() -> None:
    store, state = PieceStore(), Touched().after({1})
    store.begin(state)
    today = date(2026, 11, 26)
    assert store.late(state, today) == frozenset()
    state = state.after({24})
    assert store.late(state, today) == {24}
    assert store.late(state, today + timedelta(days=1)) == frozenset(), "a new day begins anew"
    state = state.after({24 * day for day in range(LATE_DAYS_MAX + 1)})
    assert store.late(state, today + timedelta(days=1)) == frozenset()


def test_an_answer_about_a_period_that_is_over_is_kept_whatever_is_written_after_it(prices: PriceBook) -> None:
    books, store, hour = DuckBooks(None), PieceStore(), moment_of(FIRST_NS) + HOUR
    clerk = Clerk(books, prices)
    query = Query(("cost", "usages", "tasks_completed"), period=Period(FIRST_NS, ns_of(hour)))
    at_work = Query(("usages",), ("outcome",), period=query.period)

    def post(number: int, at_ns: int, told: Sequence[dict[str, Any]] = ()) -> None:
        row = {"fact_id": f"fact {number}", "source": "test", "start_ns": at_ns, "operation": "chat", "cost_nano": 7}
        row |= {"session_id": "run", "cost_source": "emitter"}
        before = PostReport(received=1 + len(told))
        clerk.post(facts_of([row]), outcomes_of(list(told)), through=number, before=before, accepted_ns=time.time_ns())
        settle(books)

    def asked(question: Query) -> Answer:
        with books.reading() as snapshot:
            found = Moment(snapshot, kept=KeptAnswers(store), now=hour).ask(question)
            assert found == ask(RowByRow(snapshot), question)
            return found

    try:
        post(1, FIRST_NS)
        first, work = asked(query), asked(at_work)
        post(
            2,
            FIRST_NS + 2 * HOUR_NS,
            [{"outcome_id": "o", "session_ids": ["run"], "status": "done", "at_ns": FIRST_NS + 3 * HOUR_NS}],
        )
        assert asked(query) is first, "nothing in its period was touched"
        assert asked(at_work) != work, "the end of a task is told later"
        post(3, ns_of(hour) - 1)
        assert asked(query).total["usages"] == 2
    finally:
        books.close()
