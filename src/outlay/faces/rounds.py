"""Rounds: what a server does by itself from time to time, one thread for all of it.

A duty that fails is logged and tried again in its next round; it never stops the server or another duty.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

SHARE = 10
"""A duty takes at most one part in this many of the time."""

_log = logging.getLogger("outlay.rounds")


@dataclass(frozen=True, slots=True)
class Duty:
    """Something to do every `every_s` seconds, less often where it takes long."""

    name: str
    every_s: float  # not money: seconds
    do: Callable[[], object]


class Rounds:
    """The thread that goes on rounds, from `start` until `stop`."""

    def __init__(self, duties: Sequence[Duty]) -> None:
        self._duties = duties
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._walk, name="outlay-rounds", daemon=True)

    def start(self) -> None:
        """Begin; every duty is done at once, then in its turn."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the duty at hand and end."""
        self._stopped.set()
        self._thread.join()

    def _walk(self) -> None:
        due = {duty.name: time.monotonic() for duty in self._duties}
        while self._duties:
            first = min(self._duties, key=lambda duty: due[duty.name])
            if self._stopped.wait(max(0, due[first.name] - time.monotonic())):
                return
            began = time.monotonic()
            try:
                first.do()
            except Exception as error:  # noqa: BLE001 - the next round tries again, and the others go on
                _log.warning("%s: %s", first.name, error, exc_info=True)
            took = time.monotonic() - began
            due[first.name] = time.monotonic() + max(first.every_s, SHARE * took)
