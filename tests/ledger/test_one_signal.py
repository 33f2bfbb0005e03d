"""One call, told by a transcript and by telemetry, is in the books once, whichever came first and whatever its ids."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costly import costly
from e2e.same import assert_same, state
from otlp_wire import START_NS, counter, log, logs_request, metrics_request, request, span
from outlay.ledger.duckdb_books import DuckBooks
from outlay.ledger.journal import Entry
from outlay.ledger.posting import Clerk, PostReport
from outlay.ledger.settling import settle
from outlay.ledger.signals import WAYS, post_entry
from outlay.pricing.book import PriceBook
from outlay.sources.facts import FACTS, OUTCOMES, facts_of
from outlay.sources.registry import ReadOptions, read

RESOURCE = {"service.name": "claude-code", "team.id": "risk"}
Row = dict[str, Any]
Part = Callable[[Clerk, int], object]
MODELS = ("claude-haiku-4-5", "claude-sonnet-5")


@pytest.fixture(scope="module")
def prices() -> PriceBook:
    return PriceBook.load(None)


@pytest.fixture(scope="module")
def transcript(shared_data: Path) -> pa.Table:
    """The facts of one session of a real coding agent, its two sub-agents included."""
    folder = shared_data / "claude_code_sessions"
    session = "258c7280-ae70-4798-800f-63464d01a85d"
    paths = [folder / f"{session}.jsonl.gz", *sorted((folder / session).rglob("*.gz"))]
    tables = [batch.facts for path in paths for batch in read(path, ReadOptions())]
    return pa.concat_tables([table.select(FACTS.names).cast(FACTS) for table in tables])


def filed(facts: pa.Table) -> Part:
    """The transcript as an import posts it."""

    def post(clerk: Clerk, number: int) -> object:
        before = PostReport(received=facts.num_rows)
        return clerk.post(facts, OUTCOMES.empty_table(), through=number, before=before, accepted_ns=time.time_ns())

    return post


def told(rows: Sequence[Row], *, named: bool = True) -> Part:
    """The same calls and tools as the agent tells them by OpenTelemetry logs, with or without the provider's id."""
    records = [_record(row, named=named) for row in rows]

    def post(clerk: Clerk, number: int) -> object:
        body = logs_request(records, RESOURCE).SerializeToString()
        decoded = WAYS["logs"].decode([body], "protobuf")
        assert not decoded.bodies[0].problems
        return post_entry(clerk, Entry(number, WAYS["logs"].kind, time.time_ns(), decoded.rows))

    return post


def _record(row: Row, *, named: bool) -> Any:
    said: Row = {"session.id": row["session_id"]}
    if row["operation"] == "tool":
        said |= {"tool_name": row["name"], "tool_use_id": row["response_id"], "success": str(not row["failed"]).lower()}
        return log("claude_code.tool_result", said, time_unix_nano=row["end_ns"] or row["start_ns"])
    said |= {"model": row["model_served"], "input_tokens": row["input_tokens"], "output_tokens": row["output_tokens"]}
    said |= {"cache_read_tokens": row["cache_read_tokens"], "cache_creation_tokens": row["cache_write_tokens"]}
    said |= {"request_id": row["response_id"]} if named else {}
    said = {key: value for key, value in said.items() if value is not None}
    return log("claude_code.api_request", said, time_unix_nano=row["end_ns"] or row["start_ns"])


@contextmanager
def books_of(prices: PriceBook, parts: Sequence[Part], *, settle_between: bool = False) -> Iterator[DuckBooks]:
    """Books in memory, filled part by part."""
    books = DuckBooks(None)
    try:
        clerk = Clerk(books, prices)
        for number, part in enumerate(parts, 1):
            part(clerk, number)
            if settle_between:
                settle(books)
        settle(books)
        yield books
    finally:
        books.close()


def totals(books: DuckBooks) -> Row:
    """What is counted: calls, tools, what went in and out."""
    sql = """
    SELECT count(*) FILTER (bears) AS calls, count(*) FILTER (operation = 'tool') AS tools,
           sum(out_text)::BIGINT AS output, sum(in_uncached + in_cache_read)::BIGINT AS input
    FROM usages WHERE counted
    """
    return books.rows(sql).to_pylist()[0]


@pytest.mark.parametrize(
    ("named", "file_first", "between", "missed"),
    [(True, True, False, 0), (True, False, True, 60), (False, True, True, 7), (False, False, False, 0)],
)
def test_a_session_told_by_its_transcript_and_by_logs_is_counted_once(
    prices: PriceBook, transcript: pa.Table, named: bool, file_first: bool, between: bool, missed: int
) -> None:
    fullest = sorted(transcript.to_pylist(), key=lambda row: row["output_tokens"] or 0)
    rows = list({row["response_id"]: row for row in fullest if row["response_id"]}.values())[missed:]
    parts = [filed(transcript), told(rows, named=named)]
    with books_of(prices, [filed(transcript)]) as alone:
        expected = totals(alone)
    with books_of(prices, parts if file_first else parts[::-1], settle_between=between) as books:
        assert totals(books) == expected, "what telemetry missed is in the transcript, and the other way round"
        by_logs = books.scalar("SELECT count(*) FROM usages WHERE counted AND bears AND signal = 'log'")
        assert by_logs == len({row["response_id"] for row in rows if row["operation"] == "chat"})
        one = state(books)
    with books_of(prices, [*parts, *parts][::-1], settle_between=not between) as again:
        assert_same(state(again), one)


