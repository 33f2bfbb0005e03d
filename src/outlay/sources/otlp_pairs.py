"""Attributes as they stand on the wire (KeyValue messages of OTLP protobuf), read by the column.

Every SDK writes an attribute in one plain form: the key, the length of the value, one value. That form is read here
with a few operations over all attributes of a batch at once, and only the values of wanted keys are looked at. Whatever
else protobuf allows (fields in another order, repeated or unknown) sends the batch to the general reader, ptars, which
also says what is no KeyValue at all. Most attributes of a batch say what another one says too (the same team, the same
model), so each different one is read once. OTLP's AnyValue is recursive, which Arrow cannot be: an array or a map is
therefore declared as bytes, which has the same form on the wire, and read later, where it is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from outlay.core.errors import FormatError

TEXT, BOOL, INTEGER, DOUBLE, ARRAY, MAP = 1, 2, 3, 4, 5, 6
CHILDREN = {"s": TEXT, "b": BOOL, "i": INTEGER, "d": DOUBLE, "array": ARRAY, "map": MAP}
"""The fields of a value by name, with the number of its type."""

_KEY_TAG, _VALUE_TAG = 0x0A, 0x12
_TYPE_OF_TAG = np.zeros(256, np.uint8)
_TYPE_OF_TAG[[0x0A, 0x10, 0x18, 0x21, 0x2A, 0x32]] = (TEXT, BOOL, INTEGER, DOUBLE, ARRAY, MAP)
_LENGTH_BITS_MAX = 28
_INTEGER_BYTES_MAX = 10
_DOUBLE_BYTES = 8
_ALIKE_BYTES_MAX = 256
"""Longer attributes are contents, which are not looked at before their key was asked for, and say nothing twice."""
_BUFFER_BYTES_MAX = 2**30  # sums of a place and a length stay within 32 bits

Wanted = Callable[[str], bool]
Int64s = np.ndarray[Any, np.dtype[np.int64]]
Places = np.ndarray[Any, np.dtype[np.int32]]
"""Offsets in a buffer; Arrow's are of 32 bits for byte strings."""


