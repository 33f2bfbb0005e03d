"""Pieces kept from one state of the books to the next: figures of a stretch of time, until one of its hours is touched.

Used by many threads; what is kept is never changed. Memory is bounded: what was not asked for longest goes first.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import date
from typing import Any

from outlay.ledger.touched import Hours, Touched
from outlay.metrics.cube_source import LabelTexts

PIECES_ROWS_MAX = 250_000
"""Rows of all pieces kept, some 250 bytes each."""
QUESTIONS_MAX = 20_000
LATE_DAYS_MAX = 8
"""Past days that are read apart because facts of them came late; when there are more, all days are looked at anew."""
_HOURS_A_DAY = 24


ToldRows = dict[tuple[Any, ...], tuple[list[Any], dict[str, Any]]]
"""By bucket and group the figures of a row, and the row as an answer tells it."""


@dataclass(frozen=True, slots=True)
class _Piece:
    token: object
    value: Any
    rows: int


class PieceStore:
    """What is known of stretches of time, by question, with the last transaction that changed the stretch."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._began: object = None
        self._clear()

    def _clear(self) -> None:
        self._held: OrderedDict[Hashable, _Piece] = OrderedDict()
        self._rows = 0
        self._dawn: tuple[date, int] | None = None
        self._numbers: dict[Hashable, int] = {}
        self.labels = LabelTexts()

    def begin(self, touched: Touched) -> None:
        """A reader of this state comes; what was kept of books that were reopened since is forgotten."""
        with self._lock:
            if self._began is not touched.began:
                self._began = touched.began
                self._clear()
            elif len(self._numbers) > QUESTIONS_MAX:
                self._clear()

    def number(self, question: Hashable) -> int:
        """A number that stands for a question: it is looked up many times a page, and long to compare."""
        with self._lock:
            return self._numbers.setdefault(question, len(self._numbers))

    def get(self, key: Hashable, token: object) -> Any:
        """What is kept under a key, if nothing touched it since; else None."""
        with self._lock:
            held = self._held.get(key)
            if held is None or held.token != token:
                return None
            self._held.move_to_end(key)
            return held.value

    def put(self, key: Hashable, token: object, value: Any, rows: int) -> None:
        """Keep a value of so many rows."""
        with self._lock:
            earlier = self._held.pop(key, None)
            self._rows += rows + 1 - (earlier.rows if earlier else 0)
            self._held[key] = _Piece(token, value, rows + 1)
            while self._rows > PIECES_ROWS_MAX and self._held:
                _, gone = self._held.popitem(last=False)
                self._rows -= gone.rows

    def late(self, touched: Touched, today: date) -> Hours:
        """The hours touched since the first look of a day."""
        with self._lock:
            if self._dawn is None or self._dawn[0] != today:
                self._dawn = (today, touched.number)
            hours = touched.since(self._dawn[1])
            if len({hour // _HOURS_A_DAY for hour in hours}) > LATE_DAYS_MAX:
                self._dawn, hours = (today, touched.number), frozenset()
            return hours
