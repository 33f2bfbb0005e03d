"""The messages of OTLP as nested Arrow: ptars readers of just the fields that Outlay looks at.

OTLP's AnyValue is recursive, which Arrow cannot be. Its two recursive fields (array and map) are therefore declared as
bytes, which has the same form on the wire. Fields that are left out of the descriptions below (status message, links,
trace state, buckets, exemplars, the text of a log's severity) are skipped by the parser and never become values.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import ptars
import pyarrow as pa
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool

_TYPES = {
    "string": FieldDescriptorProto.TYPE_STRING,
    "bool": FieldDescriptorProto.TYPE_BOOL,
    "int64": FieldDescriptorProto.TYPE_INT64,
    "int32": FieldDescriptorProto.TYPE_INT32,
    "double": FieldDescriptorProto.TYPE_DOUBLE,
    "bytes": FieldDescriptorProto.TYPE_BYTES,
    "fixed64": FieldDescriptorProto.TYPE_FIXED64,
    "sfixed64": FieldDescriptorProto.TYPE_SFIXED64,
    "uint32": FieldDescriptorProto.TYPE_UINT32,
}

_MESSAGES = {
    "Value": "s 1 string?, b 2 bool?, i 3 int64?, d 4 double?, array 5 bytes?, map 6 bytes?",
    "Pair": "key 1 string, value 2 Value",
    "Status": "code 3 int32",
    "Span": (
        "trace_id 1 bytes, span_id 2 bytes, parent_span_id 4 bytes, name 5 string, kind 6 int32, start 7 fixed64, "
        "end 8 fixed64, attributes 9 bytes*, events 11 bytes*, status 15 Status"
    ),
    "Scope": "name 1 string, version 2 string",
    "ScopeSpans": "scope 1 Scope, spans 2 Span*",
    "Resource": "attributes 1 bytes*",
    "ResourceSpans": "resource 1 Resource, scope_spans 2 ScopeSpans*",
    "Request": "resource_spans 1 ResourceSpans*",
    "LogRecord": (
        "time 1 fixed64, body 5 bytes, attributes 6 bytes*, trace_id 9 bytes, span_id 10 bytes, observed 11 fixed64, "
        "event_name 12 string"
    ),
    "ScopeLogs": "scope 1 Scope, records 2 LogRecord*",
    "ResourceLogs": "resource 1 Resource, scope_logs 2 ScopeLogs*",
    "LogsRequest": "resource_logs 1 ResourceLogs*",
    "NumberPoint": "start 2 fixed64, time 3 fixed64, d 4 double?, i 6 sfixed64?, attributes 7 bytes*, flags 8 uint32",
    "HistogramPoint": "start 2 fixed64, time 3 fixed64, d 5 double?, attributes 9 bytes*, flags 10 uint32",
    "ExponentialPoint": "attributes 1 bytes*, start 2 fixed64, time 3 fixed64, d 5 double?, flags 10 uint32",
    "SummaryPoint": "start 2 fixed64, time 3 fixed64, attributes 7 bytes*, flags 8 uint32",
    "Gauge": "points 1 NumberPoint*",
    "Sum": "points 1 NumberPoint*, temporality 2 int32, monotonic 3 bool",
    "Histogram": "points 1 HistogramPoint*, temporality 2 int32",
    "Exponential": "points 1 ExponentialPoint*, temporality 2 int32",
    "Summary": "points 1 SummaryPoint*",
    "Metric": (
        "name 1 string, unit 3 string, gauge 5 Gauge, sum 7 Sum, histogram 9 Histogram, exponential 10 Exponential, "
        "summary 11 Summary"
    ),
    "ScopeMetrics": "scope 1 Scope, metrics 2 Metric*",
    "ResourceMetrics": "resource 1 Resource, scope_metrics 2 ScopeMetrics*",
    "MetricsRequest": "resource_metrics 1 ResourceMetrics*",
}
"""name → fields as `name number type`; `?` can be absent, `*` repeats."""


@cache
def reader(message_name: str) -> Any:
    """The ptars reader of one of the messages above."""
    file = FileDescriptorProto(name="outlay_otlp.proto", package="outlay_otlp", syntax="proto3")
    for each, fields in _MESSAGES.items():
        message = file.message_type.add(name=each)
        for text in fields.split(", "):
            name, number, kind = text.split()
            type_name = kind.rstrip("?*")
            label = FieldDescriptorProto.LABEL_REPEATED if kind.endswith("*") else FieldDescriptorProto.LABEL_OPTIONAL
            item = message.field.add(name=name, number=int(number), label=label)
            if type_name in _TYPES:
                item.type = _TYPES[type_name]
            else:
                item.type, item.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".outlay_otlp.{type_name}"
            if kind.endswith("?"):
                item.proto3_optional, item.oneof_index = True, len(message.oneof_decl)
                message.oneof_decl.add(name=f"_{name}")
    pool = DescriptorPool()
    pool.Add(file)
    wanted = pool.FindMessageTypeByName(f"outlay_otlp.{message_name}")
    return ptars.HandlerPool([wanted.file]).get_for_message(wanted)


def flat(lists: pa.ListArray) -> tuple[np.ndarray, Any]:
    """The entries of all lists, and for each the number of its list."""
    offsets = lists.offsets.to_numpy()
    return np.repeat(np.arange(len(lists)), np.diff(offsets)), lists.values


def numbers(array: pa.Array, kind: type[np.generic]) -> np.ndarray:
    """The values of a numeric array, without a look at which are null (those read 0 or anything)."""
    return np.frombuffer(array.buffers()[1], kind, len(array), array.offset * np.dtype(kind).itemsize)
