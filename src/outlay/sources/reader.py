"""Opening files, plain or gzip. What was readable before a cut is kept, and a Problem names the cut."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from isal import igzip_lib, isal_zlib

from outlay.core.errors import FormatError, Problem
from outlay.sources.jsons import parse_cut_json, parse_json

BLOCK_BYTES = 1 << 20
DOCUMENT_BYTES_MAX = 2 << 30
"""The largest document that is read as a whole, after unpacking; lines and tables of any size go by blocks."""

LINE_BYTES_MAX = 256 << 20
_DAMAGED = cast("type[Exception]", igzip_lib.IsalError)
_GZIP_MAGIC = b"\x1f\x8b"


def plain_name(path: Path) -> str:
    """The file's name without `.gz`."""
    return path.name.removesuffix(".gz")


def blocks(path: Path, problems: list[Problem]) -> Iterator[bytes]:
    """The unpacked content in blocks. A cut or damaged gzip ends the stream with a Problem instead of an error."""
    with path.open("rb") as file:
        head = file.read(2)
        file.seek(0)
        if head == _GZIP_MAGIC:
            yield from _unpacked(file, path, problems)
            return
        while block := file.read(BLOCK_BYTES):
            yield block


def _unpacked(file: io.BufferedReader, path: Path, problems: list[Problem]) -> Iterator[bytes]:
    unpacker = isal_zlib.decompressobj(wbits=31)
    read = 0
    packed = b""
    while True:
        packed = packed or file.read(BLOCK_BYTES)
        if not packed:
            break
        if unpacker.eof:  # a gzip file may hold several members one after the other
            packed = packed.lstrip(b"\0")
            if not packed:
                continue
            unpacker = isal_zlib.decompressobj(wbits=31)
        try:
            block = unpacker.decompress(packed, BLOCK_BYTES)
        except _DAMAGED as error:
            problems.append(_cut(path, read, str(error)))
            return
        packed = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
        read += len(block)
        if block:
            yield block
    if not unpacker.eof:
        problems.append(_cut(path, read, "the end of the stream is missing"))


def _cut(path: Path, read: int, why: str) -> Problem:
    return Problem(
        where=path.name,
        what=f"the gzip is cut or damaged after {read:,} unpacked bytes ({why})",
        hint="everything before the cut was read; fetch the file again for the rest",
    )


def head_of(path: Path, size: int = BLOCK_BYTES) -> bytes:
    """The first `size` unpacked bytes."""
    head = b""
    for block in blocks(path, []):
        head += block
        if len(head) >= size:
            break
    return head[:size]


def document(path: Path, problems: list[Problem]) -> bytes:
    """The whole unpacked content. Raises FormatError where it is too large to be one document."""
    parts: list[bytes] = []
    size = 0
    for block in blocks(path, problems):
        size += len(block)
        if size > DOCUMENT_BYTES_MAX:
            raise FormatError(
                f"{path.name} is larger than {DOCUMENT_BYTES_MAX:,} bytes as one document",
                hint="split it, or export it as JSON lines, which are read line by line",
            )
        parts.append(block)
    return b"".join(parts)


def lines(path: Path, problems: list[Problem]) -> Iterator[tuple[int, bytes]]:
    """Numbered lines, from 1, empty ones left out; the unfinished line before a cut is left out as well."""
    rest = b""
    number = 0
    before = len(problems)
    for block in blocks(path, problems):
        *whole, rest = (rest + block).split(b"\n")
        for line in whole:
            number += 1
            if line.strip():
                yield number, line
        if len(rest) > LINE_BYTES_MAX:
            raise FormatError(f"{path.name}, line {number + 1}: longer than {LINE_BYTES_MAX:,} bytes")
    if rest.strip() and len(problems) == before:
        yield number + 1, rest


def read_json(path: Path, problems: list[Problem]) -> Any:
    """The JSON document in a file; of one that is cut, what is complete before the cut. Raises FormatError."""
    data = document(path, problems)
    try:
        return parse_json(data)
    except ValueError as error:
        why = str(error)
    try:
        value = parse_cut_json(data)
    except ValueError as error:
        raise FormatError(f"{path.name} is not readable JSON: {why}") from error
    if not problems:
        problems.append(Problem(path.name, f"the JSON is cut or damaged: {why}", "its beginning was read"))
    return value
