"""Leases on the control store: `core.leasing` run through SQLAlchemy, one transaction a decision."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, delete, select, text

from outlay.control import audit
from outlay.control.store import ControlStore
from outlay.control.tables import LIVE, leases
from outlay.core.in_force import InForce
from outlay.core.lease import TTL_NS, Ask, Grant, Held
from outlay.core.leasing import SWEPT_MAX, Book
from outlay.core.rate import Run
from outlay.core.stop import Stop

T = TypeVar("T")

KEPT_DAYS = 35
"""How long a lease that is over is kept, to answer whoever settles it again, and to see what was decided."""

FORGOTTEN_AT_ONCE = 5_000
"""Leases that are forgotten in one transaction: others wait for it."""

_TRIES = 5
_PAUSE_S = 0.005  # not money: PostgreSQL has broken a deadlock; the other one needs a moment


class Leases:
    """Decides, settles and gives back; safe to share between threads."""

    def __init__(self, store: ControlStore) -> None:
        self._store = store
        self._force: InForce | None = None

    def decide(self, ask: Ask, now_ns: int | None = None) -> Grant:
        """A lease over every budget that binds the call, or the refusal. Raises StoreError, LeaseError."""
        now = time.time_ns() if now_ns is None else now_ns
        self.sweep(now)

        return self._within(lambda book: book.decide(self._in_force(book), ask, now))

    def draw(self, lease: str, amount_nano: int, now_ns: int | None = None) -> Grant:
        """See Book."""
        now = time.time_ns() if now_ns is None else now_ns
        return self._within(lambda book: book.draw(self._in_force(book), lease, amount_nano, now))

    def settle(self, lease: str, amount_nano: int, now_ns: int | None = None) -> bool:
        """See Book."""
        return self._within(lambda book: book.settle(lease, amount_nano, now_ns or time.time_ns()))

    def give_back(self, lease: str, now_ns: int | None = None) -> bool:
        """See Book."""
        return self._within(lambda book: book.give_back(lease, now_ns or time.time_ns()))

    def renew(self, lease: str, ttl_ns: int = TTL_NS, now_ns: int | None = None) -> Stop | None:
        """See Book."""
        now = time.time_ns() if now_ns is None else now_ns
        return self._within(lambda book: book.renew(lease, now, ttl_ns, self._in_force(book)))

    def spend(self, lease: str, amount_nano: int, ttl_ns: int = TTL_NS, now_ns: int | None = None) -> Stop | None:
        """See Book."""
        now = time.time_ns() if now_ns is None else now_ns
        return self._within(lambda book: book.spend(lease, amount_nano, now, ttl_ns, self._in_force(book)))

    def sweep(self, now_ns: int | None = None) -> int:
        """Brings home the leases whose owners died; how many there were."""
        now = time.time_ns() if now_ns is None else now_ns
        if not self._any_dead(now):
            return 0
        for number in range(SWEPT_MAX):
            if not self._within(lambda book: book.sweep(now)):
                return number
        return SWEPT_MAX

    def live(self, budget_id: int | None = None, limit: int = 500) -> list[dict[str, Any]]:
        """The leases that live, those that expire first on top; of one budget where it is named."""
        wanted = select(leases).where(LIVE).order_by(leases.c.expires_ns)
        if budget_id is not None:
            wanted = wanted.where(leases.c.balances.like(f'%"{budget_id}:%'))
        with self._store.reading() as connection:
            return [dict(row) for row in connection.execute(wanted.limit(limit)).mappings()]

    def take_back(self, lease: str, actor: str) -> Held | None:
        """Gives a lease back in its owner's place, with a line in the audit log; None for one that is over.

        Raises LeaseError if there never was one.
        """
        with self._store.writing() as connection:
            book = book_of(connection)
            row = book.lease(lease)
            if not book.give_back(lease, time.time_ns()):
                return None
            before = {"held_nano": row.held_nano, "spent_nano": row.settled_nano, "state": row.state}
            audit.append(connection, actor, "lease.return", lease, before=before)
            return row

    def forget(self, before_ns: int, limit: int = FORGOTTEN_AT_ONCE) -> int:
        """Forgets leases that were over before a moment, some at a time; how many. Balances keep what was spent."""
        over = select(leases.c.id).where(leases.c.closed_ns < before_ns, leases.c.lent_nano == 0).limit(limit)
        with self._store.writing() as connection:
            return connection.execute(delete(leases).where(leases.c.id.in_(over))).rowcount

    def _in_force(self, book: Book) -> InForce:
        self._force = book.in_force(self._force)
        return self._force

    def _any_dead(self, now_ns: int) -> bool:
        with self._store.reading() as connection:
            wanted = text("SELECT 1 FROM leases WHERE state = 'live' AND expires_ns <= :now LIMIT 1")
            return connection.execute(wanted, {"now": now_ns}).first() is not None

    def _within(self, work: Callable[[Book], T]) -> T:
        for number in range(_TRIES):
            try:
                with self._store.writing() as connection:
                    return work(book_of(connection))
            except Exception as error:
                if number + 1 == _TRIES or "deadlock" not in str(error.__cause__):
                    raise
                time.sleep(_PAUSE_S * 2**number)
        raise AssertionError  # the last try returns or raises


def tidy(store: ControlStore) -> int:
    """Brings home the leases whose owners died, and forgets those long over; how many came home."""
    desk = Leases(store)
    desk.forget(time.time_ns() - KEPT_DAYS * 86_400 * 10**9)
    return desk.sweep()


def book_of(connection: Connection) -> Book:
    """The leases and balances as one transaction sees them."""
    return Book(run_on(connection), locks=connection.dialect.name != "sqlite")


def run_on(connection: Connection) -> Run:
    """Runs a statement with `?` parameters on either engine."""
    marks = connection.dialect.name != "sqlite"

    def run(statement: str, parameters: Sequence[Any]) -> list[Any]:
        spelled = statement.replace("?", "%s") if marks else statement
        result = connection.exec_driver_sql(spelled, tuple(parameters))
        return list(result.fetchall()) if result.returns_rows else []

    return run
