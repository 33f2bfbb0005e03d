"""OTLP protobuf to columns without a loop over spans: ptars reads the bodies into nested Arrow, numpy does the rest.

Attributes are read by the key (`otlp_pairs.py`), arrays and maps only where they are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from outlay.core.errors import FormatError
from outlay.sources.otlp_columns import (
    ERROR_TYPE,
    EVALUATION,
    EXCEPTION_TYPE,
    Collector,
    Occurrences,
    RawSpans,
    Value,
    text_bytes_max,
)
from outlay.sources.otlp_door import TEXT_BYTES_MAX, Admission, Verdict
from outlay.sources.otlp_messages import array_text, collect, event_of, map_text, parsed
from outlay.sources.otlp_pairs import ARRAY, BOOL, CHILDREN, DOUBLE, INTEGER, MAP, TEXT, Pairs, read_pairs
from outlay.sources.otlp_readers import flat, numbers, reader

FEW_PAIRS_MAX = 48
"""So many attributes are read one by one: those of a resource, for which setting up columns costs more."""


def decode_protobuf(bodies: Sequence[bytes], admission: Admission) -> RawSpans:
    """The spans of several requests. FormatError if any of them is not an OTLP trace request."""
    try:
        batch = reader("Request").list_to_record_batch(list(bodies))
    except ValueError as error:
        raise FormatError(f"not an OTLP trace request: {error}") from error
    body_of_resource, resources = flat(batch.column(0))
    resource_of_scope, scopes = flat(resources.field("scope_spans"))
    scope_of_span, spans = flat(scopes.field("spans"))
    owner, pairs = flat(spans.field("attributes"))
    resource_owner, resource_pairs = flat(resources.field("resource").field("attributes"))
    scope = scopes.field("scope")
    resource_of_span = resource_of_scope[scope_of_span]
    oversized: list[tuple[int, str]] = []
    raw = RawSpans(
        trace_id=spans.field("trace_id"),
        span_id=spans.field("span_id"),
        parent_span_id=spans.field("parent_span_id"),
        name=spans.field("name"),
        kind=numbers(spans.field("kind"), np.int32),
        start_ns=numbers(spans.field("start"), np.uint64),
        end_ns=numbers(spans.field("end"), np.uint64),
        status_code=numbers(spans.field("status").field("code"), np.int32),
        body=body_of_resource[resource_of_span],
        scope=scope_of_span,
        scopes=list(zip(scope.field("name").to_pylist(), scope.field("version").to_pylist(), strict=True)),
        resource=resource_of_span,
        resources=len(resources),
        attributes=attributes_of(owner, pairs, admission, oversized),
        resource_attributes=attributes_of(resource_owner, resource_pairs, admission, []),
        oversized=oversized,
    )
    _read_events(raw, spans.field("events"))
    return raw


def attributes_of(
    owner: np.ndarray, encoded: pa.BinaryArray, admission: Admission, oversized: list[tuple[int, str]]
) -> dict[str, Occurrences]:
    """Attributes by key. Cost grows with the number of distinct keys, not with that of spans."""
    if len(encoded) <= FEW_PAIRS_MAX:
        few = Collector(admission, oversized=oversized)
        for row, pair in zip(owner.tolist(), encoded.to_pylist(), strict=True):
            collect(few, row, [parsed(KeyValue, pair)])
        return few.occurrences()
    pairs = read_pairs(encoded, lambda name: admission.verdict(name) is not Verdict.DROP, reader("Pair"))
    if len(pairs.where) == 0:
        return {}
    rows, short = owner[pairs.where], _short_texts(owner, pairs, admission, oversized)
    bounds, ranges = _bounds(pairs.codes[pairs.places]), _bounds(pairs.codes)
    found: dict[str, Occurrences] = {}
    for here, (first, last) in zip(bounds, ranges, strict=True):
        name, places, mine = pairs.names[pairs.codes[first]], pairs.places[slice(*here)], rows[slice(*here)]
        if not short[first:last].all():
            kept = short[places]
            places, mine = places[kept], mine[kept]
        if len(places) == 0:
            continue
        kinds = pairs.types[first:last]
        if (kinds == kinds[0]).all():
            one_type = _one_type(int(kinds[0]), mine, places, (first, last), pairs.values)
            fits = _short(one_type, name, admission, oversized) if kinds[0] >= ARRAY else one_type
            found |= {name: fits} if len(fits.rows) else {}
        else:
            collector = Collector(admission, oversized=oversized)
            for row, value in zip(mine.tolist(), _plain(places, pairs.types[places], pairs.values), strict=True):
                collector.add(row, name, value)
            found |= collector.occurrences()
    return found


def _bounds(codes: np.ndarray) -> list[tuple[int, int]]:
    """Where the places of each key begin and end; codes of one key stand together."""
    starts = np.flatnonzero(np.diff(codes, prepend=-1)).tolist()
    return list(pairwise([*starts, len(codes)]))


def _short_texts(owner: np.ndarray, pairs: Pairs, admission: Admission, oversized: list[tuple[int, str]]) -> np.ndarray:
    """Which different attributes are no texts that are too long to be kept; whoever has such a one is listed."""
    texts = pairs.values["s"]
    kept = np.ones(len(texts), np.bool_)
    if texts.null_count == len(texts):
        return kept
    lengths = np.diff(np.frombuffer(texts.buffers()[1], np.int32, len(texts) + 1, texts.offset * 4))
    for place in np.flatnonzero(lengths > TEXT_BYTES_MAX).tolist():
        name = pairs.names[pairs.codes[place]]
        if lengths[place] > text_bytes_max(admission, name):
            oversized.extend((row, name) for row in owner[pairs.where[pairs.places == place]].tolist())
            kept[place] = False
    return kept


def _one_type(
    kind: int, rows: np.ndarray, places: np.ndarray, among: tuple[int, int], values: dict[str, pa.Array]
) -> Occurrences:
    """An attribute of one type; its different values stand `among` those of all."""
    if kind == INTEGER:
        return Occurrences(rows, places, numbers(values["i"], np.int64))
    if kind == DOUBLE:
        return Occurrences(rows, places, numbers(values["d"], np.float64))
    if kind in {TEXT, BOOL}:
        return Occurrences(rows, places, values["s" if kind == TEXT else "b"])
    codes, texts = _json_texts(kind, np.arange(*among), values)
    return Occurrences(rows, codes[places - among[0]], pa.array(texts, pa.string()))


def _json_texts(kind: int, places: np.ndarray, values: dict[str, pa.Array]) -> tuple[np.ndarray, list[str]]:
    """Arrays or maps as JSON text, each different one read once: the distinct texts, and which stands at each place."""
    child, read = ("array", array_text) if kind == ARRAY else ("map", map_text)
    encoded = values[child].take(pa.array(places)).dictionary_encode()
    return encoded.indices.to_numpy().astype(np.int64), [read(body) for body in encoded.dictionary.to_pylist()]


def _short(found: Occurrences, name: str, admission: Admission, oversized: list[tuple[int, str]]) -> Occurrences:
    """The occurrences whose text is not too long; the others are listed."""
    lengths = pc.binary_length(found.source).to_numpy()[found.places]
    long = lengths > text_bytes_max(admission, name)
    oversized.extend((row, name) for row in found.rows[long].tolist())
    return Occurrences(found.rows[~long], found.places[~long], found.source)


def _plain(places: np.ndarray, kinds: np.ndarray, values: dict[str, pa.Array]) -> list[Value]:
    """Values of mixed type, arrays and maps as JSON text."""
    said: list[Value] = [""] * len(places)
    for child, kind in CHILDREN.items():
        where = np.flatnonzero(kinds == kind)
        if len(where) == 0:
            continue
        if kind in {ARRAY, MAP}:
            codes, texts = _json_texts(kind, places[where], values)
            plain: list[Value] = [texts[code] for code in codes.tolist()]
        else:
            plain = values[child].take(pa.array(places[where])).to_pylist()
        for place, value in zip(where.tolist(), plain, strict=True):
            said[place] = value
    return said


def _read_events(raw: RawSpans, lists: pa.ListArray) -> None:
    """Evaluation results, and exception types of spans that name no error; other events are passed over unread."""
    row_of_event, events = flat(lists)
    if len(events) == 0:
        return
    explained = np.zeros(len(lists), np.bool_)
    if ERROR_TYPE in raw.attributes:
        explained[raw.attributes[ERROR_TYPE].rows] = True
    for needle in (EVALUATION, EXCEPTION_TYPE):
        hit = pc.match_substring(events, needle).to_numpy(zero_copy_only=False)
        hits = np.flatnonzero(hit if needle == EVALUATION else hit & ~explained[row_of_event])
        for place, body in zip(hits.tolist(), events.take(pa.array(hits)).to_pylist(), strict=True):
            evaluation, exception = event_of(body)
            row = int(row_of_event[place])
            if needle == EVALUATION and evaluation is not None:
                raw.evaluations.append((row, *evaluation))
            elif needle != EVALUATION and exception is not None:
                raw.exceptions.append((row, exception))
