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

from outlay.sources.otlp_columns import EVALUATION, Collector, RawSpans, Value, json_text
from outlay.sources.otlp_door import Admission, Verdict
from outlay.sources.otlp_messages import evaluation_of, exception_of

_UINT64_MAX = 2**64 - 1
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
_STATUS_CODES = {"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}
_SPAN_KINDS = {f"SPAN_KIND_{name}": code for code, name in enumerate(("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"))}


class _Struct(msgspec.Struct, rename="camel", gc=False):
    pass


class _Array(_Struct):
    values: list[_Any] | None = None


class _Map(_Struct):
    values: list[_Pair] | None = None


class _Any(_Struct):
    string_value: str | None = None
    int_value: int | str | None = None
    double_value: float | str | None = None
    bool_value: bool | None = None
    array_value: _Array | None = None
    kvlist_value: _Map | None = None


class _Pair(_Struct):
    key: str = ""
    value: _Any | None = None


class _Event(_Struct):
    name: str | None = None
    attributes: list[_Pair] | None = None


class _Status(_Struct):
    code: int | str | None = None


class _Span(_Struct):
    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    name: str | None = None
    kind: int | str | None = None
    start_time_unix_nano: int | str | None = None
    end_time_unix_nano: int | str | None = None
    attributes: list[_Pair] | None = None
    events: list[_Event] | None = None
    status: _Status | None = None


class _Scope(_Struct):
    name: str | None = None
    version: str | None = None


class _ScopeSpans(_Struct):
    scope: _Scope | None = None
    spans: list[_Span] | None = None


class _Resource(_Struct):
    attributes: list[_Pair] | None = None


class _ResourceSpans(_Struct):
    resource: _Resource | None = None
    scope_spans: list[_ScopeSpans] | None = None


class _Request(_Struct):
    resource_spans: list[_ResourceSpans] | None = None


_DECODER = msgspec.json.Decoder(_Request)


class _Rows:
    """Columns of plain values, one entry a span."""

    def __init__(self) -> None:
        self.trace_id: list[bytes] = []
        self.span_id: list[bytes] = []
        self.parent_span_id: list[bytes] = []
        self.name: list[str] = []
        self.kind: list[int] = []
        self.start_ns: list[int] = []
        self.end_ns: list[int] = []
        self.status_code: list[int] = []
        self.place: list[tuple[int, int, int]] = []  # body, scope, resource

    def add(self, span: _Span, place: tuple[int, int, int]) -> None:
        self.trace_id.append(_id(span.trace_id))
        self.span_id.append(_id(span.span_id))
        self.parent_span_id.append(_id(span.parent_span_id))
        self.name.append(span.name or "")
        self.kind.append(_code(span.kind, _SPAN_KINDS))
        self.start_ns.append(_time(span.start_time_unix_nano))
        self.end_ns.append(_time(span.end_time_unix_nano))
        self.status_code.append(_code(span.status.code, _STATUS_CODES) if span.status else 0)
        self.place.append(place)


def decode_json(bodies: Sequence[bytes], admission: Admission) -> RawSpans:
    """The spans of several requests. ValueError if any of them is not an OTLP trace request in JSON."""
    rows = _Rows()
    collected, resources = Collector(admission), Collector(admission)
    scopes: list[tuple[str, str]] = []
    evaluations: list[tuple[int, str, str | None, float | None]] = []
    exceptions: list[tuple[int, str]] = []
    resource = -1
    for body_number, body in enumerate(bodies):
        for resource_spans in _parsed(body).resource_spans or ():
            resource += 1
            _collect(resources, resource, (resource_spans.resource and resource_spans.resource.attributes) or ())
            for scope_spans in resource_spans.scope_spans or ():
                scope = scope_spans.scope or _Scope()
                scopes.append((scope.name or "", scope.version or ""))
                place = (body_number, len(scopes) - 1, resource)
                for span in scope_spans.spans or ():
                    row = len(rows.name)
                    rows.add(span, place)
                    _collect(collected, row, span.attributes or ())
                    if span.events:
                        _read_events(row, span.events, evaluations, exceptions)
    place = np.array(rows.place, np.int64).reshape(-1, 3)
    return RawSpans(
        trace_id=pa.array(rows.trace_id, pa.binary()),
        span_id=pa.array(rows.span_id, pa.binary()),
        parent_span_id=pa.array(rows.parent_span_id, pa.binary()),
        name=pa.array(rows.name, pa.string()),
        kind=np.array(rows.kind, np.int32),
        start_ns=np.array(rows.start_ns, np.uint64),
        end_ns=np.array(rows.end_ns, np.uint64),
        status_code=np.array(rows.status_code, np.int32),
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
        raise ValueError(f"not OTLP JSON: {error}") from error


def _id(text: str | None) -> bytes:
    """The bytes of a hex id; no bytes, which no id has, where it is none."""
    try:
        return bytes.fromhex(text) if text else b""
    except ValueError:
        return b""


def _time(value: float | str | None) -> int:
    """Nanoseconds; 0, which no span starts at, where it is no such number."""
    number = _integer(value)
    return number if number is not None and 0 <= number <= _UINT64_MAX else 0


def _integer(value: object) -> int | None:
    try:
        return int(value)  # type: ignore[call-overload]
    except (TypeError, ValueError):
        return None


def _code(value: int | str | None, names: dict[str, int]) -> int:
    code = names.get(value) if value in names else _integer(value)  # type: ignore[arg-type]
    return code if code is not None and 0 <= code < 2**31 else 0


def _collect(collector: Collector, row: int, pairs: Sequence[_Pair]) -> None:
    verdicts, judge = collector.admission.verdicts, collector.admission.verdict
    for pair in pairs:
        key = pair.key
        verdict = verdicts.get(key)
        if verdict is None:
            verdict = judge(key)
        if verdict is Verdict.DROP or pair.value is None:
            continue
        text = pair.value.string_value
        value = text if text is not None else _value(pair.value)
        if value is not None:
            collector.add(row, key, value)


def _value(value: _Any) -> Value | None:
    read = _object(value)
    if isinstance(read, list | dict):
        return json_text(read)
    return read if isinstance(read, str | int | float | bool) else None


def _object(value: _Any | None) -> Any:
    """A value as plain Python; None where it is empty, bytes, or out of range."""
    if value is None:
        return None
    if value.string_value is not None:
        return value.string_value
    if value.int_value is not None:
        number = _integer(value.int_value)
        return number if number is not None and _INT64_MIN <= number <= _INT64_MAX else None
    if value.double_value is not None:
        return _double(value.double_value)
    if value.bool_value is not None:
        return value.bool_value
    if value.array_value is not None:
        return [_object(item) for item in value.array_value.values or ()]
    if value.kvlist_value is not None:
        return {pair.key: _object(pair.value) for pair in value.kvlist_value.values or ()}
    return None


def _double(value: float | str) -> float | None:
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
        exception = exception_of(_object(said.get("exception.type")))
        if exception is not None:
            exceptions.append((row, exception))
        if event.name == EVALUATION:
            named = (_object(said.get(f"gen_ai.evaluation.{part}")) for part in ("name", "score.label", "score.value"))
            evaluation = evaluation_of(*named)
            if evaluation is not None:
                evaluations.append((row, *evaluation))
