"""OTLP requests written by hand in a test: plain Python in, protobuf or JSON bytes out."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from outlay.normalize.spans import facts_of_spans
from outlay.sources.facts import Batch
from outlay.sources.otlp import decode

START_NS = 1_795_000_000 * 10**9
TRACE = bytes(range(16))


def value_of(plain: object) -> AnyValue:
    """A plain value as OTLP says it; None is a value that is not set."""
    if isinstance(plain, bool):
        return AnyValue(bool_value=plain)
    if isinstance(plain, int):
        return AnyValue(int_value=plain)
    if isinstance(plain, float):
        return AnyValue(double_value=plain)
    if isinstance(plain, str):
        return AnyValue(string_value=plain)
    if isinstance(plain, bytes):
        return AnyValue(bytes_value=plain)
    if isinstance(plain, list | tuple):
        return AnyValue(array_value=ArrayValue(values=[value_of(item) for item in plain]))
    if isinstance(plain, Mapping):
        return AnyValue(kvlist_value=KeyValueList(values=pairs_of(plain)))
    return AnyValue()


def pairs_of(attributes: Mapping[str, object]) -> list[KeyValue]:
    """Attributes as OTLP says them."""
    return [KeyValue(key=key, value=value_of(value)) for key, value in attributes.items()]


def span(number: int, attributes: Mapping[str, object] | None = None, **changes: object) -> Span:
    """One second of work under a trace of its own; `parent` is the number of another span."""
    fields: dict[str, object] = {
        "trace_id": TRACE,
        "span_id": number.to_bytes(8, "big"),
        "name": f"span {number}",
        "start_time_unix_nano": START_NS,
        "end_time_unix_nano": START_NS + 10**9,
    }
    parent = changes.pop("parent", None)
    if isinstance(parent, int):
        fields["parent_span_id"] = parent.to_bytes(8, "big")
    if changes.pop("failed", False):
        fields["status"] = Status(code=Status.STATUS_CODE_ERROR, message="it went wrong")
    events = changes.pop("events", ())
    made = Span(**(fields | changes), attributes=pairs_of(attributes or {}))
    for name, said in events:  # type: ignore[union-attr]
        made.events.add(name=name, time_unix_nano=START_NS, attributes=pairs_of(said))
    return made


def request(
    spans: Sequence[Span],
    resource: Mapping[str, object] | None = None,
    scope: tuple[str, str] = ("opentelemetry.instrumentation.openai_v2", "2.3b0"),
) -> ExportTraceServiceRequest:
    """A request with one resource and one scope."""
    made = ExportTraceServiceRequest()
    of_resource = made.resource_spans.add()
    of_resource.resource.attributes.extend(pairs_of(resource or {}))
    of_scope = of_resource.scope_spans.add()
    of_scope.scope.name, of_scope.scope.version = scope
    of_scope.spans.extend(spans)
    return made


def log(event: str, attributes: Mapping[str, object] | None = None, **changes: object) -> LogRecord:
    """A log record as Claude Code writes it: its event in the body, and without its prefix in an attribute."""
    fields: dict[str, object] = {"time_unix_nano": START_NS + 10**9, "body": value_of(event)}
    said = {"event.name": event.removeprefix("claude_code.")} | dict(attributes or {})
    return LogRecord(**(fields | changes), attributes=pairs_of(said))


def logs_request(
    records: Sequence[LogRecord],
    resource: Mapping[str, object] | None = None,
    scope: tuple[str, str] = ("com.anthropic.claude_code.events", "2.1.330"),
) -> ExportLogsServiceRequest:
    """A request of log records with one resource and one scope."""
    made = ExportLogsServiceRequest()
    of_resource = made.resource_logs.add()
    of_resource.resource.attributes.extend(pairs_of(resource or {}))
    of_scope = of_resource.scope_logs.add()
    of_scope.scope.name, of_scope.scope.version = scope
    of_scope.log_records.extend(records)
    return made


Said = Mapping[str, object]


def counter(
    name: str, *points: tuple[object, Said], cumulative: bool = False, start_ns: int = START_NS, at_ns: int = START_NS
) -> Metric:
    """A monotonic sum with points of a value and attributes each; `at_ns` is the end of its interval."""
    made = Metric(name=name)
    made.sum.is_monotonic, made.sum.aggregation_temporality = True, 2 if cumulative else 1
    for value, said in points:
        point = made.sum.data_points.add(start_time_unix_nano=start_ns, time_unix_nano=at_ns)
        point.attributes.extend(pairs_of(said))
        if isinstance(value, int):
            point.as_int = value
        elif isinstance(value, float):
            point.as_double = value
    return made


def metrics_request(
    metrics: Sequence[Metric],
    resource: Mapping[str, object] | None = None,
    scope: tuple[str, str] = ("com.anthropic.claude_code", "2.1.330"),
) -> ExportMetricsServiceRequest:
    """A request of metrics with one resource and one scope."""
    made = ExportMetricsServiceRequest()
    of_resource = made.resource_metrics.add()
    of_resource.resource.attributes.extend(pairs_of(resource or {}))
    of_scope = of_resource.scope_metrics.add()
    of_scope.scope.name, of_scope.scope.version = scope
    of_scope.metrics.extend(metrics)
    return made


def json_of(made: Message) -> bytes:
    """OTLP/JSON, whose ids are hex and whose enums are numbers, where protobuf's own JSON has base64 and names."""
    return json.dumps(_with_hex_ids(MessageToDict(made, use_integers_for_enums=True))).encode()


def _with_hex_ids(told: Any) -> Any:
    if isinstance(told, list):
        return [_with_hex_ids(item) for item in told]
    if not isinstance(told, dict):
        return told
    return {
        key: base64.b64decode(value).hex() if key in {"traceId", "spanId", "parentSpanId"} else _with_hex_ids(value)
        for key, value in told.items()
    }


def facts_said(
    attributes: Mapping[str, object], resource: Mapping[str, object] | None = None, **changes: object
) -> Batch:
    """The facts and outcomes of one span that nothing is wrong with."""
    decoded = decode([request([span(1, attributes, **changes)], resource).SerializeToString()], "protobuf")
    assert not decoded.bodies[0].problems
    return facts_of_spans(decoded.rows)


def fact_of(
    attributes: Mapping[str, object], resource: Mapping[str, object] | None = None, **changes: object
) -> dict[str, object]:
    """The one fact of such a span, its tags and units as mappings."""
    found = facts_said(attributes, resource, **changes).facts.to_pylist()[0]
    found["tags"] = dict(found["tags"] or ())
    found["units"] = {unit["meter"]: unit["quantity"] for unit in found["units"] or ()}
    return found