def test_calls_with_the_same_input_yield_one_for_one(prices: PriceBook) -> None:
    """A prompt sent three times; telemetry was switched on after the first."""
    start_ns = 1_788_264_000_000_000_000
    rows: list[Row] = [
        {
            "fact_id": f"line {place}",
            "source": "claude_code",
            "signal": "file",
            "operation": "chat",
            "session_id": "s",
            "model_served": "claude-opus-5",
            "basis": "exclusive",
            "input_tokens": 9,
            "output_tokens": 5,
            "start_ns": start_ns + place * 10**9,
            "end_ns": None,
        }
        for place in range(3)
    ]
    blank = {"cache_read_tokens": None, "cache_write_tokens": None, "response_id": None}
    with books_of(prices, [told([blank | row for row in rows[1:]], named=False), filed(facts_of(rows))]) as books:
        assert totals(books) | {"tools": 0} == {"calls": 3, "tools": 0, "input": 27, "output": 15}


Told = tuple[str, list[int]]
"""A signal and the numbers of the calls it tells in one body, or one file."""

NS = 10**9


def meters_of(number: int) -> Row:
    return {"input_tokens": 10 + number, "output_tokens": 100 * number, "cache_read_tokens": 5_000}


def part_of(told: Told, *, named: bool) -> Part:
    """One body or file that tells these calls."""
    signal, numbers = told
    if signal == "file":
        return filed(facts_of([_line(number, named=named) for number in numbers]))
    made = {"log": _logs, "span": _spans, "metric": _metrics}[signal](numbers, named)
    way = WAYS[{"log": "logs", "span": "traces", "metric": "metrics"}[signal]]

    def post(clerk: Clerk, number: int) -> object:
        decoded = way.decode([made.SerializeToString()], "protobuf")
        assert not decoded.bodies[0].problems
        return post_entry(clerk, Entry(number, way.kind, time.time_ns(), decoded.rows))

    return post


def _said(number: int, named: bool) -> Row:
    said: Row = {"session.id": "s-1", "model": MODELS[number % 2], **meters_of(number)}
    return said | ({"request_id": f"req_{number:016x}"} if named else {})


def _logs(numbers: list[int], named: bool) -> Any:
    return logs_request(
        [log("claude_code.api_request", _said(n, named), time_unix_nano=START_NS + n * NS) for n in numbers], RESOURCE
    )


def _spans(numbers: list[int], named: bool) -> Any:
    made = [
        span(
            n,
            _said(n, named) | {"span.type": "llm_request", "gen_ai.system": "anthropic"},
            name="claude_code.llm_request",
            start_time_unix_nano=START_NS + n * NS,
            end_time_unix_nano=START_NS + n * NS + 1,
        )
        for n in numbers
    ]
    return request(made, RESOURCE, ("com.anthropic.claude_code.tracing", "2.1.330"))


def _metrics(numbers: list[int], _named: bool) -> Any:
    """A delta of each call; two exports never cover the same time."""
    return metrics_request(
        [
            counter(
                "claude_code.token.usage",
                (10 + n, {"session.id": "s-1", "model": MODELS[n % 2], "type": "input"}),
                (100 * n, {"session.id": "s-1", "model": MODELS[n % 2], "type": "output"}),
                start_ns=START_NS + n * NS - NS,
                at_ns=START_NS + n * NS,
            )
            for n in numbers
        ],
        RESOURCE,
    )


def _line(number: int, *, named: bool) -> Row:
    return {
        "fact_id": f"line {number}",
        "source": "claude_code",
        "signal": "file",
        "operation": "chat",
        "session_id": "s-1",
        "model_served": MODELS[number % 2],
        "basis": "exclusive",
        **meters_of(number),
        "start_ns": START_NS + number * NS,
        "response_id": f"req_{number:016x}" if named else None,
    }


@st.composite
def tellings(draw: st.DrawFn) -> tuple[list[Told], set[int], bool]:
    """Calls told by several signals, cut into bodies at will and in any order, some of them twice; and which calls.

    With the provider's ids each call may be told by any of the signals; without them a signal that tells the session
    tells it whole, as emitters do.
    """
    calls = list(range(1, draw(st.integers(1, 4)) + 1))
    named = draw(st.booleans())
    signals = draw(st.sets(st.sampled_from(["log", "span", "file"]), min_size=1))
    of = {signal: list(calls) for signal in signals}
    if named:
        of = {signal: [n for n in calls if draw(st.booleans())] for signal in sorted(signals)}
    told = {number for numbers in of.values() for number in numbers}
    if draw(st.booleans()) and told == set(calls):
        of["metric"] = list(calls)
    parts: list[Told] = []
    for signal, numbers in sorted(of.items()):
        rest = draw(st.permutations(numbers))
        while rest:
            size = draw(st.integers(1, len(rest)))
            parts.append((signal, rest[:size]))
            rest = rest[size:]
    repeated = [part for part in parts if draw(st.integers(0, 3)) == 0]
    return draw(st.permutations([*parts, *repeated])), told, named


@costly(5)
@given(told=tellings(), between=st.booleans())
def test_work_told_by_any_signals_in_any_split_and_order_is_counted_once(
    prices: PriceBook, told: tuple[list[Told], set[int], bool], between: bool
) -> None:
    parts, numbers, named = told
    with books_of(prices, [part_of(part, named=named) for part in parts], settle_between=between) as books:
        assert totals(books) | {"tools": 0} == {
            "calls": len(numbers),
            "tools": 0,
            "output": sum(100 * n for n in numbers) if numbers else None,
            "input": sum(5_010 + n for n in numbers) if numbers else None,
        }
        assert books.meta("received") == books.meta("posted") + books.meta("duplicates") + books.meta("refused")
