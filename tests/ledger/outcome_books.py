"""Small books for the tests of outcomes: facts and reports in, the rows that stand out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from tests.strategies import key_of

from outlay.core.outcome import Timeouts
from outlay.ledger.duckdb_books import DuckBooks
from outlay.ledger.posting import Clerk, PostReport
from outlay.ledger.settling import settle
from outlay.pricing.book import PriceBook
from outlay.sources.facts import facts_of, outcomes_of

Row = dict[str, Any]

START_NS = 1_793_000_000 * 1_000_000_000
HOUR_NS = 3_600_000_000_000
END = datetime.fromtimestamp(START_NS // 1_000_000_000, UTC)
"""When the work of these tests began; everything is told in hours from here."""

_NUMBERS = iter(range(10**9))


def work(session: str | None = "s", *, hour: int = 0, **stated: Any) -> Row:
    """A priced model call of a session."""
    number = next(_NUMBERS)
    start = START_NS + hour * HOUR_NS
    return {
        "fact_id": f"work {number}",
        "session_id": session,
        "source": "test",
        "start_ns": start,
        "end_ns": start + 1_000_000_000,
        "operation": "chat",
        "provider": "openai",
        "model_served": "gpt-4.1",
        "input_tokens": 1000,
        "output_tokens": 10,
        "feature": "kyc",
        **stated,
    }


def report(status: str = "done", *sessions: str, task: str | None = None, hour: int = 1, **stated: Any) -> Row:
    """A report that a task ended."""
    return {
        "outcome_id": f"report {next(_NUMBERS)}",
        "task_id": task,
        "session_ids": list(sessions),
        "status": status,
        "at_ns": START_NS + hour * HOUR_NS,
        "source": "test",
        **stated,
    }


class OutcomeBooks:
    """Books in memory, and the clerk who posts into them."""

    def __init__(self) -> None:
        self.books = DuckBooks(None)
        self._clerk = Clerk(self.books, PriceBook.load(None))
        self._number = 0

    def post(self, facts: Sequence[Row] = (), outcomes: Sequence[Row] = (), *, settled: bool = True) -> None:
        """One posting, and what relatives make of it."""
        self._number += 1
        self._clerk.post(
            facts_of(list(facts)),
            outcomes_of(list(outcomes)),
            through=self._number,
            before=PostReport(received=len(facts) + len(outcomes)),
            accepted_ns=time.time_ns(),
        )
        if settled:
            settle(self.books)

    def abandon(self, hour: int, timeouts: Timeouts | None = None) -> None:
        """Time goes by until so many hours after the beginning."""
        as_of = datetime.fromtimestamp((START_NS + hour * HOUR_NS) // 1_000_000_000, UTC)
        with self.books.writing() as transaction:
            self.books.settle_timeouts(transaction, timeouts or Timeouts(), as_of)

    def tasks(self) -> dict[str, Row]:
        """The tasks by their current report."""
        rows = self.books.rows("SELECT * EXCLUDE (outcome_key, span_key, tree_key) FROM outcomes WHERE current")
        found = rows.to_pylist()
        assert len({row["task_id"] for row in found}) == len(found), "a task has two current reports"
        return {row["task_id"]: row for row in found}

    def everything(self) -> list[Row]:
        """All rows, without the order of posting."""
        return self.books.rows("SELECT * EXCLUDE (seq) FROM outcomes ORDER BY outcome_key").to_pylist()


@contextmanager
def outcome_books() -> Iterator[OutcomeBooks]:
    """Books for one test."""
    opened = OutcomeBooks()
    try:
        yield opened
    finally:
        opened.books.close()


__all__ = ["END", "HOUR_NS", "START_NS", "OutcomeBooks", "key_of", "outcome_books", "report", "work"]
