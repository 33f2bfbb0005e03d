"""OTLP in files (traces, logs, metrics): protobuf, a JSON document, or JSON lines as a collector's exporter writes.

Only told apart and cut into bodies here; the decoders of the three signals read the bodies, `normalize/` turns their
rows into facts. JSON says by its first member which signal it is; protobuf does not, and is tried as each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Literal

from outlay.core.errors import FormatError, Problem
from outlay.sources import otlp
from outlay.sources.facts import FACTS, OUTCOMES, Batch
from outlay.sources.gather import ROWS_MAX
from outlay.sources.options import ReadOptions
from outlay.sources.otlp_logs import decode_logs
from outlay.sources.otlp_metrics import decode_metrics
from outlay.sources.otlp_records import Decoded
from outlay.sources.reader import document, lines
from outlay.sources.sample import Sample

NAME = "otlp"
_Encoding = Literal["protobuf", "json"]

_LINES_TOGETHER = 256
_DECODERS: dict[str, Callable[[Sequence[bytes], str], Decoded]] = {
    "spans": otlp.decode,
    "logs": decode_logs,
    "points": decode_metrics,
}
"""By the place of their rows in a batch."""

_KEYS = {
    "resourceSpans": "spans",
    "resourceLogs": "logs",
    "resourceMetrics": "points",
    "resource_spans": "spans",
    "resource_logs": "logs",
    "resource_metrics": "points",
}


def recognises(sample: Sample) -> bool:
    """JSON with resource spans, logs or metrics, or a protobuf message whose first field is one."""
    if sample.records:
        return any(key in record for record in sample.records for key in _KEYS)
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
    """Batches of raw spans, log records or metric points. Raises FormatError where the file is no OTLP at all."""
    del options  # OTLP times are UTC by definition
    sample = Sample.of(path)
    problems: list[Problem] = []
    if sample.is_json_lines:
        yield from _json_lines(path, problems)
        return
    body = document(path, problems)
    batches = list(_document(body, "json" if sample.json is not None else "protobuf", path.name, problems))
    if not any(batch.received for batch in batches) and any(batch.problems for batch in batches):
        raise FormatError(f"{path.name} is not readable OTLP: {batches[0].problems[0].what}")
    yield from batches


def _document(body: bytes, encoding: _Encoding, name: str, problems: list[Problem]) -> Iterator[Batch]:
    """One body. Of protobuf the first signal in which it says something; where it says nothing, it is a trace."""
    if encoding == "json":
        yield from _decoded([body], encoding, [name], problems, _signal(body))
        return
    signal = next((each for each, decode in _DECODERS.items() if _says_something(decode([body], encoding))), "spans")
    yield from _decoded([body], encoding, [name], problems, signal)


def _says_something(decoded: Decoded) -> bool:
    """Whether rows of this signal are in it that are not all wrong: another signal's bytes may pass for some."""
    return decoded.rows.num_rows > 0


def _signal(body: bytes) -> str:
    """The signal of a JSON body: the first of the known members in it."""
    places = {body.find(b'"' + key.encode() + b'"'): signal for key, signal in _KEYS.items()}
    return min(((place, signal) for place, signal in places.items() if place >= 0), default=(0, "spans"))[1]


def _json_lines(path: Path, problems: list[Problem]) -> Iterator[Batch]:
    numbered = lines(path, problems)
    while group := list(islice(numbered, _LINES_TOGETHER)):
        alike: dict[str, list[tuple[int, bytes]]] = {}
        for number, line in group:
            alike.setdefault(_signal(line), []).append((number, line))
        for signal, told in alike.items():
            places = [f"{path.name}, line {number}" for number, _ in told]
            yield from _decoded([line for _, line in told], "json", places, problems, signal)
    if problems:
        yield Batch(FACTS.empty_table(), OUTCOMES.empty_table(), problems=list(problems))


def _decoded(
    bodies: list[bytes], encoding: _Encoding, places: list[str], problems: list[Problem], signal: str
) -> Iterator[Batch]:
    """Decoded bodies, at most 50,000 rows a batch; what was refused stands on the first."""
    decoded = _DECODERS[signal](bodies, encoding)
    refused = sum(report.refused for report in decoded.bodies)
    found = [
        Problem(f"{place}: {problem.where}" if problem.where else place, problem.what, problem.hint)
        for place, report in zip(places, decoded.bodies, strict=True)
        for problem in report.problems
    ]
    found = [*problems, *found]
    problems.clear()
    for start in range(0, max(decoded.rows.num_rows, 1), ROWS_MAX):
        rows = decoded.rows.slice(start, ROWS_MAX)
        batch = Batch(FACTS.empty_table(), OUTCOMES.empty_table(), rows.num_rows + refused, problems=found)
        setattr(batch, signal, rows)
        yield batch
        refused, found = 0, []
