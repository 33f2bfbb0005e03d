"""The key of a combination of texts: books hold it, so it is the same in every version and however texts are coded."""

from __future__ import annotations

import hashlib

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.ledger import labels
from outlay.ledger.labels import LABELS, LabelBook

WORDS = st.sampled_from(["", "a", "b", "risk", "né"])


def by_the_book(row: list[str]) -> int:
    """The key as it was first defined, one row at a time."""
    key, whole = 0, 2**64 - 1
    for word in row:
        number = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
        key = ((key ^ (key >> 29)) * 0x9E3779B97F4A7C15 + number * 0xBF58476D1CE4E5B9) & whole
    return key


def table(rows: list[list[str]], *, encoded: bool) -> pa.Table:
    columns = [pa.chunked_array([pa.array([row[place] for row in rows], pa.string())]) for place in range(len(LABELS))]
    return pa.table([column.dictionary_encode() if encoded else column for column in columns], names=list(LABELS))


@given(st.lists(st.lists(WORDS, min_size=len(LABELS), max_size=len(LABELS)), min_size=1, max_size=12), st.booleans())
def test_a_combination_has_the_key_that_its_texts_give(rows: list[list[str]], encoded: bool) -> None:
    book = LabelBook(lambda _: {})
    numbers, fresh = book.number(table([*rows, *rows], encoded=encoded))
    assert book.numbers == dict(zip(fresh["key"].to_pylist(), fresh["number"].to_pylist(), strict=True))
    assert [book.numbers[by_the_book(row)] for row in [*rows, *rows]] == numbers.to_pylist()
    texts = [dict(zip(LABELS, row, strict=True)) for row in rows]
    kept = {row["number"]: {name: row[name] for name in LABELS} for row in fresh.to_pylist()}
    assert [kept[number] for number in numbers.to_pylist()[: len(rows)]] == texts
    again, nothing = book.number(table(rows, encoded=not encoded))
    assert (again.to_pylist(), nothing) == (numbers.to_pylist()[: len(rows)], None)


def test_more_combinations_than_a_number_holds_are_counted_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "_COMBINED_MAX", 50)
    rows = [[f"{(row * place) % 7}" for place in range(len(LABELS))] for row in range(40)]
    book = LabelBook(lambda _: {})
    numbers, _ = book.number(table(rows, encoded=True))
    assert [book.numbers[by_the_book(row)] for row in rows] == numbers.to_pylist()


def test_no_rows_have_no_numbers() -> None:
    numbers, fresh = LabelBook(lambda _: {}).number(table([], encoded=True))
    assert (len(numbers), fresh) == (0, None)
