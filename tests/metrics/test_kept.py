"""Answers are kept while nothing is written, and never longer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from outlay.core.errors import QueryError
from outlay.house import House
from outlay.metrics.kept import ROWS_KEPT_MAX, Kept, KeptAnswers
from outlay.metrics.query import Query
from outlay.sources.facts import Batch, facts_of, outcomes_of

COST = Query(("cost", "usages"), ("team",))


def post(house: House, number: int, team: str) -> None:
    row: dict[str, Any] = {
        "fact_id": f"call-{number}",
        "start_ns": (1_763_000_000 + number) * 10**9,
        "source": "test",
        "operation": "chat",
        "team": team,
        "cost_nano": 10**9,
    }
    house.post_facts(Batch(facts_of([row]), outcomes_of([]), received=1))
    house.intake.settle()


def test_a_second_look_at_unchanged_books_gets_the_same_answer_and_a_posting_ends_that(home: Path) -> None:
    with House.open(home) as house:
        post(house, 1, "search")
        with house.moment() as moment:
            first = moment.ask(COST)
        with house.moment() as moment:
            assert moment.ask(COST) is first
        post(house, 2, "risk")
        with house.moment() as moment:
            second = moment.ask(COST)
            assert {row["team"]: row["usages"] for row in second.rows} == {"search": 1, "risk": 1}
            assert house.ask(COST).rows == second.rows


def test_a_moment_that_began_before_a_posting_keeps_its_answers_to_itself(home: Path) -> None:
    with House.open(home) as house:
        post(house, 1, "search")
        with house.moment() as before:
            post(house, 2, "risk")
            with house.moment() as after:
                assert after.ask(COST).total["usages"] == 2
            assert before.ask(COST).total["usages"] == 1
        with house.moment() as later:
            assert later.ask(COST).total["usages"] == 2


def test_what_one_can_narrow_to_is_what_usages_carried(home: Path) -> None:
    with House.open(home) as house:
        post(house, 1, "search")
        post(house, 2, "risk")
        with house.moment() as moment:
            assert moment.values("team") == ("risk", "search")
            assert moment.values("environment") == ("(untagged)",)
            with pytest.raises(QueryError, match="not listed"):
                moment.values("session")


def test_another_state_of_the_books_begins_with_nothing_kept() -> None:
    kept, version = Kept(), object()
    assert kept.of(version) is kept.of(version)
    assert kept.of(object()) is not kept.of(version)


def test_what_is_kept_is_bounded() -> None:
    kept, made = KeptAnswers(), []

    def asked(number: int, rows: int) -> int:
        return kept.get((number,), lambda: made.append(number) or number, size=lambda _: rows)

    assert [asked(1, 1), asked(1, 1), asked(2, ROWS_KEPT_MAX), asked(1, 1), asked(3, ROWS_KEPT_MAX + 1)] == [
        1,
        1,
        2,
        1,
        3,
    ]
    assert made == [1, 2, 1, 3]
    asked(3, ROWS_KEPT_MAX + 1)
    assert made == [1, 2, 1, 3, 3], "an answer that is too large is not kept"
