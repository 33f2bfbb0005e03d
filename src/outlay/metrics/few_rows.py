"""Few rows: the facts of a short stretch of time read as they are, where adding them up costs more than they do.

Planning a statement with two dozen sums takes the engine several milliseconds, whatever there is to add; the hour that
runs is read at each look and holds few facts. A cube of rows folds as one of groups does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from outlay.ledger.rollups import Stretch
from outlay.ledger.store import Snapshot
from outlay.metrics.parts import Statement

ROWS_MAX = 4_000
"""More rows than this are added up by the engine."""
WIDE = 2**62
"""A number so large is left to the engine as well: sums of it may not fit."""

_SHORT = timedelta(hours=2)

Columns = dict[str, npt.NDArray[Any]]


def is_short(stretch: Stretch) -> bool:
    """Whether it is worth trying."""
    return stretch.start is not None and stretch.end is not None and stretch.end - stretch.start <= _SHORT


def few_rows(reader: Snapshot, rows: str, statement: Statement, numbers: Sequence[str]) -> Columns | None:
    """The columns of a table of rows; None where there are too many, or one of its `numbers` is too large."""
    found = reader.columns(f"SELECT * FROM {rows} LIMIT {ROWS_MAX + 1}", statement.parameters)
    if len(found["us"]) > ROWS_MAX or not all(map(_fits, (found[name] for name in numbers))):
        return None
    return found


def counted(found: Mapping[str, npt.NDArray[Any]], width_us: int) -> Columns:
    """Rows at `us` as groups of one, each at the start of its day or hour, which is `width_us` long."""
    us = found["us"]
    return {**found, "stamp": us // width_us * width_us, "n": np.ones(len(us), dtype=np.int64), "first": us, "last": us}


def _fits(numbers: npt.NDArray[Any]) -> bool:
    held = np.ma.filled(numbers, 0)
    return not len(held) or (int(held.max()) <= WIDE and int(held.min()) >= -WIDE)
