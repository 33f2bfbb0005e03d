"""The local desk: the control store's SQLite file, shared by all processes of a machine, asked without any server.

The statements are those of `core.leasing`; here is how they are run by the standard library: one connection a process,
one writing transaction a question, taken at its beginning so that nobody has to give up half-way. A child process opens
a connection of its own and never touches its parent's.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, TypeVar

from outlay.core.errors import LeaseError
from outlay.core.estimate import Estimate
from outlay.core.gathered import GatheredBalances
from outlay.core.in_force import InForce
from outlay.core.lease import TTL_NS, Ask, Grant
from outlay.core.leasing import SWEPT_MAX, Book
from outlay.core.rate import Rate
from outlay.sdk.desk import RENEWED, SETTLED, Report, Samples, UnreachableError

T = TypeVar("T")

BUSY_S = 1.0
"""How long a question waits for others that write; an agent waits no longer for its budget."""

SWEEP_EVERY_NS = 250_000_000
"""How often a decision looks for leases whose owners died. What they held is presumed spent, so none waits for it."""

LOG_PAGES_MAX = 16_000
"""Pages of the write-ahead log (64 MB) after which a question tidies up itself: nobody did it for a long while."""

_abandoned: list[object] = []
"""Connections of a parent process: closing one in the child would take its parent's locks."""


