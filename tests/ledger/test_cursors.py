"""Cursors that readers hand on: each reader has a moment of its own, whatever became of the one before it."""

from __future__ import annotations

from pathlib import Path

import pytest

from outlay.core.errors import StoreError
from outlay.ledger.duckdb_books import DuckBooks
from outlay.ledger.duckdb_cursors import IDLE_MAX


@pytest.fixture
def books(tmp_path: Path) -> DuckBooks:
    return DuckBooks(tmp_path / "books.duckdb")


def noted(books: DuckBooks) -> int:
    with books.reading() as snapshot:
        (row,) = snapshot.records("SELECT coalesce(max(value), 0) AS value FROM meta WHERE name = 'noted'")
    return int(row["value"])


def note(books: DuckBooks, number: int) -> None:
    with books.writing() as transaction:
        books.set_meta(transaction, noted=number)


def test_a_reader_sees_what_was_written_before_it_and_nothing_after(books: DuckBooks) -> None:
    assert noted(books) == 0
    note(books, 1)
    with books.reading() as snapshot:
        note(books, 2)
        (row,) = snapshot.records("SELECT value FROM meta WHERE name = 'noted'")
        assert row["value"] == 1
    assert noted(books) == 2, "the cursor it was lent holds on to no moment"
    books.close()


def test_a_question_that_failed_does_no_harm_to_the_next_reader(books: DuckBooks) -> None:
    with pytest.raises(StoreError, match="a question to the books failed"), books.reading() as snapshot:
        snapshot.records("SELECT nothing FROM nowhere")
    note(books, 7)
    assert noted(books) == 7
    books.close()


def test_more_readers_than_are_kept_and_books_opened_anew_meanwhile(books: DuckBooks) -> None:
    note(books, 3)
    books.checkpoint()
    held = [books.reading() for _ in range(IDLE_MAX + 2)]
    for reader in held:
        reader.__enter__()
    books.reopen()
    assert noted(books) == 3
    for reader in held:
        reader.__exit__(None, None, None)
    note(books, 4)
    assert noted(books) == 4
    books.close()
    again = DuckBooks(books.path)
    assert noted(again) == 4
    again.close()
