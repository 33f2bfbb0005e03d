"""The teller: decides for a whole server through one connection of its own, many decisions in one transaction.

A transaction costs as much as several decisions, and callers come in crowds: whoever waits while one is written is in
the next. Statements go to the driver as they are, prepared once; what holds, what was learned and the balances of a
crowd are read once. An answer is given only after its transaction is durable.

The teller is used by one thread at a time. It does not wait for the lock of SQLite when told not to: then whoever asks
can do something else meanwhile.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from outlay.control.store import BUSY_S, ControlStore
from outlay.core.errors import OutlayError, StoreBusyError, StoreError
from outlay.core.gathered import GatheredBalances, GatheredEstimates
from outlay.core.in_force import InForce
from outlay.core.leasing import LOCK, Book
from outlay.core.shelf import GatheredShelf

Work = Callable[[Book, InForce, int], Any]
"""One order: the book, what holds, and the moment, to an answer. It raises OutlayError before it changes anything."""

_TRIES = 5
_PAUSE_S = 0.005  # not money: PostgreSQL has broken a deadlock; the other one needs a moment


class Teller:
    """See the head of this module. `close` gives its connection back."""

    def __init__(self, store: ControlStore) -> None:
        self._store = store
        self._lock = "" if store.is_sqlite else LOCK
        self._connection: Any = None
        self._cursor: Any = None
        self._force: InForce | None = None

    @property
    def force(self) -> InForce | None:
        """What held when somebody last asked; None before that."""
        return self._force

    def close(self) -> None:
        """Gives the connection back."""
        connection, self._connection, self._cursor = self._connection, None, None
        if connection is not None:
            self._store.disown(connection)

    def answer(self, works: Sequence[Work], now_ns: int | None = None, *, wait: bool = True) -> list[Any]:
        """Does all of it in one transaction: an answer each, or the OutlayError in its place.

        Raises StoreError where the store fails, and then nothing was done; StoreBusyError at once without `wait` where
        somebody else writes.
        """
        for number in range(_TRIES):
            try:
                return self._answer(works, time.time_ns() if now_ns is None else now_ns, wait=wait)
            except StoreBusyError:
                raise
            except StoreError as error:
                if number + 1 == _TRIES or not _passes(error):
                    raise
                time.sleep(_PAUSE_S * 2**number)
        raise AssertionError  # the last try returns or raises

    def _answer(self, works: Sequence[Work], now_ns: int, *, wait: bool) -> list[Any]:
        try:
            run = self._begin(wait=wait)
            balances = GatheredBalances(run, self._lock)
            estimates = GatheredEstimates(run, self._lock)
            leases = GatheredShelf(run, self._run_many, self._lock)
            balances.begin()
            estimates.begin()
            book = Book(run, locks=bool(self._lock), balances=balances, estimates=estimates, leases=leases)
            self._force = force = book.in_force(self._force)
            answers: list[Any] = []
            for work in works:
                try:
                    answers.append(work(book, force, now_ns))
                except OutlayError as error:
                    answers.append(error)
            leases.flush()
            balances.flush()
            estimates.flush()
            self._cursor.execute("COMMIT")
        except Exception as error:
            self._give_up()
            if not isinstance(error, (self._store.engine.dialect.loaded_dbapi.Error, SQLAlchemyError, OSError)):
                raise
            if _is_busy(error):
                raise StoreBusyError("the control store is busy", hint="try again") from error
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise StoreError(f"the control store {self._store.shown} failed: {reason}", hint="outlay doctor") from error
        return answers

    def _begin(self, *, wait: bool) -> Callable[[str, Sequence[Any]], list[Any]]:
        cursor = self._cursor if self._cursor is not None else self._open()
        if not self._store.is_sqlite:
            cursor.execute("BEGIN")

            def run(statement: str, parameters: Sequence[Any]) -> list[Any]:
                cursor.execute(_spelled(statement), parameters)
                return cursor.fetchall() if cursor.description is not None else []

            return run
        if wait:
            cursor.execute(f"PRAGMA busy_timeout = {BUSY_S * 1000}")
        try:
            cursor.execute("BEGIN IMMEDIATE")
        finally:
            if wait:
                cursor.execute("PRAGMA busy_timeout = 0")

        def run_plain(statement: str, parameters: Sequence[Any]) -> list[Any]:
            return cursor.execute(statement, parameters).fetchall()

        return run_plain

    def _run_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        self._cursor.executemany(statement if self._store.is_sqlite else _spelled(statement), rows)

    def _open(self) -> Any:
        """A connection that belongs to the teller alone, and does only what it is told."""
        connection = self._connection = self._store.own()
        if self._store.is_sqlite:
            connection.execute("PRAGMA busy_timeout = 0")
        else:
            connection.rollback()
            connection.autocommit = True
        self._cursor = connection.cursor()
        return self._cursor

    def _give_up(self) -> None:
        """The transaction is void. A connection that cannot say so is thrown away."""
        if self._cursor is None:
            return
        try:
            self._cursor.execute("ROLLBACK")
        except Exception as error:  # noqa: BLE001 - it is gone, or nothing had begun
            if not (self._store.is_sqlite and "no transaction" in str(error)):
                self.close()


_SPELLED: dict[str, str] = {}


def _spelled(statement: str) -> str:
    """A statement with PostgreSQL's marks; there are few statements, so each is spelled once."""
    found = _SPELLED.get(statement)
    if found is None:
        found = _SPELLED[statement] = statement.replace("?", "%s")
    return found


def _passes(error: StoreError) -> bool:
    """Whether trying again may help: a deadlock was broken, the connection was of a server that is up again, or another
    server was asked with the same id at this moment, and its lease can be found now.
    """
    cause = str(error.__cause__)
    return any(word in cause for word in ("deadlock", "serialize", "connection", "terminating", "duplicate key"))


def _is_busy(error: Exception) -> bool:
    return isinstance(error, sqlite3.OperationalError) and ("locked" in str(error) or "busy" in str(error))
