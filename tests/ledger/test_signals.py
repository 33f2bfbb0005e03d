"""One session told by several signals: it is counted once, whatever came first, and however often."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costly import costly
from e2e.same import assert_same, state
from otlp_wire import START_NS, TRACE, counter, log, logs_request, metrics_request, request, span
from outlay.ledger.duckdb_books import DuckBooks
from outlay.ledger.journal import Entry
from outlay.ledger.posting import Clerk
from outlay.ledger.settling import settle
from outlay.ledger.signals import WAYS, Signal, post_entry
from outlay.pricing.book import PriceBook

RESOURCE = {"service.name": "claude-code", "team.id": "risk"}
Body = tuple[Signal, bytes]


@pytest.fixture(scope="module")
def prices() -> PriceBook:
    return PriceBook.load(None)


@contextmanager
def books_of(prices: PriceBook, bodies: Sequence[Body], *, settle_between: bool = False) -> Iterator[DuckBooks]:
    """Books in memory, filled body by body as the journal would be read."""
    books = DuckBooks(None)
    try:
        clerk = Clerk(books, prices)
        for number, (signal, body) in enumerate(bodies, 1):
            way = WAYS[signal]
            decoded = way.decode([body], "protobuf")
            assert not decoded.bodies[0].problems
            post_entry(clerk, Entry(number, way.kind, time.time_ns(), decoded.rows))
            if settle_between:
                settle(books)
        settle(books)
        yield books
    finally:
        books.close()


def call(number: int, *, named: bool) -> dict[str, object]:
    """What log and span of one call of Claude Code say."""
    said: dict[str, object] = {
        "session.id": "s-1",
        "user.id": "u-1",
        "model": "claude-sonnet-5" if number % 2 else "claude-haiku-4-5",
        "input_tokens": 10 + number,
        "output_tokens": 100 * number,
        "cache_read_tokens": 5_000,
        "cache_creation_tokens": 70,
        "query_source": "main",
    }
    return said | ({"request_id": f"req_{number:016x}"} if named else {})


def logs_of(number: int, *, named: bool) -> Body:
    record = log(
        "claude_code.api_request",
        call(number, named=named) | {"cost_usd": 0.01 * number, "duration_ms": 900},
        time_unix_nano=START_NS + number * 10**9,
    )
    return "logs", logs_request([record], RESOURCE).SerializeToString()


def spans_of(number: int, *, named: bool) -> Body:
    made = span(
        number,
        call(number, named=named) | {"span.type": "llm_request", "gen_ai.system": "anthropic"},
        name="claude_code.llm_request",
        start_time_unix_nano=START_NS + number * 10**9 - 900_000_000,
        end_time_unix_nano=START_NS + number * 10**9,
        parent=99,
    )
    scope = ("com.anthropic.claude_code.tracing", "2.1.330")
    return "traces", request([made], RESOURCE, scope).SerializeToString()


def metrics_of(number: int, *, session: str | None = "s-1", cumulative: bool = False) -> Body:
    """The same calls as Claude Code's meters show them, an export a call."""
    said = call(number, named=False)
    attributes = {"user.id": "u-1", "model": said["model"]} | ({"session.id": session} if session else {})
    counts = {"input": "input_tokens", "output": "output_tokens", "cacheRead": "cache_read_tokens"}
    end_ns = START_NS + number * 10**9
    start_ns = START_NS if cumulative else end_ns - 10**9
    made = [
        counter(
            "claude_code.token.usage",
            *((said[key], attributes | {"type": kind}) for kind, key in counts.items()),
            (said["cache_creation_tokens"], attributes | {"type": "cacheCreation"}),
            start_ns=start_ns,
            at_ns=end_ns,
            cumulative=cumulative,
        ),
        counter("claude_code.cost.usage", (0.01 * number, attributes), start_ns=start_ns, at_ns=end_ns),
    ]
    return "metrics", metrics_request(made, RESOURCE).SerializeToString()


def root() -> Body:
    made = span(99, {"session.id": "s-1", "span.type": "interaction"}, name="claude_code.interaction", trace_id=TRACE)
    return "traces", request([made], RESOURCE).SerializeToString()


def total(books: DuckBooks) -> dict[str, Any]:
    sql = """
    SELECT sum(recorded_nano)::BIGINT AS recorded, sum(amount_nano)::BIGINT AS amount, sum(out_text)::BIGINT AS output,
           count(*) FILTER (bears) AS calls, list_sort(array_agg(DISTINCT signal) FILTER (bears)) AS signals
    FROM usages WHERE counted
    """
    return books.rows(sql).to_pylist()[0]


@costly(5)
@given(data=st.data(), named=st.booleans(), between=st.booleans(), session=st.sampled_from(["s-1", None]))
def test_a_session_told_by_logs_spans_and_metrics_is_counted_by_the_logs(
    prices: PriceBook, data: st.DataObject, named: bool, between: bool, session: str | None
) -> None:
    numbers = range(1, 4)
    told = [root(), *(logs_of(n, named=named) for n in numbers), *(spans_of(n, named=named) for n in numbers)]
    told += [metrics_of(n, session=session) for n in numbers]
    with books_of(prices, told) as once:
        expected, sums = state(once), total(once)
    assert sums == {"recorded": 60_000_000, "amount": 60_000_000, "output": 600, "calls": 3, "signals": ["log"]}
    order = data.draw(st.permutations([*told, *told[2::3]]))
    with books_of(prices, order, settle_between=between) as books:
        assert_same(state(books), expected)
        for name in ("received", "posted", "duplicates", "refused"):
            assert books.meta(name) >= 0
        assert books.meta("received") == books.meta("posted") + books.meta("duplicates") + books.meta("refused")


@costly(8)
@given(data=st.data(), between=st.booleans())
def test_without_logs_the_spans_count_and_without_both_the_metrics(
    prices: PriceBook, data: st.DataObject, between: bool
) -> None:
    spans = [root(), *(spans_of(n, named=True) for n in range(1, 4))]
    metrics = [metrics_of(n) for n in range(1, 4)]
    with books_of(prices, data.draw(st.permutations(spans + metrics)), settle_between=between) as books:
        assert total(books) | {"amount": 0} == {
            "recorded": 0,
            "amount": 0,
            "output": 600,
            "calls": 3,
            "signals": ["span"],
        }
    with books_of(prices, data.draw(st.permutations(metrics)), settle_between=between) as books:
        assert total(books) == {
            "recorded": 60_000_000,
            "amount": 60_000_000,
            "output": 600,
            "calls": 2,  # one a day and model
            "signals": ["metric"],
        }


def test_what_only_one_signal_told_is_not_lost(prices: PriceBook) -> None:
    with books_of(prices, [logs_of(1, named=True), spans_of(2, named=True)]) as books:
        assert total(books)["output"] == 300
