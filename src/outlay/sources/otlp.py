"""OTLP traces: request bodies become one table of spans, without the contents of messages.

`decode` judges what arrived: a body that is not OTLP refuses only itself, a span without identity or with impossible
times refuses only itself, and everything that no alias table knows is dropped before it is kept anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from outlay.core.errors import FormatError, Problem
from outlay.sources.otlp_columns import ERROR_TYPE, EVALUATIONS, EXCEPTION_TYPE, RawSpans, admitted
from outlay.sources.otlp_door import TEXT_BYTES_MAX, Admission
from outlay.sources.otlp_records import (
    MESSAGE_CHARACTERS_MAX,
    PROBLEMS_MAX,
    RESOURCE,
    TIME_NS_MAX,
    TIME_NS_MIN,
    BodyReport,
    Decoded,
    column_of,
)

_NAME_CHARACTERS_MAX = 256
_TRACE_BYTES, _SPAN_BYTES = 16, 8

SMALL_BYTES_MAX = 16 * 1024
"""Protobuf of some twenty spans: up to here reading message by message costs less than setting up whole columns."""


def decode(bodies: Sequence[bytes], encoding: str) -> Decoded:
    """Decode trace requests; `encoding` is `protobuf` or `json`. Nothing in a body raises.

    The rows have trace_id (16 bytes), span_id (8), parent_span_id (8 or null), name, kind, start_ns, end_ns (or null),
    status_code, scope_name, scope_version, body (its number), evaluations (or null), then one column for each known
    attribute that occurs, under its key, and under `resource.` + key for those of the resource.
    """
    admission = Admission()
    reports = [BodyReport() for _ in bodies]
    decoder = _decoder(encoding, sum(map(len, bodies)))
    raw = _read(decoder, bodies, admission, reports, b"{}" if encoding == "json" else b"")
    table = _table(raw, admission)
    for number, count in enumerate(np.bincount(raw.body, minlength=len(bodies)).tolist()):
        reports[number].received = count
    _report_dropped(raw, admission, reports)
    bad = _bad(raw)
    if bad.any():
        _report_bad(raw, bad, reports)
        table = table.filter(pa.array(bad == 0))
    return Decoded(table, reports)


def joined(tables: Sequence[pa.Table]) -> pa.Table:
    """Spans of several calls of `decode` as one table.

    An attribute that is text in one and a number in another is text in all: what one emitter calls by another type than
    the next must not stop what both were acknowledged for.
    """
    types: dict[str, set[pa.DataType]] = {}
    for table in tables:
        for item in table.schema:
            types.setdefault(item.name, set()).add(item.type)
    mixed = {name for name, kinds in types.items() if len(kinds) > 1}
    return pa.concat_tables([_as_text(table, mixed) for table in tables], promote_options="default")


def _as_text(table: pa.Table, names: set[str]) -> pa.Table:
    for name in names & set(table.column_names):
        table = table.set_column(table.column_names.index(name), name, table[name].cast(pa.string()))
    return table


def _decoder(encoding: str, size: int) -> Callable[[Sequence[bytes], Admission], RawSpans]:
    """The reader of so many bytes; all of them read the same, which a test shows."""
    if encoding == "json":
        from outlay.sources.otlp_json import decode_json

        return decode_json
    if encoding != "protobuf":
        raise ValueError(f'encoding must be "protobuf" or "json", not {encoding!r}')
    from outlay.sources.otlp_messages import decode_messages

    if size <= SMALL_BYTES_MAX:
        return decode_messages
    try:
        from outlay.sources.otlp_protobuf import decode_protobuf
    except ImportError:  # no wheel of ptars for this platform
        return decode_messages
    return decode_protobuf


def _read(
    decoder: Callable[[Sequence[bytes], Admission], RawSpans],
    bodies: Sequence[bytes],
    admission: Admission,
    reports: list[BodyReport],
    empty: bytes,
) -> RawSpans:
    """All bodies in one go; if one of them is malformed, those that are not."""
    try:
        return decoder(bodies, admission)
    except FormatError:
        good: list[bytes] = []
        for body, report in zip(bodies, reports, strict=True):
            try:
                decoder([body], Admission())
                good.append(body)
            except FormatError as error:
                report.malformed = True
                report.problems.append(
                    Problem("body", error.message[:MESSAGE_CHARACTERS_MAX], "send ExportTraceServiceRequest")
                )
                good.append(empty)
        return decoder(good, admission)


def _bad(raw: RawSpans) -> np.ndarray:
    """0 for a good span, else why it is refused: the number of a sentence in `_REASONS`."""
    _, has_trace = _fixed(raw.trace_id, _TRACE_BYTES)
    _, has_span = _fixed(raw.span_id, _SPAN_BYTES)
    start, end = raw.start_ns, raw.end_ns
    out_of_time = (start < TIME_NS_MIN) | (start > TIME_NS_MAX) | (end > TIME_NS_MAX)
    backwards = (end != 0) & (end < start)
    return np.select([~has_trace, ~has_span, out_of_time, backwards], [1, 2, 3, 4], 0)


_REASONS = (
    "",
    "no trace id of 16 bytes",
    "no span id of 8 bytes",
    "a time that is missing or not between 2000 and 2100",
    "ends before it starts",
)


def _report_bad(raw: RawSpans, bad: np.ndarray, reports: list[BodyReport]) -> None:
    rows = np.flatnonzero(bad)
    for number, count in enumerate(np.bincount(raw.body[rows], minlength=len(reports)).tolist()):
        reports[number].refused = count
    for row in rows[:PROBLEMS_MAX].tolist():
        times = f": start {raw.start_ns[row]}, end {raw.end_ns[row]} ns" if bad[row] > 2 else ""
        reports[raw.body[row]].problems.append(Problem(_place(raw, row), f"span refused: {_REASONS[bad[row]]}{times}"))


def _report_dropped(raw: RawSpans, admission: Admission, reports: list[BodyReport]) -> None:
    for row, key in sorted(raw.oversized)[:PROBLEMS_MAX]:
        what = f"attribute {key} dropped: longer than {TEXT_BYTES_MAX} bytes"
        reports[raw.body[row]].problems.append(
            Problem(_place(raw, row), what, "a tag names something, it carries no content")
        )
    if admission.turned_away and reports:
        what = f"{admission.turned_away} attribute keys dropped: too many different ones in one request"
        reports[0].problems.append(Problem("body", what, "put values into values, not into keys"))


def _place(raw: RawSpans, row: int) -> str:
    """Where a person would look: the span's id, or its number where it has none."""
    span, trace = raw.span_id[row].as_py().hex()[:64], raw.trace_id[row].as_py().hex()[:64]
    return f"span {span} of trace {trace}" if span and trace else f"span number {row + 1}"


