"""Meters of metrics: delta and cumulative, resets, resends and any order end in what was really used, day by day."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costly import costly
from e2e.same import assert_same, state
from otlp_wire import counter, metrics_request
from outlay.ledger import checks
from outlay.ledger.duckdb_books import DuckBooks
from outlay.ledger.journal import Entry
from outlay.ledger.posting import Clerk
from outlay.ledger.settling import settle
from outlay.ledger.signals import WAYS, post_entry
from outlay.normalize.outcome_rules import DEFAULT_RULES, OutcomeRules, parse_rules
from outlay.pricing.book import PriceBook

DAY_NS = 86_400 * 10**9
MIDNIGHT_NS = 1_795_000_000 * 10**9 // DAY_NS * DAY_NS
SAID = {"session.id": "s", "model": "gemini-2.5-pro", "user.email": "ana@example.com"}


@pytest.fixture(scope="module")
def prices() -> PriceBook:
    return PriceBook.load(None)


@contextmanager
def books_of(prices: PriceBook, bodies: Sequence[bytes], rules: OutcomeRules = DEFAULT_RULES) -> Iterator[DuckBooks]:
    books = DuckBooks(None)
    try:
        clerk = Clerk(books, prices, rules)
        for number, body in enumerate(bodies, 1):
            decoded = WAYS["metrics"].decode([body], "protobuf")
            assert not decoded.bodies[0].problems
            post_entry(clerk, Entry(number, WAYS["metrics"].kind, time.time_ns(), decoded.rows))
        settle(books)
        for check in (checks._sums, checks._lines, checks._repeats, checks._counters):
            assert check(books).ok, check(books)
        yield books
    finally:
        books.close()


def used(books: DuckBooks) -> dict[int, tuple[int, int]]:
    """Input and output by day, counted from the first."""
    sql = """
    SELECT epoch_ns(date_trunc('day', time)) AS day, sum(in_uncached)::BIGINT AS i, sum(out_text)::BIGINT AS o
    FROM usages WHERE counted GROUP BY ALL
    """
    return {(row["day"] - MIDNIGHT_NS) // DAY_NS: (row["i"], row["o"]) for row in books.rows(sql).to_pylist()}


def body(values: tuple[int, int], start_ns: int, at_ns: int, *, cumulative: bool, process: int = 0) -> bytes:
    points = [(value, SAID | {"type": kind}) for value, kind in zip(values, ("input", "output"), strict=True)]
    made = counter("gemini_cli.token.usage", *points, start_ns=start_ns, at_ns=at_ns, cumulative=cumulative)
    return metrics_request([made], {"service.name": "gemini", "process.pid": process}).SerializeToString()


@st.composite
def exports(draw: st.DrawFn) -> tuple[list[bytes], dict[int, tuple[int, int]]]:
    """What one process exports over a few days, restarts included, and what it used on each day."""
    cumulative = draw(st.booleans())
    bodies: list[bytes] = []
    truth: dict[int, list[int]] = {}
    at_ns = MIDNIGHT_NS + draw(st.integers(0, 86_000)) * 10**9
    for process in range(draw(st.integers(1, 2))):
        start_ns = before_ns = at_ns
        counted = [0, 0]
        for _ in range(draw(st.integers(1, 4))):
            at_ns += draw(st.sampled_from([60, 3_600, 40_000, 90_000])) * 10**9
            new = (draw(st.integers(0, 1_000)), draw(st.integers(0, 50)))
            counted = [old + more for old, more in zip(counted, new, strict=True)]
            day = ((at_ns if cumulative else before_ns) - MIDNIGHT_NS) // DAY_NS
            sums = truth.setdefault(day, [0, 0])
            sums[0], sums[1] = sums[0] + new[0], sums[1] + new[1]
            if cumulative:
                bodies.append(body((counted[0], counted[1]), start_ns, at_ns, cumulative=True, process=process))
            else:
                bodies.append(body(new, before_ns, at_ns, cumulative=False, process=process))
            before_ns = at_ns
        at_ns += 10**9
    return bodies, {day: (sums[0], sums[1]) for day, sums in truth.items()}


@costly(5)
@given(made=exports(), data=st.data())
def test_any_order_and_repetition_ends_in_what_was_used(
    prices: PriceBook, made: tuple[list[bytes], dict[int, tuple[int, int]]], data: st.DataObject
) -> None:
    bodies, truth = made
    with books_of(prices, bodies) as books:
        assert {day: sums for day, sums in used(books).items() if any(sums)} == {
            day: sums for day, sums in truth.items() if any(sums)
        }
        expected = state(books)
    with books_of(prices, data.draw(st.permutations([*bodies, *bodies[::2]]))) as books:
        said = state(books)
        keep = {row["fact"] for row in expected["usages"]}
        assert {row["fact"] for row in said["usages"]} >= keep
        said["usages"] = [row for row in said["usages"] if row["fact"] in keep]
        assert_same(said, expected)


def test_two_processes_of_one_session_add_up(prices: PriceBook) -> None:
    start, end = MIDNIGHT_NS + 10**9, MIDNIGHT_NS + 60 * 10**9
    bodies = [body((100, 1), start, end, cumulative=True, process=process) for process in (1, 2)]
    with books_of(prices, bodies) as books:
        assert used(books) == {0: (200, 2)}
        assert books.scalar("SELECT count(*) FROM usages") == 1


def test_a_resend_changes_nothing_and_writes_no_line(prices: PriceBook) -> None:
    start = MIDNIGHT_NS + 10**9
    first, second = (body((n, n), start, start + n * 10**9, cumulative=True) for n in (5, 9))
    with books_of(prices, [first, second]) as books:
        lines = books.scalar("SELECT count(*) FROM charges")
    with books_of(prices, [first, second, second, first, second]) as books:
        assert books.scalar("SELECT count(*) FROM charges") == lines
        assert used(books) == {0: (9, 9)}


def test_an_idle_counter_writes_no_line(prices: PriceBook) -> None:
    start = MIDNIGHT_NS + 10**9
    bodies = [body((5, 5), start, start + n * 60 * 10**9, cumulative=True) for n in range(1, 9)]
    with books_of(prices, bodies) as books:
        assert books.scalar("SELECT count(*) FROM charges WHERE corrects IS NOT NULL") == 0


def test_old_and_new_names_of_one_count_are_counted_once(prices: PriceBook) -> None:
    said: dict[str, object] = {"gen_ai.request.model": "gpt-5", "gen_ai.provider.name": "openai"}
    old = counter(
        "gen_ai.client.token.usage",
        (100, said | {"gen_ai.token.type": "input"}),
        (7, said | {"gen_ai.token.type": "output"}),
    )
    new = [
        counter("gen_ai.client.inference.usage.input_tokens", (60, said | {"gen_ai.token.modality": "text"})),
        counter("gen_ai.client.inference.usage.input_tokens", (40, said | {"gen_ai.token.modality": "image"})),
        counter("gen_ai.client.inference.usage.output_tokens", (7, said)),
        counter("gen_ai.client.inference.usage.cache_read.input_tokens", (30, said)),
    ]
    body = metrics_request([old, *new], {"service.name": "shop"}, ("otel", "")).SerializeToString()
    with books_of(prices, [body]) as books:
        found = books.rows("SELECT in_uncached, in_cache_read, out_text, signal FROM usages").to_pylist()
        assert found == [{"in_uncached": 70, "in_cache_read": 30, "out_text": 7, "signal": "metric"}]


def test_commits_and_pull_requests_are_outcomes_of_their_session(prices: PriceBook) -> None:
    said: dict[str, object] = {"session.id": "s", "model": "claude-opus-5"}
    made = [
        counter("claude_code.commit.count", (2, said)),
        counter("claude_code.pull_request.count", (1, said)),
        counter("claude_code.commit.count", (0, {"session.id": "idle"})),
        counter("claude_code.commit.count", (1, {})),
        counter("claude_code.lines_of_code.count", (90, said | {"type": "added"})),
    ]
    body = metrics_request(made, {"team.id": "risk"}).SerializeToString()
    with books_of(prices, [body, body]) as books:
        found = books.rows("SELECT session_ids, status, team, task_type FROM outcomes ORDER BY task_type").to_pylist()
        assert found == [
            {"session_ids": ["s"], "status": "done", "team": "risk", "task_type": kind}
            for kind in ("commit", "pull_request")
        ]


def test_the_rules_say_what_a_commit_means(prices: PriceBook) -> None:
    said: dict[str, object] = {"session.id": "s"}
    made = [counter("claude_code.commit.count", (2, said)), counter("claude_code.pull_request.count", (1, said))]
    rules = parse_rules({"signals": {"commit": "ignore", "pull_request": "abandoned"}})
    with books_of(prices, [metrics_request(made).SerializeToString()], rules) as books:
        found = books.rows("SELECT status, task_type FROM outcomes").to_pylist()
        assert found == [{"status": "abandoned", "task_type": "pull_request"}]


def test_active_time_is_runtime_and_not_added_to_the_sessions_own(prices: PriceBook) -> None:
    made = [
        counter("claude_code.active_time.total", (12.5, {"session.id": "s", "type": "cli"})),
        counter("claude_code.active_time.total", (2.5, {"session.id": "s", "type": "user"})),
    ]
    with books_of(prices, [metrics_request(made).SerializeToString()]) as books:
        row = books.rows("SELECT operation, units, bears, counted FROM usages").to_pylist()[0]
        assert row["units"] == [{"meter": "runtime_ms", "quantity": 15_000}]
        assert (row["operation"], row["bears"], row["counted"]) == ("runtime", False, True)
