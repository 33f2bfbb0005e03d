"""The store protocol: what a room may ask of the books without knowing which engine keeps them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol

import numpy.typing as npt
import pyarrow as pa

from outlay.core.outcome import Timeouts
from outlay.ledger.tables import Column
from outlay.ledger.touched import Touched


class Reader(Protocol):
    """Somebody who can answer a statement from the books; never writes.

    `dialect` names the SQL that `rows` understands (`duckdb`, later `clickhouse`).
    """

    @property
    def dialect(self) -> str:
        """The dialect of the statements."""
        ...

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> pa.Table:
        """The answer to one SELECT; `parameters` stand for `$1`, `$2`, … in the statement."""
        ...


class Snapshot(Reader, Protocol):
    """A reader whose answers are all of one moment, so that they agree, and that knows which rollups it can use."""

    @property
    def version(self) -> object:
        """Which state of the books this is: the same object as long as nothing was written."""
        ...

    @property
    def touched(self) -> Touched:
        """When each hour of this state of the books was last changed."""
        ...

    def columns(self, sql: str, parameters: Sequence[object] = ()) -> dict[str, npt.NDArray[Any]]:
        """The answer to one SELECT as columns of numbers, times and texts; masked where values are missing."""
        ...

    def records(self, sql: str, parameters: Sequence[object] = ()) -> list[dict[str, Any]]:
        """The answer to one SELECT with few rows, each by column name."""
        ...

    def stale_days(self) -> tuple[date, ...] | None:
        """The days whose rollups must not be used, in order (see `rollups.py`); None where there are no rollups."""
        ...


Transaction = Any
"""Whatever an engine needs to know that a statement belongs to the present transaction."""


@dataclass(frozen=True, slots=True)
class Work:
    """Usages to settle with their relatives (`relatives`, as normalize.relations wants them) and the last seq seen."""

    relatives: pa.Table
    through: int


class Books(Reader, Protocol):
    """An engine that keeps the tables of `tables.py`. One thread writes at a time."""

    def scalar(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """One whole number; null is 0."""
        ...

    def meta(self, name: str) -> int:
        """A whole number kept in the books under a name; 0 while it was never set."""
        ...

    def metas(self) -> dict[str, int]:
        """Every whole number kept in the books, by name."""
        ...

    def set_meta(self, transaction: Transaction, **values: int) -> None:
        """Set whole numbers within the present transaction."""
        ...

    def unnoted(self) -> int:
        """How many days of sessions and tasks `whereabouts` does not know; none, unless something went wrong."""
        ...

    def writing(self) -> AbstractContextManager[Transaction]:
        """One transaction: everything inside is in the books afterwards, or nothing."""
        ...

    def reading(self) -> AbstractContextManager[Snapshot]:
        """The books as they are at this moment, whatever is posted meanwhile."""
        ...

    def work_alone(self, *, alone: bool) -> None:
        """Let every statement run on the thread that asks, or let the engine's own threads help, as at first.

        Helpers bring an answer sooner and cost a quarter more CPU over all: too much while a lot is posted. A change
        may wait for a question that is being answered.
        """
        ...

    def roll_up(self) -> bool:
        """Add up some of the stale days; False where there is none left."""
        ...

    def checkpoint(self) -> None:
        """Write everything posted so far to disk."""
        ...

    def is_usable(self) -> bool:
        """False once the engine has given its file up, as after a checkpoint that failed."""
        ...

    def reopen(self) -> None:
        """Go back to what the last checkpoint wrote, as after a crash."""
        ...

    def close(self) -> None:
        """Write everything to disk and let go of it."""
        ...

    def append(self, transaction: Transaction, table: str, rows: pa.Table) -> None:
        """Append rows whose columns carry the names of the table."""
        ...

    def known_reports(self, usages: pa.Table, *, same_time: bool, same_day: bool = False) -> pa.Table:
        """Which of these usages the books hold already: place, seq, wins, earlier, time."""
        ...

    def merge_readings(self, transaction: Transaction, readings: pa.Table) -> pa.Table:
        """Add readings of metrics (with `place`, their row); returns the totals of the usages they change."""
        ...

    def totals_of(self, transaction: Transaction, readings: pa.Table) -> pa.Table:
        """The totals of the usages that readings in the books (with `place`, their row here) are part of."""
        ...

    def unknown_outcomes(self, outcomes: pa.Table) -> tuple[pa.Table, int]:
        """The outcomes whose report is new, each once, and how many were dropped."""
        ...

    def usages_of(self, seqs: pa.ChunkedArray, columns: Sequence[Column], *, with_stated: bool = False) -> pa.Table:
        """The usages of these numbers, in the order given."""
        ...

    def bearing_usages(
        self, start: datetime | None, end: datetime | None, after: int, limit: int, columns: Sequence[Column]
    ) -> pa.Table:
        """Up to `limit` usages that can cost something, in posting order above seq `after`, within a period."""
        ...

    def count_bearing(self, start: datetime | None, end: datetime | None) -> int:
        """How many usages of a period can cost something."""
        ...

    def reverse_charges(self, transaction: Transaction, seqs: pa.Array, first_line: int) -> int:
        """Reverse every live cost line of these usages by a line that names it; returns how many were added."""
        ...

    def remove_usages(self, transaction: Transaction, seqs: pa.Array) -> None:
        """Take usages out that are put back in a new state in the same transaction."""
        ...

    def park(self, transaction: Transaction, number: int) -> None:
        """Remember a journal entry that could not be posted."""
        ...

    def note_refused(self, transaction: Transaction, first: int, last: int, facts: int) -> None:
        """Remember that the tag policy refuses so many facts of these entries of the journal; 0 forgets them."""
        ...

    def refused_entries(self) -> list[tuple[int, int, int]]:
        """First and last entry of the journal and the facts in them that the tag policy refuses."""
        ...

    def usages_between(
        self, start_us: int | None, end_us: int | None, after: int, limit: int, columns: Sequence[Column]
    ) -> pa.Table:
        """Up to `limit` usages of a stretch of time (UTC microseconds), in posting order above seq `after`."""
        ...

    def outcomes_between(self, start_us: int | None, end_us: int | None) -> pa.Table:
        """The envelope, `tags`, `said`, `stated`, `seq` and time in microseconds of the outcomes of a stretch."""
        ...

    def write_tags(self, transaction: Transaction, usages: pa.Table) -> None:
        """Give usages other tags, and let relatives and outcomes look at them again."""
        ...

    def write_outcome_tags(self, transaction: Transaction, outcomes: pa.Table) -> None:
        """Give outcomes other words of their own; what they do not say is taken from their sessions again."""
        ...

    def tags_moved(self, start_us: int | None, end_us: int | None) -> AbstractContextManager[Callable[[], pa.Table]]:
        """While open, remembers the tags of a stretch; asked, tells key, before, after, usages and amount_nano."""
        ...

    def find_work(self, after: int, read: frozenset[str] = frozenset()) -> Work:
        """Every usage whose state may depend on a relative, given what came after seq `after`; `read` names columns."""
        ...

    def write_back(self, transaction: Transaction, changed: pa.Table) -> None:
        """Give usages what relations decided; `changed` has seq and the columns of RESOLVED."""
        ...

    def settle_outcomes(self, transaction: Transaction, after: int, decided: pa.Array | pa.ChunkedArray) -> None:
        """Find the sessions and the task of outcomes that name none, mark the latest report of each task, tag them."""
        ...

    def settle_timeouts(self, transaction: Transaction, timeouts: Timeouts, as_of: datetime) -> int:
        """Have exactly those tasks abandoned that nobody completed in time, as of a moment (UTC); how many changed."""
        ...

    def all_settled(self, transaction: Transaction, through: int) -> None:
        """Remember that everything up to seq `through` is settled."""
        ...
