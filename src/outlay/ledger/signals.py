"""Signals: the ways in which OTLP tells what was done, each with its journal entries and its path to facts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from outlay.ledger.journal import EntryKind
from outlay.ledger.posting import PostReport
from outlay.normalize.logs import facts_of_logs, telling
from outlay.normalize.spans import facts_of_spans
from outlay.sources.facts import Batch
from outlay.sources.otlp import decode, joined
from outlay.sources.otlp_logs import decode_logs
from outlay.sources.otlp_records import Decoded

Encoding = Literal["protobuf", "json"]
Signal = Literal["traces", "logs"]


@dataclass(frozen=True, slots=True)
class Way:
    """How one signal is read: its journal entries, the decoder of request bodies, and what a body is called."""

    kind: EntryKind
    decode: Callable[[Sequence[bytes], str], Decoded]
    request: str


def _told(bodies: Sequence[bytes], encoding: str) -> Decoded:
    """Log records that say something; those that do not are not received."""
    decoded = decode_logs(bodies, encoding)
    kept = telling(decoded.rows)
    if kept.num_rows < decoded.rows.num_rows:
        before, after = (_by_body(table, len(bodies)) for table in (decoded.rows, kept))
        for report, passed_over in zip(decoded.bodies, (before - after).tolist(), strict=True):
            report.received -= passed_over
    return Decoded(kept, decoded.bodies)


def _by_body(rows: pa.Table, bodies: int) -> np.ndarray:
    return np.bincount(rows.column("body").to_numpy(), minlength=bodies)


WAYS: Mapping[Signal, Way] = {
    "traces": Way(EntryKind.SPANS, decode, "ExportTraceServiceRequest"),
    "logs": Way(EntryKind.LOGS, _told, "ExportLogsServiceRequest"),
}

_FACTS_OF: Mapping[EntryKind, Callable[[pa.Table], Batch]] = {
    EntryKind.SPANS: facts_of_spans,
    EntryKind.LOGS: facts_of_logs,
}
RAW = frozenset(_FACTS_OF)
"""Entries that hold what OTLP told, which becomes facts when it is posted."""


def facts_of_raw(
    kind: EntryKind, tables: Sequence[pa.Table], before: PostReport
) -> tuple[pa.Table, pa.Table, PostReport]:
    """Facts and outcomes of journalled rows; an outcome that stands on a row is received beside it."""
    together = tables[0] if len(tables) == 1 else joined(tables)
    batch = _FACTS_OF[kind](together)
    facts, outcomes = batch.facts, batch.outcomes
    report = PostReport()
    report.add(before)
    report.received += outcomes.num_rows
    report.refused += together.num_rows - facts.num_rows
    report.problems.extend(batch.problems)
    return facts, outcomes, report
