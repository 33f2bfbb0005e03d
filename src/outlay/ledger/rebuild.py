"""Rebuild: the books once more from the journal, and proof that they say the same.

The books are a function of facts, prices and rules. A rebuild computes them afresh beside the old ones, compares every
total by day and cost centre to the last unit, and puts the new file in the place of the old one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from outlay.core.errors import StoreError
from outlay.core.outcome import DERIVED
from outlay.ledger.journal import Journal
from outlay.ledger.posting import Charger, Clerk, PostReport
from outlay.ledger.settling import roll_up, settle
from outlay.ledger.signals import post_entry
from outlay.ledger.store import Books
from outlay.normalize.outcome_rules import DEFAULT_RULES, OutcomeRules
from outlay.normalize.policy.timeline import NO_POLICY, Timeline

DIFFERENCES_MAX = 20

_log = logging.getLogger("outlay.rebuild")

_FIGURES = """
SELECT strftime(time, '%Y-%m-%d') AS day, centre, team, feature, tag_rule, tag_gaps, model, counted, count(*) AS usages,
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
    journal: Journal,
    old: Books,
    new: Books,
    prices: Charger,
    progress: Callable[[int, int], None] | None,
    rules: OutcomeRules = DEFAULT_RULES,
    policies: Timeline = NO_POLICY,
) -> RebuildReport:
    """Fill empty books from the journal and compare them with the old ones; `progress` gets (entry, last entry).

    Only what the old books hold is read: what is accepted meanwhile is posted afterwards, into the new ones.
    """
    clerk, report = Clerk(new, prices, rules, policies), RebuildReport()
    last = old.meta("posted_through")
    parked = set(old.rows("SELECT number FROM parked").column("number").to_pylist())
    tried_again = 0
    for entry in journal.read():
        if entry.number > last:
            break
        tried_again += entry.table.num_rows if entry.number in parked else 0
        try:
            post_entry(clerk, entry)
        except StoreError:
            raise
        except Exception:  # noqa: BLE001 - parked, as intake does; the next ones go on
            _log.exception("entry %d of the journal could not be posted", entry.number)
            rows = entry.table.num_rows
            clerk.park(entry.number, PostReport(received=rows, refused=rows))
            tried_again -= rows
        report.entries += 1
        if progress:
            progress(entry.number, last)
    settle(new, policies)
    roll_up(new)
    now = datetime.now(UTC)
    for books in (old, new):  # what nobody completed in time is compared as of one moment
        with books.writing() as transaction:
            books.settle_timeouts(transaction, rules.timeouts, now)
    _carry_over(old, new, tried_again, len(policies.adopted))
    report.usages = new.scalar("SELECT count(*) FROM usages")
    report.outcomes = new.scalar(f"SELECT count(*) FROM outcomes WHERE source <> '{DERIVED}'")
    report.differences = differences(old, new)
    return report


def _carry_over(old: Books, new: Books, tried_again: int, policy_applied: int) -> None:
    """Go on counting what was refused or repeated at the door and so never reached the journal.

    `tried_again` reports were refused before, because their entries were parked, and are not any more.
    """
    refused = max(0, old.meta("refused") - tried_again - new.meta("refused"))
    repeated = max(0, old.meta("duplicates") - new.meta("duplicates"))
    with new.writing() as transaction:
        new.set_meta(
            transaction,
            policy_applied=policy_applied,
            refused=new.meta("refused") + refused,
            duplicates=new.meta("duplicates") + repeated,
            received=new.meta("received") + refused + repeated,
        )


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
