"""Reported usages as arrays: what `relations.py` and `one_signal.py` ask, and what they ask it of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from outlay.core.centre import Operation
from outlay.core.envelope import ENVELOPE_KEYS
from outlay.normalize.attempts import OPERATIONS, operation_codes
from outlay.normalize.basis import ESTIMATES
from outlay.normalize.columns import Codes, Ints, Mask, Text, counts_of, flags_of, text_of, whole
from outlay.sources.facts import KEY

SIGNALS = ("log", "span", "event", "metric", "file")
"""Whose report of one answer is kept, the most precise first.

A `log` is a coding agent's own record of a call, an `event` the record an instrumentation writes beside its span.
"""

LOG, SPAN, EVENT, METRIC, FILE = range(len(SIGNALS))
MODEL_CALLS = tuple(OPERATIONS.index(item) for item in (Operation.CHAT, Operation.EMBEDDING, Operation.RERANK))

_TEXT = pa.string()
_COUNT = pa.int64()

ROWS = pa.schema(
    [
        pa.field("usage_key", KEY, nullable=False),
        pa.field("fact_key", KEY, nullable=False),
        ("parent_key", KEY),
        ("tree_key", KEY),
        pa.field("time", pa.timestamp("us"), nullable=False),
        ("duration_ms", _COUNT),
        pa.field("operation", _TEXT, nullable=False),
        ("signal", _TEXT),
        ("origin", _TEXT),
        ("bears", pa.bool_()),
        ("aggregate", pa.bool_()),
        ("attempt", pa.int32()),
        ("failed", pa.bool_()),
        ("reason", _TEXT),
        ("provider", _TEXT),
        ("model", _TEXT),
        ("output_tokens", _COUNT),  # all output meters
        ("input_tokens", _COUNT),  # all input meters
        ("cost_nano", _COUNT),
        ("basis", _TEXT),
        ("session_id", _TEXT),
        ("parent_session_id", _TEXT),
        ("task_id", _TEXT),
        ("user", _TEXT),
        *((key, _TEXT) for key in ENVELOPE_KEYS),
        ("tag_source", _COUNT),  # digits of the usage's own words; what it inherited before is left aside
    ]
)
"""What `resolve` reads: every usage with its own words, not with what it inherited before."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The columns of the question as arrays, in one canonical order."""

    table: pa.Table
    operation: Codes
    rank: Codes
    bears: Mask
    aggregate: Mask
    failed: Mask
    attempt: Ints
    estimated: Mask
    input: Ints
    output: Ints
    time: Ints
    usage: Ints
    tree: Ints


def read(rows: pa.Table) -> Rows:
    """The usages of a table (ROWS), in its order."""
    return Rows(
        table=rows,
        operation=operation_codes(text_of(whole(rows, "operation"))),
        rank=ranks(rows),
        bears=flags_of(whole(rows, "bears")),
        aggregate=flags_of(whole(rows, "aggregate")),
        failed=flags_of(whole(rows, "failed")),
        attempt=counts_of(whole(rows, "attempt"))[0].astype(np.int64),
        estimated=_is_one_of(text_of(whole(rows, "basis")), ESTIMATES),
        input=counts_of(whole(rows, "input_tokens"))[0],
        output=counts_of(whole(rows, "output_tokens"))[0],
        time=np.asarray(whole(rows, "time").cast(_COUNT)),
        usage=groups(whole(rows, "usage_key")),
        tree=groups(whole(rows, "tree_key")),
    )


def ranks(rows: pa.Table) -> Codes:
    """The place of each row's signal in the order of preference; an unnamed one comes last."""
    signal = text_of(whole(rows, "signal"))
    places = [SIGNALS.index(word) if word in SIGNALS else len(SIGNALS) for word in signal.values.to_pylist()]
    return np.asarray([*places, len(SIGNALS)], np.int32)[signal.codes]


def groups(column: pa.Array) -> Ints:
    """One number a distinct key, -1 for null."""
    return np.asarray(column.dictionary_encode().indices.fill_null(-1)).astype(np.int64)


def groups_of(*parts: Ints) -> Ints:
    """One number a distinct combination."""
    combined = np.zeros(len(parts[0]), np.int64)
    for part in parts:
        combined = np.unique(combined * (int(part.max(initial=-1)) + 2) + part + 1, return_inverse=True)[1].reshape(-1)
    return combined


def model_groups(rows: Rows) -> Ints:
    """One number a model; the label of its window, which one signal writes and another leaves out, is no part of it."""
    model = text_of(whole(rows.table, "model"))
    names = [value.partition("[")[0].lower() for value in model.values.to_pylist()]
    places = {name: place for place, name in enumerate(dict.fromkeys(names))}
    return np.asarray([*(places[name] for name in names), -1], np.int64)[model.codes]


def _is_one_of(text: Text, values: tuple[str, ...]) -> Mask:
    return np.asarray([*(word in values for word in text.values.to_pylist()), False], np.bool_)[text.codes]
