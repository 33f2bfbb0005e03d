"""Log records and metric points read one by one: from JSON, and from protobuf where no columnar reader runs.

The structs of `otlp_json_records.py` carry the names of the protobuf messages, so that one walk reads both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from outlay.sources import otlp_json, otlp_json_records, otlp_messages
from outlay.sources.otlp_columns import Collector
from outlay.sources.otlp_door import Admission
from outlay.sources.otlp_metrics import EXPONENTIAL, GAUGE, HISTOGRAM, SUM
from outlay.sources.otlp_records import ODD, RawRecords, digests


class _Way(Protocol):
    """How one encoding says what both say."""

    @staticmethod
    def collect(collector: Collector, row: int, pairs: Iterable[Any]) -> None:
        """The attributes of one row."""
        ...

    @staticmethod
    def ids(values: list[Any], width: int) -> pa.Array:
        """Ids as bytes."""
        ...

    @staticmethod
    def times(values: list[Any]) -> np.ndarray:
        """Nanoseconds, 0 for none."""
        ...

    @staticmethod
    def has(message: Any, name: str) -> bool:
        """Whether a message is set."""
        ...

    @staticmethod
    def temporality(points: Any) -> int:
        """1 is delta, 2 cumulative."""
        ...

    @staticmethod
    def value(point: Any, form: int) -> float | None:
        """What a point counts; None where it does not say."""
        ...

    @staticmethod
    def wire(pair: Any) -> bytes:
        """An attribute as it stands in protobuf."""
        ...


class _Json:
    @staticmethod
    def collect(collector: Collector, row: int, pairs: Iterable[Any]) -> None:
        otlp_json.collect(collector, row, list(pairs))

    @staticmethod
    def ids(values: list[Any], width: int) -> pa.Array:
        return otlp_json.ids([value or "" for value in values], width)

    @staticmethod
    def times(values: list[Any]) -> np.ndarray:
        return otlp_json.times(values)

    @staticmethod
    def has(message: Any, name: str) -> bool:
        return getattr(message, name) is not None

    @staticmethod
    def temporality(points: Any) -> int:
        return otlp_json_records.temporality_of(points)

    @staticmethod
    def value(point: Any, form: int) -> float | None:
        return otlp_json_records.value_of(point, plain=form in {GAUGE, SUM})

    @staticmethod
    def wire(pair: Any) -> bytes:
        return otlp_json_records.message_of(pair).SerializeToString()


class _Messages:
    @staticmethod
    def collect(collector: Collector, row: int, pairs: Iterable[Any]) -> None:
        otlp_messages.collect(collector, row, pairs)

    @staticmethod
    def ids(values: list[Any], width: int) -> pa.Array:
        del width
        return pa.array(values, pa.binary())

    @staticmethod
    def times(values: list[Any]) -> np.ndarray:
        return np.array(values, np.uint64)

    @staticmethod
    def has(message: Any, name: str) -> bool:
        return message.HasField(name)

    @staticmethod
    def temporality(points: Any) -> int:
        return points.aggregation_temporality

    @staticmethod
    def value(point: Any, form: int) -> float | None:
        if form in {GAUGE, SUM}:
            which = point.WhichOneof("value")
            return None if which is None else float(getattr(point, which))
        return point.sum if form in {HISTOGRAM, EXPONENTIAL} and point.HasField("sum") else None

    @staticmethod
    def wire(pair: Any) -> bytes:
        return pair.SerializeToString()


def logs_of_json(bodies: Sequence[bytes], admission: Admission) -> RawRecords:
    """The log records of requests in JSON. FormatError if any of them is none."""
    return _logs([otlp_json_records.logs_request(body) for body in bodies], _Json(), admission)


def logs_of_messages(bodies: Sequence[bytes], admission: Admission) -> RawRecords:
    """The log records of requests in protobuf. FormatError if any of them is none."""
    return _logs([otlp_messages.parsed(ExportLogsServiceRequest, body) for body in bodies], _Messages(), admission)


@dataclass(slots=True)
class Places:
    """Where the records stand: body, scope and resource of each, and the scopes and resources that were met."""

    body: list[int] = field(default_factory=list[int])
    scope: list[int] = field(default_factory=list[int])
    resource: list[int] = field(default_factory=list[int])
    scopes: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    resources: int = 0
    resource_wire: list[list[bytes]] = field(default_factory=list[list[bytes]])

    def walk(
        self, requests: Sequence[Any], signal: str, items: str, way: _Way, resources: Collector
    ) -> Iterator[tuple[int, Any]]:
        """Each scope's items (log records, metrics), with the number of the body."""
        for number, request in enumerate(requests):
            for of_resource in getattr(request, f"resource_{signal}") or ():
                said = of_resource.resource
                attributes = (said.attributes if said is not None else None) or ()
                way.collect(resources, self.resources, attributes)
                self.resource_wire.append([way.wire(pair) for pair in attributes])
                for of_scope in getattr(of_resource, f"scope_{signal}") or ():
                    scope = of_scope.scope
                    self.scopes.append((scope.name or "", scope.version or "") if scope is not None else ("", ""))
                    for item in getattr(of_scope, items) or ():
                        yield number, item
                self.resources += 1

    def add(self, number: int) -> int:
        """One record of the body, under the scope and resource met last; returns its row."""
        self.body.append(number)
        self.scope.append(len(self.scopes) - 1)
        self.resource.append(self.resources)
        return len(self.body) - 1

    def records(
        self, names: list[str], fields: dict[str, Any], collected: Collector, resources: Collector
    ) -> RawRecords:
        """What was gathered."""
        return RawRecords(
            names=pa.array(names, pa.string()),
            fields=fields,
            body=np.array(self.body, np.int64),
            scope=np.array(self.scope, np.int64),
            scopes=self.scopes,
            resource=np.array(self.resource, np.int64),
            resources=self.resources,
            attributes=collected.occurrences(),
            resource_attributes=resources.occurrences(),
            oversized=collected.oversized,
        )