class _Counter:
    """One connection with its book: while nobody else writes, what one transaction knew of balances holds in the next.

    SQLite says so inside the transaction, when nobody else can write: `data_version` is another as soon as another
    connection, of this process or any other, has changed the file.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        cursor = connection.cursor()
        execute, fetch = cursor.execute, cursor.fetchall

        def run(statement: str, parameters: Sequence[Any]) -> list[Any]:
            execute(statement, parameters)
            return fetch()

        self.run = run
        self.balances = GatheredBalances(run)
        self.book = Book(run, balances=self.balances)
        self.goes_on = False
        self._version = -1  # of the file, at the last transaction that was written whole

    def begin(self) -> None:
        """Begins a transaction that writes. Raises sqlite3.Error."""
        before, self._version = self._version, -1
        self.run("BEGIN IMMEDIATE", ())
        self._now: int = self.run("PRAGMA data_version", ())[0][0]
        self.goes_on = self._now == before
        if self.goes_on:
            self.balances.go_on()
        else:
            self.balances.begin()

    def commit(self) -> None:
        """Ends it. Raises sqlite3.Error, and then nothing of it was written."""
        self.run("COMMIT", ())
        self._version = self._now


class LocalDesk:
    """Asks the file. Safe to share between threads: they take turns."""

    def __init__(self, path: Path, ttl_ns: int = TTL_NS) -> None:
        self._path = path
        self._ttl_ns = ttl_ns
        self._force: InForce | None = None
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._counter: _Counter | None = None  # on that connection
        self._process = self._swept_ns = 0
        self._inode: tuple[int, int] | None = None

    @property
    def place(self) -> str:
        """See Desk."""
        return str(self._path)

    def in_force(self, known: InForce | None) -> InForce | None:
        """See Desk. A file that is not there yet, or has no tables yet, holds no budgets."""
        try:
            stat = os.stat(self._path)  # noqa: PTH116 - asked each second
        except OSError:
            stat = None
        with self._lock:
            if stat is None or (stat.st_dev, stat.st_ino) != self._inode:  # gone, or another one in its place
                self._drop()
                self._force = known = None
            if stat is None:
                return None
            self._inode = (stat.st_dev, stat.st_ino)
            try:
                counter = self._opened()
                if known is None and not counter.run("SELECT 1 FROM sqlite_master WHERE name = 'samples'", ()):
                    self._drop()
                    return None
                self._force = counter.book.in_force(known or self._force)
            except sqlite3.Error as error:
                self._drop()
                raise self._unreachable(error) from error
            return self._force

    def ready(self) -> bool:
        """See Desk; the file answers at once."""
        return True

    def decide(self, ask: Ask, reports: Sequence[Report] = ()) -> Grant:
        """See Desk. Now and then leases whose owners died are brought home first."""

        def work(book: Book, now_ns: int) -> Grant:
            if now_ns - self._swept_ns >= SWEEP_EVERY_NS or now_ns < self._swept_ns:
                self._swept_ns = now_ns
                for _ in range(SWEPT_MAX):
                    if not book.sweep(now_ns):
                        break
            for each in reports:
                self._one(book, each, now_ns)
            return book.decide(self._holding(book), ask, now_ns)

        return self._within(work)

    def draw(self, lease: str, amount_nano: int) -> Grant:
        """See Desk."""

        def work(book: Book, now_ns: int) -> Grant:
            return book.draw(self._holding(book), lease, amount_nano, now_ns)

        return self._within(work)

    def report(self, reports: Sequence[Report], samples: Samples) -> Sequence[str]:
        """See Desk."""

        def work(book: Book, now_ns: int) -> list[str]:
            for kind, amounts in samples.items():
                book.learn(kind, amounts, now_ns)
            return [each.lease for each in reports if not self._one(book, each, now_ns)]

        return self._within(work)

    def rate(self, provider: str, model: str) -> Rate | None:
        """See Desk."""
        return self._reading(lambda book: book.rate(provider, model))

    def usual(self, kind: str) -> Estimate | None:
        """See Desk."""
        return self._reading(lambda book: book.estimate(kind))

    def tidy(self) -> None:
        """Moves what was written from the log of the file into the file; whoever asks meanwhile is not kept waiting."""
        if not self._path.exists():
            return
        with suppress(sqlite3.Error), closing(self._open()) as connection:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def close(self) -> None:
        """See Desk."""
        with self._lock:
            self._drop()

    # ---- how it is asked -------------------------------------------------------------------------------------------

    def _holding(self, book: Book) -> InForce:
        """What holds in this transaction; nothing else can, while nobody else has written."""
        counter = self._counter
        if self._force is None or counter is None or not counter.goes_on:
            self._force = book.in_force(self._force)
        return self._force

    def _one(self, book: Book, report: Report, now_ns: int) -> bool:
        """Writes one report down; False where the lease is over."""
        try:
            if report.what == SETTLED:
                book.settle(report.lease, report.amount_nano, now_ns)
            elif report.what == RENEWED:
                book.renew(report.lease, now_ns, self._ttl_ns)
            else:
                book.spend(report.lease, report.amount_nano, now_ns, self._ttl_ns)
        except LeaseError:
            return False
        return True

    def _within(self, work: Callable[[Book, int], T]) -> T:
        with self._lock:
            try:
                counter = self._opened()
                counter.begin()
                try:
                    done = work(counter.book, time.time_ns())
                    counter.balances.flush()
                except BaseException:
                    with suppress(sqlite3.Error):
                        counter.run("ROLLBACK", ())
                    raise
                counter.commit()
                return done
            except sqlite3.Error as error:
                self._drop()
                raise self._unreachable(error) from error

    def _reading(self, work: Callable[[Book], T]) -> T:
        with self._lock:
            try:
                return work(self._opened().book)
            except sqlite3.Error as error:
                self._drop()
                raise self._unreachable(error) from error

    def _opened(self) -> _Counter:
        if self._process != os.getpid():
            if self._connection is not None:
                _abandoned.append((self._connection, self._counter))
            self._connection, self._counter, self._process = None, None, os.getpid()
        if self._counter is None:
            self._connection = self._open()
            self._counter = _Counter(self._connection)
        return self._counter

    def _open(self) -> sqlite3.Connection:
        # Never makes the file: who sets a budget does, with the rights it must have.
        connection = sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode=rw",
            timeout=BUSY_S,
            isolation_level=None,
            check_same_thread=False,
            uri=True,
        )
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(f"PRAGMA wal_autocheckpoint={LOG_PAGES_MAX}")
        return connection

    def _drop(self) -> None:
        """Opens anew next time: the file may be another one by then."""
        connection, self._connection, self._counter = self._connection, None, None
        if connection is not None and self._process == os.getpid():
            with suppress(sqlite3.Error):
                connection.close()

    def _unreachable(self, error: sqlite3.Error) -> UnreachableError:
        return UnreachableError(f"the control store {self._path} cannot be asked: {error}", hint="outlay doctor")

    def after_fork(self) -> None:
        """A lock that another thread held in the parent is held by nobody here."""
        self._lock = threading.Lock()
