"""Cursors: second connections to the same books for those who only read, kept for the next one.

Opening one and naming its database takes the engine about as long as a short question, and a page asks few.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress

import duckdb

from outlay.ledger.duckdb_snapshot import store_error

IDLE_MAX = 4
"""Pages looked at side by side; more readers than this open and close their own."""


class Cursors:
    """Those of one connection. Used by many threads, each cursor by one at a time."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, name: str) -> None:
        self._connection, self._name = connection, name
        self._lock = threading.Lock()
        self._idle: list[duckdb.DuckDBPyConnection] = []
        self._open = True

    @contextmanager
    def lent(self) -> Generator[duckdb.DuckDBPyConnection]:
        """A cursor without a transaction; the one that is begun ends with the loan. Raises StoreError."""
        cursor = self._taken() or self.fresh()
        try:
            yield cursor
        except duckdb.Error as error:
            raise store_error(error, "a question to the books failed") from error
        finally:
            self._give(cursor)

    def fresh(self) -> duckdb.DuckDBPyConnection:
        """One that its holder closes. Raises StoreError."""
        try:
            cursor = self._connection.cursor()
            cursor.execute(f"USE {self._name}")
        except duckdb.Error as error:
            raise store_error(error, "the books cannot be read") from error
        return cursor

    def _taken(self) -> duckdb.DuckDBPyConnection | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _give(self, cursor: duckdb.DuckDBPyConnection) -> None:
        try:
            cursor.rollback()
        except duckdb.Error:  # nothing was begun, or the engine gave the books up
            cursor.close()
            return
        with self._lock:
            if self._open and len(self._idle) < IDLE_MAX:
                self._idle.append(cursor)
                return
        cursor.close()

    def close(self) -> None:
        """Closes what nobody holds; the others are closed when they are given back."""
        with self._lock:
            self._open, idle = False, self._idle
            self._idle = []
        for cursor in idle:
            with suppress(duckdb.Error):
                cursor.close()