def _logs(requests: Sequence[Any], way: _Way, admission: Admission) -> RawRecords:
    collected, resources, places = Collector(admission), Collector(admission), Places()
    events = admission.door.events
    records: list[Any] = []
    told: list[str | None] = []
    for number, record in places.walk(requests, "logs", "log_records", way, resources):
        way.collect(collected, places.add(number), record.attributes or ())
        body = record.body and record.body.string_value
        told.append(body if body in events else None)
        records.append(record)
    fields: dict[str, Any] = {
        "trace_id": way.ids([record.trace_id for record in records], 16),
        "span_id": way.ids([record.span_id for record in records], 8),
        "time_ns": way.times([record.time_unix_nano for record in records]),
        "observed_ns": way.times([record.observed_time_unix_nano for record in records]),
        "told": pa.array(told, pa.string()),
    }
    return places.records([record.event_name or "" for record in records], fields, collected, resources)


def metrics_of_json(bodies: Sequence[bytes], admission: Admission) -> RawRecords:
    """The points of known metrics of requests in JSON. FormatError if any of them is none."""
    return _metrics([otlp_json_records.metrics_request(body) for body in bodies], _Json(), admission)


def metrics_of_messages(bodies: Sequence[bytes], admission: Admission) -> RawRecords:
    """The points of known metrics of requests in protobuf. FormatError if any of them is none."""
    return _metrics(
        [otlp_messages.parsed(ExportMetricsServiceRequest, body) for body in bodies], _Messages(), admission
    )


_FORMS = ("gauge", "sum", "histogram", "exponential_histogram", "summary")


def _metrics(requests: Sequence[Any], way: _Way, admission: Admission) -> RawRecords:
    collected, resources, places = Collector(admission), Collector(admission), Places()
    points: list[Any] = []
    names: list[str] = []
    told: list[tuple[int, int, bool, float | None]] = []
    wire: list[list[bytes]] = []
    for number, metric in places.walk(requests, "metrics", "metrics", way, resources):
        name = metric.name or ""
        form = next((place for place, field in enumerate(_FORMS) if way.has(metric, field)), None)
        if name not in admission.door.metrics or form is None:
            continue
        holder = getattr(metric, _FORMS[form])
        temporality = way.temporality(holder) if form in {SUM, HISTOGRAM, EXPONENTIAL} else 0
        monotonic = bool(form == SUM and holder.is_monotonic)
        for point in holder.data_points or ():
            if (point.flags or 0) & 1:
                continue
            way.collect(collected, places.add(number), point.attributes or ())
            wire.append([way.wire(pair) for pair in point.attributes or ()])
            told.append((form, temporality, monotonic, way.value(point, form)))
            names.append(name)
            points.append(point)
    values = [value for *_, value in told]
    resource_words = _digests(places.resource_wire)[np.array(places.resource, np.int64)] if points else _digests([])
    fields: dict[str, Any] = {
        "form": np.array([form for form, *_ in told], np.int8),
        "start_ns": way.times([point.start_time_unix_nano for point in points]),
        "time_ns": way.times([point.time_unix_nano for point in points]),
        "temporality": np.array([temporality for _, temporality, *_ in told], np.int32),
        "monotonic": np.array([monotonic for *_, monotonic, _ in told], np.bool_),
        "value": np.array([0.0 if value is None else value for value in values], np.float64),
        "has_value": np.array([value is not None for value in values], np.bool_),
        "series": _digests(wire) ^ resource_words * ODD,
    }
    return places.records(names, fields, collected, resources)


def _digests(wire: list[list[bytes]]) -> np.ndarray:
    owner = np.repeat(np.arange(len(wire)), [len(pairs) for pairs in wire])
    return digests(owner, pa.array([pair for pairs in wire for pair in pairs], pa.binary()), len(wire))
