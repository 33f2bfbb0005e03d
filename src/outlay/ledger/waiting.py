"""What waits: bodies for the scribe, journalled batches for the clerk, and what a sender is told in the end."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field

import pyarrow as pa

from outlay.core.errors import Problem
from outlay.ledger.journal import EntryKind
from outlay.ledger.posting import PostReport
from outlay.ledger.signals import Encoding, Signal
from outlay.normalize.writers import Sender


@dataclass(frozen=True, slots=True)
class Receipt:
    """What is durable of one body: `received` rows, of which `refused` were not taken, with the first problems."""

    received: int
    refused: int
    problems: tuple[Problem, ...] = ()


@dataclass(slots=True)
class Body:
    """A request body on its way into the journal, and who waits for its receipt."""

    data: bytes
    encoding: Encoding
    signal: Signal
    answer: Future[Receipt]
    sender: Sender | None = None


@dataclass(slots=True)
class Posting:
    """One journalled batch on its way into the books, or, without a table, a request to settle."""

    number: int
    kind: EntryKind
    table: pa.Table | None
    accepted_ns: int
    before: PostReport
    outcomes: pa.Table | None = None
    answer: Future[PostReport] | None = None


@dataclass(slots=True)
class State:
    """What both threads and whoever asks look at: bytes that wait, and what keeps the clerk from posting."""

    waiting_bytes: int = 0
    trouble: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)


def rows_of(posting: Posting) -> int:
    """How many rows it brings; a request to settle brings none."""
    return posting.table.num_rows if posting.table is not None else 0
