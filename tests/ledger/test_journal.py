"""The journal: what was acknowledged is there, whatever ends the process or the disk."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.core.errors import StoreError, StoreFullError
from outlay.ledger import journal as journal_module
from outlay.ledger.journal import EntryKind, Journal


@pytest.fixture
def opened() -> Iterator[Callable[[Path], Journal]]:
    """Opens journals and closes them at the end of the test."""
    with ExitStack() as stack:

        def open_one(folder: Path) -> Journal:
            journal = Journal(folder)
            stack.callback(journal.close)
            return journal

        yield open_one


def table(*numbers: int) -> pa.Table:
    return pa.table({"n": pa.array(numbers, pa.int64())})


def numbers(journal: Journal, after: int = 0) -> list[tuple[int, list[int]]]:
    return [(entry.number, entry.table.column("n").to_pylist()) for entry in journal.read(after)]


def test_entries_come_back_in_order_and_from_any_number(tmp_path: Path, opened: Callable[[Path], Journal]) -> None:
    journal = opened(tmp_path)
    assert journal.append([(EntryKind.FACTS, table(1)), (EntryKind.OUTCOMES, table(2))], 7) == 2
    assert journal.append([(EntryKind.SPANS, table(3))], 7) == 3
    assert numbers(journal) == [(1, [1]), (2, [2]), (3, [3])]
    assert numbers(journal, after=2) == [(3, [3])]
    assert [entry.kind for entry in journal.read()] == [EntryKind.FACTS, EntryKind.OUTCOMES, EntryKind.SPANS]


def test_an_empty_batch_takes_no_number(tmp_path: Path, opened: Callable[[Path], Journal]) -> None:
    journal = opened(tmp_path)
    assert journal.append([(EntryKind.FACTS, table())], 7) == 0
    assert numbers(journal) == []


def test_a_new_file_is_begun_when_one_is_full(
    tmp_path: Path, opened: Callable[[Path], Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "SEGMENT_BYTES_MAX", 1)
    journal = opened(tmp_path)
    for number in range(1, 5):
        journal.append([(EntryKind.FACTS, table(number))], 7)
    assert len(list(tmp_path.glob("*.journal"))) == 4
    assert numbers(journal, after=2) == [(3, [3]), (4, [4])]
    journal.close()
    assert opened(tmp_path).append([(EntryKind.FACTS, table(5))], 7) == 5


@given(cut=st.integers(min_value=1, max_value=400), entries=st.integers(min_value=1, max_value=3))
def test_a_torn_end_is_moved_aside_and_the_rest_stays(
    tmp_path_factory: pytest.TempPathFactory, cut: int, entries: int
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    with closing(Journal(folder)) as journal:
        for number in range(1, entries + 1):
            journal.append([(EntryKind.FACTS, table(number))], 7)
        whole = next(folder.glob("*.journal")).stat().st_size
        journal.append([(EntryKind.FACTS, table(99))], 7)
    file = next(folder.glob("*.journal"))
    os.truncate(file, whole + min(cut, file.stat().st_size - whole - 1))
    with closing(Journal(folder)) as again:
        assert numbers(again) == [(number, [number]) for number in range(1, entries + 1)]
        assert file.with_suffix(".torn").exists()
        assert again.append([(EntryKind.FACTS, table(7))], 7) == entries + 1
        assert numbers(again)[-1] == (entries + 1, [7])


def test_damage_in_an_older_file_is_named(
    tmp_path: Path, opened: Callable[[Path], Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "SEGMENT_BYTES_MAX", 1)
    journal = opened(tmp_path)
    for number in (1, 2):
        journal.append([(EntryKind.FACTS, table(number))], 7)
    first = min(tmp_path.glob("*.journal"))
    data = bytearray(first.read_bytes())
    data[-1] ^= 1
    first.write_bytes(bytes(data))
    with pytest.raises(StoreError, match="entry 1 of the journal"):
        list(journal.read())


def test_a_full_disk_takes_nothing_and_loses_nothing(
    tmp_path: Path, opened: Callable[[Path], Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = opened(tmp_path)
    journal.append([(EntryKind.FACTS, table(1))], 7)
    whole = journal_module._write_whole

    def full(file: object, data: bytes) -> None:
        whole(file, data[: len(data) // 2])  # type: ignore[arg-type]
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(journal_module, "_write_whole", full)
    with pytest.raises(StoreFullError, match="no room left"):
        journal.append([(EntryKind.FACTS, table(2))], 7)
    monkeypatch.setattr(journal_module, "_write_whole", whole)
    assert journal.append([(EntryKind.FACTS, table(3))], 7) == 2
    assert numbers(journal) == [(1, [1]), (2, [3])]
    assert not list(tmp_path.glob("*.torn"))