class _NotPlainError(Exception):
    """An attribute is written in another form than the plain one."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """The attributes that have a value and a wanted key, sorted by key, in order of appearance within a key.

    `where` numbers them among all; `places` says which of the different attributes each of them is. Those are sorted by
    key too: `codes` name their keys in `names`, `types` their types; each child of `values` is as long as they are and
    holds the values of its type.
    """

    where: Int64s
    places: Places
    names: list[str]
    codes: np.ndarray
    types: np.ndarray
    values: dict[str, pa.Array]


@dataclass(frozen=True, slots=True)
class _Read:
    """The different attributes that have a value and a wanted key, sorted by key; `chosen` numbers them among all."""

    chosen: Int64s
    names: list[str]
    codes: np.ndarray
    types: np.ndarray
    values: dict[str, pa.Array]


def read_pairs(encoded: pa.BinaryArray, wanted: Wanted, general: Any) -> Pairs:
    """The attributes in `encoded`; `general` is the ptars reader of KeyValue. FormatError if one of them is none."""
    first, which = _different(encoded)
    try:
        read = _plain(encoded, first, wanted)
    except (_NotPlainError, UnicodeDecodeError, pa.ArrowInvalid):
        read = _general(encoded.take(pa.array(first)), wanted, general)
    place = np.full(len(first), -1, np.int32)
    place[read.chosen] = np.arange(len(read.chosen), dtype=np.int32)
    places = place[which]
    where = np.flatnonzero(places >= 0)
    places = places[where]
    order = _by_key(read.codes[places], len(read.names))
    return Pairs(where[order], places[order], read.names, read.codes, read.types, read.values)


def _different(encoded: pa.BinaryArray) -> tuple[Int64s, Places]:
    """Where each different attribute stands first, ascending, and which of them each attribute is."""
    validity, offset_buffer, buffer = encoded.buffers()
    offsets = np.frombuffer(offset_buffer, np.int32, len(encoded) + 1, encoded.offset * 4)
    long = np.flatnonzero(np.diff(offsets) > _ALIKE_BYTES_MAX)
    if len(long):  # they stand apart, and as nulls nobody reads them
        short = np.ones(encoded.offset + len(encoded), np.bool_)
        short[encoded.offset + long] = False
        validity = pa.py_buffer(np.packbits(short, bitorder="little"))
        encoded = pa.Array.from_buffers(
            encoded.type, len(encoded), [validity, offset_buffer, buffer], offset=encoded.offset
        )
    alike = encoded.dictionary_encode()
    count = len(alike.dictionary)
    which = np.asarray(alike.indices.fill_null(-1) if len(long) else alike.indices)
    if len(long):
        which = which.copy()
        which[long] = np.arange(count, count + len(long))
    first = np.empty(count + len(long), np.int64)
    first[which[::-1]] = np.arange(len(which) - 1, -1, -1)
    if not len(long):
        return first, which
    order = np.argsort(first)
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order))
    return first[order], rank[which]


def _plain(encoded: pa.BinaryArray, first: Int64s, wanted: Wanted) -> _Read:
    _, offset_buffer, buffer = encoded.buffers()
    if buffer.size > _BUFFER_BYTES_MAX:
        raise _NotPlainError
    offsets = np.frombuffer(offset_buffer, np.int32, len(encoded) + 1, encoded.offset * 4)
    starts, ends = offsets[first], offsets[first + 1]
    data = np.frombuffer(buffer, np.uint8)
    _require(ends - starts >= 4)
    key_length = data[starts + 1]
    _require((data[starts] == _KEY_TAG) & (key_length < 128))
    value_tag = starts + 2 + key_length
    _require(value_tag + 1 < ends)
    _require(data[value_tag] == _VALUE_TAG)
    length, begin = _lengths(data, value_tag + 1, ends)
    _require(begin + length == ends)
    keys = _strings(buffer, starts + 2, value_tag).dictionary_encode()
    names, codes = [key.decode() for key in keys.dictionary.to_pylist()], keys.indices.to_numpy()
    chosen = np.flatnonzero(_asked(names, wanted)[codes] & (length > 0))
    begin, codes = begin[chosen], codes[chosen]
    types = _TYPE_OF_TAG[data[begin]]
    _require(types > 0)
    order = _by_key(codes, len(names))
    values = _values(buffer, types, begin + 1, ends[chosen], order)
    return _Read(chosen[order], names, codes[order], types[order], values)


def _values(buffer: pa.Buffer, types: np.ndarray, begin: Places, end: Places, order: Int64s) -> dict[str, pa.Array]:
    """The children of values that stand between `begin` (behind the tag) and `end`, put in this order."""
    data, count = np.frombuffer(buffer, np.uint8), len(types)
    sized = np.flatnonzero((types == TEXT) | (types >= ARRAY))
    _require(begin[sized] < end[sized])
    lengths, first = _lengths(data, begin[sized], end[sized])
    _require(first + lengths == end[sized])
    values: dict[str, pa.Array] = {}
    for child, kind, form in (("s", TEXT, pa.string()), ("array", ARRAY, pa.binary()), ("map", MAP, pa.binary())):
        here = types[sized] == kind
        if not here.any():
            values[child] = pa.nulls(count, form)
            continue
        places = end.copy()  # a value of another type is an empty string
        places[sized[here]] = first[here]
        values[child] = _strings(buffer, places, end, order).cast(form)
    integers, doubles = np.zeros(count, np.int64), np.zeros(count, np.float64)
    rows = np.flatnonzero(types == INTEGER)
    integers[rows] = _integers(data, begin[rows], end[rows])
    rows = np.flatnonzero(types == DOUBLE)
    _require(end[rows] - begin[rows] == _DOUBLE_BYTES)
    if len(rows):
        doubles[rows] = np.ndarray(len(data) - _DOUBLE_BYTES + 1, "<f8", data, 0, (1,))[begin[rows]]
    rows = np.flatnonzero(types == BOOL)
    _require(end[rows] - begin[rows] == 1)
    flags = np.zeros(count, np.uint8)
    flags[rows] = data[begin[rows]]
    _require(flags <= 1)
    return values | {"b": pa.array(flags[order] == 1), "i": pa.array(integers[order]), "d": pa.array(doubles[order])}


def _require(plain: np.ndarray) -> None:
    if not plain.all():
        raise _NotPlainError


def _lengths(data: np.ndarray, places: Places, ends: Places) -> tuple[Places, Places]:
    """The lengths that stand at `places`, and where that begins of which they are the length."""
    lead = data[places]
    lengths, begin = (lead & 0x7F).astype(np.int32), places + 1
    more, bits = np.flatnonzero(lead > 0x7F), 7
    while len(more):
        _require(begin[more] < ends[more])
        if bits == _LENGTH_BITS_MAX:
            raise _NotPlainError
        following = data[begin[more]]
        lengths[more] |= (following & 0x7F).astype(np.int32) << bits
        begin[more] += 1
        more, bits = more[following > 0x7F], bits + 7
    return lengths, begin


def _integers(data: np.ndarray, begin: Places, end: Places) -> Int64s:
    """The 64-bit varints that fill the places from `begin` to `end`."""
    digits = end - begin
    _require((digits >= 1) & (digits <= _INTEGER_BYTES_MAX))
    numbers, left = np.zeros(len(digits), np.uint64), np.arange(len(digits))
    for place in range(int(digits.max(initial=0))):
        digit = data[begin[left] + place]
        is_last = digits[left] == place + 1
        _require((digit < 0x80) == is_last)
        numbers[left] |= (digit & np.uint8(0x7F)).astype(np.uint64) << np.uint64(7 * place)
        left = left[~is_last]
    return numbers.view(np.int64)


def _strings(buffer: pa.Buffer, begin: Places, end: Places, order: Int64s | None = None) -> pa.BinaryArray:
    """The byte strings from `begin` to `end`, which ascend and do not overlap, put in this order.

    Read as they lie, every second string is what stands between two of them; Arrow takes the others in one step.
    """
    bounds = np.empty(2 * len(begin), np.int32)
    bounds[::2], bounds[1::2] = begin, end
    strings = pa.Array.from_buffers(pa.binary(), len(bounds) - 1, [None, pa.py_buffer(bounds), buffer])
    return strings.take(pa.array(2 * (np.arange(len(begin)) if order is None else order)))


def _asked(names: list[str], wanted: Wanted) -> np.ndarray:
    return np.array([wanted(name) for name in names], np.bool_)


def _by_key(codes: np.ndarray, keys_count: int) -> Int64s:
    """The order that puts the same keys together and changes nothing within a key."""
    narrow = codes.astype(np.uint16 if keys_count <= 2**16 else np.int32)  # 16 bits are sorted by radix
    return np.argsort(narrow, kind="stable")


def _general(encoded: pa.BinaryArray, wanted: Wanted, reader: Any) -> _Read:
    try:
        batch = reader.array_to_record_batch(encoded)
    except ValueError as error:
        raise FormatError(f"not an OTLP trace request: {error}") from error
    keys, values = batch.column(0).dictionary_encode(), batch.column(1)
    names, codes = keys.dictionary.to_pylist(), keys.indices.to_numpy()
    types = np.zeros(len(codes), np.uint8)
    for child, kind in CHILDREN.items():
        types = np.maximum(types, np.asarray(values.field(child).is_valid()) * np.uint8(kind))
    chosen = np.flatnonzero(_asked(names, wanted)[codes] & (types > 0))
    chosen = chosen[_by_key(codes[chosen], len(names))]
    places = pa.array(chosen)
    children = {child: values.field(child).take(places) for child in CHILDREN}
    return _Read(chosen, names, codes[chosen], types[chosen], children)
