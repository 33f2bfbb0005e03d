"""OTLP protobuf read message by message: what the columnar decoder is proved against, and the way out of it.

Also reads the parts that the columnar decoder leaves as bytes: arrays, maps and the few events that matter.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from outlay.core.errors import FormatError
from outlay.sources.otlp_columns import EVALUATION, EXCEPTION_TYPE, Collector, RawSpans, Value, json_text
from outlay.sources.otlp_door import TEXT_BYTES_MAX, Admission

Evaluation = tuple[str, str | None, float | None]
"""Name, label and score."""


def array_text(body: bytes) -> str:
    """JSON text of an encoded array. FormatError if it is not one."""
    return json_text([object_of(item) for item in parsed(ArrayValue, body).values])


def map_text(body: bytes) -> str:
    """JSON text of an encoded map. FormatError if it is not one."""
    return json_text({pair.key: object_of(pair.value) for pair in parsed(KeyValueList, body).values})


def event_of(body: bytes) -> tuple[Evaluation | None, str | None]:
    """The evaluation result and the exception type that an encoded event states. FormatError if it is not an event."""
    return _event(parsed(Span.Event, body))


def evaluation_of(name: object, label: object, score: object) -> Evaluation | None:
    """An evaluation result of plain values; None where it has no usable name."""
    if not isinstance(name, str) or not 0 < len(name.encode()) <= TEXT_BYTES_MAX:
        return None
    short = label if isinstance(label, str) and len(label.encode()) <= TEXT_BYTES_MAX else None
    number = float(score) if isinstance(score, int | float) else None
    return name, short, number if number is not None and math.isfinite(number) else None


def exception_of(kind: object) -> str | None:
    """An exception type, if it is short enough to be one."""
    return kind if isinstance(kind, str) and 0 < len(kind.encode()) <= TEXT_BYTES_MAX else None


def decode_messages(bodies: Sequence[bytes], admission: Admission) -> RawSpans:
    """The spans of several requests. FormatError if any of them is not an OTLP trace request."""
    collected, resources = Collector(admission), Collector(admission)
    rows: list[tuple[Any, int, int, int]] = []
    scopes: list[tuple[str, str]] = []
    evaluations: list[tuple[int, str, str | None, float | None]] = []
    exceptions: list[tuple[int, str]] = []
    resource = -1
    for body_number, body in enumerate(bodies):
        for resource_spans in parsed(ExportTraceServiceRequest, body).resource_spans:
            resource += 1
            collect(resources, resource, resource_spans.resource.attributes)
            for scope_spans in resource_spans.scope_spans:
                scopes.append((scope_spans.scope.name, scope_spans.scope.version))
                for span in scope_spans.spans:
                    row = len(rows)
                    collect(collected, row, span.attributes)
                    for evaluation, exception in map(_event, span.events):
                        evaluations += [(row, *evaluation)] if evaluation else []
                        exceptions += [(row, exception)] if exception else []
                    rows.append((span, body_number, len(scopes) - 1, resource))
    spans = [row[0] for row in rows]
    return RawSpans(
        trace_id=pa.array([span.trace_id for span in spans], pa.binary()),
        span_id=pa.array([span.span_id for span in spans], pa.binary()),
        parent_span_id=pa.array([span.parent_span_id for span in spans], pa.binary()),
        name=pa.array([span.name for span in spans], pa.string()),
        kind=np.array([span.kind for span in spans], np.int32),
        start_ns=np.array([span.start_time_unix_nano for span in spans], np.uint64),
        end_ns=np.array([span.end_time_unix_nano for span in spans], np.uint64),
        status_code=np.array([span.status.code for span in spans], np.int32),
        body=np.array([row[1] for row in rows], np.int64),
        scope=np.array([row[2] for row in rows], np.int64),
        scopes=scopes,
        resource=np.array([row[3] for row in rows], np.int64),
        resources=resource + 1,
        attributes=collected.occurrences(),
        resource_attributes=resources.occurrences(),
        evaluations=evaluations,
        exceptions=exceptions,
        oversized=collected.oversized,
    )


def parsed(message: Any, body: bytes) -> Any:
    """A message read from its bytes. FormatError if they are none."""
    try:
        return message.FromString(body)
    except DecodeError as error:
        raise FormatError(f"not an OTLP {message.DESCRIPTOR.name}: {error}") from error


def collect(collector: Collector, row: int, pairs: Iterable[KeyValue]) -> None:
    """The attributes of one row."""
    for pair in pairs:
        value = _value(pair.value)
        if value is not None:
            collector.add(row, pair.key, value)


def _value(value: AnyValue) -> Value | None:
    read = object_of(value)
    if isinstance(read, list | dict):
        return json_text(read)
    return read if isinstance(read, str | int | float | bool) else None


def object_of(value: AnyValue) -> object:
    """A value as plain Python; bytes are contents, not names, and read as None."""
    which = value.WhichOneof("value")
    if which is None or which == "bytes_value":
        return None
    if which == "array_value":
        return [object_of(item) for item in value.array_value.values]
    if which == "kvlist_value":
        return {pair.key: object_of(pair.value) for pair in value.kvlist_value.values}
    return getattr(value, which)


def _event(event: Any) -> tuple[Evaluation | None, str | None]:
    said = {pair.key: object_of(pair.value) for pair in event.attributes}
    exception = exception_of(said.get(EXCEPTION_TYPE))
    if event.name != EVALUATION:
        return None, exception
    score = said.get("gen_ai.evaluation.score.value")
    return evaluation_of(
        said.get("gen_ai.evaluation.name"), said.get("gen_ai.evaluation.score.label"), score
    ), exception
