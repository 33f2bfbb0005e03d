"""OTLP metrics: the points of the few metrics that speak of tokens, money or work; all else is passed over unread.

Sums and histograms are taken, delta and cumulative; of a histogram only its sum. What cannot be added up (gauges,
summaries, sums that may fall) or cannot be true is refused point by point, each with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from outlay.core.errors import Problem
from outlay.sources.otlp_door import Admission, point_door
from outlay.sources.otlp_records import (
    PROBLEMS_MAX,
    TIME_NS_MAX,
    TIME_NS_MIN,
    BodyReport,
    Decoded,
    RawRecords,
    RecordDecoder,
    attribute_columns,
    count_rows,
    read_bodies,
    report_dropped,
)

GAUGE, SUM, HISTOGRAM, EXPONENTIAL, SUMMARY = range(5)
"""The forms of a metric, in the order of their fields."""

DELTA, CUMULATIVE = 1, 2
_NO_RECORDED_VALUE = 1

_REASONS = (
    "",
    "a gauge or a summary cannot be added up",
    "a sum that may fall cannot be added up",
    "neither delta nor cumulative",
    "a time that is missing or not between 2000 and 2100",
    "begins after it ends",
    "a cumulative value without a start: a counter that began again could not be told from one that went on",
    "no value, or a histogram without a sum",
    "not a number, or infinite",
    "a negative count",
)
_HINTS = {
    1: "send a counter or a histogram",
    2: "send a monotonic sum",
    3: "set the aggregation temporality",
    6: "set start_time_unix_nano, or send deltas (OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=delta)",
}


def decode_metrics(bodies: Sequence[bytes], encoding: str) -> Decoded:
    """Decode metric requests; `encoding` is `protobuf` or `json`. Nothing in a body raises.

    The rows have name (of the metric), series (16 bytes: all attributes of point and resource, kept or not), start_ns
    (null where it is not said), at_ns, cumulative, amount (float64), scope_name, scope_version, body (its number), then
    one column for each known attribute that occurs, as for spans.
    Only points of known metrics are received.
    """
    admission = Admission(point_door())
    reports = [BodyReport() for _ in bodies]
    raw = read_bodies(_decoder(encoding), bodies, admission, reports, encoding)
    bad = _bad(raw)
    for report, received, refused in zip(
        reports,
        count_rows(raw.body, np.arange(len(raw)), reports),
        count_rows(raw.body, np.flatnonzero(bad), reports),
        strict=True,
    ):
        report.received, report.refused = received, refused
    _report_bad(raw, bad, reports)
    report_dropped(raw, bad == 0, admission, reports)
    columns = attribute_columns(raw, admission)
    start_ns = _signed(raw.numbers("start_ns"))
    columns |= {
        "name": raw.names,
        "start_ns": pa.array(start_ns, mask=start_ns == 0),
        "at_ns": pa.array(_signed(raw.numbers("time_ns"))),
        "cumulative": pa.array(raw.numbers("temporality") == CUMULATIVE),
        "amount": pa.array(raw.numbers("value")),
        "series": _binary(raw.numbers("series")),
    }
    return Decoded(pa.table(columns).filter(pa.array(bad == 0)), reports)


def known_points(names: np.ndarray, flags: np.ndarray) -> np.ndarray:
    """Which points are looked at: those of known metrics that recorded a value at all."""
    return names & ((flags & _NO_RECORDED_VALUE) == 0)


def _decoder(encoding: str) -> RecordDecoder:
    from outlay.sources import otlp_walk

    if encoding == "json":
        return otlp_walk.metrics_of_json
    try:
        from outlay.sources.otlp_metrics_protobuf import decode_metrics_protobuf
    except ImportError:  # no wheel of ptars for this platform
        return otlp_walk.metrics_of_messages
    return decode_metrics_protobuf


def _binary(words: np.ndarray) -> pa.Array:
    return pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(16), len(words), [None, pa.py_buffer(np.ascontiguousarray(words).tobytes())]
    )


def _signed(values: np.ndarray) -> np.ndarray:
    return np.minimum(values, np.uint64(2**63 - 1)).astype(np.int64)


def _bad(raw: RawRecords) -> np.ndarray:
    """0 for a good point, else why it is refused: the number of a sentence in `_REASONS`."""
    form, value, has_value = raw.numbers("form"), raw.numbers("value"), raw.numbers("has_value")
    start, time, temporality = raw.numbers("start_ns"), raw.numbers("time_ns"), raw.numbers("temporality")
    out_of_time = (time < TIME_NS_MIN) | (time > TIME_NS_MAX) | ((start != 0) & (start < TIME_NS_MIN))
    return np.select(
        [
            (form == GAUGE) | (form == SUMMARY),
            (form == SUM) & ~raw.numbers("monotonic"),
            (temporality != DELTA) & (temporality != CUMULATIVE),
            out_of_time,
            start > time,
            (temporality == CUMULATIVE) & (start == 0),
            ~has_value,
            ~np.isfinite(value),
            value < 0,
        ],
        range(1, len(_REASONS)),
        0,
    )


def _report_bad(raw: RawRecords, bad: np.ndarray, reports: list[BodyReport]) -> None:
    for row in np.flatnonzero(bad)[:PROBLEMS_MAX].tolist():
        why = int(bad[row])
        said = f": {raw.numbers('value')[row]}" if why >= 8 else ""
        problem = Problem(
            f"{raw.names[row].as_py()} point number {row + 1}",
            f"point refused: {_REASONS[why]}{said}",
            _HINTS.get(why, ""),
        )
        reports[raw.body[row]].problems.append(problem)
