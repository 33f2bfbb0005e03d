"""Metric points from OTLP protobuf to columns, without a loop over points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from outlay.core.errors import FormatError
from outlay.sources.otlp_door import Admission
from outlay.sources.otlp_metrics import EXPONENTIAL, GAUGE, HISTOGRAM, SUM, SUMMARY, known_points
from outlay.sources.otlp_protobuf import attributes_of
from outlay.sources.otlp_readers import flat, numbers, reader
from outlay.sources.otlp_records import ODD, RawRecords, digests

_FORMS = {"gauge": GAUGE, "sum": SUM, "histogram": HISTOGRAM, "exponential": EXPONENTIAL, "summary": SUMMARY}


def decode_metrics_protobuf(bodies: Sequence[bytes], admission: Admission) -> RawRecords:
    """The points of known metrics in several requests. FormatError if any of them is not an OTLP metric request."""
    try:
        batch = reader("MetricsRequest").list_to_record_batch(list(bodies))
    except ValueError as error:
        raise FormatError(f"not an OTLP metric request: {error}") from error
    body_of_resource, resources = flat(batch.column(0))
    resource_of_scope, scopes = flat(resources.field("scope_metrics"))
    scope_of_metric, metrics = flat(scopes.field("metrics"))
    scope = scopes.field("scope")
    names = metrics.field("name")
    parts = [_points(metrics, name, form, names, admission) for name, form in _FORMS.items()]
    order = np.argsort(np.concatenate([part["metric"] for part in parts]), kind="stable")

    def together(field: str) -> np.ndarray:
        return np.concatenate([part[field] for part in parts])[order]

    metric = together("metric")
    owner, pairs = flat(pa.chunked_array([part["pairs"] for part in parts]).combine_chunks().take(pa.array(order)))
    resource_owner, resource_pairs = flat(resources.field("resource").field("attributes"))
    resource = resource_of_scope[scope_of_metric[metric]]
    oversized: list[tuple[int, str]] = []
    series = (
        digests(owner, pairs, len(metric)) ^ digests(resource_owner, resource_pairs, len(resources))[resource] * ODD
    )
    fields = ("form", "start_ns", "time_ns", "temporality", "monotonic", "value", "has_value")
    return RawRecords(
        names=names.take(pa.array(metric)),
        fields={name: together(name) for name in fields} | {"series": series},
        body=body_of_resource[resource],
        scope=scope_of_metric[metric],
        scopes=list(zip(scope.field("name").to_pylist(), scope.field("version").to_pylist(), strict=True)),
        resource=resource,
        resources=len(resources),
        attributes=attributes_of(owner, pairs, admission, oversized),
        resource_attributes=attributes_of(resource_owner, resource_pairs, admission, []),
        oversized=oversized,
    )


def _points(metrics: Any, name: str, form: int, names: pa.Array, admission: Admission) -> dict[str, Any]:
    """The points of one form, those of other metrics left aside."""
    told = metrics.field(name)
    metric, points = flat(told.field("points"))
    encoded = names.dictionary_encode()
    known = np.array([*(text in admission.door.metrics for text in encoded.dictionary.to_pylist()), False], np.bool_)
    wanted = known[np.asarray(encoded.indices.fill_null(-1))][metric]
    rows = np.flatnonzero(known_points(wanted, numbers(points.field("flags"), np.uint32)))
    kept = pa.array(rows)
    count, metric = len(rows), metric[rows]
    doubles = points.field("d").take(kept) if form != SUMMARY else pa.nulls(count, pa.float64())
    integers = points.field("i").take(kept) if form in {GAUGE, SUM} else pa.nulls(count, pa.int64())
    whole = integers.is_valid()
    value = np.where(np.asarray(whole), np.asarray(integers.fill_null(0)), np.asarray(doubles.fill_null(0.0)))
    cumulates = form in {SUM, HISTOGRAM, EXPONENTIAL}
    return {
        "metric": metric,
        "form": np.full(count, form, np.int8),
        "start_ns": numbers(points.field("start"), np.uint64)[rows],
        "time_ns": numbers(points.field("time"), np.uint64)[rows],
        "temporality": _of_metric(told, "temporality", metric) if cumulates else np.zeros(count, np.int32),
        "monotonic": _flags(told, metric) if form == SUM else np.zeros(count, np.bool_),
        "value": value.astype(np.float64),
        "has_value": np.asarray(whole) | np.asarray(doubles.is_valid()),
        "pairs": points.field("attributes").take(kept),
    }


def _of_metric(told: Any, field: str, metric: np.ndarray) -> np.ndarray:
    return numbers(told.field(field), np.int32)[metric]


def _flags(told: Any, metric: np.ndarray) -> np.ndarray:
    return np.asarray(told.field("monotonic").fill_null(fill_value=False))[metric]
