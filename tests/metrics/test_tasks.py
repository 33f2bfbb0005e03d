"""What tasks cost: divided to the last unit, conserved, with an interval, currencies never added."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.metrics.books import Books, nano, outcome, usage

from outlay.core.errors import QueryError
from outlay.metrics.intervals import BOOTSTRAP_MAX, interval_of_ratio
from outlay.metrics.query import parse_query
from outlay.metrics.task_list import list_tasks, task_detail
from outlay.metrics.tasks import ask_outcomes, asks_how_tasks_ended, costs_of, divide

CENT = 10_000_000
PER_TASK = "cost_per_completed_task"


def costs(books: Books, *tasks: str) -> list[int]:
    found = costs_of(books, tasks)
    return [found.get(task, {}).get("USD", 0) for task in tasks]


def test_a_session_is_divided_among_its_tasks_to_the_last_unit() -> None:
    books = Books([usage(100), usage(1)], [outcome(task, sessions=["s1"]) for task in ("a", "b", "c")])
    assert costs(books, "a", "b", "c") == [34, 34, 33]


def test_a_refund_is_divided_likewise() -> None:
    books = Books([usage(-100)], [outcome(task, sessions=["s1"]) for task in ("a", "b", "c")])
    assert costs(books, "a", "b", "c") == [-34, -33, -33]


def test_work_that_names_its_task_is_that_tasks_alone() -> None:
    books = Books([usage(90, task_id="a"), usage(10)], [outcome(task, sessions=["s1"]) for task in ("a", "b")])
    assert costs(books, "a", "b") == [95, 5]


def test_sub_agents_share_in_the_tasks_of_the_run_that_started_them() -> None:
    rows = [usage(10), usage(30, session_id="s2", parent_session_id="s1"), usage(7, session_id="elsewhere")]
    books = Books(rows, [outcome("a", sessions=["s1"]), outcome("b", sessions=["s1"])])
    assert costs(books, "a", "b") == [20, 20]
    assert divide(books).without_task == {"USD": 7}


@st.composite
def work_and_tasks(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Usages of a few sessions, some of which started others, in two currencies, some negative; tasks on some."""
    sessions = ["s1", "s2", "s3", "s4"]
    usages = [
        usage(
            draw(st.integers(-50, 10**12)),
            session_id=(session := draw(st.sampled_from(sessions))),
            parent_session_id=draw(st.sampled_from(["", "", "s1", "s2"])) if session in ("s3", "s4") else "",
            task_id=draw(st.sampled_from(["", "", "t0", "unheard of"])),
            currency=draw(st.sampled_from(["USD", "USD", "EUR"])),
            counted=draw(st.sampled_from([True, True, True, False])),
        )
        for _ in range(draw(st.integers(0, 8)))
    ]
    outcomes = [
        outcome(
            f"t{number}",
            draw(st.sampled_from(["done", "failed"])),
            draw(st.lists(st.sampled_from(sessions), max_size=3)),
        )
        for number in range(draw(st.integers(0, 4)))
    ]
    return usages, outcomes


@given(work_and_tasks())
def test_tasks_and_work_without_one_are_the_total(rows: tuple[list[dict[str, Any]], list[dict[str, Any]]]) -> None:
    books = Books(*rows)
    division = divide(books)
    for currency in ("USD", "EUR"):
        total = sum(row["amount_nano"] for row in rows[0] if row["counted"] and row["currency"] == currency)
        assert division.of_tasks.get(currency, 0) + division.without_task.get(currency, 0) == total
        one_by_one = costs_of(books, [row["task_id"] for row in rows[1]]).values()
        assert sum(costs.get(currency, 0) for costs in one_by_one) == division.of_tasks.get(currency, 0)


def ask(books: Books, **parameters: str) -> Any:
    return ask_outcomes(books, parse_query(parameters))


def several(costs_of_tasks: Sequence[int], done: Sequence[bool], **stated: Any) -> Books:
    usages = [usage(cost, session_id=f"s{n}", **stated) for n, cost in enumerate(costs_of_tasks)]
    ended = [outcome(f"t{n}", "done" if good else "failed", [f"s{n}"], **stated) for n, good in enumerate(done)]
    return Books(usages, ended)


def test_the_interval_holds_the_figure_and_is_always_the_same() -> None:
    generator = np.random.default_rng(7)
    done = generator.random(200) < 0.8
    books = several([int(cost) for cost in generator.exponential(CENT, 200)], done.tolist())
    first, again = ask(books, measures=PER_TASK), ask(books, measures=PER_TASK)
    assert first == again
    low, figure, high = (nano([first.total], name) for name in ("interval_low", PER_TASK, "interval_high"))
    assert 0 < low < figure < high < 2 * figure
    assert first.total["interval_tasks"] == 200
    assert set(first.total) == {PER_TASK, "interval_low", "interval_high", "interval_tasks"}


