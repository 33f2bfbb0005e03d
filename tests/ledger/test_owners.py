"""Owners: the teams of the work an outcome names, found without reading the books from end to end."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.outcome_books import HOUR_NS, START_NS, OutcomeBooks, report, work
from outlay.ledger import checks
from outlay.ledger.duckdb_books import DuckBooks
from outlay.ledger.duckdb_whereabouts import Whereabouts
from outlay.ledger.owners import ANSWERED_DAYS_MAX, owners_of
from outlay.ledger.whereabouts import KEY_MASK, STRETCHES_MAX, Named, keys_of, stretches_of
from outlay.metrics import relatives, session_rows
from outlay.sources.facts import outcomes_of

NOW = datetime.fromtimestamp(START_NS // 10**9, UTC) + timedelta(days=3)
ROW_GROUP = 122_880
GROUPS = 5


def number_of(named: Named, name: str) -> int:
    (number,) = keys_of(named, [name]).tolist()
    return number


@pytest.fixture(scope="module")
def clerk() -> OutcomeBooks:
    """The clerk, whose price book is read once."""
    opened = OutcomeBooks()
    opened.books.close()
    return opened


def emptied(clerk: OutcomeBooks, path: Path | None = None) -> OutcomeBooks:
    """The clerk before new books."""
    clerk.books = DuckBooks(path)
    clerk._clerk.take_books(clerk.books)
    return clerk


@pytest.fixture
def books(clerk: OutcomeBooks) -> Iterator[OutcomeBooks]:
    opened = emptied(clerk)
    yield opened
    opened.books.close()


def owners(books: DuckBooks, *outcomes: dict[str, Any], now: datetime = NOW) -> list[set[str]]:
    with books.reading() as reader:
        return [set(teams) for teams in owners_of(reader, outcomes_of(list(outcomes)), now)]


def test_sessions_tasks_and_answers_name_their_teams(books: OutcomeBooks) -> None:
    books.post(
        [
            work("a", team="risk"),
            work("b", team="search", hour=30),
            work("b", team="risk", hour=400),
            work("c", task_id="t", team="billing"),
            work("d", response_id="r", team="search"),
            work("e"),
        ]
    )
    asked = (report("done", "a"), report("done", "b"), report("done", "a", "c"), report("done", "e"))
    assert owners(books.books, *asked) == [{"risk"}, {"search", "risk"}, {"risk", "billing"}, set()]
    asked = (report(task="t"), report(response_id="r"), report("done", "unheard of"), report())
    assert owners(books.books, *asked) == [{"billing"}, {"search"}, set(), set()]


def test_an_answer_speaks_where_nothing_else_is_named_and_for_some_weeks(books: OutcomeBooks) -> None:
    books.post([work("a", team="risk"), work("b", response_id="r", team="search")])
    assert owners(books.books, report("done", "a", response_id="r")) == [{"risk"}]
    late = NOW + timedelta(days=ANSWERED_DAYS_MAX)
    assert owners(books.books, report(response_id="r"), report("done", "b"), now=late) == [set(), {"search"}]


def test_a_session_learnt_from_relatives_is_found(books: OutcomeBooks) -> None:
    books.post([work(None, tree_id="T", team="risk")])
    assert owners(books.books, report("done", "late")) == [set()]
    books.post([work("late", tree_id="T", hour=50, team="search")])
    assert owners(books.books, report("done", "late")) == [{"risk", "search"}]


def test_what_a_failed_posting_noted_is_noted_again(books: OutcomeBooks) -> None:
    noted = {
        "session_id": ["a"],
        "task_id": [""],
        "parent_session_id": [""],
        "time": [NOW.replace(tzinfo=None) - timedelta(days=3)],
    }

    def fail() -> None:
        with books.books.writing() as transaction:
            books.books.whereabouts.note(transaction, pa.table(noted))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    books.post([work("a", team="risk")])
    assert owners(books.books, report("done", "a")) == [{"risk"}]


SESSIONS = st.sampled_from(["a", "b", "c", None])
WORK = st.tuples(
    SESSIONS, st.integers(-900, 0), st.sampled_from(["risk", "search", None]), st.sampled_from(["t", None])
)


@settings(max_examples=8)
@given(st.lists(st.lists(WORK, max_size=6), max_size=4))
def test_owners_are_what_all_rows_together_say(
    clerk: OutcomeBooks, batches: Sequence[Sequence[tuple[Any, ...]]]
) -> None:
    books = emptied(clerk)
    for batch in batches:
        books.post([work(name, hour=hour, team=team, task_id=task) for name, hour, team, task in batch])
    for column, named in (("session_id", [report("done", name) for name in "abc"]), ("task_id", [report(task="t")])):
        sql = f"SELECT DISTINCT {column} AS said, team FROM usages WHERE team <> '(untagged)'"
        rows = books.books.rows(sql).to_pylist()
        names = [outcome["task_id"] or outcome["session_ids"][0] for outcome in named]
        expected = [{row["team"] for row in rows if row["said"] == name} for name in names]
        assert owners(books.books, *named) == expected
    assert checks.check_whereabouts(books.books).ok
    books.books.close()


def test_the_doctor_finds_a_day_that_is_not_noted(books: OutcomeBooks) -> None:
    books.post([work("a", team="risk", task_id="t"), work("a", hour=50)])
    assert checks.check_whereabouts(books.books).ok
    with books.books.writing() as transaction:
        transaction.execute("DELETE FROM whereabouts WHERE day = (SELECT max(day) FROM whereabouts)")
    found = checks.check_whereabouts(books.books)
    assert (found.ok, found.text, found.hint) == (False, "1 days of work are not noted", "outlay rebuild")


def test_far_apart_days_are_few_stretches_that_hold_them_all(books: OutcomeBooks) -> None:
    days = [0, -1, -2, *range(-400, -10, 20)]
    books.post([work("a", hour=24 * day) for day in days])
    with books.books.reading() as reader:
        stretches = stretches_of(reader, Named.SESSION, ["a"])
    assert len(stretches) == STRETCHES_MAX
    for day in days:
        at = datetime.fromtimestamp((START_NS + day * 24 * HOUR_NS) // 10**9, UTC).replace(tzinfo=None)
        assert any(start <= at < end for start, end in stretches)


@pytest.mark.parametrize("name", ["a", "", "Zürich", "日本", "x" * 500])
def test_the_number_of_a_name_is_the_same_inside_and_outside_the_engine(name: str) -> None:
    transaction = duckdb.connect()
    transaction.execute("CREATE TABLE whereabouts (key INTEGER, day DATE)")
    at = datetime(2026, 11, 2, 8)  # noqa: DTZ001 - as the books hold it
    row = {"session_id": [f"s{name}"], "task_id": [name], "parent_session_id": [name], "time": [at]}
    Whereabouts().note(transaction, pa.table(row))
    ((day,),) = transaction.execute("SELECT DISTINCT day FROM whereabouts").fetchall()
    assert day == date(2026, 11, 2)
    found = {key for (key,) in transaction.execute("SELECT key FROM whereabouts").fetchall()}
    engine = "SELECT (md5_number_lower(? || ?) & ?)::INTEGER"
    asked = transaction.execute(engine, [Named.TASK.value, name, KEY_MASK]).fetchall()
    assert asked == [(number_of(Named.TASK, name),)]
    others = {number_of(named, name) for named in (Named.TASK, Named.PARENT)}
    assert found == {number_of(Named.SESSION, f"s{name}")} | (others if name else set())


class Explained:
    """A reader that keeps what the engine did for each statement."""

    def __init__(self, books: DuckBooks) -> None:
        self._books = books
        self.dialect = books.dialect
        self.plans: list[str] = []

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> pa.Table:
        table = self._books.rows(f"EXPLAIN ANALYZE {sql}", parameters)
        self.plans.append(table.column("explain_value")[0].as_py())
        return self._books.rows(sql, parameters)


def test_the_question_reads_an_index_and_the_days_it_names(clerk: OutcomeBooks, tmp_path: Path) -> None:
    """The plan, on books of several row groups: whatever they hold beside, no more of them is read."""
    filled = emptied(clerk, tmp_path / "books.duckdb")
    books = filled.books
    filled.post([work("first", team="risk")])
    with books.writing() as transaction:
        transaction.execute(
            f"CREATE TEMP TABLE incoming AS SELECT * REPLACE ('s' || i // 40 AS session_id, 't' || i // 40 AS task_id, "
            f"time + to_seconds(i) AS time, i AS seq) FROM usage_rows, range(1, {GROUPS * ROW_GROUP}) r(i)"
        )
        names = [row[0] for row in transaction.execute("SELECT name FROM pragma_table_info('usage_rows')").fetchall()]
        columns = ", ".join(f'"{name}"' for name in names)
        transaction.execute(f"INSERT INTO usage_rows SELECT {columns} FROM incoming")
        books.whereabouts.note(transaction, transaction.sql("FROM incoming").to_arrow_table())
    books.checkpoint()
    reader = Explained(books)
    asked = outcomes_of([report("done", "s9000"), report(task="t9")])
    assert owners_of(reader, asked, NOW) == [frozenset({"risk"})] * 2
    assert session_rows.rows_of_session(reader, "s9000").first < datetime(2027, 1, 1)  # noqa: DTZ001 - as in books
    assert relatives.sessions_above(reader, "s9000") == []
    assert relatives.tree_below(reader, "s9000") == relatives.Tree()
    indexes = [plan for plan in reader.plans if "whereabouts" in plan]
    assert len(indexes) == 5
    assert all("Index Scan" in plan for plan in indexes)
    scanned = [tuple(map(int, found)) for plan in reader.plans for found in re.findall(r"Scanned: (\d+) / (\d+)", plan)]
    assert max(groups for _, groups in scanned) >= GROUPS
    assert max(read for read, groups in scanned if groups >= GROUPS) <= 2
    books.close()


def test_books_of_an_earlier_version_learn_where_work_is(clerk: OutcomeBooks, tmp_path: Path) -> None:
    path = tmp_path / "books.duckdb"
    filled = emptied(clerk, path)
    filled.post([work("a", team="risk"), work("b", task_id="t", team="search", hour=70)])
    filled.books.close()
    with duckdb.connect(path) as old:
        before = old.execute("SELECT DISTINCT key, day FROM whereabouts ORDER BY ALL").fetchall()
        old.execute("DROP TABLE whereabouts")
        old.execute("UPDATE meta SET value = 3 WHERE name = 'schema_version'")
    filled = emptied(clerk, path)
    after = filled.books.rows("SELECT DISTINCT key, day FROM whereabouts ORDER BY ALL").to_pylist()
    assert [(row["key"], row["day"]) for row in after] == before
    assert owners(filled.books, report("done", "a"), report(task="t")) == [{"risk"}, {"search"}]
    filled.books.close()
