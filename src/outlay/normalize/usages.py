"""Usages: the cleaned batch. Disjoint meters, one cost centre a row, an envelope without gaps.

What `normalize/` hands to `pricing/` and `ledger/`. Text columns may be dictionary-encoded; no text is null: a missing
envelope value is `(untagged)`, any other missing text is empty.
"""

from __future__ import annotations

import pyarrow as pa

from outlay.core.envelope import ENVELOPE_KEYS
from outlay.core.meters import TOKEN_METERS
from outlay.sources.facts import KEY, UNITS

_TEXT = pa.string()

USAGES = pa.schema(
    [
        ("usage_key", KEY),  # identity: equal for a resend, and for one answer reported by two signals
        ("fact_key", KEY),  # identity of the report itself, what a child's parent_key points to
        ("parent_key", KEY),  # may be null
        ("tree_key", KEY),  # may be null
        ("time", pa.timestamp("us")),  # start, UTC
        ("duration_ms", pa.int64()),  # may be null
        ("source", _TEXT),
        ("signal", _TEXT),
        ("origin", _TEXT),
        ("operation", _TEXT),
        ("centre", _TEXT),
        ("name", _TEXT),
        ("provider", _TEXT),
        ("model", _TEXT),  # as served, else as requested, as the source spells it
        ("region", _TEXT),
        ("service_tier", _TEXT),
        ("processing", _TEXT),
        ("speed", _TEXT),
        ("session_id", _TEXT),  # never empty: the tree where no session was named, else `(no session)`
        ("parent_session_id", _TEXT),
        ("task_id", _TEXT),
        ("response_id", _TEXT),
        ("user", _TEXT),
        ("attempt", pa.int32()),
        ("failed", pa.bool_()),
        ("error_type", _TEXT),
        ("reason", _TEXT),  # why it is a retry; empty for primary work
        ("bears", pa.bool_()),  # has quantities or a recorded cost, so it bears cost
        ("aggregate", pa.bool_()),  # a structure operation that states quantities: counted only if nothing below does
        ("basis", _TEXT),  # inclusive, exclusive, inferred, a core Estimated; empty: no tokens
        ("zone_assumed", pa.bool_()),
        *((key, _TEXT) for key in ENVELOPE_KEYS),
        ("tags", _TEXT),  # a JSON object with sorted keys, or empty
        ("tag_source", pa.int64()),  # where each value came from: digits as in core.tagging
        ("tag_rule", _TEXT),  # `key=rule` for each value that a rule of the tag policy gave
        ("said", _TEXT),  # JSON of key → [word, source] as before the tag policy, empty where it changed nothing
        ("scope", _TEXT),  # instrumentation scope
        ("api_key", _TEXT),  # name of the key it was sent with
        *((meter, pa.int64()) for meter in TOKEN_METERS),  # 0 where absent
        ("units", UNITS),  # may be null
        ("cost_nano", pa.int64()),  # recorded; null where none was stated
        ("currency", _TEXT),
        ("cost_source", _TEXT),
    ]
)
"""Schema of a batch of usages."""
