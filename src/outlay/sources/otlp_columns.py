"""From attributes of spans to columns: the common ground of the protobuf and the JSON decoder.

An attribute key becomes a column of one type: text, int64, float64 or bool. Where spans disagree on the type, integers
and floats meet as floats if that loses nothing; all else meets as text. Arrays and maps are JSON text.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec
import numpy as np
import pyarrow as pa

from outlay.sources.otlp_door import KEY_CHARACTERS_MAX, TEXT_BYTES_MAX, Admission, Verdict

Value = str | int | float | bool

JSON_BYTES_MAX = 65_536
TEXT_SURE = TEXT_BYTES_MAX // 4
"""A text of so many characters is short enough in any encoding."""

_MEMBERS_MAX = 64
_EXACT_INTEGERS = 2**53
_INT64 = 2**63

ERROR_TYPE = "error.type"
EXCEPTION_TYPE = "exception.type"
EVALUATION = "gen_ai.evaluation.result"
EVALUATIONS = pa.list_(pa.struct([("name", pa.string()), ("label", pa.string()), ("score", pa.float64())]))


@dataclass(slots=True)
class Occurrences:
    """One attribute: `rows` (ascending, the last of a repeated one wins) and the place of each value in `source`."""

    rows: np.ndarray
    places: np.ndarray
    source: pa.Array | np.ndarray

    def texts(self) -> pa.Array | None:
        """The values, if they are text."""
        if isinstance(self.source, np.ndarray) or self.source.type != pa.string():
            return None
        return self.source.take(pa.array(self.places))

    def column(self, length: int) -> pa.Array:
        """The attribute as a column of so many rows, null where it does not stand."""
        if isinstance(self.source, np.ndarray):
            values = np.zeros(length, self.source.dtype)
            values[self.rows] = self.source[self.places]
            absent = np.ones(length, np.bool_)
            absent[self.rows] = False
            return pa.array(values, mask=absent)
        places = np.full(length, -1, self.places.dtype)
        places[self.rows] = self.places
        return self.source.take(pa.array(places, mask=places < 0))


@dataclass(slots=True)
class RawSpans:
    """Spans of several bodies, decoded but not yet judged; all arrays are as long as there are spans.

    `scope` and `resource` number the entries of `scopes` and of the columns in `resource_attributes`;
    `events` are evaluation results and exception types as (row, name, label, score) and (row, type).
    """

    trace_id: pa.Array
    span_id: pa.Array
    parent_span_id: pa.Array
    name: pa.Array
    kind: np.ndarray
    start_ns: np.ndarray
    end_ns: np.ndarray
    status_code: np.ndarray
    body: np.ndarray
    scope: np.ndarray
    scopes: list[tuple[str, str]]
    resource: np.ndarray
    resources: int
    attributes: dict[str, Occurrences]
    resource_attributes: dict[str, Occurrences]
    evaluations: list[tuple[int, str, str | None, float | None]] = field(default_factory=list)
    exceptions: list[tuple[int, str]] = field(default_factory=list)
    oversized: list[tuple[int, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.body)


@dataclass(slots=True)
class Slot:
    """What was gathered of one attribute."""

    rows: list[int] = field(default_factory=list[int])
    values: list[Value] = field(default_factory=list[Value])


@dataclass(slots=True)
class Collector:
    """Gathers attributes value by value, for decoders that walk over spans; a key that stays outside has no slot."""

    admission: Admission
    slots: dict[str, Slot | None] = field(default_factory=dict[str, Slot | None])
    oversized: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])

    def open(self, key: str) -> Slot | None:
        """A place for the values of a key seen for the first time; None if it may not come in."""
        slot = self.slots[key] = None if self.admission.verdict(key) is Verdict.DROP else Slot()
        return slot

    def too_long(self, row: int, key: str, text: str) -> bool:
        """Whether a text of more than `TEXT_SURE` characters is too long to be kept; it is listed then."""
        if len(text.encode()) <= text_bytes_max(self.admission, key):
            return False
        self.oversized.append((row, key))
        return True

    def add(self, row: int, key: str, value: Value) -> None:
        """One attribute of one row."""
        slot = self.slots[key] if key in self.slots else self.open(key)
        if slot is None or (isinstance(value, str) and len(value) > TEXT_SURE and self.too_long(row, key, value)):
            return
        slot.rows.append(row)
        slot.values.append(value)

    def occurrences(self) -> dict[str, Occurrences]:
        """What was gathered, typed."""
        filled = ((key, slot) for key, slot in self.slots.items() if slot is not None and slot.rows)
        return {key: occurrences_of(np.array(slot.rows, np.int64), slot.values) for key, slot in filled}


def text_bytes_max(admission: Admission, key: str) -> int:
    """How long a text under a key may be: JSON is cut down to its members later."""
    return JSON_BYTES_MAX if admission.verdict(key) is Verdict.JSON else TEXT_BYTES_MAX


def occurrences_of(rows: np.ndarray, values: Sequence[Value]) -> Occurrences:
    """Plain values, one a row, under one type."""
    return Occurrences(rows, np.arange(len(rows), dtype=np.int64), _typed(values))


def _typed(values: Sequence[Value]) -> pa.Array | np.ndarray:
    if type(values[0]) is str:
        with suppress(pa.ArrowTypeError):  # not all of them: to ask Arrow is faster than to ask each
            return pa.array(values, pa.string())
    kinds = set(map(type, values))
    if kinds == {bool}:
        return pa.array(values, pa.bool_())
    if kinds == {int}:
        return np.array(values, np.int64)
    if kinds == {float} or (
        kinds == {int, float} and all(abs(value) <= _EXACT_INTEGERS for value in values if type(value) is int)
    ):
        return np.array(values, np.float64)
    return pa.array([text_of(value) for value in values], pa.string())


def text_of(value: Value) -> str:
    """A value as text: `true`, `false`, a number in its shortest form, or the text itself."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)


