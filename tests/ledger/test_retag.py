"""Tags in the books: what a policy makes of facts does not depend on order, nor on when the policy came."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies import outcome_rows
from tests.tag_strategies import policy_texts, tagged_fact_rows

from costly import costly
from outlay.core.envelope import ENVELOPE_KEYS
from outlay.ledger import checks
from outlay.ledger.duckdb_books import DuckBooks
from outlay.ledger.journal import EntryKind, Journal
from outlay.ledger.posting import Clerk, PostReport
from outlay.ledger.retag import RetagReport, retag
from outlay.ledger.settling import settle
from outlay.ledger.tables import RESOLVED
from outlay.normalize.policy.reading import read_policy
from outlay.normalize.policy.timeline import Adopted, Timeline
from outlay.pricing.book import PriceBook
from outlay.sources.facts import facts_of, outcomes_of

Row = dict[str, Any]
Part = tuple[list[Row], list[Row]]

_STATE = ", ".join(f'"{name}"' for name in (*RESOLVED, "tags", "said", "stated", "amount_nano"))
_OUTCOMES = ", ".join(f'"{name}"' for name in (*ENVELOPE_KEYS, "tags", "said", "stated", "status"))
HOUR_US = 3_600_000_000
EPOCH_US = 1_793_000_000_000_000


@pytest.fixture(scope="module")
def prices() -> PriceBook:
    return PriceBook.load(None)


def timeline(*adoptions: tuple[bytes, int, int | None, int | None]) -> Timeline:
    """Policies, each with the moment of its adoption (ns) and the stretch it is for (us)."""
    found: list[Adopted] = []
    for number, (text, at_ns, start, end) in enumerate(adoptions, 1):
        policy, problems = read_policy(text)
        assert not problems, (problems, text.decode())
        found.append(Adopted(number, policy, at_ns, start, end))
    return Timeline(tuple(found))


def always(text: bytes) -> Timeline:
    return timeline((text, 0, None, None))


@contextmanager
def clerk_of(prices: PriceBook, policies: Timeline, parts: Sequence[Part]) -> Iterator[Clerk]:
    """A clerk before books in memory, filled with one posting a part and settled."""
    books = DuckBooks(None)
    try:
        clerk = Clerk(books, prices, policies=policies)
        for number, (facts, outcomes) in enumerate(parts, 1):
            before = PostReport(received=len(facts) + len(outcomes))
            clerk.post(
                facts_of(facts), outcomes_of(outcomes), through=number, before=before, accepted_ns=time.time_ns()
            )
        settle(books, policies)
        yield clerk
    finally:
        books.close()


def state(clerk: Clerk) -> tuple[list[Row], list[Row]]:
    usages = clerk.books.rows(f"SELECT fact_key::VARCHAR AS fact, {_STATE} FROM usages ORDER BY fact").to_pylist()
    outcomes = clerk.books.rows(f"SELECT outcome_key::VARCHAR AS o, {_OUTCOMES} FROM outcomes ORDER BY o").to_pylist()
    return usages, outcomes


def again(clerk: Clerk, policies: Timeline, folder: Path, start: int | None, end: int | None) -> RetagReport:
    clerk.policies = policies
    journal = Journal(folder / "journal")
    try:
        return retag(clerk.books, clerk, journal, start, end)
    finally:
        journal.close()


@costly(5)
@given(text=policy_texts(), facts=tagged_fact_rows(), outcomes=outcome_rows(), data=st.data())
def test_any_order_gives_the_same_tags(
    prices: PriceBook, text: bytes, facts: list[Row], outcomes: list[Row], data: st.DataObject
) -> None:
    later = data.draw(policy_texts())
    policies = timeline((text, 0, None, None), (later, 0, EPOCH_US + 12 * HOUR_US, None))
    with clerk_of(prices, policies, [(facts, outcomes)]) as once:
        expected = state(once)
    shuffled = data.draw(st.permutations(facts))
    cut = data.draw(st.integers(0, len(shuffled)))
    with clerk_of(prices, policies, [(shuffled[:cut], outcomes), (shuffled[cut:], [])]) as other:
        assert state(other) == expected
        assert checks._counters(other.books).ok


@costly(5)
@given(before=policy_texts(rejects=False), after=policy_texts(rejects=False), facts=tagged_fact_rows(), data=st.data())
def test_a_late_policy_ends_where_an_early_one_would_have(
    prices: PriceBook,
    tmp_path_factory: pytest.TempPathFactory,
    before: bytes,
    after: bytes,
    facts: list[Row],
    data: st.DataObject,
) -> None:
    outcomes = data.draw(outcome_rows())
    start = data.draw(st.sampled_from([None, EPOCH_US + 10 * HOUR_US]))
    end = data.draw(st.sampled_from([None, EPOCH_US + 30 * HOUR_US]))
    both = timeline((before, 0, None, None), (after, 0, start, end))
    with clerk_of(prices, both, [(facts, outcomes)]) as early:
        expected = state(early)
    with clerk_of(prices, always(before), [(facts, outcomes)]) as late:
        total = late.books.rows("SELECT sum(amount_nano)::VARCHAR AS a FROM usages WHERE counted").to_pylist()
        report = again(late, both, tmp_path_factory.mktemp("home"), start, end)
        assert state(late) == expected
        assert late.books.rows("SELECT sum(amount_nano)::VARCHAR AS a FROM usages WHERE counted").to_pylist() == total
        for check in (checks._sums, checks._lines, checks._repeats, checks._counters):
            assert check(late.books).ok
        assert report.usages >= report.changed
        assert again(late, both, tmp_path_factory.mktemp("home"), start, end).changed == 0, "a second time does nothing"


@costly(5)
@given(text=policy_texts(), facts=tagged_fact_rows())
def test_rules_move_money_and_make_none(prices: PriceBook, text: bytes, facts: list[Row]) -> None:
    plain = text.replace(b'mode = "reject"\n', b"")
    with (
        clerk_of(prices, Timeline(), [(facts, [])]) as without,
        clerk_of(prices, always(plain), [(facts, [])]) as ruled,
    ):
        sums = (
            "SELECT sum(amount_nano)::VARCHAR AS a, count(*) AS n, centre, model, counted "
            "FROM usages GROUP BY ALL ORDER BY ALL"
        )
        assert ruled.books.rows(sums).to_pylist() == without.books.rows(sums).to_pylist()
        filled = ruled.books.rows(
            "SELECT count(*) AS n FROM usages WHERE tag_rule LIKE '%team=ones%' AND (tag_source & 15) <> 11"
        ).to_pylist()
        assert filled == [{"n": 0}]


def test_what_a_policy_refused_comes_back_under_another_one(prices: PriceBook, tmp_path: Path) -> None:
    fact = {
        "source": "test",
        "origin": "one",
        "start_ns": EPOCH_US * 1000,
        "operation": "chat",
        "cost_nano": 10**9,
        "input_tokens": 3,
    }
    facts = facts_of([{**fact, "fact_id": "a", "team": "search"}, {**fact, "fact_id": "b", "team": "typo"}])
    strict = b'[keys.team]\nallowed = ["search"]\nmode = "reject"\n'
    journal = Journal(tmp_path / "journal")
    books = DuckBooks(None)
    clerk = Clerk(books, prices, policies=always(strict))
    number = journal.append([(EntryKind.FACTS, facts)], time.time_ns())
    report = clerk.post(facts, None, through=number, before=PostReport(received=2), accepted_ns=time.time_ns())
    assert (report.posted, report.refused, report.by_policy) == (1, 1, 1)
    assert report.problems[0].what == 'team "typo" is not valid and the policy rejects it'
    assert report.problems[0].hint.startswith("valid: search;")
    relaxed = strict.replace(b'mode = "reject"\n', b"")
    clerk.policies = timeline((strict, 0, None, None), (relaxed, time.time_ns(), None, None))
    again = retag(books, clerk, journal, None, None)
    assert again.came_back == 1
    assert books.rows("SELECT team FROM usages ORDER BY team").to_pylist() == [{"team": "search"}, {"team": "typo"}]
    assert books.meta("refused") == 0
    assert books.meta("received") == books.meta("posted") == 2
    assert not books.refused_entries()
    assert checks._counters(books).ok
    journal.close()
    books.close()


def test_a_policy_adopted_later_refuses_nothing_that_was_in(prices: PriceBook, tmp_path: Path) -> None:
    rows = [{"fact_id": "a", "source": "test", "start_ns": EPOCH_US * 1000, "operation": "chat", "team": "typo"}]
    strict = b'[keys.team]\nallowed = ["search"]\nmode = "reject"\n'
    with clerk_of(prices, Timeline(), [(rows, [])]) as clerk:
        again(clerk, timeline((strict, time.time_ns(), None, None)), tmp_path, None, None)
        assert clerk.books.rows("SELECT team, tag_gaps FROM usages").to_pylist() == [{"team": "typo", "tag_gaps": 256}]
