"""Settling: once relatives are known, decide what counts, whose it was, and what was a retry.

Facts arrive in any order. Posting shows them within milliseconds as they stand; settling looks again at every trace and
session that was touched since the last time, and makes the books what they would be had all facts come at once.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from outlay.ledger.store import Books
from outlay.ledger.tables import RESOLVED
from outlay.normalize.relations import resolve


def settle(books: Books) -> int:
    """Bring the books up to everything posted; returns how many usages changed."""
    after = books.meta("settled_through")
    work = books.find_work(after)
    if work.through <= after and not books.scalar("SELECT count(*) FROM unsettled"):
        return 0
    changed = _differences(work.relatives) if work.relatives.num_rows else None
    with books.writing() as transaction:
        if changed is not None and changed.num_rows:
            books.write_back(transaction, changed)
        books.settle_outcomes(transaction, after, _seqs(changed))
        books.all_settled(transaction, work.through)
    return changed.num_rows if changed is not None else 0


def roll_up(books: Books) -> None:
    """Add up every stale day."""
    while books.roll_up():
        pass


def _seqs(changed: pa.Table | None) -> pa.ChunkedArray | pa.Array:
    return changed.column("seq") if changed is not None else pa.array([], pa.int64())


def _differences(relatives: pa.Table) -> pa.Table:
    """The usages whose resolved columns differ from what the books show now."""
    resolved = resolve(relatives)
    different = np.zeros(relatives.num_rows, dtype=bool)
    for name in RESOLVED:
        now, then = resolved.column(name), relatives.column(f"now_{name}")
        different |= pc.fill_null(pc.not_equal(now, then), fill_value=True).to_numpy(zero_copy_only=False)
    keep = pa.array(different)
    columns = {name: resolved.column(name).filter(keep) for name in RESOLVED}
    return pa.table({"seq": relatives.column("seq").filter(keep), **columns})
