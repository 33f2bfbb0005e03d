"""Zip archives: members by name, and of an archive that was cut (its directory comes last) those before the cut."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from outlay.core.errors import FormatError, Problem
from outlay.sources.reader import DOCUMENT_BYTES_MAX

ZIP_MAGIC = b"PK\x03\x04"
_HEADER = struct.Struct("<4sHHHHHIIIHH")
_STORED, _DEFLATED = 0, 8
_CHUNK_BYTES = 1 << 16


def member_names(path: Path) -> list[str]:
    """The names in an archive, as far as they can be seen."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return [name for name, _ in _before_the_cut(path, [])]


def members(path: Path, problems: list[Problem]) -> Iterator[tuple[str, bytes]]:
    """Name and content of each readable member, in order; what cannot be unpacked is a Problem."""
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile:
        yield from _before_the_cut(path, problems)
        return
    with archive:
        for info in archive.infolist():
            where = f"{path.name}!{info.filename}"
            if info.is_dir():
                continue
            if info.file_size > DOCUMENT_BYTES_MAX:
                problems.append(Problem(where, f"{info.file_size:,} bytes are too many", "refused"))
                continue
            try:
                yield info.filename, archive.read(info)
            except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError) as error:
                problems.append(Problem(where, f"the member cannot be unpacked: {error}", "refused"))


def _before_the_cut(path: Path, problems: list[Problem]) -> Iterator[tuple[str, bytes]]:
    """Members by their own headers, up to the first that is not whole."""
    data = memoryview(path.read_bytes())
    raw, place, read = data.obj, 0, 0
    assert isinstance(raw, bytes)
    while (place := raw.find(ZIP_MAGIC, place)) >= 0 and place + _HEADER.size <= len(raw):
        head = _HEADER.unpack_from(raw, place)
        method, packed, name_size, extra_size = head[3], head[7], head[9], head[10]
        start = place + _HEADER.size + name_size + extra_size
        name = raw[place + _HEADER.size : place + _HEADER.size + name_size].decode("utf-8", "replace")
        content, place = _content(data, start, method, packed)
        if content is None:
            break
        read += 1
        yield name, content
    problems.append(
        Problem(
            path.name,
            f"the archive is cut or damaged after {read:,} members",
            "everything before the cut was read; fetch the file again for the rest",
        )
    )


def _content(data: memoryview, start: int, method: int, packed: int) -> tuple[bytes | None, int]:
    """The unpacked member that begins at `start` and the place after it; None where it is not whole."""
    if method == _STORED:
        end = start + packed
        return (bytes(data[start:end]), end) if end <= len(data) else (None, end)
    if method != _DEFLATED:
        return None, start
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    parts: list[bytes] = []
    size, place = 0, start
    try:
        while not unpacker.eof and place < len(data):
            parts.append(unpacker.decompress(data[place : place + _CHUNK_BYTES]))
            size += len(parts[-1])
            if size > DOCUMENT_BYTES_MAX:
                raise FormatError(f"a member of the archive is larger than {DOCUMENT_BYTES_MAX:,} bytes")
            place = min(place + _CHUNK_BYTES, len(data))
    except zlib.error:
        return None, place
    return (b"".join(parts), place - len(unpacker.unused_data)) if unpacker.eof else (None, place)
