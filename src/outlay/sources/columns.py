"""Columns of text to counts, money, times and tags, whole columns at a time.

Each function takes text as a table holds it and returns the values with a mask of those that cannot be; nothing here
knows a format.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from outlay.core.money import nano_of
from outlay.sources.facts import TAGS
from outlay.sources.moments import moment_of_text

Mask = npt.NDArray[np.bool_]
_ZONED = r"(?:[Zz]|UTC|[+-]\d{2}:?\d{2})$"
_COUNT_MAX = 2**63 - 1


def nulls_as_true(column: pa.Array) -> Mask:
    """Where a column has no value."""
    return np.asarray(pc.is_null(column).to_numpy(zero_copy_only=False), dtype=np.bool_)


def _by_value(column: pa.Array, kind: pa.DataType, read: Callable[[str], int | None]) -> tuple[pa.Array, Mask]:
    """Slow but exact: each distinct text read once; the mask shows texts that raised ValueError."""
    encoded = column.dictionary_encode()
    values: list[int | None] = []
    bad: list[bool] = []
    for text in encoded.dictionary.to_pylist():
        try:
            values.append(read(text))
            bad.append(False)
        except (ValueError, InvalidOperation, OverflowError):
            values.append(None)
            bad.append(True)
    places = pc.fill_null(encoded.indices, len(values))
    mask = np.array([*bad, False], dtype=np.bool_)[places.to_numpy(zero_copy_only=False)]
    return pa.array([*values, None], kind).take(places), mask


def _count(text: str) -> int:
    number = Decimal(text.strip())
    if not number.is_finite() or number != number.to_integral_value() or not 0 <= number <= _COUNT_MAX:
        raise ValueError(text)
    return int(number)


def counts(column: pa.Array) -> tuple[pa.Array, Mask]:
    """Whole numbers that are not negative, as int64; the mask shows what is none."""
    try:
        numbers = column.cast(pa.int64())
    except pa.ArrowInvalid:
        return _by_value(column, pa.int64(), _count)
    lowest = pc.min(numbers).as_py()
    if lowest is not None and lowest < 0:
        return _by_value(column, pa.int64(), _count)
    return numbers, np.zeros(len(column), dtype=np.bool_)


def _cost_nano(text: str) -> int:
    nano = nano_of(text)
    if nano < 0:
        raise ValueError(text)
    return nano


def amounts_nano(column: pa.Array) -> tuple[pa.Array, Mask]:
    """Nano-units of amounts in whole currency units, exact, half to even; the mask shows what is no amount."""
    try:
        exact = column.cast(pa.decimal256(76, 38))
        rounded = pc.round(exact, ndigits=9, round_mode="half_to_even").cast(pa.decimal128(38, 9))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return _by_value(column, pa.int64(), _cost_nano)
    nano = _unscaled(rounded)
    if nano is None:
        return _by_value(column, pa.int64(), _cost_nano)
    return nano, np.zeros(len(column), dtype=np.bool_)


def _unscaled(column: pa.Array) -> pa.Array | None:
    """The digits of a 128-bit decimal column as int64; None where one is negative or does not fit."""
    if len(column) == 0:
        return pa.array([], pa.int64())
    words = np.frombuffer(column.buffers()[1], dtype=np.int64).reshape(-1, 2)
    words = words[column.offset : column.offset + len(column)]
    missing = nulls_as_true(column)
    low = np.where(missing, 0, words[:, 0])
    high = np.where(missing, 0, words[:, 1])
    if (high != 0).any() or (low < 0).any():
        return None
    return pa.array(low, pa.int64(), mask=missing)


def times_ns(column: pa.Array, zone: tzinfo) -> tuple[pa.Array, Mask, Mask]:
    """UTC nanoseconds of ISO texts, the mask of what is no time, and the mask of times whose zone was assumed."""
    zoned = pc.fill_null(pc.match_substring_regex(column, _ZONED), fill_value=False).to_numpy(zero_copy_only=False)
    assumed = ~np.asarray(zoned, dtype=np.bool_)
    present = assumed[~nulls_as_true(column)]
    try:
        ns = _parsed(column, zone, assumed=bool(present.all())) if present.all() or not present.any() else None
    except pa.ArrowInvalid:
        ns = None
    if ns is None or (pc.min(ns).as_py() or 0) < 0:
        values, bad = _by_value(column, pa.int64(), lambda text: moment_of_text(text, zone).ns)
        return values, bad, assumed
    return ns, np.zeros(len(column), dtype=np.bool_), assumed


def _parsed(column: pa.Array, zone: tzinfo, *, assumed: bool) -> pa.Array:
    """Nanoseconds of texts which all have an offset, or all have none. Raises ArrowInvalid for other spellings."""
    if not assumed:
        return column.cast(pa.timestamp("ns", "UTC")).cast(pa.int64())
    moments = column.cast(pa.timestamp("ns"))
    if str(zone) != "UTC":  # an hour that clocks skip is left to the slow way
        moments = pc.assume_timezone(moments, str(zone), ambiguous="earliest", nonexistent="raise")
    return moments.cast(pa.int64())


def numbers_ns(column: pa.Array, unit_ns: int, anchor_ns: int = 0) -> tuple[pa.Array, Mask]:
    """Nanoseconds of numbers counted in `unit_ns` from `anchor_ns`; the mask shows what is no number."""

    def exact(text: str) -> int:
        ns = int(Decimal(text.strip()) * unit_ns) + anchor_ns
        if not 0 <= ns <= _COUNT_MAX:
            raise ValueError(text)
        return ns

    whole, bad = counts(column)
    highest = pc.max(whole).as_py() or 0
    if bad.any() or highest * unit_ns + anchor_ns > _COUNT_MAX or anchor_ns < 0:
        return _by_value(column, pa.int64(), exact)
    return pc.add(pc.multiply(whole, unit_ns), anchor_ns), bad


def translated(column: pa.Array, values: Mapping[str, str], otherwise: str | None) -> pa.Array:
    """Each text through a table of texts, in any case of letters; what the table lacks becomes `otherwise`."""
    lower = {key.lower(): value for key, value in values.items()}
    encoded = column.dictionary_encode()
    texts = [lower.get(str(text).lower(), otherwise) for text in encoded.dictionary.to_pylist()]
    return pa.array([*texts, otherwise], pa.string()).take(pc.fill_null(encoded.indices, len(texts)))


def tags_of(columns: Mapping[str, pa.Array], rows: int) -> pa.Array:
    """A column of tags from one column per tag; a row without a value has no such tag."""
    if not columns:
        return pa.nulls(rows, TAGS)
    names = list(columns)
    present = np.column_stack([~nulls_as_true(columns[name]) for name in names])
    offsets = np.concatenate([[0], np.cumsum(present.sum(axis=1))]).astype(np.int32)
    flat = np.flatnonzero(present.ravel())
    items = pa.concat_arrays([columns[name] for name in names])
    row, place = np.divmod(flat, len(names))
    keys: Any = pa.array(names, pa.string()).take(pa.array(place))
    return pa.MapArray.from_arrays(pa.array(offsets, pa.int32()), keys, items.take(pa.array(place * rows + row)))
