"""The messages of OTLP logs and metrics as they stand in JSON; only the fields that Outlay looks at."""

from __future__ import annotations

import base64
from contextlib import suppress
from typing import TypeVar

import msgspec
from opentelemetry.proto.common.v1.common_pb2 import AnyValue as AnyMessage
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from outlay.core.errors import FormatError
from outlay.sources.otlp_json import AnyValue, Pair, Resource, Scope, Struct, double, integer, object_of


class LogRecord(Struct):
    """One record."""

    time_unix_nano: int | str | None = None
    observed_time_unix_nano: int | str | None = None
    event_name: str | None = None
    body: AnyValue | None = None
    trace_id: str | None = None
    span_id: str | None = None
    attributes: list[Pair] | None = None


class ScopeLogs(Struct):
    """The records of one scope."""

    scope: Scope | None = None
    log_records: list[LogRecord] | None = None


class ResourceLogs(Struct):
    """The records of one resource."""

    resource: Resource | None = None
    scope_logs: list[ScopeLogs] | None = None


class LogsRequest(Struct):
    """A whole request."""

    resource_logs: list[ResourceLogs] | None = None


class Point(Struct):
    """One point of any form of metric."""

    start_time_unix_nano: int | str | None = None
    time_unix_nano: int | str | None = None
    as_double: float | str | None = None
    as_int: int | str | None = None
    sum: float | str | None = None
    flags: int | None = None
    attributes: list[Pair] | None = None


class Points(Struct):
    """The points of one metric."""

    data_points: list[Point] | None = None
    aggregation_temporality: int | str | None = None
    is_monotonic: bool | None = None


class Metric(Struct):
    """A metric in one of its forms."""

    name: str | None = None
    gauge: Points | None = None
    sum: Points | None = None
    histogram: Points | None = None
    exponential_histogram: Points | None = None
    summary: Points | None = None


class ScopeMetrics(Struct):
    """The metrics of one scope."""

    scope: Scope | None = None
    metrics: list[Metric] | None = None


class ResourceMetrics(Struct):
    """The metrics of one resource."""

    resource: Resource | None = None
    scope_metrics: list[ScopeMetrics] | None = None


class MetricsRequest(Struct):
    """A whole request."""

    resource_metrics: list[ResourceMetrics] | None = None


_Request = TypeVar("_Request")
_LOGS = msgspec.json.Decoder(LogsRequest)
_METRICS = msgspec.json.Decoder(MetricsRequest)
_TEMPORALITIES = {"AGGREGATION_TEMPORALITY_DELTA": 1, "AGGREGATION_TEMPORALITY_CUMULATIVE": 2}


def logs_request(body: bytes) -> LogsRequest:
    """A log request. FormatError if it is none."""
    return _parsed(_LOGS, body)


def metrics_request(body: bytes) -> MetricsRequest:
    """A metric request. FormatError if it is none."""
    return _parsed(_METRICS, body)


def temporality_of(points: Points) -> int:
    """1 is delta, 2 cumulative, written as a number or by name; 0 where it is neither."""
    said = points.aggregation_temporality
    return _TEMPORALITIES.get(said) or integer(said) or 0 if isinstance(said, str) else said or 0


def value_of(point: Point, *, plain: bool) -> float | None:
    """What a plain point counts, or what a histogram sums up; None where it does not say."""
    if not plain:
        return None if point.sum is None else double(point.sum)
    number = integer(point.as_int)
    if number is not None:
        return float(number)
    return None if point.as_double is None else double(point.as_double)


def _parsed(decoder: msgspec.json.Decoder[_Request], body: bytes) -> _Request:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise FormatError(f"not OTLP JSON: {error}") from error


def message_of(pair: Pair) -> KeyValue:
    """An attribute as the message that it stands for."""
    return KeyValue(key=pair.key, value=_value_message(pair.value))


def _value_message(value: AnyValue | None) -> AnyMessage:
    said = AnyMessage()
    if value is None:
        return said
    if value.array_value is not None:
        said.array_value.values.extend(_value_message(item) for item in value.array_value.values or ())
        said.array_value.SetInParent()
    elif value.kvlist_value is not None:
        said.kvlist_value.values.extend(message_of(pair) for pair in value.kvlist_value.values or ())
        said.kvlist_value.SetInParent()
    elif value.bytes_value is not None:
        with suppress(ValueError):  # what is no base64 tells one series from another all the same
            said.bytes_value = base64.b64decode(value.bytes_value + "==")
    else:
        plain = object_of(value)
        if isinstance(plain, bool):
            said.bool_value = plain
        elif isinstance(plain, int):
            said.int_value = plain
        elif isinstance(plain, float):
            said.double_value = plain
        elif isinstance(plain, str):
            said.string_value = plain
    return said
