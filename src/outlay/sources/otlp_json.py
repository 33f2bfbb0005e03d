"""OTLP JSON: ids are hex, 64-bit numbers are strings or numbers, enums are numbers or names. Contents are never kept.

Attributes are walked in Python, but only those that the door admits are looked at.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from outlay.core.errors import FormatError
from outlay.sources.otlp_columns import EVALUATION, EXCEPTION_TYPE, TEXT_SURE, Collector, RawSpans, json_text
from outlay.sources.otlp_door import Admission
from outlay.sources.otlp_messages import evaluation_of, exception_of

_UINT64_MAX = 2**64 - 1
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
_STATUS_CODES = {"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}
_SPAN_KINDS = {
    f"SPAN_KIND_{name}": code
    for code, name in enumerate(("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"))
}


class Struct(msgspec.Struct, rename="camel", gc=False):
    """A message of OTLP, whose fields are in camel case."""


class _Array(Struct):
    values: list[AnyValue] | None = None


class _Map(Struct):
    values: list[Pair] | None = None


class AnyValue(Struct):
    """A value of an attribute."""

    string_value: str | None = None
    int_value: int | str | None = None
    double_value: float | str | None = None
    bool_value: bool | None = None
    array_value: _Array | None = None
    kvlist_value: _Map | None = None
    bytes_value: str | None = None


class Pair(Struct):
    """An attribute."""

    key: str = ""
    value: AnyValue | None = None


class _Event(Struct):
    name: str | None = None
    attributes: list[Pair] | None = None


class _Status(Struct):
    code: int | str | None = None


class _Span(Struct):
    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    name: str | None = None
    kind: int | str | None = None
    start_time_unix_nano: int | str | None = None
    end_time_unix_nano: int | str | None = None
    attributes: list[Pair] | None = None
    events: list[_Event] | None = None
    status: _Status | None = None


class Scope(Struct):
    """An instrumentation scope."""

    name: str | None = None
    version: str | None = None


class _ScopeSpans(Struct):
    scope: Scope | None = None
    spans: list[_Span] | None = None


class Resource(Struct):
    """Who reports."""

    attributes: list[Pair] | None = None


class _ResourceSpans(Struct):
    resource: Resource | None = None
    scope_spans: list[_ScopeSpans] | None = None


class _Request(Struct):
    resource_spans: list[_ResourceSpans] | None = None


_DECODER = msgspec.json.Decoder(_Request)


def decode_json(bodies: Sequence[bytes], admission: Admission) -> RawSpans:
    """The spans of several requests. FormatError if any of them is not an OTLP trace request in JSON."""
    spans: list[_Span] = []
    places: list[tuple[int, int, int]] = []  # body, scope, resource
    collected, resources = Collector(admission), Collector(admission)
    scopes: list[tuple[str, str]] = []
    evaluations: list[tuple[int, str, str | None, float | None]] = []
    exceptions: list[tuple[int, str]] = []
    resource = -1
    for body_number, body in enumerate(bodies):
        for resource_spans in _parsed(body).resource_spans or ():
            resource += 1
            collect(resources, resource, (resource_spans.resource and resource_spans.resource.attributes) or ())
            for scope_spans in resource_spans.scope_spans or ():
                scope = scope_spans.scope or Scope()
                scopes.append((scope.name or "", scope.version or ""))
                found = scope_spans.spans or ()
                for row, span in enumerate(found, len(spans)):
                    collect(collected, row, span.attributes or ())
                    if span.events:
                        _read_events(row, span.events, evaluations, exceptions)
                spans.extend(found)
                places.extend([(body_number, len(scopes) - 1, resource)] * len(found))
    place = np.array(places, np.int64).reshape(-1, 3)
    return RawSpans(
        trace_id=ids([span.trace_id or "" for span in spans], 16),
        span_id=ids([span.span_id or "" for span in spans], 8),
        parent_span_id=ids([span.parent_span_id or "" for span in spans], 8),
        name=pa.array([span.name or "" for span in spans], pa.string()),
        kind=codes([span.kind for span in spans], _SPAN_KINDS),
        start_ns=times([span.start_time_unix_nano for span in spans]),
        end_ns=times([span.end_time_unix_nano for span in spans]),
        status_code=codes([span.status and span.status.code for span in spans], _STATUS_CODES),
        body=place[:, 0],
        scope=place[:, 1],
        scopes=scopes,
        resource=place[:, 2],
        resources=resource + 1,
        attributes=collected.occurrences(),
        resource_attributes=resources.occurrences(),
        evaluations=evaluations,
        exceptions=exceptions,
        oversized=collected.oversized,
    )


def _parsed(body: bytes) -> _Request:
    try:
        return _DECODER.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise FormatError(f"not OTLP JSON: {error}") from error


def ids(texts: list[str], width: int) -> pa.Array:
    """The bytes of hex ids; no bytes, which no id has, where there is none."""
    try:
        data = bytes.fromhex("".join(texts))
    except ValueError:
        return pa.array([_id(text) for text in texts], pa.binary())
    if set(map(len, texts)) != {2 * width} or len(data) != width * len(texts):
        return pa.array([_id(text) for text in texts], pa.binary())
    offsets = np.arange(0, len(data) + 1, width, dtype=np.int32)
    return pa.Array.from_buffers(pa.binary(), len(texts), [None, pa.py_buffer(offsets), pa.py_buffer(data)])


def _id(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def times(values: list[int | str | None]) -> np.ndarray:
    """Nanoseconds; 0, which no span starts at, where it is no such number."""
    numbers = [value if type(value) is int else integer(value) or 0 for value in values]
    return np.array([number if 0 <= number <= _UINT64_MAX else 0 for number in numbers], np.uint64)


def integer(value: object) -> int | None:
    """A whole number, written as a number or as text; None where it is none."""
    try:
        return int(value) if isinstance(value, int | str) else None
    except ValueError:
        return None


def codes(values: list[int | str | None], names: dict[str, int]) -> np.ndarray:
    """Enumerated values, written as numbers or by name; 0 where it is neither."""
    numbers = {
        value: names[value] if isinstance(value, str) and value in names else integer(value) for value in set(values)
    }
    valid = {value: code if code is not None and 0 <= code < 2**31 else 0 for value, code in numbers.items()}
    return np.array([valid[value] for value in values], np.int32)


def collect(collector: Collector, row: int, pairs: Sequence[Pair]) -> None:
    """The attributes of one row. Most of the time of the JSON door is spent here, hence the plain loop."""
    slots = collector.slots
    for pair in pairs:
        key = pair.key
        slot = slots[key] if key in slots else collector.open(key)
        if slot is None:
            continue
        stated = pair.value
        value: Any = stated and stated.string_value
        if value is None:
            value = object_of(stated)
            if value is None:
                continue
            if type(value) is list or type(value) is dict:
                value = json_text(value)
        if type(value) is str and len(value) > TEXT_SURE and collector.too_long(row, key, value):
            continue
        slot.rows.append(row)
        slot.values.append(value)


def object_of(value: AnyValue | None) -> Any:
    """A value as plain Python; None where it is empty, bytes, or out of range."""
    if value is None:
        return None
    if value.string_value is not None:
        return value.string_value
    if value.int_value is not None:
        number = integer(value.int_value)
        return number if number is not None and _INT64_MIN <= number <= _INT64_MAX else None
    if value.double_value is not None:
        return double(value.double_value)
    if value.bool_value is not None:
        return value.bool_value
    if value.array_value is not None:
        return [object_of(item) for item in value.array_value.values or ()]
    if value.kvlist_value is not None:
        return {pair.key: object_of(pair.value) for pair in value.kvlist_value.values or ()}
    return None


def double(value: float | str) -> float | None:
    """A number, written as one or as text; None where it is none."""
    try:
        return float(value)
    except ValueError:
        return math.nan if value == "NaN" else None


def _read_events(
    row: int,
    events: list[_Event],
    evaluations: list[tuple[int, str, str | None, float | None]],
    exceptions: list[tuple[int, str]],
) -> None:
    for event in events:
        said = {pair.key: pair.value for pair in event.attributes or ()}
        exception = exception_of(object_of(said.get(EXCEPTION_TYPE)))
        if exception is not None:
            exceptions.append((row, exception))
        if event.name == EVALUATION:
            named = (
                object_of(said.get(f"gen_ai.evaluation.{part}")) for part in ("name", "score.label", "score.value")
            )
            evaluation = evaluation_of(*named)
            if evaluation is not None:
                evaluations.append((row, *evaluation))
