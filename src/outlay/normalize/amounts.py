"""Recorded amounts: numbers that foreign software wrote, as whole nano-units.

The meaning of a binary number is its shortest decimal text, rounded once, half to even: see `core.money.nano_of`. A
batch goes the short way where that is proved to give the same figure, and the long way for the rest.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from outlay.core.money import NANO, nano_of, to_decimal
from outlay.normalize.columns import Ints, Mask

_SHORT_WAY_MAX = 1_000_000
"""Below a million, number × 10^9 is off by at most 2^-52 of itself: under 0.223 nano-units."""

_SURE = 0.25
"""A product this near to a whole number rounds to it: 0.25 + 0.223 is less than a half."""

_MICRO = 1_000_000


def nanos_of(column: pa.Array, *, micro: bool = False) -> tuple[Ints, Mask]:
    """Nano-units, and which rows state an amount; `micro` where the column counts millionths of the currency.

    What is no finite number in range states nothing.
    """
    if pa.types.is_floating(column.type) and not micro:
        return _of_doubles(np.asarray(column.fill_null(np.nan)))
    if pa.types.is_boolean(column.type):
        return np.zeros(len(column), np.int64), np.zeros(len(column), np.bool_)
    encoded = column.dictionary_encode()
    nanos = [_nano(value, micro=micro) for value in encoded.dictionary.to_pylist()]
    codes = np.asarray(encoded.indices.fill_null(len(nanos)))
    known = np.array([*(nano is not None for nano in nanos), False], np.bool_)[codes]
    return np.array([*(nano or 0 for nano in nanos), 0], np.int64)[codes], known


def _of_doubles(values: np.ndarray) -> tuple[Ints, Mask]:
    with np.errstate(invalid="ignore", over="ignore"):
        product = values * NANO
        nearest = np.rint(product)
        sure = (np.abs(values) < _SHORT_WAY_MAX) & (np.abs(product - nearest) <= _SURE)
    known = sure.copy()
    nanos = np.where(sure, nearest, 0).astype(np.int64)
    rest = np.flatnonzero(~sure & np.isfinite(values))
    if len(rest):
        distinct, places = np.unique(values[rest], return_inverse=True)
        exact = [_nano(value, micro=False) for value in distinct.tolist()]
        known[rest] = np.array([nano is not None for nano in exact], np.bool_)[places]
        nanos[rest] = np.array([nano or 0 for nano in exact], np.int64)[places]
    return nanos, known


def _nano(value: object, *, micro: bool) -> int | None:
    try:
        return nano_of(to_decimal(value) / _MICRO if micro else value)
    except ValueError:
        return None
