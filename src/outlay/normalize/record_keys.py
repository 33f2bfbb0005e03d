"""The identity of log records and metric points, which have no ids of their own: what they state, hashed by column.

A log record is known by its event, moment, span and the ids and figures it states (`[identity]` of the tables). A key
is the same however the record came: as protobuf or JSON, alone or in a batch, its numbers as numbers or text.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa

from outlay.normalize.aliases import load
from outlay.normalize.columns import whole
from outlay.normalize.spans import key_array
from outlay.sources.otlp_records import column_of

_ALWAYS = ("at_ns", "name", "trace_id", "parent_span_id")
_ODD = np.uint64(0x9E3779B97F4A7C15)
_INT64_DIGITS_MAX = 18


def log_keys(logs: pa.Table) -> pa.Array:
    """One 16-byte key a record of a table as `sources.otlp_logs` makes it."""
    keys = np.zeros((logs.num_rows, 2), np.uint64)
    for name in (*_ALWAYS, *map(column_of, load().identity)):
        if name in logs.column_names:
            keys ^= hashed(name, whole(logs, name))
    return key_array(keys)


def hashed(name: str, column: pa.Array) -> np.ndarray:
    """Two words a row for each value under this name; 0 for null, so that what is not said changes nothing."""
    words = np.zeros((len(column), 2), np.uint64)
    salt = np.frombuffer(_digest(name), np.uint64)
    if pa.types.is_integer(column.type):
        stated = np.asarray(column.is_valid())
        values = np.asarray(column.fill_null(0).cast(pa.int64()))
        words[stated] = _mixed(values[stated], salt)
        return words
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    distinct = np.zeros((len(encoded.dictionary) + 1, 2), np.uint64)
    for place, value in enumerate(encoded.dictionary.to_pylist()):
        number = _whole(value)
        if number is not None:
            distinct[place] = _mixed(np.array([number], np.int64), salt)[0]
        else:
            text = value if isinstance(value, bytes) else _text(value).encode()
            distinct[place] = np.frombuffer(_digest(f"{name}\0", text), np.uint64)
    return distinct[np.asarray(encoded.indices.fill_null(len(encoded.dictionary))).astype(np.int64)]


def _digest(head: str, rest: bytes = b"") -> bytes:
    return hashlib.blake2b(head.encode() + rest, digest_size=16).digest()


def _text(value: object) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _whole(value: object) -> int | None:
    """The whole number a value is, whichever way it is written: 5, 5.0 and "5" are one."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, str) and len(value) <= _INT64_DIGITS_MAX and value.isascii() and value.isdecimal():
        return int(value) if value == str(int(value)) else None
    return None


def _mixed(numbers: np.ndarray, salt: np.ndarray) -> np.ndarray:
    """Whole numbers spread over 16 bytes (splitmix64, twice), otherwise under each name."""
    columns = []
    for part in salt:
        mixed = numbers.view(np.uint64) * _ODD + part
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        columns.append(mixed ^ (mixed >> np.uint64(31)))
    return np.stack(columns, axis=1)
