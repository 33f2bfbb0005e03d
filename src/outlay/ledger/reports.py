"""Reports of one fact: which of several is kept, within a batch and against the books.

The largest report wins (output tokens, then input tokens, then recorded cost; a tie goes to the smaller text), and the
earliest stated time stands. Both choices are associative and commutative, so the order of arrival does not matter.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from outlay.core.envelope import UNTAGGED
from outlay.core.meters import INPUT_METERS, OUTPUT_METERS
from outlay.core.session import NO_SESSION
from outlay.ledger.tables import STATED, TEXT_ORDER

FALLBACK_SESSION = "trace:"
"""Prefix of the session of a fact that named none: its trace stands in."""


def key_words(column: pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    """16-byte keys as an (n, 2) array of words; null keys are undefined words."""
    flat = pa.chunked_array(column.chunks, column.type).combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    data = flat.buffers()[1]
    words = np.frombuffer(data, dtype=np.uint64, count=2 * (flat.offset + len(flat))).reshape(-1, 2)
    return words[flat.offset :]


def best_reports(usages: pa.Table) -> tuple[pa.Table, int]:
    """The batch with one report a fact, and how many were dropped as repeats."""
    count = usages.num_rows
    if count < 2:
        return usages, 0
    words = key_words(usages.column("fact_key"))
    order = np.argsort(words[:, 0], kind="stable")
    first = words[order, 0]
    if not (first[1:] == first[:-1]).any():
        return usages, 0
    _, group = np.unique(words, axis=0, return_inverse=True)
    group = group.reshape(-1)
    repeated = np.flatnonzero(np.bincount(group)[group] > 1)
    if not repeated.size:
        return usages, 0
    keep = np.ones(count, dtype=bool)
    keep[repeated] = False
    weights = _weights(usages.take(pa.array(repeated)))
    times = usages.column("time").to_numpy()
    best: dict[int, int] = {}
    for place, row in enumerate(repeated):
        held = best.get(int(group[row]))
        if held is None or weights[place] < weights[held]:
            best[int(group[row])] = place
    earliest = times.copy()
    np.minimum.at(floor := np.full(group.max() + 1, times.max()), group[repeated], times[repeated])
    for place in best.values():
        row = repeated[place]
        keep[row] = True
        earliest[row] = floor[group[row]]
    place = usages.schema.get_field_index("time")
    usages = usages.set_column(place, usages.schema.field(place), pa.array(earliest, usages.schema.field(place).type))
    return usages.filter(pa.array(keep)), int(count - keep.sum())


def _weights(usages: pa.Table) -> list[tuple[object, ...]]:
    """Sort keys, smallest is best, in the same order as the engine's `weight_sql` and `text_order_sql`."""
    outputs = _sum(usages, OUTPUT_METERS)
    inputs = _sum(usages, INPUT_METERS)
    costs = pc.fill_null(usages.column("cost_nano"), -1).to_pylist()
    texts = zip(*(usages.column(name).to_pylist() for name in TEXT_ORDER), strict=True)
    rows = zip(outputs, inputs, costs, texts, strict=True)
    return [(-out, -into, -cost, "\x1f".join(text)) for out, into, cost, text in rows]


def _sum(usages: pa.Table, meters: tuple[str, ...]) -> list[int]:
    return np.sum([usages.column(meter).to_numpy() for meter in meters], axis=0).tolist()


def stated_mask(usages: pa.Table) -> pa.Array:
    """Bit i is set where the fact itself said column STATED[i]."""
    mask = np.zeros(usages.num_rows, dtype=np.int32)
    for bit, name in enumerate(STATED):
        mask |= _said(usages.column(name), name).astype(np.int32) << bit
    return pa.array(mask)


def _said(column: pa.ChunkedArray, name: str) -> npt.NDArray[np.bool_]:
    parts = [_said_chunk(chunk, name) for chunk in column.chunks]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=bool)


def _said_chunk(chunk: pa.Array, name: str) -> npt.NDArray[np.bool_]:
    if pa.types.is_dictionary(chunk.type):
        words = np.array([_is_stated(word, name) for word in chunk.dictionary.to_pylist()], dtype=bool)
        return words[chunk.indices.to_numpy()] if words.size else np.zeros(len(chunk), dtype=bool)
    if name == "session_id":
        fallback = pc.or_(pc.starts_with(chunk, FALLBACK_SESSION), pc.equal(chunk, NO_SESSION))
        return pc.invert(fallback).to_numpy(zero_copy_only=False)
    empty = "" if name in ("parent_session_id", "user", "reason") else UNTAGGED
    return pc.not_equal(chunk, empty).to_numpy(zero_copy_only=False)


def _is_stated(word: str | None, name: str) -> bool:
    if name == "session_id":
        return word != NO_SESSION and not (word or "").startswith(FALLBACK_SESSION)
    return word not in (None, "" if name in ("parent_session_id", "user", "reason") else UNTAGGED)
