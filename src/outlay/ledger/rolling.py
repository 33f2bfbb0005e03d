"""Rolling up at the right moment: when nothing waits, and now and then while facts stream in."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from outlay.core.errors import StoreError
from outlay.ledger.posting import Clerk

ROLL_UP_IDLE_S = 1
ROLL_UP_PAUSE_S = 30
ROLL_UP_SHARE = 50
"""One part in this many of a busy clerk's time: a stale day is only read more slowly, so there is no hurry."""

_log = logging.getLogger("outlay.intake")


class Roller:
    """Adds up stale days for the clerk; used by the clerk's thread. `stale` says that there may be some."""

    def __init__(self, clerk: Clerk, is_busy: Callable[[], bool]) -> None:
        self.stale = True
        self._clerk = clerk
        self._is_busy = is_busy
        self._last = time.monotonic()
        self._pause: float = ROLL_UP_PAUSE_S

    def run_if_due(self) -> None:
        """Add up a part while facts stream in, if it is time for it."""
        if self.stale and time.monotonic() - self._last >= self._pause:
            self.run()

    def run(self) -> None:
        """Add up what is stale: all of it while nothing waits, else a part."""
        began = time.monotonic()
        try:
            while (more := self._clerk.books.roll_up()) and not self._is_busy():
                pass
            self.stale = more
        except StoreError as error:  # the days stay stale, are read row by row, and are tried with the next ones
            self.stale = False
            _log.warning("days could not be added up: %s", error.message)
        self._last = time.monotonic()
        self._pause = max(ROLL_UP_PAUSE_S, ROLL_UP_SHARE * (self._last - began))
