"""Clocks that are hours off, and telemetry that comes an hour late because the server was down."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from tests.ledger.outcome_books import outcome_books, report, work

from e2e.same import assert_same, state
from otlp_wire import START_NS, log, logs_request, request, span
from outlay.ledger.duckdb_books import DuckBooks
from outlay.ledger.journal import Entry
from outlay.ledger.posting import Clerk
from outlay.ledger.settling import settle
from outlay.ledger.signals import WAYS, Signal, post_entry
from outlay.pricing.book import PriceBook

HOUR_NS = 3_600 * 10**9
Body = tuple[Signal, bytes]


@pytest.fixture(scope="module")
def prices() -> PriceBook:
    return PriceBook.load(None)


@contextmanager
def books_of(prices: PriceBook, bodies: Sequence[Body], accepted_ns: int | None = None) -> Iterator[DuckBooks]:
    books = DuckBooks(None)
    try:
        clerk = Clerk(books, prices)
        for number, (signal, body) in enumerate(bodies, 1):
            decoded = WAYS[signal].decode([body], "protobuf")
            post_entry(clerk, Entry(number, WAYS[signal].kind, accepted_ns or time.time_ns(), decoded.rows))
        settle(books)
        yield books
    finally:
        books.close()


def told(number: int, *, log_off_h: int = 0, span_off_h: int = 0) -> list[Body]:
    """A call as log and span, each by the clock of the machine that wrote it."""
    said: dict[str, object] = {
        "session.id": "s",
        "model": "claude-opus-4-8",
        "input_tokens": 9,
        "output_tokens": number,
    }
    said |= {"request_id": f"req_{number:016x}"}
    at_ns = START_NS + number * 10**9
    record = log("claude_code.api_request", said, time_unix_nano=at_ns + log_off_h * HOUR_NS)
    made = span(
        number,
        said | {"span.type": "llm_request"},
        name="claude_code.llm_request",
        start_time_unix_nano=at_ns + span_off_h * HOUR_NS,
        end_time_unix_nano=at_ns + span_off_h * HOUR_NS + 10**9,
    )
    resource = {"service.name": "claude-code", "team.id": "risk"}
    scope = ("com.anthropic.claude_code.tracing", "2.1.330")
    return [
        ("logs", logs_request([record], resource).SerializeToString()),
        ("traces", request([made], resource, scope).SerializeToString()),
    ]


def counted(books: DuckBooks) -> dict[str, object]:
    sql = """
    SELECT count(*) FILTER (bears) AS calls, sum(out_text)::BIGINT AS output, count(DISTINCT session_id) AS sessions,
           max(time) - min(time) > INTERVAL 20 HOUR AS far_apart FROM usages WHERE counted
    """
    return books.rows(sql).to_pylist()[0]


def test_a_call_counts_once_and_lies_where_its_own_clock_says_however_far_two_clocks_are_apart(
    prices: PriceBook,
) -> None:
    bodies = [*told(1), *told(2, log_off_h=-7, span_off_h=5), *told(3, log_off_h=20)]
    for order in (bodies, bodies[::-1]):
        with books_of(prices, order) as books:
            assert counted(books) == {"calls": 3, "output": 6, "sessions": 1, "far_apart": True}


def test_what_lies_more_than_two_days_ahead_is_refused_alone_and_said(prices: PriceBook) -> None:
    now_ns = START_NS + HOUR_NS
    with books_of(prices, [*told(1), *told(2, log_off_h=60, span_off_h=60)], now_ns) as books:
        assert counted(books)["calls"] == 1
        assert books.meta("refused") == 2


def test_a_server_that_was_down_for_an_hour_has_the_same_books(prices: PriceBook) -> None:
    """Senders keep and repeat; what comes late, and twice, is dated by its own time."""
    bodies = [body for number in range(1, 5) for body in told(number)]
    with (
        books_of(prices, bodies, START_NS + 10**9) as prompt,
        books_of(prices, [*bodies[::-1], *bodies[3:6]], START_NS + HOUR_NS) as late,
    ):
        assert_same(state(late), state(prompt))


def test_a_report_that_a_slow_clock_dates_before_the_work_stands() -> None:
    with outcome_books() as books:
        books.post([work("s", hour=9)], [report("done", "s", task="t", hour=1)])
        books.abandon(hour=200)
        assert {task: row["status"] for task, row in books.tasks().items()} == {"t": "done"}


def test_sessions_completed_twice_with_clocks_apart_are_decided_by_when_it_was_reported() -> None:
    for order in (1, -1):
        reports = [report("failed", "s", task="t", hour=30), report("done", "s", task="t", hour=2)]
        reports[0] |= {"reported_ns": reports[1]["at_ns"]}
        reports[1] |= {"reported_ns": reports[1]["at_ns"] + HOUR_NS}
        with outcome_books() as books:
            for one in reports[::order]:
                books.post([], [one])
            assert books.tasks()["t"]["status"] == "done"
