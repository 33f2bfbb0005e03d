"""Earlier attempts: an emitter that tells of a call once, with the number of its last attempt, has told of the others.

They cost nothing that anybody stated, but they were tried: each becomes a failed fact of its own beside the call.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from outlay.core.centre import Operation
from outlay.core.envelope import ENVELOPE_KEYS
from outlay.normalize.aliases import load
from outlay.normalize.columns import whole
from outlay.sources.facts import FACTS, KEY

ATTEMPTS_MAX = 32
"""More attempts at one call than any client makes; a larger number is no number of an attempt."""

_KEPT = frozenset(
    {
        *("parent_key", "tree_key", "session_id", "parent_session_id", "task_id", "source", "signal", "origin"),
        *("start_ns", "operation", "name", "provider", "model_requested", "model_served", "region", "scope_name"),
        *("scope_version", "user", "tags", *ENVELOPE_KEYS),
    }
)


def with_earlier_attempts(facts: pa.Table) -> pa.Table:
    """The facts (FACTS), and behind them the failed attempts before each call whose emitter tells its last one only."""
    attempt = whole(facts, "attempt")
    if attempt.null_count == len(attempt) or not pc.any(pc.greater(attempt, 0)).as_py():
        return facts
    beginnings = load().one_report_a_call
    chats = pc.equal(whole(facts, "operation").cast(pa.string()), Operation.CHAT.value)
    scopes = whole(facts, "scope_name").cast(pa.string())
    told = np.zeros(len(attempt), np.bool_)
    for beginning in beginnings:
        told |= np.asarray(pc.starts_with(scopes, beginning).fill_null(fill_value=False))
    numbers = np.asarray(attempt.fill_null(0)).astype(np.int64)
    told &= np.asarray(chats) & (numbers > 0) & (numbers <= ATTEMPTS_MAX)
    rows = np.flatnonzero(told)
    if not len(rows):
        return facts
    return pa.concat_tables([facts, _attempts_of(facts, rows, numbers[rows])])


def _attempts_of(facts: pa.Table, rows: np.ndarray, before: np.ndarray) -> pa.Table:
    """For each of the rows so many failed attempts, numbered from 0."""
    place = np.repeat(rows, before)
    number = np.concatenate([np.arange(count) for count in before])
    part = facts.take(pa.array(place))
    keys = [
        hashlib.blake2b(key + b"attempt" + bytes((each,)), digest_size=16).digest()
        for key, each in zip(part.column("fact_key").to_pylist(), number.tolist(), strict=True)
    ]
    made = {
        "fact_key": pa.array(keys, KEY),
        "attempt": pa.array(number.astype(np.int32)),
        "failed": pa.array(np.ones(len(place), np.bool_)),
    }
    columns = [
        made[item.name]
        if item.name in made
        else part.column(item.name)
        if item.name in _KEPT
        else pa.nulls(len(place), facts.schema.field(item.name).type)
        for item in FACTS
    ]
    return pa.table(columns, schema=facts.schema)
