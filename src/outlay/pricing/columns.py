"""Columns: a batch of usages as plain arrays, the shape in which charging multiplies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from outlay.core.meters import METER_CODE, TOKEN_METERS
from outlay.core.usage import Estimated

ASKED_COLUMNS = ("provider", "model", "region", "service_tier", "processing", "speed")
"""The columns that decide a price, in the order of `course.Asked`."""

INPUT_COLUMNS = tuple(place for place, meter in enumerate(TOKEN_METERS) if meter.startswith("in_"))

NO_METERS = np.zeros(len(TOKEN_METERS), np.bool_)
_IS_INPUT = np.isin(np.arange(len(TOKEN_METERS)), INPUT_COLUMNS)
ESTIMATED_METERS: Mapping[str, NDArray[np.bool_]] = {
    Estimated.ALL.value: ~NO_METERS,
    Estimated.INPUT.value: _IS_INPUT,
    Estimated.OUTPUT.value: ~_IS_INPUT,
}
"""The word in `basis` with which tokens were estimated, and the token meters it speaks of."""


@dataclass(frozen=True, slots=True)
class Words:
    """A text column as codes into its distinct values."""

    codes: NDArray[np.int64]
    values: list[str]


@dataclass(frozen=True, slots=True)
class Loose:
    """Quantities that are not tokens: parallel arrays of the usage's row, the meter's code and the quantity."""

    row: NDArray[np.int64]
    meter: NDArray[np.int64]
    quantity: NDArray[np.int64]


def words(table: pa.Table, name: str) -> Words:
    """A text column, plain or dictionary-encoded; null is the empty text."""
    column: Any = table.column(name)
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    elif column.num_chunks > 1:
        column = column.unify_dictionaries()
    if column.num_chunks == 0:
        return Words(np.zeros(0, np.int64), [])
    array: Any = column.combine_chunks()
    codes = array.indices
    values: list[str] = [value or "" for value in array.dictionary.to_pylist()]
    if codes.null_count:
        codes = codes.fill_null(len(values))
        values.append("")
    return Words(codes.to_numpy(zero_copy_only=False).astype(np.int64), values)


def numbers(table: pa.Table, name: str) -> NDArray[np.int64]:
    """An integer column with 0 for null."""
    column: Any = table.column(name)
    filled = column.fill_null(0) if column.null_count else column
    return filled.to_numpy().astype(np.int64, copy=False)


def flags(table: pa.Table, name: str) -> NDArray[np.bool_]:
    """A boolean column with False for null."""
    return table.column(name).fill_null(False).to_numpy().astype(np.bool_, copy=False)  # noqa: FBT003


def present(table: pa.Table, name: str) -> NDArray[np.bool_]:
    """Where a column has a value."""
    return pc.is_valid(table.column(name)).to_numpy()


def distinct(key: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each distinct key, in order of appearance, where it first stands; and the number of each place's key."""
    encoded: Any = pa.array(key).dictionary_encode()
    which = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    first = np.zeros(len(encoded.dictionary), np.int64)
    first[which[::-1]] = np.arange(len(key) - 1, -1, -1)
    return first, which


def times_us(table: pa.Table) -> NDArray[np.int64]:
    """The usages' times as UTC epoch microseconds."""
    return table.column("time").cast(pa.timestamp("us")).cast(pa.int64()).fill_null(0).to_numpy()


def tokens(table: pa.Table) -> NDArray[np.int64]:
    """Quantities of the token meters, one row a usage, one column a meter in the order of TOKEN_METERS."""
    return np.column_stack([numbers(table, meter) for meter in TOKEN_METERS])


def loose(table: pa.Table) -> Loose:
    """The quantities in `units`, flattened; zeros are left out. An unknown meter is a programmer's error."""
    column: Any = table.column("units")
    empty = np.zeros(0, np.int64)
    if column.null_count == len(column):
        return Loose(empty, empty, empty)
    lists = column.combine_chunks()
    row = pc.list_parent_indices(lists).to_numpy(zero_copy_only=False).astype(np.int64)
    structs = lists.flatten()
    names = structs.field("meter").dictionary_encode()
    codes = np.array([METER_CODE[name] for name in names.dictionary.to_pylist()], np.int64)
    quantity = structs.field("quantity").fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    meter = codes[names.indices.to_numpy(zero_copy_only=False)] if len(codes) else empty
    some = quantity > 0
    return Loose(row[some], meter[some], quantity[some])
