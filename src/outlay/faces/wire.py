"""A batch of facts as bytes: what a command sends to the server that owns the books.

One body is one JSON line (the counts and problems of the batch, and which tables follow) and then one Arrow stream a
table. Reading checks the shape; what the rows say is judged by `normalize/`, as for every other source.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from outlay.core.errors import FormatError, Problem
from outlay.sources.facts import FACTS, OUTCOMES, Batch, conform

CONTENT_TYPE = "application/vnd.outlay.batch"

_TABLES = ("facts", "outcomes", "spans")
_WRITE_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")
_HEAD_BYTES_MAX = 16 * 1024 * 1024


def pack(batch: Batch) -> bytes:
    """The bytes of a batch."""
    tables = {name: table for name in _TABLES if (table := getattr(batch, name, None)) is not None}
    head = {
        "received": batch.received,
        "repeats": batch.repeats,
        "problems": [asdict(problem) for problem in batch.problems],
        "tables": list(tables),
    }
    sink = pa.BufferOutputStream()
    sink.write(json.dumps(head).encode() + b"\n")
    for table in tables.values():
        with pa.ipc.new_stream(sink, table.schema, options=_WRITE_OPTIONS) as writer:
            writer.write_table(table)
    return sink.getvalue().to_pybytes()


def unpack(body: bytes) -> Batch:
    """The batch in the bytes. Raises FormatError when they are not what `pack` makes."""
    try:
        line, rest = body[:_HEAD_BYTES_MAX].split(b"\n", 1)[0], memoryview(body)
        head: dict[str, Any] = json.loads(line)
        problems = [Problem(**problem) for problem in head["problems"]]
        reader = pa.BufferReader(rest[len(line) + 1 :])
        tables = {str(name): _table(reader) for name in head["tables"]}
        batch = Batch(
            conform(tables.pop("facts"), FACTS),
            conform(tables.pop("outcomes"), OUTCOMES),
            received=int(head["received"]),
            repeats=int(head["repeats"]),
            problems=problems,
        )
    except (pa.ArrowException, ValueError, KeyError, TypeError, OSError) as error:
        raise FormatError(
            f"not a batch of facts: {error}", hint=f"content type {CONTENT_TYPE}, as written by outlay.faces.wire.pack"
        ) from error
    for name, table in tables.items():
        if name not in _TABLES:
            raise FormatError(f"unknown table {name!r} in a batch", hint="valid: " + ", ".join(_TABLES))
        setattr(batch, name, table)
    return batch


def _table(reader: pa.BufferReader) -> pa.Table:
    with pa.ipc.open_stream(reader) as stream:
        table = stream.read_all()
    table.validate(full=True)  # offsets of a stranger's buffers are checked before anything reads through them
    return table
