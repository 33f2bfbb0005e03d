"""Outcomes in the books: whose they are, which report stands, in whatever order everything arrives."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest
from tests.ledger.outcome_books import HOUR_NS, START_NS, OutcomeBooks, key_of, outcome_books, report, work

from outlay.ledger.duckdb_books import DuckBooks


@pytest.fixture
def books() -> Iterator[OutcomeBooks]:
    with outcome_books() as opened:
        yield opened


def test_the_latest_reported_stands_and_the_others_stay(books: OutcomeBooks) -> None:
    early, late = report("done", "s", task="t", hour=2), report("failed", "s", task="t", hour=1)
    books.post([work()], [early, late | {"reported_ns": START_NS + 5 * HOUR_NS}])
    assert books.tasks()["t"]["status"] == "failed"
    assert len(books.everything()) == 2


def test_a_tie_is_decided_alike_in_any_order() -> None:
    reports = [report("done", "s", task="t"), report("failed", "s", task="t")]
    found = []
    for said in (reports, reports[::-1]):
        with outcome_books() as books:
            for one in said:
                books.post([], [one])
            found.append(books.tasks()["t"]["status"])
    assert found[0] == found[1]


def test_one_task_across_sources(books: OutcomeBooks) -> None:
    books.post([work()], [report("done", "s", task="t"), report("failed", "s", task="t", hour=2, source="tickets")])
    assert [row["status"] for row in books.tasks().values()] == ["failed"]


def test_several_sessions_worked_on_one_task_whoever_reported_last(books: OutcomeBooks) -> None:
    books.post([work("a"), work("b")], [report("failed", "a", task="t"), report("done", "b", task="t", hour=2)])
    (task,) = books.tasks().values()
    assert (task["status"], task["session_ids"], task["task_sessions"]) == ("done", ["b"], ["a", "b"])


def test_a_session_completed_twice_is_one_task_revised(books: OutcomeBooks) -> None:
    books.post([work()], [report("failed", "s"), report("done", "s", hour=2)])
    assert {name: row["status"] for name, row in books.tasks().items()} == {"s": "done"}


def test_a_report_on_a_session_means_its_only_task(books: OutcomeBooks) -> None:
    books.post([work(task_id="t")], [report("done", "s")])
    assert set(books.tasks()) == {"t"}
    books.post([work(task_id="u")], [])
    assert set(books.tasks()) == {"s"}, "with two tasks in it, the session stands for itself"


@pytest.mark.parametrize("early", [True, False])
def test_an_outcome_before_its_session_finds_it(books: OutcomeBooks, early: bool) -> None:
    said, done = [report("done", "s")], [work(team="risk")]
    books.post([] if early else done, said)
    if early:
        assert not books.tasks()["s"]["found"]
        assert books.tasks()["s"]["team"] == "(untagged)"
        books.post(done, [])
    (task,) = books.tasks().values()
    assert (task["found"], task["team"], task["feature"]) == (True, "risk", "kyc")


def test_what_names_only_a_trace_belongs_to_the_session_of_that_trace(books: OutcomeBooks) -> None:
    books.post([], [report("done", tree_key=key_of("T"))])
    (alone,) = books.tasks().values()
    assert alone["session_ids"] == [f"trace:{key_of('T').hex()}"]
    books.post([work(None, tree_id="T")], [])
    (in_trace,) = books.tasks().values()
    assert in_trace["found"]
    books.post([work("s", tree_id="T", hour=1)], [])
    (task,) = books.tasks().values()
    assert (task["task_id"], task["session_ids"], task["found"]) == ("s", ["s"], True)


def test_the_step_that_was_judged_goes_before_the_answer_and_that_before_the_trace(books: OutcomeBooks) -> None:
    facts = [
        work("by trace", tree_id="T"),
        work("by answer", response_id="answer-0123456789", hour=1),
        work("by step", fact_id="step", hour=2),
    ]
    hints = {"tree_key": key_of("T"), "response_id": "answer-0123456789", "span_key": key_of("step")}
    books.post(facts, [report("done", **hints)])
    assert set(books.tasks()) == {"by step"}
    books.post([], [report("done", **hints | {"span_key": None}), report("done", tree_key=key_of("T"))])
    assert set(books.tasks()) == {"by step", "by answer", "by trace"}


def test_a_task_named_by_its_work_alone_takes_its_tags(books: OutcomeBooks) -> None:
    books.post([work("a", task_id="t", team="risk")], [report("done", task="t")])
    (task,) = books.tasks().values()
    assert (task["found"], task["team"], task["session_ids"]) == (True, "risk", [])


def test_a_later_report_without_a_session_keeps_the_tags_of_the_tasks_sessions(books: OutcomeBooks) -> None:
    books.post([work("s", team="risk")], [report("failed", "s", task="t"), report("done", task="t", hour=2)])
    (task,) = books.tasks().values()
    assert (task["status"], task["team"]) == ("done", "risk")


def test_books_of_version_1_learn_whose_their_outcomes_are(tmp_path: object) -> None:
    path = f"{tmp_path}/books.duckdb"
    books = OutcomeBooks()
    books.books.close()
    books.books = DuckBooks(__import__("pathlib").Path(path))
    books._clerk.take_books(books.books)
    trace = key_of("T").hex()
    books.post([work("s", tree_id="T"), work("x")], [report("done", f"trace:{trace}"), report("failed", "x", task="t")])
    books.books.close()
    with duckdb.connect(path) as old:
        for column in ("task_sessions", "found", "span_key", "response_id", "tree_key"):
            old.execute(f"ALTER TABLE outcomes DROP COLUMN {column}")
        old.execute("UPDATE outcomes SET stated = stated & 255")
        old.execute("UPDATE meta SET value = 1 WHERE name = 'schema_version'")
    books.books = DuckBooks(__import__("pathlib").Path(path))
    books._clerk.take_books(books.books)
    books.post([], [])
    tasks = books.tasks()
    books.books.close()
    assert {name: (row["task_sessions"], row["found"]) for name, row in tasks.items()} == {
        "s": (["s"], True),
        "t": (["x"], True),
    }
