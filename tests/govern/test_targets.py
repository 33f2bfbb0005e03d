"""Targets judged: quarters, verdicts, and a change that is told centre by centre to the last unit."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faces.web.doubles import NOW, Miniature, work
from outlay.control.targets import Target
from outlay.core.errors import InputError, QueryError
from outlay.core.money import NANO
from outlay.govern import targets as judged
from outlay.govern.targets import TASKS_MIN, quarter_at, quarter_named, review, verdict_of
from outlay.metrics.answer import Answer
from outlay.metrics.dimensions import OTHER
from outlay.metrics.query import Query

moments = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - zoned


@given(moments, st.integers(1, 12))
def test_every_moment_is_in_one_quarter_and_quarters_meet(moment: datetime, month: int) -> None:
    quarter = quarter_at(moment, month)
    assert quarter.start <= moment < quarter.end
    assert (quarter.before.end, quarter.after.start) == (quarter.start, quarter.end)
    assert quarter_named(quarter.name.lower(), month) == quarter
    assert (quarter.start.month - month) % 3 == 0


def test_a_fiscal_year_is_named_after_the_year_it_begins_in() -> None:
    first, last = quarter_named("2026-Q1", 4), quarter_named("2026-Q4", 4)
    assert (first.start.isoformat()[:10], last.start.isoformat()[:10]) == ("2026-04-01", "2027-01-01")
    assert last.after.name == "2027-Q1"


@pytest.mark.parametrize("text", ["2026-Q5", "2026-10", "Q4", "", "0000-Q1", "2026-Q4-1"])
def test_what_is_no_quarter_is_said_to_be_none(text: str) -> None:
    with pytest.raises(InputError, match="is no quarter") as refused:
        quarter_named(text)
    assert "2026-Q4" in refused.value.hint


@pytest.mark.parametrize(
    ("cost", "target", "tasks", "word", "over"),
    [
        (95, 100, 50, "met", Fraction(-1, 20)),
        (100, 100, 50, "met", Fraction(0)),
        (104, 100, 50, "near", Fraction(1, 25)),
        (105, 100, 50, "over", Fraction(1, 20)),
        (123, 100, 50, "over", Fraction(23, 100)),
        (123, 100, TASKS_MIN - 1, "few", Fraction(23, 100)),
        (None, 100, 0, "open", None),
        (123, None, 50, "none", None),
    ],
)
def test_a_verdict_is_a_word_and_a_distance(
    cost: int | None, target: int | None, tasks: int, word: str, over: Fraction | None
) -> None:
    found = verdict_of(cost, target, tasks)
    assert (found.word, found.over) == (word, over)


class Folding(Miniature):
    """Books that fold what lies beyond `top` into one row, as the real ones do."""

    def ask(self, query: Query) -> Answer:
        answer = super().ask(query)
        folded = (
            query.top is not None
            and query.grain is None
            and len(super().ask(replace(query, top=None)).rows) > query.top
        )
        return replace(answer, rows=[*answer.rows, {**answer.rows[0], query.by[0]: OTHER}]) if folded else answer


def quarters() -> Miniature:
    """Twelve tasks in each quarter; in the present one retries cost twice as much."""
    rows = []
    for place in range(12):
        for days_ago, retries in ((place + 0.5, "2.5"), (place + 90.5, "1")):
            rows += [work(days_ago, "3", task="done"), work(days_ago, retries, "retries")]
    return Miniature(rows)


def test_a_feature_is_told_beside_its_target_and_the_quarter_before() -> None:
    quarter = quarter_at(NOW)
    target = Target("kyc-onboarding", quarter.name, 4 * NANO)
    found = review(quarters().ask, {"kyc-onboarding": target}, quarter, NOW)
    (row,) = found.rows
    assert (row.feature, row.team) == ("kyc-onboarding", "onboarding")
    assert (row.now.per_task_nano, row.before.per_task_nano) == (5_500_000_000, 4_000_000_000)
    assert (row.verdict.word, row.verdict.over) == ("over", Fraction(3, 8))
    assert row.moved_nano == {"inference": 0, "retries": 1_500_000_000}
    assert sum(row.moved_nano.values()) == row.now.per_task_nano - row.before.per_task_nano
    assert found.counted("over") == 1
    assert all(cost is None or Decimal(cost) > 0 for _, cost in row.weeks)


def test_a_target_without_work_stands_there_and_a_feature_without_a_target_too() -> None:
    quarter = quarter_at(NOW)
    found = review(quarters().ask, {"search": Target("search", quarter.name, NANO)}, quarter, NOW)
    assert [(row.feature, row.verdict.word) for row in found.rows] == [("kyc-onboarding", "none"), ("search", "open")]


def test_of_very_many_features_the_dearest_and_those_with_a_target_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judged, "FEATURES_MAX", 2)
    rows = [work(1, f"{9 - place}", task="done", feature=f"f{place}") for place in range(6)]
    books = Folding(rows)
    quarter = quarter_at(NOW)
    found = review(books.ask, {"f4": Target("f4", quarter.name, NANO)}, quarter, NOW)
    assert [row.feature for row in found.rows] == ["f0", "f1", "f4"]
    assert found.rows[-1].now.cost_nano == 5 * NANO


def test_a_quarter_that_has_not_begun_is_not_reviewed() -> None:
    with pytest.raises(QueryError, match="has not begun"):
        review(quarters().ask, {}, quarter_at(NOW).after, NOW)
    past = review(quarters().ask, {}, quarter_at(NOW).before, NOW)
    assert past.rows[0].now.tasks_completed == 12
