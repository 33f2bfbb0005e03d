"""Log records become facts: the events in which coding agents and GenAI instrumentations tell what they did.

A record is brought into the shape of a span and read by the same alias tables. What differs: it is written when the
work is over, it has no id of its own (`record_keys.py`), and not every record of a known event says something.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from outlay.core.period import NS_PER_SECOND
from outlay.normalize.aliases import EVENT_NAME, KindTable, Step, load
from outlay.normalize.columns import Ints, Mask, whole
from outlay.normalize.earlier_attempts import with_earlier_attempts
from outlay.normalize.outcome_rules import DEFAULT_RULES, OutcomeRules
from outlay.normalize.record_keys import log_keys
from outlay.normalize.span_columns import SpanColumns, known_counts
from outlay.normalize.spans import JUDGED, facts_of_columns, span_keys
from outlay.sources.facts import FACTS, KEY, OUTCOMES, Batch

SIGNAL = "log"
BESIDE = "event"
"""The signal of a record that an instrumentation writes beside a span or another record of the same call."""

_NS_PER_MS = 1_000_000
_DURATION_MS_MAX = 31 * 86_400 * 1_000
_HTTP_ERROR_MIN = 400
_FIRST_NS = 946_684_800 * NS_PER_SECOND


def facts_of_logs(logs: pa.Table, rules: OutcomeRules = DEFAULT_RULES) -> Batch:
    """Facts (FACTS) and outcomes of a table of records as `sources.otlp_logs.decode_logs` makes it, in its order."""
    if not logs.num_rows:
        return Batch(FACTS.empty_table(), OUTCOMES.empty_table())
    read = SpanColumns(_as_spans(logs))
    trace = whole(logs, "trace_id")
    around = span_keys(trace, whole(logs, "parent_span_id"))
    identity = {
        "fact_key": log_keys(logs),
        "parent_key": around,
        "tree_key": trace.cast(KEY),
        JUDGED: _judged(read, around),
    }
    batch = facts_of_columns(read, SIGNAL, identity, rules)
    facts = with_earlier_attempts(_with_defaults(batch.facts, read))
    return Batch(facts, batch.outcomes, facts.num_rows + batch.outcomes.num_rows, problems=batch.problems)


def _judged(read: SpanColumns, around: pa.Array) -> pa.Array:
    """What an outcome on a record is about: the span it was written in, unless it names the answer it judges.

    A judge that runs later writes in a span of its own, but knows the answer's id.
    """
    answer = read.text("response_id")
    return around if answer is None else pc.if_else(answer.is_valid(), pa.scalar(None, KEY), around)


def telling(logs: pa.Table) -> pa.Table:
    """The records that say something: of some events only those with usage or an error, or only failures, do."""
    if not logs.num_rows:
        return logs
    read = SpanColumns(logs)
    encoded = whole(logs, EVENT_NAME).dictionary_encode()
    conditions = np.array([_step(name).only for name in encoded.dictionary.to_pylist()], np.str_)
    only = conditions[np.asarray(encoded.indices)]
    kept = (only == "") | ((only == "usage") & _has_usage(read)) | ((only == "failed") & _has_failed(read))
    return logs if kept.all() else logs.filter(pa.array(kept))


def _as_spans(logs: pa.Table) -> pa.Table:
    """The records with the columns of a span: what took some time began so long before its record."""
    at_ns = np.asarray(whole(logs, "at_ns"))
    took = SpanColumns(logs).count("duration_ms")
    length_ms: Ints = np.zeros(len(at_ns), np.int64) if took is None else known_counts(took)[0]
    start_ns = np.maximum(at_ns - np.clip(length_ms, 0, _DURATION_MS_MAX) * _NS_PER_MS, _FIRST_NS)
    return (
        logs.drop_columns(["at_ns"])
        .append_column("start_ns", pa.array(np.minimum(start_ns, at_ns)))
        .append_column("end_ns", pa.array(at_ns))
        .append_column("status_code", pa.array(np.zeros(len(at_ns), np.int32)))
    )


def _has_usage(read: SpanColumns) -> Mask:
    keys = [key for name in ("input_tokens", "output_tokens", "error_type") for key in read.present(name)]
    keys += [key for cost in load().costs for key in cost.keys if read.has(key)]
    return np.logical_or.reduce([np.asarray(read.raw(key).is_valid()) for key in keys]) if keys else _none(read)


def _has_failed(read: SpanColumns) -> Mask:
    """An attempt without an answer, or with one that refuses."""
    status = read.count("http_status")
    if status is None:
        return ~_none(read)
    values, known = known_counts(status)
    return ~known | (values >= _HTTP_ERROR_MIN)


def _none(read: SpanColumns) -> Mask:
    return np.zeros(read.length, np.bool_)


@cache
def _table(event: str) -> KindTable:
    """The table that lists a known event."""
    return next(table for table in load().kinds if event in table.events)


def _step(event: str) -> Step:
    """What a known event means."""
    table = _table(event)
    return table.values[event.removeprefix(table.prefix)]


def _with_defaults(facts: pa.Table, read: SpanColumns) -> pa.Table:
    """The facts with what is known of their emitter where they do not say it: provider, and how it counts."""
    events = read.raw(EVENT_NAME).dictionary_encode()
    codes, tables = np.asarray(events.indices), [_table(event) for event in events.dictionary.to_pylist()]

    def default(name: str, said: list[str], rows: Mask) -> None:
        nonlocal facts
        words = np.array(said)[codes]
        column = whole(facts, name).cast(pa.string())
        column = pc.coalesce(column, pa.array(words, pa.string(), mask=(words == "") | ~rows))
        facts = facts.set_column(facts.column_names.index(name), name, column)

    if any(table.beside for table in tables):
        signals = np.array([BESIDE if table.beside else SIGNAL for table in tables])[codes]
        facts = facts.set_column(facts.column_names.index("signal"), "signal", pa.array(signals, pa.string()))
    default("provider", [table.provider for table in tables], _served_by_maker(whole(facts, "model_served")))
    default("basis", [table.basis for table in tables], np.asarray(whole(facts, "input_tokens").is_valid()))
    beside = np.array([table.reasoning == "beside" for table in tables])[codes]
    if beside.any():
        column = pc.coalesce(whole(facts, "output_excludes_reasoning"), pa.array(beside, mask=~beside))
        place = facts.column_names.index("output_excludes_reasoning")
        facts = facts.set_column(place, "output_excludes_reasoning", column)
    return facts


def _served_by_maker(models: pa.Array) -> Mask:
    """Models under the name their maker gave them: another cloud writes its own around it."""
    encoded = models.cast(pa.string()).dictionary_encode()
    own = [not any(sign in name for sign in ("/", "@", "anthropic.")) for name in encoded.dictionary.to_pylist()]
    return np.array([*own, False], np.bool_)[np.asarray(encoded.indices.fill_null(-1))]
