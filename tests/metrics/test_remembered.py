"""What is made of an answer is made once, and never taken for that of another one."""

from __future__ import annotations

from typing import Any

from outlay.metrics.answer import Answer
from outlay.metrics.remembered import KEPT, remembered


def answer_of(*costs: str) -> Answer:
    rows: list[dict[str, Any]] = [{"cost": cost} for cost in costs]
    return Answer({}, rows, {}, {})


def test_the_very_same_answer_is_asked_once() -> None:
    made: list[tuple[str, str]] = []

    @remembered
    def first_of(answer: Answer, name: str, *, beside: str = "") -> str:
        made.append((name, beside))
        return str(answer.rows[0][name]) + beside

    one, alike = answer_of("1"), answer_of("1")
    assert one == alike
    assert [first_of(one, "cost"), first_of(one, "cost"), first_of(alike, "cost")] == ["1", "1", "1"]
    assert made == [("cost", "")] * 2, "an answer that is equal is another one"
    assert first_of(one, "cost", beside=" USD") == "1 USD"
    assert len(made) == 3


def test_what_was_not_asked_for_longest_is_made_anew() -> None:
    @remembered
    def costs_of(answer: Answer) -> list[str]:
        return [row["cost"] for row in answer.rows]

    answers = [answer_of(str(number)) for number in range(KEPT * 3)]
    for _ in range(2):
        assert [costs_of(answer) for answer in answers] == [[str(number)] for number in range(KEPT * 3)]
