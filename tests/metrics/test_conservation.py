"""Invariant 3: every way to split gives the same total, `(untagged)`, `(unpriced)` and `(other)` included."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costly import costly
from metrics.books import Books, nano, outcome, usage
from outlay.core.period import Grain
from outlay.metrics.dimensions import DIMENSIONS
from outlay.metrics.measures import BY_NAME, MEASURES, UNKNOWN
from outlay.metrics.query import parse_query
from strategies import book_rows

SPLITS = [item.name for item in DIMENSIONS] + ["tag.region", "tag.a.b"]
ON_CHARGES = {"meter", "provenance"}
ADDITIVE = ("cost", "usages", "input_tokens", "unpriced_usages", "unpriced_tokens", "cost_recorded", "retry_cost")
TASKS = ("tasks", "tasks_completed", "tasks_failed", "tasks_abandoned", "tasks_unknown")


GRAINS = [None, *(grain for grain in Grain if grain is not Grain.MINUTE)]
"""Grains that take any period; minutes have a property of their own."""


def opened(rows: tuple[list[dict[str, Any]], list[dict[str, Any]]]) -> Books:
    usages, outcomes = rows
    return Books([usage(**row) for row in usages], [outcome(**row) for row in outcomes])


def expected_nano(rows: tuple[list[dict[str, Any]], list[dict[str, Any]]]) -> int:
    """What the counted usages cost, added up without the product; what does not bear cost has no charges either."""
    return sum(row["cost"] or 0 for row in rows[0] if row["counted"])


@costly()
@given(
    book_rows(),
    st.lists(st.sampled_from(SPLITS), max_size=3, unique=True),
    st.sampled_from(GRAINS),
    st.integers(1, 4),
)
def test_rows_add_up_to_the_total(rows: Any, by: list[str], grain: Grain | None, top: int) -> None:
    for row in rows[0]:
        row["cost"] = row["cost"] if row["bears"] else None
    parameters = {"by": ",".join(by), "top": str(top), "grain": grain.value if grain else ""}
    measures = ("cost",) if ON_CHARGES & set(by) else ADDITIVE
    answer = opened(rows).ask(measures=",".join(measures), **parameters)
    for name in measures:
        if isinstance(answer.total[name], int):
            assert sum(row[name] for row in answer.rows) == answer.total[name], name
        else:
            assert nano(answer.rows, name) == nano([answer.total], name), name
    assert nano([answer.total]) == expected_nano(rows)


@costly()
@given(book_rows(), st.sampled_from(["", "team", "model,centre"]))
def test_minutes_add_up_to_their_hours(rows: Any, by: str) -> None:
    books = opened(rows)
    asked = {"measures": ",".join(ADDITIVE), "by": by, "since": "2026-01-01", "until": "2026-01-03"}
    minutes, hours = books.ask(grain="minute", **asked), books.ask(grain="hour", **asked)
    assert minutes.total == hours.total
    for hour in hours.rows:
        same = [row for row in minutes.rows if _key(row, by) == _key(hour, by)]
        assert nano(same) == nano([hour])
        assert sum(row["usages"] for row in same) == hour["usages"]


def _key(row: dict[str, Any], by: str) -> tuple[Any, ...]:
    """The hour of a row, and its group."""
    return (row["time"][:13], *map(row.get, by.split(",")))


@costly()
@given(book_rows(), st.sampled_from([item.name for item in DIMENSIONS if item.on_outcomes]), st.integers(1, 3))
def test_tasks_add_up_where_they_can_be_split(rows: Any, by: str, top: int) -> None:
    answer = opened(rows).ask(measures=",".join((*TASKS, "cost")), by=by, top=str(top))
    for name in TASKS:
        assert sum(row[name] for row in answer.rows) == answer.total[name]
    assert answer.total["tasks"] == len(rows[1])


@costly()
@given(book_rows(), st.sampled_from(["model", "centre", "operation", "meter"]))
def test_tasks_are_not_split_where_they_cannot_be(rows: Any, by: str) -> None:
    answer = opened(rows).ask(measures="cost,tasks", by=by, top="1")
    assert {row["tasks"] for row in answer.rows} <= {len(rows[1])}
    assert answer.coverage["tasks_not_split_by"] == [by]


@costly()
@given(book_rows(), st.sampled_from(GRAINS))
def test_a_session_counts_once_in_a_row_and_once_in_the_total(rows: Any, grain: Grain | None) -> None:
    answer = opened(rows).ask(measures="sessions", by="model", top="1", grain=grain.value if grain else "")
    counted = [row for row in rows[0] if row["counted"] and row["session_id"] != "(no session)"]
    assert answer.total["sessions"] == len({row["session_id"] for row in counted})
    if grain is None:
        named = [row["model"] for row in answer.rows if row["model"] != "(other)"]
        for row in answer.rows:
            label = row["model"]
            inside = {
                item["session_id"]
                for item in counted
                if (item["model_id"] or "(none)") == label
                or (label == "(other)" and (item["model_id"] or "(none)") not in named)
            }
            assert row["sessions"] == len(inside)


@costly()
@given(book_rows())
def test_outcome_split_is_the_cost_of_failure(rows: Any) -> None:
    books = opened(rows)
    by_outcome = {row["outcome"]: row for row in books.ask(measures="cost", by="outcome").rows}
    lost = nano([by_outcome[name] for name in ("failed", "abandoned") if name in by_outcome])
    assert nano([books.ask(measures="failed_task_cost").total], "failed_task_cost") == lost


@costly()
@given(book_rows(), st.sampled_from([item.name for item in DIMENSIONS if item.name != "counted"]))
def test_a_filter_gives_the_row_of_the_split(rows: Any, by: str) -> None:
    books = opened(rows)
    for row in books.ask(measures="cost", by=by).rows:
        alone = books.ask(measures="cost", where=f'{by}:"{row[by]}"')
        assert alone.total["cost"] == row["cost"]


@costly(5)  # every example asks for everything
@given(book_rows())
def test_every_measure_answers_every_book(rows: Any) -> None:
    books = opened(rows)
    names = [item.name for item in MEASURES if item.name not in {"charges", "quantity"}]
    total = {}
    for start in range(0, len(names), 12):
        total |= books.ask(measures=",".join(names[start : start + 12]), by="team", grain="day", top="1").total
    assert set(total) == set(names)
    assert all(value is None or isinstance(value, int | str) for value in total.values())


@pytest.fixture(scope="module")
def empty() -> Books:
    return Books([])


@pytest.mark.parametrize("measure", [item.name for item in MEASURES])
def test_an_empty_book_knows_nothing_and_says_so(empty: Books, measure: str) -> None:
    by = "meter" if measure == "quantity" else ""
    answer = empty.ask(measures=measure, by=by)
    assert answer.total[measure] in (0, "0", None)
    if answer.total[measure] is None:
        assert BY_NAME[measure].word_for_null == UNKNOWN


def test_the_same_question_gives_the_same_words() -> None:
    books = Books([usage(1, team=team) for team in "cab"])
    answers = [books.ask(by="team", measures="cost,usages") for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    assert [row["team"] for row in answers[0].rows] == ["a", "b", "c"]
    assert parse_query({"by": "team", "measures": "cost,usages"}).ranked_by.name == "cost"