def _table(raw: RawSpans, admission: Admission) -> pa.Table:
    length = len(raw)
    trace, _ = _fixed(raw.trace_id, _TRACE_BYTES)
    span, _ = _fixed(raw.span_id, _SPAN_BYTES)
    parent, has_parent = _fixed(raw.parent_span_id, _SPAN_BYTES)
    end_ns = np.minimum(raw.end_ns, np.uint64(2**63 - 1)).astype(np.int64)
    columns: dict[str, pa.Array] = {
        "trace_id": _binary(trace),
        "span_id": _binary(span),
        "parent_span_id": _binary(parent, has_parent),
        "name": _names(raw.name),
        "kind": pa.array(raw.kind),
        "start_ns": pa.array(np.minimum(raw.start_ns, np.uint64(2**63 - 1)).astype(np.int64)),
        "end_ns": pa.array(end_ns, mask=raw.end_ns == 0),
        "status_code": pa.array(raw.status_code),
        "scope_name": _encoded([name for name, _ in raw.scopes], raw.scope),
        "scope_version": _encoded([version for _, version in raw.scopes], raw.scope),
        "body": pa.array(raw.body.astype(np.int32)),
        "evaluations": _evaluations(raw),
    }
    for key, occurrences in admitted(raw.attributes, admission).items():
        columns[column_of(key)] = occurrences.column(length)
    exceptions = _exceptions(raw)
    if exceptions is not None:
        said = columns.get(EXCEPTION_TYPE)
        columns[EXCEPTION_TYPE] = exceptions if said is None else pc.coalesce(said.cast(pa.string()), exceptions)
    resource = pa.array(raw.resource)
    for key, occurrences in admitted(raw.resource_attributes, admission).items():
        columns[RESOURCE + key] = occurrences.column(raw.resources).take(resource)
    return pa.table(columns)


def _fixed(array: pa.Array, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Byte strings as rows of `width` bytes, and which of them are ids: of that width and not all zero."""
    if len(array) == 0:
        return np.zeros((0, width), np.uint8), np.zeros(0, np.bool_)
    _, offset_buffer, data_buffer = array.buffers()
    offsets = np.frombuffer(offset_buffer, np.int32, len(array) + 1, array.offset * 4)
    data = np.frombuffer(data_buffer, np.uint8) if data_buffer is not None else np.zeros(0, np.uint8)
    fits = np.diff(offsets) == width
    if fits.all():
        rows = data[offsets[0] : offsets[-1]].reshape(-1, width)
    else:
        rows = np.zeros((len(array), width), np.uint8)
        rows[fits] = data[offsets[:-1][fits, None] + np.arange(width)]
    return rows, np.asarray(rows.any(axis=1))


def _binary(rows: np.ndarray, valid: np.ndarray | None = None) -> pa.Array:
    bits = None if valid is None else pa.py_buffer(np.packbits(valid, bitorder="little").tobytes())
    data = pa.py_buffer(np.ascontiguousarray(rows).tobytes())
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(rows.shape[1]), len(rows), [bits, data])


def _names(names: pa.Array) -> pa.Array:
    longest = pc.max(pc.binary_length(names)).as_py() or 0
    return pc.utf8_slice_codeunits(names, 0, _NAME_CHARACTERS_MAX) if longest > _NAME_CHARACTERS_MAX else names


def _encoded(words: list[str], numbers: np.ndarray) -> pa.Array:
    """One word a row, chosen by number, dictionary-encoded."""
    distinct = list(dict.fromkeys(words))
    place = np.array([distinct.index(word) for word in words], np.int32)
    return pa.DictionaryArray.from_arrays(
        pa.array(place[numbers]) if words else pa.array([], pa.int32()), pa.array(distinct, pa.string())
    )


def _evaluations(raw: RawSpans) -> pa.Array:
    if not raw.evaluations:
        return pa.nulls(len(raw), EVALUATIONS)
    lists: list[list[tuple[str, str | None, float | None]] | None] = [None] * len(raw)
    for row, name, label, score in raw.evaluations:
        lists[row] = [*(lists[row] or ()), (name, label, score)]
    return pa.array(lists, EVALUATIONS)


def _exceptions(raw: RawSpans) -> pa.Array | None:
    """The type in the first exception event of each span that does not name its error; None if there are none."""
    if not raw.exceptions:
        return None
    named = raw.attributes.get(ERROR_TYPE)
    explained = set[int]() if named is None else set(named.rows.tolist())
    types: list[str | None] = [None] * len(raw)
    for row, kind in reversed(raw.exceptions):
        types[row] = None if row in explained else kind
    return pa.array(types, pa.string()) if any(types) else None
