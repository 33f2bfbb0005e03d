"""The keeper: one thread that looks after the till's chunks while there are any.

It gives back what nobody uses, keeps alive what somebody does, and tells the desk again what it could not be told.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress

from outlay.sdk import attachment
from outlay.sdk.till import Till

TICK_S = 0.25
IDLE_NS = 1_000_000_000
"""How long a chunk may lie unused: what it parks is missing elsewhere."""

LEARN_EVERY = 8
"""Ticks after which what was learned is told, and what was spent of chunks in use."""


class Keeper:
    """Looks after one till."""

    def __init__(self, till: Till) -> None:
        self.till = till
        self._running = False
        self._tidied = 0
        self._stopping = threading.Event()
        till.wake = self.wake

    def wake(self) -> None:
        """There is a chunk to look after."""
        if self._running:
            return
        self._running = True
        before = attachment.put(None)  # the thread belongs to no session
        try:
            threading.Thread(target=self._work, name="outlay-keeper", daemon=True).start()
        except RuntimeError:  # no thread can be started any more: the lease's time to live does the rest
            self._running = False
        finally:
            attachment.put(before)

    def tick(self, number: int = 0) -> None:
        """What has to be done now."""
        till, now = self.till, time.time_ns()
        often = not number % LEARN_EVERY
        reports = [*till.idle(now - IDLE_NS), *till.alive(now, spent=often)]
        if reports or till.owed or (till.samples and often):
            till.report(reports)
        if often and till.counts.statements != self._tidied:
            self._tidied = till.counts.statements
            till.desk.tidy()

    def _work(self) -> None:
        number = 0
        while not self._stopping.wait(TICK_S):
            number += 1
            with suppress(Exception):  # a thread that dies would leave every chunk to its time to live
                self.tick(number)
            if not self.till.live and not self.till.owed and not self.till.samples:
                self._running = False
                if not self.till.live:  # nobody took one in between
                    return
                self._running = True

    def stop(self) -> None:
        """Gives everything back."""
        self._stopping.set()
        self.till.close()

    def after_fork(self) -> None:
        """The thread is the parent's."""
        self._running = False
        self._stopping = threading.Event()
        self.till.after_fork()
