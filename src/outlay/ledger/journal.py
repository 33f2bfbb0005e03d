"""The write-ahead journal: every accepted batch of facts, in order, durable before it is acknowledged.

The journal is the truth and the books are a projection of it: after a crash the books read on from the last entry they
hold, and a rebuild reads all of it. An entry is a header (magic, kind, length, CRC) and one Arrow stream. Entries are
numbered from 1; a file holds consecutive entries and is named after its first. A torn entry at the end was never
acknowledged: it is moved aside (`.torn`) when the journal is opened; a damaged entry in an older file is an error that
`outlay doctor` names. No message content reaches the journal: sources drop it before.
"""

from __future__ import annotations

import errno
import os
import struct
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from outlay.core.errors import StoreError, StoreFullError

try:
    from isal.isal_zlib import crc32
except ImportError:  # no wheel for this machine: slower, the same sum
    from zlib import crc32

SEGMENT_BYTES_MAX = 64 * 1024 * 1024
"""A new file is begun beyond this size, so that old files never change and can be copied away."""

_MAGIC = b"OUTJ"
_HEADER = struct.Struct("<4sBxxxQQI")  # magic, kind, moment of acceptance in ns, bytes of the body, CRC-32 of the body
_WRITE_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)


class EntryKind(IntEnum):
    """What an entry holds; append only."""

    SPANS = 1
    FACTS = 2
    OUTCOMES = 3
    LOGS = 4
    POINTS = 5


@dataclass(frozen=True, slots=True)
class Entry:
    """One batch with its number and the moment it was accepted."""

    number: int
    kind: EntryKind
    accepted_ns: int  # UTC epoch; what a clock was compared with then, it is compared with in a rebuild
    table: pa.Table


class Journal:
    """Append-only files in `folder`; safe to append from several threads, one process at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        files = self._files()
        self._first = _first_number(files[-1]) if files else 1
        self._next = self._first
        self._size = 0
        if files:
            self._next, self._size = _recover(files[-1], self._first)
        self._file: BinaryIO = self._open(self._first)

    @property
    def last_number(self) -> int:
        """Number of the last durable entry; 0 while there is none."""
        return self._next - 1

    @property
    def size_bytes(self) -> int:
        """Bytes on disk of all files."""
        return sum(file.stat().st_size for file in self._files())

    def append(self, tables: Sequence[tuple[EntryKind, pa.Table]], accepted_ns: int) -> int:
        """Make the batches, accepted at `accepted_ns`, durable with one sync; returns the number of the last one.

        Raises StoreFullError when there is no room: then none of them is in the journal.
        """
        packed = [_pack(kind, table, accepted_ns) for kind, table in tables if table.num_rows]
        if not packed:
            return self.last_number
        with self._lock:
            self._rotate()
            try:
                _write_whole(self._file, b"".join(packed))
                os.fdatasync(self._file.fileno())
            except OSError as error:
                self._undo()
                if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                    raise StoreFullError(
                        f"no room left for the journal in {self.folder}",
                        hint="free some space; nothing that was acknowledged is lost, send the rest again",
                    ) from error
                raise StoreError(f"cannot write the journal in {self.folder}: {error}") from error
            self._size += sum(map(len, packed))
            self._next += len(packed)
            return self._next - 1

    def read(self, after: int = 0) -> Iterator[Entry]:
        """Every entry with a number above `after`, in order, up to the last one durable at the start of the call."""
        end = self.last_number
        files = self._files()
        for place, file in enumerate(files):
            following = _first_number(files[place + 1]) if place + 1 < len(files) else end + 1
            if following > after + 1:
                yield from (entry for entry in _entries(file, _first_number(file), end) if entry.number > after)

    def close(self) -> None:
        """Close the open file; everything acknowledged is already on disk."""
        self._file.close()

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("*.journal"))

    def _open(self, first: int) -> BinaryIO:
        path = self.folder / f"{first:016d}.journal"
        fresh = not path.exists()
        file = path.open("ab", buffering=0)
        if fresh:
            _sync_folder(self.folder)
        return file

    def _rotate(self) -> None:
        if self._size < SEGMENT_BYTES_MAX:
            return
        self._file.close()
        self._first, self._size = self._next, 0
        self._file = self._open(self._first)

    def _undo(self) -> None:
        """Cut a half-written append off again, so that the next one begins on a whole entry."""
        try:
            os.ftruncate(self._file.fileno(), self._size)
        except OSError as error:
            what = f"the journal in {self.folder} cannot be repaired while open: {error}"
            raise StoreError(what, hint="restart Outlay") from error


def _write_whole(file: BinaryIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def _pack(kind: EntryKind, table: pa.Table, accepted_ns: int) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=_WRITE_OPTIONS) as writer:
        writer.write_table(table.combine_chunks())
    body = sink.getvalue()
    return _HEADER.pack(_MAGIC, kind, accepted_ns, body.size, crc32(body)) + body.to_pybytes()


def _first_number(file: Path) -> int:
    return int(file.stem)


def _recover(file: Path, first: int) -> tuple[int, int]:
    """Find the end of the last whole entry, move aside what was torn; returns (next number, size in bytes)."""
    number, good = first, 0
    with file.open("r+b") as stream:
        while (size := _whole_entry(stream)) is not None:
            number, good = number + 1, good + size
        stream.seek(good)
        if torn := stream.read():
            file.with_suffix(".torn").write_bytes(torn)
            stream.truncate(good)
            os.fsync(stream.fileno())
    return number, good


def _whole_entry(stream: BinaryIO) -> int | None:
    header = stream.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    magic, _kind, _accepted, length, crc = _HEADER.unpack(header)
    if magic != _MAGIC:
        return None
    body = stream.read(length)
    if len(body) < length or crc32(body) != crc:
        return None
    return _HEADER.size + length


def _entries(file: Path, first: int, end: int) -> Iterator[Entry]:
    with file.open("rb") as stream:
        number = first
        while number <= end:
            header = stream.read(_HEADER.size)
            if not header:
                return
            if len(header) < _HEADER.size:
                raise _damaged(file, number)
            magic, kind, accepted_ns, length, crc = _HEADER.unpack(header)
            body = stream.read(length) if magic == _MAGIC else b""
            if magic != _MAGIC or len(body) < length or crc32(body) != crc:
                raise _damaged(file, number)
            yield Entry(number, EntryKind(kind), accepted_ns, pa.ipc.open_stream(body).read_all())
            number += 1


def _damaged(file: Path, number: int) -> StoreError:
    return StoreError(
        f"entry {number} of the journal {file.name} is damaged",
        hint="restore the file from a backup; the books still hold what was posted before",
    )


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
