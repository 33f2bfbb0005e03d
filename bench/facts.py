"""Batches of facts for the benches that need full books quickly: columns from numpy, no Python per row."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from outlay.sources.facts import FACTS, OUTCOMES, Batch, conform

ROWS_PER_BATCH = 200_000
DAYS = 365
CALLS_PER_SESSION = 12
_DAY_NS = 86_400 * 10**9

_MODELS = (
    ("openai", "gpt-5"),
    ("openai", "gpt-5-mini"),
    ("anthropic", "claude-sonnet-4-5"),
    ("anthropic", "claude-haiku-4-5"),
    ("google", "gemini-2.5-flash"),
    ("openai", "text-embedding-3-large"),
)
_OPERATIONS = ("chat", "chat", "chat", "chat", "embedding", "guardrail", "tool")
_TEAMS = tuple(f"team-{place:02d}" for place in range(24))
_FEATURES = tuple(f"feature-{place:02d}" for place in range(60))
_CUSTOMERS = tuple(f"customer-{place:04d}" for place in range(2_000))


def _named(values: tuple[str, ...], codes: np.ndarray[Any, Any]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(values, pa.string()))


def _keys(numbers: np.ndarray[Any, Any], salt: int) -> pa.Array:
    """16-byte keys: a mixed half, so that they look like digests, and the number itself, so that they are unique."""
    words = np.empty((len(numbers), 2), dtype=np.uint64)
    words[:, 0] = (numbers.astype(np.uint64) + np.uint64(salt)) * np.uint64(0x9E3779B97F4A7C15)
    words[:, 1] = numbers.astype(np.uint64)
    return pa.Array.from_buffers(pa.binary(16), len(numbers), [None, pa.py_buffer(words.tobytes())])


def batches(total: int, seed: int = 7) -> Iterator[Batch]:
    """`total` facts spread over a year in time order, with a tenth as many outcomes as sessions, in batches."""
    end_ns = time.time_ns() // _DAY_NS * _DAY_NS
    for first in range(0, total, ROWS_PER_BATCH):
        yield _batch(first, min(first + ROWS_PER_BATCH, total), total, end_ns, np.random.default_rng(seed + first))


def _batch(first: int, last: int, total: int, end_ns: int, pick: np.random.Generator) -> Batch:
    count = last - first
    numbers = np.arange(first, last, dtype=np.int64)
    sessions = numbers // CALLS_PER_SESSION
    start_ns = end_ns - DAYS * _DAY_NS + (numbers * (DAYS * _DAY_NS // total))
    who = sessions * 2_654_435_761 % 1_000_003  # the tags of a session hang on its number, not on the batch
    operation = pick.integers(0, len(_OPERATIONS), count)
    asks_model = operation < 5
    model = np.where(operation == 4, 5, pick.integers(0, 5, count))
    tokens = np.where(asks_model, pick.integers(100, 12_000, count), 0)
    cached = np.where(operation < 4, tokens * pick.integers(0, 80, count) // 100, 0)
    outputs = np.where(operation < 4, pick.integers(10, 1_500, count), 0)
    rows = {
        "fact_key": _keys(numbers, 1),
        "tree_key": _keys(sessions, 2),
        "session_id": pa.array(np.char.add("s-", sessions.astype(str))),
        "source": _named(("bench",), np.zeros(count)),
        "signal": _named(("file",), np.zeros(count)),
        "start_ns": start_ns,
        "end_ns": start_ns + pick.integers(1, 30_000, count) * 10**6,
        "operation": _named(_OPERATIONS, operation),
        "provider": _named(tuple(name for name, _ in _MODELS), np.where(asks_model, model, 0)),
        "model_requested": _masked(_named(tuple(name for _, name in _MODELS), model), asks_model),
        "failed": pick.random(count) < 0.03,
        "input_tokens": pa.array(tokens, mask=~asks_model),
        "cache_read_tokens": pa.array(cached, mask=~asks_model),
        "output_tokens": pa.array(outputs, mask=~asks_model),
        "basis": _named(("inclusive",), np.zeros(count)),
        "team": _named(_TEAMS, who % len(_TEAMS)),
        "feature": _named(_FEATURES, who % len(_FEATURES)),
        "customer": _named(_CUSTOMERS, who % len(_CUSTOMERS)),
        "environment": _named(("production", "staging"), (who % 10 == 0).astype(int)),
    }
    facts = conform(pa.table(rows), FACTS)
    ended, places = np.unique(sessions[sessions % 10 == 0], return_index=True)
    outcomes = _outcomes(ended, start_ns[sessions % 10 == 0][places], pick)
    return Batch(facts, outcomes, received=facts.num_rows + outcomes.num_rows)


def _masked(column: pa.DictionaryArray, there: np.ndarray[Any, Any]) -> pa.DictionaryArray:
    indices = pa.array(column.indices.to_numpy(), mask=~there)
    return pa.DictionaryArray.from_arrays(indices, column.dictionary)


def _outcomes(sessions: np.ndarray[Any, Any], at_ns: np.ndarray[Any, Any], pick: np.random.Generator) -> pa.Table:
    count = len(sessions)
    names = pa.array(np.char.add("s-", sessions.astype(str)))
    lists = pa.ListArray.from_arrays(pa.array(np.arange(count + 1), pa.int32()), names)
    rows = {
        "outcome_key": _keys(sessions, 3),
        "task_id": names,
        "session_ids": lists,
        "status": _named(("done", "failed"), (pick.random(count) < 0.2).astype(int)),
        "at_ns": pa.array(at_ns),
        "source": _named(("bench",), np.zeros(count)),
    }
    return conform(pa.table(rows), OUTCOMES)
