"""Signals: the ways in which OTLP tells what was done, each with its journal entries and its path to facts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from outlay.ledger.journal import Entry, EntryKind
from outlay.ledger.posting import Clerk, PostReport
from outlay.normalize.logs import facts_of_logs, telling
from outlay.normalize.outcome_rules import DEFAULT_RULES, OutcomeRules
from outlay.normalize.points import counted_points, readings_of_points
from outlay.normalize.spans import facts_of_spans
from outlay.sources.facts import Batch
from outlay.sources.otlp import decode, joined
from outlay.sources.otlp_logs import decode_logs
from outlay.sources.otlp_metrics import decode_metrics
from outlay.sources.otlp_records import Decoded

Encoding = Literal["protobuf", "json"]
Signal = Literal["traces", "logs", "metrics"]


@dataclass(frozen=True, slots=True)
class Way:
    """How one signal is read: its journal entries, the decoder of request bodies, and what a body is called."""

    kind: EntryKind
    decode: Callable[[Sequence[bytes], str], Decoded]
    request: str


@dataclass(frozen=True, slots=True)
class Told:
    """What journalled rows become: facts, or readings of metrics that become facts in the books, and outcomes."""

    facts: pa.Table | None
    outcomes: pa.Table
    report: PostReport
    readings: pa.Table | None = None


def _logs(bodies: Sequence[bytes], encoding: str) -> Decoded:
    return _telling(decode_logs(bodies, encoding), telling)


def _points(bodies: Sequence[bytes], encoding: str) -> Decoded:
    return _telling(decode_metrics(bodies, encoding), counted_points)


def _telling(decoded: Decoded, rule: Callable[[pa.Table], pa.Table]) -> Decoded:
    """The rows that say something; those that do not are not received."""
    bodies = decoded.bodies
    kept = rule(decoded.rows)
    if kept.num_rows < decoded.rows.num_rows:
        before, after = (_by_body(table, len(bodies)) for table in (decoded.rows, kept))
        for report, passed_over in zip(bodies, (before - after).tolist(), strict=True):
            report.received -= passed_over
    return Decoded(kept, bodies)


def _by_body(rows: pa.Table, bodies: int) -> np.ndarray:
    return np.bincount(rows.column("body").to_numpy(), minlength=bodies)


WAYS: Mapping[Signal, Way] = {
    "traces": Way(EntryKind.SPANS, decode, "ExportTraceServiceRequest"),
    "logs": Way(EntryKind.LOGS, _logs, "ExportLogsServiceRequest"),
    "metrics": Way(EntryKind.POINTS, _points, "ExportMetricsServiceRequest"),
}

_FACTS_OF: Mapping[EntryKind, Callable[[pa.Table, OutcomeRules], Batch]] = {
    EntryKind.SPANS: facts_of_spans,
    EntryKind.LOGS: facts_of_logs,
}
RAW = frozenset({EntryKind.SPANS, EntryKind.LOGS, EntryKind.POINTS})
"""Entries that hold what OTLP told, which becomes facts when it is posted."""


def told_by(
    kind: EntryKind, tables: Sequence[pa.Table], before: PostReport, rules: OutcomeRules = DEFAULT_RULES
) -> Told:
    """What journalled rows say; an outcome that stands on a row is received beside it."""
    together = tables[0] if len(tables) == 1 else joined(tables)
    report = PostReport()
    report.add(before)
    if kind is EntryKind.POINTS:
        read = readings_of_points(together, rules)
        report.refused += read.refused
        report.received += read.outcomes.num_rows + read.readings.num_rows + read.refused - together.num_rows
        report.problems.extend(read.problems)
        return Told(None, read.outcomes, report, read.readings)
    if kind is EntryKind.LOGS:  # those of a file come here with all they hold
        told = telling(together)
        report.received -= together.num_rows - told.num_rows
        together = told
    batch = _FACTS_OF[kind](together, rules)
    implied = max(0, batch.facts.num_rows - together.num_rows)  # earlier attempts that a row tells of
    report.received += batch.outcomes.num_rows + implied
    report.refused += together.num_rows + implied - batch.facts.num_rows
    report.problems.extend(batch.problems)
    return Told(batch.facts, batch.outcomes, report)


def post_entry(clerk: Clerk, entry: Entry) -> PostReport:
    """Post one entry read back from the journal."""
    before = PostReport(received=entry.table.num_rows)
    if entry.kind in RAW:
        return post_told(
            clerk, told_by(entry.kind, [entry.table], before, clerk.rules), entry.number, entry.accepted_ns
        )
    facts, outcomes = (None, entry.table) if entry.kind is EntryKind.OUTCOMES else (entry.table, None)
    return clerk.post(facts, outcomes, through=entry.number, before=before, accepted_ns=entry.accepted_ns)


def post_told(clerk: Clerk, told: Told, through: int, accepted_ns: int) -> PostReport:
    """Post what journalled rows say."""
    return clerk.post(
        told.facts,
        told.outcomes,
        through=through,
        before=told.report,
        accepted_ns=accepted_ns,
        readings=told.readings,
    )
