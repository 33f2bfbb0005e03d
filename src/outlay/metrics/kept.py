"""Kept: answers that stay right as long as nothing is written to the books.

A page asks some two dozen questions, and planning their statements costs more than reading; a second look at an
unchanged state of the books gets the answers of the first. Every write ends that, so nothing here is ever out of date.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from outlay.metrics.piece_store import PieceStore

ROWS_KEPT_MAX = 20_000
"""Rows of all answers kept, each answer counted as one more: some megabytes."""

Found = TypeVar("Found")


class KeptAnswers:
    """What was answered about one state of the books, by question. Used by many threads."""

    def __init__(self, pieces: PieceStore | None = None) -> None:
        self.pieces = pieces
        self._found: dict[tuple[object, ...], Any] = {}
        self._rows = 0

    def get(
        self, key: tuple[object, ...], answer: Callable[[], Found], size: Callable[[Found], int] = lambda _: 1
    ) -> Found:
        """What is kept under a key, else the answer, which is kept; when full, all is forgotten and begun anew."""
        try:
            return self._found[key]
        except KeyError:
            found = answer()
        held = size(found)
        if self._rows + held > ROWS_KEPT_MAX:
            self._found, self._rows = {}, 0
        if held <= ROWS_KEPT_MAX:
            self._found[key] = found
            self._rows += held
        return found


class Kept:
    """The answers about the latest state of the books."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._version: object = None
        self._pieces = PieceStore()
        self._answers = KeptAnswers(self._pieces)

    def of(self, version: object) -> KeptAnswers:
        """The answers about this state (see `Snapshot.version`); none when it is another than the last one."""
        with self._lock:
            if version is not self._version:
                self._version, self._answers = version, KeptAnswers(self._pieces)
            return self._answers
