"""Many facts at once: one Arrow batch made of whole columns, for tests of what grows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from outlay.core.period import ns_of
from outlay.sources.facts import FACTS, KEY, OUTCOMES, Batch


def many_keys(count: int, first: int = 0) -> pa.Array:
    """`count` different 16-byte keys, in the order of their numbers from `first` on."""
    raw = np.zeros((count, 2), dtype=">u8")
    raw[:, 1] = np.arange(first, first + count)
    return pa.Array.from_buffers(KEY, count, [None, pa.py_buffer(raw.tobytes())])


def many_names(prefix: str, count: int) -> pa.Array:
    """`prefix-0`, `prefix-1`, …"""
    return pa.array([f"{prefix}-{place}" for place in range(count)], pa.string())


def many_calls(count: int, began: datetime, *, first: int = 0, step_us: int = 1_000, **columns: Any) -> pa.Table:
    """`count` chat calls of a priced model, one every `step_us`; a column is one value for all, or an array of them."""
    start_ns = ns_of(began) + np.arange(count, dtype=np.int64) * step_us * 1_000
    given: dict[str, Any] = {
        "fact_key": many_keys(count, first),
        "source": "table:many",
        "operation": "chat",
        "start_ns": start_ns,
        "end_ns": start_ns + 500_000,
        "model_requested": "gpt-4.1",
        "provider": "openai",
        "input_tokens": 1_000,
        "output_tokens": 100,
        "attempt": 0,
        **columns,
    }
    return pa.table(
        [
            _column(given[item.name], count, item.type) if item.name in given else pa.nulls(count, item.type)
            for item in FACTS
        ],
        schema=FACTS,
    )


def batch_of(facts: pa.Table) -> Batch:
    """The facts as a source hands them on."""
    return Batch(facts=facts, outcomes=OUTCOMES.empty_table(), received=facts.num_rows)


def _column(value: Any, count: int, kind: pa.DataType) -> pa.Array:
    if isinstance(value, (pa.Array, np.ndarray)):
        return pa.array(value, kind) if isinstance(value, np.ndarray) else value.cast(kind)
    return pa.repeat(pa.scalar(value, kind), count)
