"""The clerk while much comes in: larger postings, no helpers, and days that are written down as stale once."""

from __future__ import annotations

import threading
from pathlib import Path

import duckdb
import pytest

from otlp_wire import request, span
from outlay.house import House
from outlay.ledger import duckdb_rollups, intake
from outlay.ledger.duckdb_books import DuckBooks
from outlay.ledger.posting import Clerk, PostReport
from outlay.ledger.settling import roll_up
from outlay.pricing.book import PriceBook
from outlay.sources.facts import facts_of

DAY_S = 86_400
START_S = 1_764_000_000
STALE = "SELECT count(*) FROM stale_days"


def body(first: int, count: int) -> bytes:
    calls = [span(first + place, {"gen_ai.operation.name": "chat"}) for place in range(count)]
    return request(calls).SerializeToString()


def test_much_is_posted_alone_and_helpers_come_back_when_it_is_quiet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("BUSY_ROWS", 40), ("LINGER_S", 0.05), ("LINGER_BUSY_S", 0.1), ("SETTLE_PAUSE_S", 0.05)):
        monkeypatch.setattr(intake, name, value)
    asked, quiet = list[bool](), threading.Event()
    with House.open(tmp_path) as house:
        work_alone = house.books.work_alone

        def heard(*, alone: bool) -> None:
            work_alone(alone=alone)
            asked.append(alone)
            if True in asked and not alone:
                quiet.set()

        monkeypatch.setattr(house.books, "work_alone", heard)
        threads = int(house.books.scalar("SELECT current_setting('threads')"))
        house.intake.submit(body(1, 8), "protobuf").result()
        house.intake.settle()
        assert True not in asked
        with house.intake.paused():
            answers = [house.intake.submit(body(100 * place, 50), "protobuf") for place in range(1, 4)]
            assert sum(answer.result().received for answer in answers) == 150
        assert quiet.wait(10)
        assert True in asked
        assert house.books.scalar("SELECT current_setting('threads')") == threads
        assert house.counters()["posted"] == 158


def test_alone_or_not_the_engine_uses_so_many_threads() -> None:
    books = DuckBooks(None)
    before = books.scalar("SELECT current_setting('threads')")
    for alone in (True, True, False, False):
        books.work_alone(alone=alone)
        assert books.scalar("SELECT current_setting('threads')") == (1 if alone else before)
    books.close()
    books.work_alone(alone=True)  # books that were given up say so to whoever wants something of them, not here


def test_a_day_is_written_down_as_stale_once_and_again_after_it_was_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    marked = list[frozenset[int]]()
    mark_days = duckdb_rollups.mark_days

    def counted(transaction: duckdb.DuckDBPyConnection, days: frozenset[int]) -> None:
        marked.append(days)
        mark_days(transaction, days)

    monkeypatch.setattr(duckdb_rollups, "mark_days", counted)
    books = DuckBooks(None)
    clerk = Clerk(books, PriceBook.load(None))

    def post(number: int, day: int) -> None:
        row = {"fact_id": str(number), "source": "x", "start_ns": (START_S + day * DAY_S) * 10**9, "operation": "chat"}
        clerk.post(facts_of([row]), None, through=number, before=PostReport(received=1), accepted_ns=START_S * 10**9)

    for number, day in ((1, 0), (2, 0), (3, 1)):
        post(number, day)
    assert (len(marked), books.scalar(STALE)) == (2, 2)
    roll_up(books)
    assert books.scalar(STALE) == 0
    post(4, 0)
    assert (len(marked), books.scalar(STALE)) == (3, 1)
    roll_up(books)
    with monkeypatch.context() as patch:  # what a transaction marked that failed is not marked
        patch.setattr(clerk, "_count", _fails)
        with pytest.raises(RuntimeError):
            post(5, 1)
    assert books.scalar(STALE) == 0
    post(6, 1)
    assert books.scalar(STALE) == 1
    books.close()


def _fails(*_: object) -> None:
    raise RuntimeError