def test_failures_are_charged_to_the_successes_and_one_task_gives_no_interval() -> None:
    books = several([30, 10], [True, False])
    answer = ask(books, by="outcome", measures=f"tasks,{PER_TASK}")
    assert (nano([answer.total], PER_TASK), answer.total["interval_tasks"]) == (40, 2)
    rows = {row["outcome"]: row for row in answer.rows}
    assert (rows["done"]["interval_low"], rows["failed"][PER_TASK]) == (None, None)


def test_no_interval_where_tasks_cannot_be_split_or_picked() -> None:
    books = several([30, 10, 20], [True, True, True])
    for answer in (ask(books, by="model", measures=PER_TASK), ask(books, where="model:x", measures=PER_TASK)):
        assert {row["interval_low"] for row in (*answer.rows, answer.total)} == {None}


def test_intervals_stand_by_bucket_and_group() -> None:
    books = several([30, 10, 20], [True, True, True], team="risk")
    (row,) = ask(books, by="team", grain="day", measures=PER_TASK).rows
    assert row["team"] == "risk"
    assert nano([row], "interval_low") <= nano([row], PER_TASK) <= nano([row], "interval_high")


def test_for_many_tasks_the_quick_way_agrees_with_drawing() -> None:
    generator = np.random.default_rng(1)
    costs_of_tasks, done = generator.exponential(CENT, BOOTSTRAP_MAX), generator.random(BOOTSTRAP_MAX) < 0.7
    drawn = interval_of_ratio(costs_of_tasks, done, 1000, 3)
    computed = interval_of_ratio(np.append(costs_of_tasks, CENT), np.append(done, True), 1000, 3)
    assert drawn == pytest.approx(computed, rel=0.02)


def test_nothing_done_has_no_upper_bound() -> None:
    assert interval_of_ratio(np.array([100.0, 200.0, 300.0]), np.array([False, False, False])) == (None, None)
    low, high = interval_of_ratio(np.array([100.0, 200.0, 300.0]), np.array([True, False, False]))
    assert (low is None, high) == (False, None)


def test_values_in_several_currencies_are_never_added_nor_compared_with_costs_in_another() -> None:
    worth = [("a", 5 * CENT, "USD"), ("b", 7 * CENT, "EUR")]
    books = Books(
        [usage(CENT, session_id="a"), usage(CENT, session_id="b")],
        [outcome(task, sessions=[task], value_nano=value, currency=currency) for task, value, currency in worth],
    )
    answer = books.ask(measures="outcome_value,outcome_margin,cost_to_value,cost,value_per_completed_task")
    assert answer.coverage["value_currencies"] == ["EUR", "USD"]
    hidden = ("outcome_value", "outcome_margin", "cost_to_value", "value_per_completed_task")
    assert [answer.total[name] for name in (*hidden, "cost")] == [None] * 4 + ["0.02"]


def test_a_value_in_one_other_currency_stands_but_gives_no_margin() -> None:
    books = Books([usage(CENT)], [outcome("a", sessions=["s1"], value_nano=CENT, currency="EUR")])
    assert books.ask(measures="outcome_value").total == {"outcome_value": "0.01"}
    assert books.ask(measures="outcome_margin").total == {"outcome_margin": None}


def test_unattributed_tasks_and_cost_without_a_task_are_shown() -> None:
    books = Books(
        [usage(CENT), usage(3 * CENT, session_id="s2")],
        [outcome("a", sessions=["s1"]), outcome("b", sessions=["nowhere"], found=False)],
    )
    total = books.ask(measures="tasks,tasks_unattributed,cost_without_task").total
    assert total == {"tasks": 2, "tasks_unattributed": 1, "cost_without_task": "0.03"}


def test_single_tasks_with_cost_value_and_history() -> None:
    reports = [
        outcome("a", "failed", ["s1"], current=False, outcome_key=b"0" * 16),
        outcome("a", "done", ["s1"], value_nano=5 * CENT),
        outcome("b", "failed", ["s2"], value_nano=5 * CENT),
        outcome("c", "done", ["nowhere"], found=False),
    ]
    books = Books([usage(CENT), usage(CENT, session_id="s2")], reports)
    rows = {row.task: row for row in list_tasks(books, parse_query({}), 10)}
    assert (rows["a"].cost_nano, rows["a"].margin_nano) == (CENT, 4 * CENT)
    assert rows["b"].margin_nano == -CENT, "what failed is worth nothing"
    assert (rows["c"].cost_nano, rows["c"].found) == (None, False)
    assert [report.current for report in task_detail(books, "a").reports].count(True) == 1
    assert len(list_tasks(books, parse_query({"where": "outcome:done"}), 1)) == 1
    with pytest.raises(QueryError, match="no task is called"):
        task_detail(books, "d")


@pytest.mark.parametrize(
    ("parameters", "asks"),
    [
        ({"measures": "cost,tasks_completed,cost_per_completed_task"}, False),
        ({"measures": "tasks_abandoned"}, True),
        ({"measures": "completion_rate"}, True),
        ({"measures": "cost", "by": "outcome"}, True),
    ],
)
def test_which_questions_depend_on_what_was_given_up(parameters: dict[str, str], asks: bool) -> None:
    assert asks_how_tasks_ended(parse_query(parameters)) is asks
