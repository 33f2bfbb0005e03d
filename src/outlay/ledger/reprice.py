"""Repricing: the charges of a period once more from kept quantities and today's price book.

Nothing is overwritten: where an amount changes, the old cost lines are reversed by lines that name them and new ones
are posted. A price is still that of the usage's own time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from outlay.ledger.posting import Clerk
from outlay.ledger.store import Books
from outlay.ledger.tables import AMOUNT_COLUMNS, LEDGER_COLUMNS, USAGE_FACTS

CHUNK_ROWS = 50_000

_KEPT = tuple(column for column in LEDGER_COLUMNS if column.name not in ("seq", "posted_at"))
_AMOUNTS = tuple(column.name for column in AMOUNT_COLUMNS)


@dataclass(slots=True)
class RepriceReport:
    """How many usages were looked at and changed, and what the period cost before and after (nano-units)."""

    usages: int = 0
    changed: int = 0
    before_nano: int = 0
    after_nano: int = 0
    still_unpriced: int = 0


def reprice(
    books: Books,
    clerk: Clerk,
    start: datetime | None,
    end: datetime | None,
    progress: Callable[[int, int], None] | None = None,
) -> RepriceReport:
    """Charge every bearing usage from `start` up to, not including, `end` (UTC) again; None is open."""
    report = RepriceReport()
    total = books.count_bearing(start, end)
    columns = (*USAGE_FACTS, *AMOUNT_COLUMNS, *LEDGER_COLUMNS)
    last = 0
    while True:
        rows = books.bearing_usages(start, end, last, CHUNK_ROWS, columns)
        if not rows.num_rows:
            return report
        last = int(rows.column("seq")[-1].as_py())
        _reprice_chunk(books, clerk, rows, report)
        if progress:
            progress(report.usages, total)


def _reprice_chunk(books: Books, clerk: Clerk, rows: pa.Table, report: RepriceReport) -> None:
    charged = clerk.prices.charge(rows.select([column.name for column in USAGE_FACTS]))
    different = np.zeros(rows.num_rows, dtype=bool)
    for name in _AMOUNTS:
        before, after = rows.column(name), charged.usages.column(name)
        after = after.cast(before.type)
        same = pc.or_kleene(pc.equal(before, after), pc.and_(pc.is_null(before), pc.is_null(after)))
        different |= ~pc.fill_null(same, fill_value=False).to_numpy(zero_copy_only=False)
    counted = rows.column("counted").to_numpy(zero_copy_only=False)
    report.usages += rows.num_rows
    report.before_nano += _sum(rows.column("amount_nano"), counted)
    report.after_nano += _sum(charged.usages.column("amount_nano"), counted)
    report.still_unpriced += int((charged.usages.column("unpriced_meters").to_numpy() > 0)[counted].sum())
    places = np.flatnonzero(different)
    report.changed += len(places)
    if not len(places):
        return
    taken = pa.array(places)
    changed = rows.take(taken)
    again = clerk.prices.charge(changed.select([column.name for column in USAGE_FACTS]))
    with books.writing() as transaction:
        kept = changed.select([column.name for column in _KEPT])
        clerk.replace(transaction, again, changed.column("seq").combine_chunks(), kept)


def _sum(column: pa.ChunkedArray, mask: np.ndarray) -> int:
    return int(pc.sum(pc.fill_null(column, 0).filter(pa.array(mask))).as_py() or 0)
