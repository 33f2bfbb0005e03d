"""What the books promise of whatever arrives: nothing vanishes, order does not matter, sums are conserved."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies import fact_rows, outcome_rows

from costly import costly
from outlay.core.meters import TOKEN_METERS
from outlay.ledger import checks
from outlay.ledger.duckdb_books import DuckBooks
from outlay.ledger.posting import Clerk, PostReport
from outlay.ledger.settling import settle
from outlay.ledger.tables import AMOUNT_COLUMNS, RESOLVED
from outlay.metrics.answer import ask
from outlay.metrics.dimensions import DIMENSIONS
from outlay.metrics.query import parse_query
from outlay.pricing.book import PriceBook
from outlay.sources.facts import facts_of, outcomes_of

Row = dict[str, Any]

_STATE = ", ".join(
    f'"{name}"' for name in ("time", "operation", *RESOLVED, *TOKEN_METERS, *(column.name for column in AMOUNT_COLUMNS))
)
_OUTCOMES = "task_id, session_ids, task_sessions, found, status, time, team, feature, current, value_nano"


@pytest.fixture(scope="module")
def prices() -> PriceBook:
    return PriceBook.load(None)


@contextmanager
def books_of(
    prices: PriceBook, parts: Sequence[tuple[list[Row], list[Row]]], *, settle_between: bool = False
) -> Iterator[DuckBooks]:
    """Books in memory, filled with one posting a part."""
    books = DuckBooks(None)
    try:
        clerk = Clerk(books, prices)
        for number, (facts, outcomes) in enumerate(parts, 1):
            before = PostReport(received=len(facts) + len(outcomes))
            clerk.post(
                facts_of(facts), outcomes_of(outcomes), through=number, before=before, accepted_ns=time.time_ns()
            )
            if settle_between:
                settle(books)
        settle(books)
        yield books
    finally:
        books.close()


def state(books: DuckBooks) -> tuple[list[Row], list[Row], list[Row]]:
    """Everything the books say, without the order and the moment of posting."""
    usages = books.rows(f"SELECT fact_key::VARCHAR AS fact, {_STATE} FROM usages ORDER BY fact").to_pylist()
    outcomes = books.rows(f"SELECT outcome_key::VARCHAR AS o, {_OUTCOMES} FROM outcomes ORDER BY o").to_pylist()
    net = "meter, provenance, price, variant_applied, sum(c.quantity)::VARCHAR AS q, sum(c.amount_nano)::VARCHAR AS a"
    charges = books.rows(
        f"SELECT fact_key::VARCHAR AS fact, {net} FROM charges c JOIN usages u USING (seq) GROUP BY ALL"
        " HAVING sum(c.quantity) <> 0 ORDER BY ALL"
    ).to_pylist()
    return usages, outcomes, charges


@costly()
@given(facts=fact_rows(), outcomes=outcome_rows(), data=st.data())
def test_any_order_split_and_repetition_gives_the_same_books(
    prices: PriceBook, facts: list[Row], outcomes: list[Row], data: st.DataObject
) -> None:
    with books_of(prices, [(facts, outcomes)]) as once:
        expected = state(once)
    shuffled = data.draw(st.permutations([*facts, *facts[: len(facts) // 2]]))
    reports = data.draw(st.permutations([*outcomes, *outcomes[:1]]))
    cut = data.draw(st.integers(0, len(shuffled)))
    second = data.draw(st.integers(0, len(reports)))
    parts = [(shuffled[:cut], reports[:second]), (shuffled[cut:], reports[second:]), (shuffled[:1], [])]
    between = data.draw(st.booleans())
    with books_of(prices, parts, settle_between=between) as other:
        assert state(other) == expected


def test_a_parent_that_was_taken_for_the_session_itself_is_found_again(prices: PriceBook) -> None:
    """Its own word went lost where the session it was thought to belong to was its parent, and proved another later."""
    common = {"source": "test", "signal": "file", "operation": "chat", "provider": "openai", "tree_id": "tree"}
    hour_ns, at_ns = 3_600_000_000_000, 1_793_079_200_000_000_000
    first = [
        {**common, "fact_id": "in a", "session_id": "session a", "start_ns": at_ns + hour_ns},
        {**common, "fact_id": "below a", "parent_session_id": "session a", "start_ns": at_ns + 3 * hour_ns},
    ]
    late = [{**common, "fact_id": "in b", "session_id": "session b", "start_ns": at_ns}]
    with (
        books_of(prices, [([*first, *late], [])]) as once,
        books_of(prices, [(first, []), (late, [])], settle_between=True) as other,
    ):
        assert state(other) == state(once)
        found = other.rows("SELECT session_id, parent_session_id FROM usages ORDER BY time DESC").to_pylist()
        assert found[0] == {"session_id": "session b", "parent_session_id": "session a"}


@costly()
@given(facts=fact_rows(), outcomes=outcome_rows())
def test_nothing_vanishes_and_lines_add_up(prices: PriceBook, facts: list[Row], outcomes: list[Row]) -> None:
    with books_of(prices, [(facts, outcomes), (facts, outcomes)]) as books:
        for check in (checks._sums, checks._lines, checks._repeats, checks._counters):
            assert check(books).ok, check(books)
        assert books.meta("received") == 2 * (len(facts) + len(outcomes))
        assert books.scalar("SELECT count(*) FROM usages") == len({row["fact_id"] for row in facts})


@costly()
@given(facts=fact_rows(), outcomes=outcome_rows(), dimension=st.sampled_from([item.name for item in DIMENSIONS]))
def test_every_split_adds_up_to_the_total(
    prices: PriceBook, facts: list[Row], outcomes: list[Row], dimension: str
) -> None:
    name = "tag.none" if dimension.startswith("tag") else dimension
    measures = ["cost_recorded", "cost_priced", "cost_estimated"]
    with books_of(prices, [(facts, outcomes)]) as books:
        with books.reading() as reader:
            answer = ask(reader, parse_query({"by": [name], "measures": measures}))
        total = books.rows(
            "SELECT sum(recorded_nano)::BIGINT AS cost_recorded, sum(priced_nano)::BIGINT AS cost_priced,"
            " sum(estimated_nano)::BIGINT AS cost_estimated FROM usages WHERE counted"
        ).to_pylist()[0]
        for measure in measures:
            assert sum(_nano(row[measure]) for row in answer.rows) == total[measure], (name, answer.rows)
            assert _nano(answer.total[measure]) == total[measure]


def _nano(text: str | None) -> int:
    from outlay.core.money import nano_of

    return 0 if text is None else nano_of(text)
