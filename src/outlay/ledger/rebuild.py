"""Rebuild: the books once more from the journal, and proof that they say the same.

The books are a function of facts, prices and rules. A rebuild computes them afresh beside the old ones, compares every
total by day and cost centre to the last unit, and puts the new file in the place of the old one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from outlay.ledger.intake import post_entry
from outlay.ledger.journal import Journal
from outlay.ledger.posting import Charger, Clerk
from outlay.ledger.settling import settle
from outlay.ledger.store import Books

DIFFERENCES_MAX = 20

_FIGURES = """
SELECT strftime(time, '%Y-%m-%d') AS day, centre, team, model, counted, count(*) AS usages,
       sum(amount_nano)::VARCHAR AS amount_nano, sum(recorded_nano)::VARCHAR AS recorded_nano,
       sum(in_uncached + in_cache_read + out_text + out_reasoning)::VARCHAR AS tokens, sum(unpriced_meters) AS unpriced
FROM usages GROUP BY ALL ORDER BY ALL
"""
_OUTCOMES = """
SELECT strftime(time, '%Y-%m-%d') AS day, status, team, current, count(*) AS outcomes, sum(value_nano)::VARCHAR AS value
FROM outcomes GROUP BY ALL ORDER BY ALL
"""


@dataclass(slots=True)
class RebuildReport:
    """What a rebuild read and found; `differences` name figures that came out otherwise than before."""

    entries: int = 0
    usages: int = 0
    outcomes: int = 0
    differences: list[str] = field(default_factory=list[str])

    @property
    def matches(self) -> bool:
        """True when every figure of the new books equals the old one."""
        return not self.differences


def rebuild(
    journal: Journal, old: Books, new: Books, prices: Charger, progress: Callable[[int, int], None] | None
) -> RebuildReport:
    """Fill empty books from the journal and compare them with the old ones; `progress` gets (entry, last entry)."""
    clerk, report = Clerk(new, prices), RebuildReport()
    last = journal.last_number
    for entry in journal.read():
        post_entry(clerk, entry)
        report.entries += 1
        if progress:
            progress(entry.number, last)
    settle(new)
    refused = old.meta("refused") - new.meta("refused")
    with new.writing() as transaction:
        # What was refused at the door never reached the journal; the counters go on telling of it.
        new.set_meta(transaction, refused=new.meta("refused") + refused, received=new.meta("received") + refused)
    report.usages = new.scalar("SELECT count(*) FROM usages")
    report.outcomes = new.scalar("SELECT count(*) FROM outcomes")
    report.differences = differences(old, new)
    return report


def differences(old: Books, new: Books) -> list[str]:
    """Figures that differ between two books, at most DIFFERENCES_MAX of them."""
    found: list[str] = []
    for sql in (_FIGURES, _OUTCOMES):
        before = {tuple(row.items()) for row in old.rows(sql).to_pylist()}
        after = {tuple(row.items()) for row in new.rows(sql).to_pylist()}
        found += [f"only before: {_line(row)}" for row in sorted(before - after, key=str)]
        found += [f"only after: {_line(row)}" for row in sorted(after - before, key=str)]
    return found[:DIFFERENCES_MAX]


def _line(row: tuple[tuple[str, object], ...]) -> str:
    return ", ".join(f"{name} {value}" for name, value in row)
