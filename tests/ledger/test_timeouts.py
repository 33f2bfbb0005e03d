"""Tasks that nobody completed in time: derived, never beside a report, the same again as of the same moment."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ledger.outcome_books import END, OutcomeBooks, outcome_books, report, work
from tests.strategies import fact_rows, outcome_rows

from costly import costly
from outlay.core.outcome import Timeouts

HOUR_S = 3600


@pytest.fixture
def books() -> Iterator[OutcomeBooks]:
    with outcome_books() as opened:
        opened.post([work("other")], [report("done", "other")])  # the feature kyc reports outcomes
        yield opened


def test_a_silent_session_is_abandoned_when_its_time_is_over_and_not_before(books: OutcomeBooks) -> None:
    books.post([work("s", hour=2, team="risk")])
    books.abandon(25)
    assert "s" not in books.tasks()
    books.abandon(27)
    task = books.tasks()["s"]
    assert (task["status"], task["source"], task["team"]) == ("abandoned", "outlay", "risk")
    assert task["time"] == (END + timedelta(hours=26, seconds=1)).replace(tzinfo=None)
    assert task["origin"] == "no sign for 86400 s"
    books.abandon(25)
    assert "s" not in books.tasks(), "as of an earlier moment it was not abandoned"


def test_a_sign_of_life_takes_it_back(books: OutcomeBooks) -> None:
    books.post([work("s")])
    books.abandon(30)
    books.post([work("s", hour=29)])
    books.abandon(30)
    assert "s" not in books.tasks()


@pytest.mark.parametrize("hour", [-5, 40])
def test_any_report_takes_its_place_at_once(books: OutcomeBooks, hour: int) -> None:
    books.post([work("s")])
    books.abandon(30)
    books.post([], [report("failed", "s", hour=hour)])
    assert books.tasks()["s"]["status"] == "failed"
    books.abandon(100)
    assert books.tasks()["s"]["status"] == "failed"
    assert "outlay" not in {row["source"] for row in books.everything()}


def test_a_report_on_a_task_ends_the_session_it_names(books: OutcomeBooks) -> None:
    books.post([work("s")])
    books.abandon(30)
    books.post([], [report("done", "s", task="ticket")])
    books.abandon(30)
    assert set(books.tasks()) == {"other", "ticket"}


def test_where_nobody_ever_reports_silence_says_nothing(books: OutcomeBooks) -> None:
    books.post([work("mute", feature="chat"), work("untagged", feature=None)])
    books.abandon(1000)
    assert set(books.tasks()) == {"other"}
    books.abandon(1000, Timeouts(by_feature={"chat": HOUR_S}))
    assert set(books.tasks()) == {"other", "mute"}


def test_a_feature_of_its_own_and_never(books: OutcomeBooks) -> None:
    books.post([work("s")])
    books.abandon(3, Timeouts(by_feature={"kyc": 2 * HOUR_S}))
    assert books.tasks()["s"]["status"] == "abandoned"
    for timeouts in (Timeouts(by_feature={"kyc": None}), Timeouts(default_s=None)):
        books.abandon(1000, timeouts)
        assert "s" not in books.tasks()


def test_sub_agents_belong_to_the_run_that_started_them(books: OutcomeBooks) -> None:
    books.post(
        [work("root"), work("child", hour=1, parent_session_id="root"), work("grand", parent_session_id="child")]
    )
    books.abandon(30)
    assert books.tasks()["root"]["task_sessions"] == ["child", "grand", "root"]
    books.post([], [report("done", "grand", task="t")])
    books.abandon(30)
    assert set(books.tasks()) == {"other", "t"}


def test_the_task_that_work_names_is_what_is_abandoned(books: OutcomeBooks) -> None:
    books.post([work("a", task_id="t"), work("b", task_id="t", hour=3), work("a")])
    books.abandon(30)
    assert books.tasks()["t"]["task_sessions"] == ["a", "b"]
    assert set(books.tasks()) == {"other", "t"}


def test_checks_alone_are_no_work(books: OutcomeBooks) -> None:
    books.post([work("judged", operation="evaluation"), work("guarded", operation="guardrail")])
    books.abandon(1000)
    assert set(books.tasks()) == {"other"}


def test_a_task_that_was_opened_is_abandoned_by_its_kind(books: OutcomeBooks) -> None:
    books.post([work("s", hour=1)], [report("unknown", "s", task="t", task_type="refund", hour=0)])
    timeouts = Timeouts(by_task_type={"refund": 2 * HOUR_S})
    books.abandon(2, timeouts)
    assert books.tasks()["t"]["status"] == "unknown"
    books.abandon(4, timeouts)
    assert (books.tasks()["t"]["status"], books.tasks()["t"]["task_type"]) == ("abandoned", "refund")
    books.abandon(4, Timeouts())
    assert books.tasks()["t"]["status"] == "unknown", "without the rule the report stands again"
    books.abandon(4, timeouts)
    books.post([], [report("done", "s", task="t", hour=3)])
    books.abandon(4, timeouts)
    assert books.tasks()["t"]["status"] == "done"


@costly(5)
@given(facts=fact_rows(), outcomes=outcome_rows(), hours=st.lists(st.integers(0, 100), min_size=1, max_size=3))
def test_it_is_a_function_of_facts_settings_and_moment(
    facts: list[dict[str, Any]], outcomes: list[dict[str, Any]], hours: list[int]
) -> None:
    timeouts = Timeouts(by_feature={"kyc": 5 * HOUR_S})
    with outcome_books() as once, outcome_books() as stepwise:
        once.post(facts, outcomes)
        once.abandon(hours[-1], timeouts)
        half = len(facts) // 2
        stepwise.post(facts[half:], outcomes[1:])
        for hour in hours:
            stepwise.abandon(hour, timeouts)
        stepwise.post([*facts[:half], *facts[half:][:1]], outcomes)
        stepwise.abandon(hours[-1], timeouts)
        assert stepwise.everything() == once.everything()
        once.tasks()