def json_text(value: object) -> str:
    """An array or a map as JSON text."""
    return msgspec.json.encode(value).decode()


def admitted(found: dict[str, Occurrences], admission: Admission) -> dict[str, Occurrences]:
    """The attributes that may stay: unknown ones only if numeric, JSON-valued ones as their allowed members.

    A member is named `key#member`. What is not a JSON object has no members; a plain number stays as it is.
    """
    kept: dict[str, Occurrences] = {}
    for key, occurrences in found.items():
        verdict = admission.verdict(key)
        if verdict is Verdict.JSON:
            texts = occurrences.texts()
            if texts is not None:
                kept |= _members(key, occurrences.rows, texts, admission.door.members[key])
            elif isinstance(occurrences.source, np.ndarray):
                kept[key] = occurrences
        elif verdict is Verdict.KEEP or isinstance(occurrences.source, np.ndarray):
            kept[key] = occurrences
    return kept


def _members(key: str, rows: np.ndarray, texts: pa.Array, allowed: frozenset[str]) -> dict[str, Occurrences]:
    encoded = texts.dictionary_encode()
    codes = encoded.indices.to_numpy()
    said: dict[str, dict[int, Value]] = {}
    for code, text in enumerate(encoded.dictionary.to_pylist()):
        for member, value in _scalars(text, allowed):
            said.setdefault(member, {})[code] = value
    found: dict[str, Occurrences] = {}
    for member, by_code in sorted(said.items())[: _MEMBERS_MAX * 4]:
        place = np.full(len(encoded.dictionary), -1, np.int64)
        place[list(by_code)] = np.arange(len(by_code))
        places = place[codes]
        has = places >= 0
        found[f"{key}#{member}"] = Occurrences(rows[has], places[has], _typed(list(by_code.values())))
    return found


def _scalars(text: str, allowed: frozenset[str]) -> list[tuple[str, Value]]:
    try:
        parsed = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return []
    if not isinstance(parsed, dict):
        return []
    every = "*" in allowed
    parts = ((member, part) for member, part in parsed.items() if isinstance(part, dict) and not every)
    inner = ((f"{member}.{name}", value) for member, part in parts for name, value in part.items())
    named = ((member, value) for member, value in (*parsed.items(), *inner) if every or member in allowed)
    return [pair for pair in named if _is_small(*pair)][:_MEMBERS_MAX]


def _is_small(member: object, value: object) -> bool:
    if not isinstance(member, str) or len(member) > KEY_CHARACTERS_MAX:
        return False
    if isinstance(value, str):
        return len(value.encode()) <= TEXT_BYTES_MAX
    return isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < _INT64)
