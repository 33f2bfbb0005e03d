"""OTLP logs: the event records in which coding agents and GenAI instrumentations tell their calls.

Only records whose event is known come in, and of them only the attributes the door knows: never the body, in which the
words of a conversation stand. Whatever else a company logs through the same exporter is passed over unread.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from outlay.core.errors import Problem
from outlay.sources.otlp_columns import EVALUATION, EVALUATIONS
from outlay.sources.otlp_door import Admission, Door
from outlay.sources.otlp_messages import evaluation_of
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

EVENT_NAME = "event.name"
_TRACE_BYTES, _SPAN_BYTES = 16, 8


def decode_logs(bodies: Sequence[bytes], encoding: str) -> Decoded:
    """Decode log requests; `encoding` is `protobuf` or `json`. Nothing in a body raises.

    The rows have trace_id (16 bytes or null), parent_span_id (8 bytes or null: the span in which the record was
    written), name (of the event), at_ns, scope_name, scope_version, body (its number), evaluations (or null), then one
    column for each known attribute that occurs, as for spans. Only known events are received.
    """
    admission = Admission()
    reports = [BodyReport() for _ in bodies]
    raw = read_bodies(_decoder(encoding), bodies, admission, reports, encoding)
    columns = attribute_columns(raw, admission)
    names = _events(raw, columns, admission.door)
    known = np.asarray(names.is_valid())
    at_ns = _moments(raw)
    timed = (at_ns >= TIME_NS_MIN) & (at_ns <= TIME_NS_MAX)
    bad = known & ~timed
    _count(raw, known, bad, reports)
    _report_bad(raw, names, at_ns, np.flatnonzero(bad), reports)
    report_dropped(raw, known & timed, admission, reports)
    columns |= {
        "trace_id": _ids(raw.array("trace_id"), _TRACE_BYTES),
        "parent_span_id": _ids(raw.array("span_id"), _SPAN_BYTES),
        "name": names,
        EVENT_NAME: names,
        "at_ns": pa.array(np.minimum(at_ns, np.uint64(2**63 - 1)).astype(np.int64)),
        "evaluations": _evaluations(names, columns),
    }
    return Decoded(pa.table(columns).filter(pa.array(known & timed)), reports)


def _decoder(encoding: str) -> RecordDecoder:
    from outlay.sources import otlp_walk

    if encoding == "json":
        return otlp_walk.logs_of_json
    try:
        from outlay.sources.otlp_logs_protobuf import decode_logs_protobuf
    except ImportError:  # no wheel of ptars for this platform
        return otlp_walk.logs_of_messages
    return decode_logs_protobuf


def _events(raw: RawRecords, columns: dict[str, pa.Array], known: Door) -> pa.Array:
    """The event of each record under its whole name; null where it is none that we know.

    It is said by the attribute, the record's own field or, before that field existed, by the body; a scope may leave
    out the beginning that all its events share.
    """
    stated = columns.get(EVENT_NAME)
    told = [raw.names, raw.array("told"), columns["scope_name"]]
    texts = [pa.nulls(len(raw), pa.string()) if stated is None else stated.cast(pa.string()), *told]
    encoded = [(text if pa.types.is_dictionary(text.type) else text.dictionary_encode()) for text in texts]
    codes = np.stack([np.asarray(text.indices.fill_null(-1)).astype(np.int64) for text in encoded], axis=1)
    words = [[*text.dictionary.to_pylist(), None] for text in encoded]
    if not len(codes):
        return pa.array([], pa.string())
    distinct, which = np.unique(codes, axis=0, return_inverse=True)
    names = [known.event(*(word[code] for word, code in zip(words, row, strict=True))) for row in distinct.tolist()]
    return pa.array(names, pa.string()).take(pa.array(which.reshape(-1)))


def _moments(raw: RawRecords) -> np.ndarray:
    """When it happened; when it was seen, where the record does not say."""
    time_ns = raw.numbers("time_ns")
    return np.where(time_ns == 0, raw.numbers("observed_ns"), time_ns)


def _ids(array: pa.Array, width: int) -> pa.Array:
    """Ids of one width; null where there is none, or what stands there is none."""
    fits = pc.and_(pc.equal(pc.binary_length(array), width), pc.not_equal(array, pa.scalar(bytes(width), pa.binary())))
    return pc.if_else(fits, array, pa.scalar(None, pa.binary())).cast(pa.binary(width))


def _count(raw: RawRecords, known: np.ndarray, bad: np.ndarray, reports: list[BodyReport]) -> None:
    for report, received, refused in zip(
        reports,
        count_rows(raw.body, np.flatnonzero(known), reports),
        count_rows(raw.body, np.flatnonzero(bad), reports),
        strict=True,
    ):
        report.received, report.refused = received, refused


def _report_bad(
    raw: RawRecords, names: pa.Array, at_ns: np.ndarray, rows: np.ndarray, reports: list[BodyReport]
) -> None:
    for row in rows[:PROBLEMS_MAX].tolist():
        what = f"log record refused: a time that is missing or not between 2000 and 2100: {at_ns[row]} ns"
        reports[raw.body[row]].problems.append(Problem(f"{names[row].as_py()} number {row + 1}", what))


def _evaluations(names: pa.Array, columns: dict[str, pa.Array]) -> pa.Array:
    """What evaluation records say, in the shape of those that stand on spans."""
    rows = np.flatnonzero(np.asarray(pc.equal(names, pa.scalar(EVALUATION)).fill_null(fill_value=False)))
    if not len(rows):
        return pa.nulls(len(names), EVALUATIONS)
    places = pa.array(rows)
    parts = [
        columns[key].take(places).to_pylist() if (key := f"gen_ai.evaluation.{part}") in columns else [None] * len(rows)
        for part in ("name", "score.label", "score.value")
    ]
    lists: list[list[tuple[str, str | None, float | None]] | None] = [None] * len(names)
    for row, *said in zip(rows.tolist(), *parts, strict=True):
        found = evaluation_of(*said)
        lists[row] = [found] if found else None
    return pa.array(lists, EVALUATIONS)
