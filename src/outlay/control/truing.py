"""Truing up: what was spent of balances is set by the books, many balances in one transaction."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, func, select, update

from outlay.control.leases import book_of
from outlay.control.store import ControlStore
from outlay.control.tables import balances, leases
from outlay.core.balance import key_of
from outlay.core.budget import Budget

_UNSEEN_NS = 15 * 10**9
"""Whoever waited for the lock of the store closes a lease at a moment that is gone by; nobody waits that long."""

_NONE = (0, 0)


@dataclass(frozen=True, slots=True)
class Metered:
    """What the books say of one balance: nano-units before and after the edge up to which they are believed."""

    budget: Budget
    part: str
    start_ns: int
    end_ns: int
    before_nano: int
    after_nano: int

    @property
    def key(self) -> str:
        """Of the balance."""
        return key_of(self.budget.id, self.start_ns, self.part)


def true_up(store: ControlStore, metered: Sequence[Metered], edge_ns: int) -> int:
    """Sets what was spent of balances by the books: up to `edge_ns` they are believed, after it the larger figure is.

    What dead owners may have spent before the edge is known now. Returns the change, of all of them. Deciders wait for
    the transaction, so what leases were closed at is read before it, all but the last moments. A lease that is settled
    after it was presumed spent, just between the two, counts as both until the next time.
    """
    cut_ns = max(edge_ns, time.time_ns() - _UNSEEN_NS)
    with store.reading() as connection:
        early = _closed(connection, leases.c.closed_ns >= edge_ns, leases.c.closed_ns < cut_ns)
    changed = 0
    with store.writing() as connection:
        late = _closed(connection, leases.c.closed_ns >= cut_ns)
        book = book_of(connection)
        version = book.version()
        for each in sorted(metered, key=lambda each: each.key):  # as deciders lock them
            moment_ns = max(each.start_ns, min(edge_ns, each.end_ns - 1))
            standing = book.standing(each.budget, each.part, version, moment_ns)
            recent, presumed = map(sum, zip(early.get(each.key, _NONE), late.get(each.key, _NONE), strict=True))
            spent = each.before_nano + max(each.after_nano, recent)
            connection.execute(
                update(balances)
                .where(balances.c.key == each.key)
                .values(spent_nano=spent, presumed_nano=presumed, trued_ns=edge_ns, limit_version=-1)
            )
            changed += spent - standing.spent_nano
    return changed


def _closed(connection: Connection, *where: ColumnElement[bool]) -> dict[str, tuple[int, int]]:
    """What leases that were closed spent, and may have spent, of each balance."""
    sums = func.sum(leases.c.settled_nano), func.sum(leases.c.presumed_nano)
    found: dict[str, tuple[int, int]] = {}
    for keys, settled, presumed in connection.execute(
        select(leases.c.balances, *sums).where(*where).group_by(leases.c.balances)
    ):
        for key in json.loads(keys):
            spent, may = found.get(key, _NONE)
            found[key] = spent + int(settled), may + int(presumed)
    return found
