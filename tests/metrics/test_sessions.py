"""Sessions and outcomes as data."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest

from metrics.books import DAY, Books, outcome, usage
from outlay.core.errors import QueryError
from outlay.core.session import SessionState
from outlay.metrics.outcomes import list_outcomes, outcome_history
from outlay.metrics.query import Query, parse_query
from outlay.metrics.session import session_detail
from outlay.metrics.sessions import Together, sessions_together


def fact(place: int) -> bytes:
    return hashlib.blake2b(f"f{place}".encode(), digest_size=16).digest()


def company() -> Books:
    return Books(
        [
            usage(5, session_id="main", team="a", operation="chat"),
            usage(None, session_id="main", bears=False, operation="tool", centre="tools", parent_key=fact(0)),
            usage(7, session_id="sub", parent_session_id="main", time=DAY + timedelta(seconds=5)),
            usage(11, session_id="sub", time=DAY + timedelta(seconds=9), counted=False, why_not_counted="told twice"),
            usage(3, session_id="judged", operation="evaluation", centre="guardrails"),
            usage(None, session_id="late", time=DAY + timedelta(minutes=5), duration_ms=2_000),
            usage(1, session_id="(no session)"),
        ],
        [
            outcome("t", "failed", ["main"], current=False, reported_at=DAY),
            outcome("t", "done", ["main"], reported_at=DAY + timedelta(days=1), value_nano=100),
        ],
    )


def test_a_session_is_open_until_it_ends_and_not_seen_without_a_call() -> None:
    states = {name: session_detail(company(), name).state for name in ("sub", "main", "judged", "late")}
    assert states == {
        "sub": SessionState.OPEN,
        "main": SessionState.ENDED,
        "judged": SessionState.NOT_SEEN,
        "late": SessionState.OPEN,
    }


def test_an_amount_without_a_currency_is_in_the_usual_one() -> None:
    books = Books([usage(5, session_id="s", currency=""), usage(7, session_id="s", currency="USD")], [])
    detail = session_detail(books, "s")
    assert (detail.currencies, detail.cost_nano) == (("USD",), 12)


def test_a_session_shows_its_steps_its_tree_and_its_end() -> None:
    detail = session_detail(company(), "main")
    assert (detail.cost_nano, detail.tree_cost_nano, detail.state) == (5, 12, SessionState.ENDED)
    assert (detail.child_sessions, detail.root_session) == (("sub",), "main")
    assert [(step.operation, step.depth, step.cost_nano) for step in detail.usages] == [("chat", 0, 5), ("tool", 1, 0)]
    assert [charge.meter for charge in detail.usages[0].charges] == ["in_uncached", "out_text"]
    assert sum(charge.amount_nano or 0 for charge in detail.usages[0].charges) == 5
    assert [(row.task, row.outcome, row.value_nano) for row in detail.outcomes] == [("t", "done", 100)]
    assert detail.cost_by_centre == {"inference": "0.000000005", "tools": "0"}


def test_steps_and_retries_are_those_of_the_measures() -> None:
    books = Books(
        [
            usage(5, session_id="s", operation="chat"),
            usage(3, session_id="s", operation="runtime", centre="orchestration", bears=False),
            usage(2, session_id="s", centre="retries", attempt=1),
            usage(None, session_id="s", operation="agent", bears=False, centre="orchestration", failed=True),
            usage(9, session_id="s", counted=False),
        ]
    )
    detail, total = session_detail(books, "s"), books.ask(measures="usages,retries", where="session:s").total
    assert (detail.usages_count, detail.retries) == (total["usages"], total["retries"]) == (3, 1)
    assert detail.failed_steps == 1


def test_what_is_not_counted_is_shown_and_not_added() -> None:
    detail = session_detail(company(), "sub")
    assert (detail.cost_nano, detail.parent_session, detail.root_session) == (7, "main", "main")
    assert [(step.counted, step.why_not_counted) for step in detail.usages] == [(True, ""), (False, "told twice")]


def test_a_session_without_a_price_is_unpriced() -> None:
    detail = session_detail(company(), "late")
    assert (detail.cost_nano, detail.unpriced_usages, detail.usages[0].cost_nano) == (None, 1, None)
    assert detail.last_seen_ns - detail.first_seen_ns == 2_000_000_000


def test_relatives_are_found_over_generations_and_a_circle_ends() -> None:
    chain = [usage(cost, session_id=name, parent_session_id=parent) for cost, name, parent in FAMILY]
    books = Books(
        [*chain, usage(1, session_id="x", parent_session_id="y"), usage(1, session_id="y", parent_session_id="x")]
    )
    top, leaf = session_detail(books, "a"), session_detail(books, "d")
    assert (top.child_sessions, top.root_session, top.tree_cost_nano) == (("c", "b"), "a", 15)
    assert (leaf.parent_session, leaf.root_session, leaf.child_sessions) == ("b", "a", ())
    circle = session_detail(books, "x")
    assert (circle.parent_session, circle.child_sessions, circle.tree_cost_nano) == ("y", ("y",), 2)


FAMILY = ((1, "a", ""), (2, "b", "a"), (4, "c", "a"), (8, "d", "b"))


def test_a_session_nobody_knows_is_refused() -> None:
    with pytest.raises(QueryError, match="nobody"):
        session_detail(company(), "nobody")


def test_most_sessions_at_once() -> None:
    second = timedelta(seconds=1)
    books = Books(
        [
            usage(1, session_id="a", duration_ms=10_000),
            usage(1, session_id="b", time=DAY + 2 * second, duration_ms=1_000),
            usage(1, session_id="c", time=DAY + 5 * second, duration_ms=1_000),
        ]
    )
    assert sessions_together(books, Query()).at_once_max == 2
    assert sessions_together(Books([]), Query()) == Together(0, 0)


def test_outcomes_keep_their_history() -> None:
    books = company()
    assert [row.outcome for row in list_outcomes(books, Query())] == ["done"]
    assert [(row.outcome, row.current) for row in outcome_history(books, "t")] == [("done", True), ("failed", False)]
    assert outcome_history(books, "unheard of") == []
    assert list_outcomes(books, parse_query({"where": "outcome:failed"})) == []
