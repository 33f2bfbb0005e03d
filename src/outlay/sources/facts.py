"""Facts: the one batch shape in which every source ends. One row is one thing that a source reported.

A fact keeps what was said, in the words of Outlay but with the counting of its origin: tokens as stated (inclusive or
exclusive of cache), the recorded cost, the tags that stood on it. `normalize/` turns facts into Usages.

All columns may be null except those in `REQUIRED`. Text columns may be dictionary-encoded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from outlay.core.envelope import ENVELOPE_KEYS
from outlay.core.errors import Problem

KEY = pa.binary(16)
UNITS = pa.list_(pa.struct([("meter", pa.string()), ("quantity", pa.int64())]))
TAGS = pa.map_(pa.string(), pa.string())

_TEXT = pa.string()
_COUNT = pa.int64()

FACTS = pa.schema(
    [
        # identity and relations: 16-byte keys; see `keys_of`
        pa.field("fact_key", KEY, nullable=False),  # the source's own identity: a resend has the same key
        ("parent_key", KEY),  # fact_key of the enclosing fact
        ("tree_key", KEY),  # the trace or transcript within which relations hold
        ("response_id", _TEXT),  # the provider's id of the answer: equal across signals
        ("session_id", _TEXT),
        ("parent_session_id", _TEXT),
        ("task_id", _TEXT),
        pa.field("source", _TEXT, nullable=False),  # otlp, tau2, claude_code, langfuse, inspect, table:<mapping>
        ("signal", _TEXT),  # log, span, metric, file: the one-signal rule prefers them in this order
        ("origin", _TEXT),  # file name or service: where a person would look
        # times
        pa.field("start_ns", _COUNT, nullable=False),  # UTC epoch nanoseconds
        ("end_ns", _COUNT),
        ("zone_assumed", pa.bool_()),  # the source gave no zone; one was assumed
        # what happened
        pa.field("operation", _TEXT, nullable=False),  # a core Operation
        ("name", _TEXT),  # tool, guardrail, agent or span name
        ("provider", _TEXT),
        ("model_requested", _TEXT),
        ("model_served", _TEXT),
        ("region", _TEXT),
        ("service_tier", _TEXT),  # as served, else as requested
        ("processing", _TEXT),  # batch, …
        ("speed", _TEXT),  # fast, …
        ("failed", pa.bool_()),
        ("error_type", _TEXT),
        ("finish_reason", _TEXT),
        ("attempt", pa.int32()),  # 0 is the first
        ("retry_reason", _TEXT),  # the emitter itself says that this is a retry or recovery
        # tokens as stated
        ("input_tokens", _COUNT),
        ("output_tokens", _COUNT),
        ("total_tokens", _COUNT),
        ("cache_read_tokens", _COUNT),
        ("cache_write_tokens", _COUNT),  # all writes; the two below are parts of it
        ("cache_write_5m_tokens", _COUNT),
        ("cache_write_1h_tokens", _COUNT),
        ("reasoning_tokens", _COUNT),
        ("input_audio_tokens", _COUNT),
        ("output_audio_tokens", _COUNT),
        ("input_image_tokens", _COUNT),
        ("output_image_tokens", _COUNT),
        ("basis", _TEXT),  # inclusive, exclusive: input against cache; a core Estimated; null: normalize decides
        ("output_excludes_reasoning", pa.bool_()),  # Gemini: thoughts stand beside the output
        ("scope_name", _TEXT),  # instrumentation scope: key of the token-basis table
        ("scope_version", _TEXT),
        ("units", UNITS),  # every other meter: core meter name and whole quantity
        # cost as stated
        ("cost_nano", _COUNT),  # recorded cost in nano-units; null is unknown, 0 only where it was truly free
        ("currency", _TEXT),
        ("cost_source", _TEXT),  # provider, emitter, billed
        # envelope
        *((key, _TEXT) for key in ENVELOPE_KEYS),
        ("user", _TEXT),
        ("tags", TAGS),
        ("tag_source", _COUNT),  # digits as in core.tagging, where a value is not the fact's own word; null: all are
        ("api_key", _TEXT),  # name of the key it was sent with
    ]
)
"""Schema of a batch of facts."""

OUTCOMES = pa.schema(
    [
        pa.field("outcome_key", KEY, nullable=False),
        ("task_id", _TEXT),  # null: the one task of the session, else the session itself
        ("session_ids", pa.list_(pa.string())),  # empty: found by the three ids below, in this order
        ("span_key", KEY),  # fact_key of the step that was judged
        ("response_id", _TEXT),
        ("tree_key", KEY),
        pa.field("status", _TEXT, nullable=False),  # a core OutcomeStatus, or EVALUATED
        pa.field("at_ns", _COUNT, nullable=False),
        ("reported_ns", _COUNT),  # a later report on the same task wins; null means at_ns
        ("task_type", _TEXT),
        ("value_nano", _COUNT),
        ("currency", _TEXT),
        pa.field("source", _TEXT, nullable=False),
        ("origin", _TEXT),
        ("zone_assumed", pa.bool_()),
        *((key, _TEXT) for key in ENVELOPE_KEYS),
        ("tags", TAGS),
    ]
)
"""Schema of a batch of outcomes."""

EVALUATED = "evaluated"
"""What stands as the status of an outcome that is an evaluation: the rules say what it means when it is posted. It is
said by the tags below: a name, and a label or a score.
"""
EVALUATION_NAME, EVALUATION_LABEL, EVALUATION_SCORE = "evaluation", "evaluation_label", "evaluation_score"

REQUIRED = tuple(item.name for item in FACTS if not item.nullable)


@dataclass(slots=True)
class Batch:
    """What a source hands on: facts, outcomes and what it had to refuse.

    `received` counts what the source saw as one fact or one outcome, refused ones included, so that
    received = facts + spans + logs + points + outcomes + repeats + refused. `repeats` are reports of a fact that the
    same file tells again; `passed_over` rows are no usage, or none that a mapping asks for; they are not received.
    `spans`, `logs` and `points` hold raw OTLP rows which `normalize/` turns into facts.
    """

    facts: pa.Table
    outcomes: pa.Table
    received: int = 0
    repeats: int = 0
    problems: list[Problem] = field(default_factory=list[Problem])
    spans: pa.Table | None = None
    logs: pa.Table | None = None
    points: pa.Table | None = None
    passed_over: int = 0

    @property
    def refused(self) -> int:
        """How many reports were refused; each has a Problem."""
        raw = sum(table.num_rows for table in (self.spans, self.logs, self.points) if table is not None)
        return self.received - self.repeats - self.facts.num_rows - self.outcomes.num_rows - raw


def keys_of(texts: Iterable[str | None]) -> pa.Array:
    """16-byte keys of identity texts (null stays null); equal texts give equal keys on every machine and day."""
    digest = hashlib.blake2b
    return pa.array([None if text is None else digest(text.encode(), digest_size=16).digest() for text in texts], KEY)


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with exactly the schema's columns, absent ones null; dictionary-encoded text stays encoded."""
    columns: list[pa.ChunkedArray | pa.Array] = []
    for item in schema:
        place = table.schema.get_field_index(item.name)
        if place < 0:
            columns.append(pa.nulls(table.num_rows, item.type))
            continue
        column = table.column(place)
        encoded = pa.types.is_dictionary(column.type) and column.type.value_type == item.type
        columns.append(column if encoded or column.type == item.type else column.cast(item.type))
    return pa.table(columns, names=schema.names)


def facts_of(rows: Sequence[dict[str, object]]) -> pa.Table:
    """A batch from rows of plain values, for sources whose shape is read row by row.

    Rows name columns of FACTS; instead of `fact_key`, `parent_key` and `tree_key` they may give the identity texts
    `fact_id`, `parent_id` and `tree_id`.
    """
    return _table(rows, FACTS, {"fact_key": "fact_id", "parent_key": "parent_id", "tree_key": "tree_id"})


def outcomes_of(rows: Sequence[dict[str, object]]) -> pa.Table:
    """A batch of outcomes from rows of plain values; `outcome_id` may stand for `outcome_key`."""
    return _table(rows, OUTCOMES, {"outcome_key": "outcome_id"})


def _table(rows: Sequence[dict[str, object]], schema: pa.Schema, identities: dict[str, str]) -> pa.Table:
    columns: list[pa.Array] = []
    for item in schema:
        identity = identities.get(item.name)
        if identity is not None and any(identity in row for row in rows):
            columns.append(keys_of(row.get(identity) for row in rows))  # type: ignore[arg-type]
        else:
            columns.append(pa.array([row.get(item.name) for row in rows], item.type))
    return pa.table(columns, names=schema.names)
