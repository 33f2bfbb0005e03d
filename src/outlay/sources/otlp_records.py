"""Log records and metric points on their way from the wire: one shape for both, and the table that is made of it.

They differ from spans in that most of them are none of Outlay's business: a record whose name no table knows is passed
over, neither received nor refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from outlay.core.envelope import KEY_TAGS
from outlay.core.errors import FormatError, Problem
from outlay.sources.otlp_columns import Occurrences, admitted
from outlay.sources.otlp_door import TEXT_BYTES_MAX, Admission

PROBLEMS_MAX = 100
"""How many problems of one call are listed; all are counted."""

MESSAGE_CHARACTERS_MAX = 300
"""A parser names the place it choked on in fewer."""

TIME_NS_MIN = 946_684_800 * 10**9  # 2000-01-01
TIME_NS_MAX = 4_102_444_800 * 10**9  # 2100-01-01

SENT_BY = "sent_by"
"""The column with the name of the key a row was sent with."""

OF_KEY = "sent_with."
"""What stands before the column of a tag that the key says of rows that do not say it."""

OWN_COLUMNS = frozenset(
    {
        *(SENT_BY, *(OF_KEY + key for key in KEY_TAGS)),
        *("trace_id", "span_id", "parent_span_id", "name", "kind", "start_ns", "end_ns", "at_ns", "status_code"),
        *("scope_name", "scope_version", "body", "evaluations", "series"),
    }
)
"""Columns that are no attributes. An attribute of the same name stands under `attribute.` + name."""

RESOURCE = "resource."
"""What stands before the column of an attribute that the resource said, not the record."""


@dataclass(slots=True)
class BodyReport:
    """What became of one body: how many received and refused, and why; `malformed` refuses the body as a whole."""

    received: int = 0
    refused: int = 0
    problems: list[Problem] = field(default_factory=list[Problem])
    malformed: bool = False


@dataclass(slots=True)
class Decoded:
    """The rows of all bodies (spans, log records or metric points), and a report on each body."""

    rows: pa.Table
    bodies: list[BodyReport]

    @property
    def spans(self) -> pa.Table:
        """The rows of a decoded trace request."""
        return self.rows


@dataclass(slots=True)
class RawRecords:
    """Records of several bodies, decoded but not yet judged; all arrays are as long as there are records.

    `names` are the names of events or metrics, `fields` the columns that only one signal has. `scope` and `resource`
    number the entries of `scopes` and of the columns in `resource_attributes`.
    """

    names: pa.Array
    fields: dict[str, np.ndarray | pa.Array]
    body: np.ndarray
    scope: np.ndarray
    scopes: list[tuple[str, str]]
    resource: np.ndarray
    resources: int
    attributes: dict[str, Occurrences]
    resource_attributes: dict[str, Occurrences]
    oversized: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])

    def __len__(self) -> int:
        return len(self.body)

    def numbers(self, name: str) -> np.ndarray:
        """A field that is a numpy array."""
        found = self.fields[name]
        assert isinstance(found, np.ndarray)
        return found

    def array(self, name: str) -> pa.Array:
        """A field that is an Arrow array."""
        return self.fields[name]


def column_of(key: str) -> str:
    """The column in which an attribute stands."""
    return f"attribute.{key}" if key in OWN_COLUMNS else key


ODD = np.uint64(0x9E3779B97F4A7C15)
"""What the words of a resource are multiplied by, so that an attribute means another thing there than on a point."""

RecordDecoder = Callable[[Sequence[bytes], Admission], RawRecords]


def read_bodies(
    decoder: RecordDecoder, bodies: Sequence[bytes], admission: Admission, reports: list[BodyReport], encoding: str
) -> RawRecords:
    """All bodies in one go; if one of them is malformed, those that are not."""
    try:
        return decoder(bodies, admission)
    except FormatError:
        good: list[bytes] = []
        for body, report in zip(bodies, reports, strict=True):
            try:
                decoder([body], Admission(admission.door))
                good.append(body)
            except FormatError as error:
                report.malformed = True
                report.problems.append(Problem("body", error.message[:MESSAGE_CHARACTERS_MAX]))
                good.append(b"{}" if encoding == "json" else b"")
        return decoder(good, admission)


def count_rows(body: np.ndarray, rows: np.ndarray, reports: Sequence[BodyReport]) -> list[int]:
    """How many of the records `rows` each body holds."""
    return np.bincount(body[rows], minlength=len(reports)).tolist()


def attribute_columns(raw: RawRecords, admission: Admission) -> dict[str, pa.Array]:
    """The scope, the body's number and every admitted attribute as columns; those of the resource under `resource.`."""
    columns: dict[str, pa.Array] = {
        "scope_name": _chosen([name for name, _ in raw.scopes], raw.scope),
        "scope_version": _chosen([version for _, version in raw.scopes], raw.scope),
        "body": pa.array(raw.body.astype(np.int32)),
    }
    for key, occurrences in admitted(raw.attributes, admission).items():
        columns[column_of(key)] = occurrences.column(len(raw))
    resource = pa.array(raw.resource)
    for key, occurrences in admitted(raw.resource_attributes, admission).items():
        columns[RESOURCE + key] = occurrences.column(raw.resources).take(resource)
    return columns


def report_dropped(raw: RawRecords, kept: np.ndarray, admission: Admission, reports: list[BodyReport]) -> None:
    """Name the attributes that were too long or too many to be kept, on the records that are kept."""
    for row, key in sorted(raw.oversized)[:PROBLEMS_MAX]:
        if kept[row]:
            what = f"attribute {key} dropped: longer than {TEXT_BYTES_MAX} bytes"
            where = f"{raw.names[row].as_py() or 'record'} number {row + 1}"
            problem = Problem(where, what, "a tag names something, it carries no content")
            reports[raw.body[row]].problems.append(problem)
    if admission.turned_away and reports:
        what = f"{admission.turned_away} attribute keys dropped: too many different ones in one request"
        reports[0].problems.append(Problem("body", what, "put values into values, not into keys"))


def digests(owner: np.ndarray, pairs: pa.Array, count: int) -> np.ndarray:
    """Two words for all attributes of each owner, kept ones or not, whatever their order; `pairs` as on the wire."""
    found = np.zeros((count, 2), np.uint64)
    encoded = pairs.dictionary_encode()
    distinct = [hashlib.blake2b(pair, digest_size=16).digest() for pair in encoded.dictionary.to_pylist()]
    words = np.frombuffer(b"".join(distinct), np.uint64).reshape(-1, 2)
    np.bitwise_xor.at(found, owner, words[np.asarray(encoded.indices)])
    return found


def _chosen(words: list[str], numbers: np.ndarray) -> pa.Array:
    """One word a row, chosen by number, dictionary-encoded."""
    places = {word: place for place, word in enumerate(dict.fromkeys(words))}
    place = np.array([places[word] for word in words], np.int32)
    indices = pa.array(place[numbers]) if words else pa.array([], pa.int32())
    return pa.DictionaryArray.from_arrays(indices, pa.array(list(places), pa.string()))
