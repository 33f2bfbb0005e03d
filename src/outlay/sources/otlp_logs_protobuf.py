"""Log records from OTLP protobuf to columns, without a loop over records."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from outlay.core.errors import FormatError
from outlay.sources.otlp_door import Admission, door
from outlay.sources.otlp_protobuf import attributes_of
from outlay.sources.otlp_readers import flat, numbers, reader
from outlay.sources.otlp_records import RawRecords


def decode_logs_protobuf(bodies: Sequence[bytes], admission: Admission) -> RawRecords:
    """The log records of several requests. FormatError if any of them is not an OTLP log request."""
    try:
        batch = reader("LogsRequest").list_to_record_batch(list(bodies))
    except ValueError as error:
        raise FormatError(f"not an OTLP log request: {error}") from error
    body_of_resource, resources = flat(batch.column(0))
    resource_of_scope, scopes = flat(resources.field("scope_logs"))
    scope_of_record, records = flat(scopes.field("records"))
    owner, pairs = flat(records.field("attributes"))
    resource_owner, resource_pairs = flat(resources.field("resource").field("attributes"))
    scope = scopes.field("scope")
    resource = resource_of_scope[scope_of_record]
    oversized: list[tuple[int, str]] = []
    return RawRecords(
        names=records.field("event_name"),
        fields={
            "trace_id": records.field("trace_id"),
            "span_id": records.field("span_id"),
            "time_ns": numbers(records.field("time"), np.uint64),
            "observed_ns": numbers(records.field("observed"), np.uint64),
            "told": _told(records.field("body")),
        },
        body=body_of_resource[resource],
        scope=scope_of_record,
        scopes=list(zip(scope.field("name").to_pylist(), scope.field("version").to_pylist(), strict=True)),
        resource=resource,
        resources=len(resources),
        attributes=attributes_of(owner, pairs, admission, oversized),
        resource_attributes=attributes_of(resource_owner, resource_pairs, admission, []),
        oversized=oversized,
    )


@cache
def _known_bodies() -> tuple[pa.Array, pa.Array]:
    """Every event that may be told by a record's body, as it stands on the wire and as text."""
    names = sorted(door().events)
    wire = [AnyValue(string_value=name).SerializeToString() for name in names]
    return pa.array(wire, pa.binary()), pa.array(names, pa.string())


def _told(bodies: pa.Array) -> pa.Array:
    """The event named by each body; null for every other body, which is not read."""
    wire, names = _known_bodies()
    return names.take(pc.index_in(bodies, value_set=wire))
