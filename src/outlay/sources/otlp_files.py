"""OTLP traces in files: protobuf, one JSON document, or JSON lines as a collector's file exporter writes them.

Only told apart and cut into bodies here; `otlp.decode` reads the bodies, `normalize/` turns the spans into facts.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Literal

from outlay.core.errors import FormatError, Problem
from outlay.sources import otlp
from outlay.sources.facts import FACTS, OUTCOMES, Batch
from outlay.sources.gather import ROWS_MAX
from outlay.sources.options import ReadOptions
from outlay.sources.reader import document, lines
from outlay.sources.sample import Sample

NAME = "otlp"

_LINES_TOGETHER = 256
_SPAN_KEYS = ("resourceSpans", "resource_spans")


def recognises(sample: Sample) -> bool:
    """JSON with resource spans, or a protobuf message whose first field is one."""
    if sample.records:
        return any(key in record for record in sample.records for key in _SPAN_KEYS)
    return _is_protobuf(sample)


def _is_protobuf(sample: Sample) -> bool:
    """Field 1 of an export request is a ResourceSpans; its length and the message inside must fit."""
    if sample.head[:1] != b"\x0a" or sample.is_zip or sample.is_parquet:
        return False
    size, place = _varint(sample.head, 1)
    inner = sample.head[place : place + 1]
    fits = place + size <= len(sample.head) or not sample.is_whole
    # a ResourceSpans begins with its resource (1), its scope spans (2) or its schema URL (3), all with a length
    return size > 0 and fits and inner in {b"\x0a", b"\x12", b"\x1a"}


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(data) and shift < 64:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
    return 0, place


def read(path: Path, options: ReadOptions) -> Iterator[Batch]:
    """Batches of raw spans. Raises FormatError where the file is no OTLP at all."""
    del options  # OTLP times are UTC by definition
    sample = Sample.of(path)
    problems: list[Problem] = []
    if sample.is_json_lines:
        yield from _json_lines(path, problems)
        return
    body = document(path, problems)
    encoding: Literal["protobuf", "json"] = "json" if sample.json is not None else "protobuf"
    batches = list(_decoded([body], encoding, [path.name], problems))
    if not any(batch.received for batch in batches) and any(batch.problems for batch in batches):
        raise FormatError(f"{path.name} is not readable OTLP: {batches[0].problems[0].what}")
    yield from batches


def _json_lines(path: Path, problems: list[Problem]) -> Iterator[Batch]:
    numbered = lines(path, problems)
    while group := list(islice(numbered, _LINES_TOGETHER)):
        places = [f"{path.name}, line {number}" for number, _ in group]
        yield from _decoded([line for _, line in group], "json", places, problems)
    if problems:
        yield Batch(FACTS.empty_table(), OUTCOMES.empty_table(), problems=list(problems))


def _decoded(
    bodies: list[bytes], encoding: Literal["protobuf", "json"], places: list[str], problems: list[Problem]
) -> Iterator[Batch]:
    """Decoded bodies, at most 50,000 spans a batch; what was refused stands on the first."""
    decoded = otlp.decode(bodies, encoding)
    refused = sum(report.refused for report in decoded.bodies)
    found = [
        Problem(f"{place}: {problem.where}" if problem.where else place, problem.what, problem.hint)
        for place, report in zip(places, decoded.bodies, strict=True)
        for problem in report.problems
    ]
    found = [*problems, *found]
    problems.clear()
    for start in range(0, max(decoded.rows.num_rows, 1), ROWS_MAX):
        spans = decoded.rows.slice(start, ROWS_MAX)
        yield Batch(FACTS.empty_table(), OUTCOMES.empty_table(), spans.num_rows + refused, problems=found, spans=spans)
        refused, found = 0, []
