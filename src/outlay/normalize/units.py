"""Units: every quantity that is not a token — searches, pages, policy units, runtime."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from outlay.core.errors import nearest
from outlay.core.meters import OTHER_METERS
from outlay.normalize.columns import Codes, Ints, Mask, text_of
from outlay.normalize.refusals import Refusals
from outlay.sources.facts import UNITS

UNITS_MAX = 10**15
RUNTIME_METERS = frozenset({"runtime_ms", "vcpu_ms", "memory_gib_ms"})
"""Being alive is measured but costs nothing until a rate card says so; such a quantity alone bears no cost."""


def units_of(column: pa.Array, runtime: Mask, runtime_ms: Ints, refusals: Refusals) -> tuple[pa.Array, Mask]:
    """The units of every row, with the runtime of the rows in `runtime` added, and which rows bear cost by them.

    A unit with an unknown meter or an impossible quantity is dropped and noted; its row stays.
    """
    rows_count = len(column)
    nothing = np.zeros(rows_count, np.bool_)
    if column.null_count == rows_count and not runtime.any():
        return pa.nulls(rows_count, UNITS), nothing

    flat = pc.list_flatten(column)
    rows = np.asarray(pc.list_parent_indices(column)).astype(np.int64)
    meter = text_of(pc.struct_field(flat, "meter"))
    quantity = np.asarray(pc.struct_field(flat, "quantity").fill_null(0))
    names = meter.values.to_pylist()
    known = np.asarray([name in OTHER_METERS for name in names] + [False], np.bool_)[meter.codes]
    possible = (quantity >= 0) & (quantity <= UNITS_MAX)
    _note_dropped(rows_count, rows[~known], names, meter.codes[~known], refusals)
    _note_impossible(rows_count, rows[known & ~possible], refusals)

    kept = known & possible & (quantity > 0)
    costly = np.asarray([name not in RUNTIME_METERS for name in names] + [False], np.bool_)[meter.codes]
    bears = nothing.copy()
    bears[rows[kept & costly]] = True
    timed = nothing.copy()
    timed[rows[kept & np.asarray([name == "runtime_ms" for name in names] + [False], np.bool_)[meter.codes]]] = True
    added = np.flatnonzero(runtime & ~timed & (runtime_ms > 0))
    if kept.all() and not len(added):
        return column, bears
    values = [*names, "runtime_ms"]
    return _lists(
        rows_count,
        np.concatenate([rows[kept], added]),
        pa.array(values, pa.string()).take(
            pa.array(np.concatenate([meter.codes[kept], np.full(len(added), len(names), np.int32)]))
        ),
        np.concatenate([quantity[kept], runtime_ms[added]]),
    ), bears


def _lists(rows_count: int, rows: Ints, meters: pa.Array, quantities: Ints) -> pa.Array:
    """A column of lists from entries that each name their row; a row without entries is null."""
    order = np.argsort(rows, kind="stable")
    sizes = np.bincount(rows, minlength=rows_count)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    entries = pa.StructArray.from_arrays(
        [meters.take(pa.array(order)), pa.array(quantities[order], pa.int64())], fields=list(UNITS.value_type)
    )
    return pa.ListArray.from_arrays(pa.array(offsets), entries, type=UNITS, mask=pa.array(sizes == 0))


def _note_dropped(rows_count: int, rows: Ints, names: list[str], codes: Codes, refusals: Refusals) -> None:
    for code in np.unique(codes).tolist():
        concerned = np.zeros(rows_count, np.bool_)
        concerned[rows[codes == code]] = True
        name = names[code] if code >= 0 else ""
        refusals.note(concerned, f'unknown meter "{name[:64]}" dropped', nearest(name, OTHER_METERS))


def _note_impossible(rows_count: int, rows: Ints, refusals: Refusals) -> None:
    concerned = np.zeros(rows_count, np.bool_)
    concerned[rows] = True
    refusals.note(concerned, "impossible quantity dropped", f"a quantity lies between 0 and {UNITS_MAX:,}")
