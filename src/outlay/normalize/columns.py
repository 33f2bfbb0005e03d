"""Columns as codes: how the rooms of text and counts are worked on without touching rows one by one.

A text column becomes its distinct values and one integer code a row, so that a rule about text is asked once a value.
Code -1 stands for null.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Text:
    """A text column as `values` (distinct, never null) and `codes` into them; -1 is null."""

    values: pa.StringArray
    codes: Codes

    def stated(self) -> Mask:
        """Rows that say something: neither null nor empty."""
        filled = np.asarray([value != "" for value in self.values.to_pylist()] + [False], np.bool_)
        return filled[self.codes]

    def at(self, row: int, default: str = "") -> str:
        """The value on one row, for a message to a person."""
        code = int(self.codes[row])
        return default if code < 0 else self.values[code].as_py()

    def array(self, default: str = "") -> pa.DictionaryArray:
        """The dictionary-encoded column with `default` where there was null."""
        if len(self.codes) and self.codes.min() >= 0:
            return pa.DictionaryArray.from_arrays(pa.array(self.codes), self.values)
        values = pa.concat_arrays([self.values, words(default)])
        codes = np.where(self.codes < 0, np.int32(len(values) - 1), self.codes)
        return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), values)


@lru_cache(maxsize=256)
def words(*texts: str) -> pa.StringArray:
    """A short array of fixed words, made once: building one from Python costs more than a kernel over a batch."""
    return pa.array(texts, pa.string())


@lru_cache(maxsize=256)
def constant(value: str | int) -> pa.Scalar:
    """A value as kernels want it, made once: each time Arrow meets a plain one, it looks for an optional package."""
    return pa.scalar(value)


def silent(rows_count: int) -> Text:
    """A text column that says nothing on any row."""
    return Text(words(), np.full(rows_count, -1, np.int32))


def whole(table: pa.Table, name: str) -> pa.Array:
    """The column as one array."""
    column = table.column(name)
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.unify_dictionaries().chunks)


def text_of(column: pa.Array) -> Text:
    """Distinct values and codes of a text column, plain or dictionary-encoded."""
    if column.null_count == len(column):
        return silent(len(column))
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    elif column.dictionary.null_count:
        column = column.dictionary_decode().dictionary_encode()
    indices = column.indices
    if indices.null_count:
        indices = indices.cast(pa.int32()).fill_null(-1)
    return Text(column.dictionary, np.asarray(indices).astype(np.int32, copy=False))


def counts_of(column: pa.Array) -> tuple[Ints, Mask]:
    """Whole numbers with 0 for null, and which rows state one."""
    if column.null_count == len(column):
        return np.zeros(len(column), np.int64), np.zeros(len(column), np.bool_)
    known = np.asarray(column.is_valid())
    return np.asarray(column.fill_null(0) if column.null_count else column), known


def flags_of(column: pa.Array) -> Mask:
    """True where the column says true; null is false."""
    if column.null_count == len(column):
        return np.zeros(len(column), np.bool_)
    return np.asarray(column.fill_null(fill_value=False))


def nullable(values: Ints, known: Mask) -> pa.Array:
    """Whole numbers that are null where they are not known."""
    return pa.array(values, pa.int64(), mask=~known)


def key_bytes(column: pa.Array) -> npt.NDArray[np.uint8]:
    """16-byte keys as a matrix of n × 16 bytes; rows that are null hold anything."""
    data = np.frombuffer(column.buffers()[1], np.uint8)
    return data[column.offset * 16 : (column.offset + len(column)) * 16].reshape(-1, 16)
