"""Courier: the thread that brings batches to the server, again and again until it takes them.

It never holds up the thread that writes the spool: a server that hangs costs a batch its punctuality, not its safety.
"""

from __future__ import annotations

import os
import queue
import random
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from outlay.sdk import spool as spools
from outlay.sdk.destination import Answer, Destination, Line, Whereabouts
from outlay.sdk.tags import say_once

BACK_OFF_FIRST_S = 0.5
BACK_OFF_MAX_S = 30.0
POST_BYTES_MAX = 4 * 1024 * 1024
HELD_BYTES_MAX = 16 * 1024 * 1024
"""Bodies kept in memory; beyond that a batch is read back from the spool when its turn comes."""

LOOK_EVERY_S = 1.0
"""How often a server that was not there is looked for, where looking is a glance at a file."""

ADOPT_EVERY_S = 60.0
ADOPT_AGE_S = 60.0


@dataclass(slots=True)
class Parcel:
    """One batch: its file (None where the disk took nothing), its bytes unless they are read from the file."""

    path: Path | None
    body: bytes | None
    size_bytes: int


@dataclass(slots=True)
class Counts:
    """What became of batches; read by `outlay.status()`."""

    delivered: int = 0
    delivered_bytes: int = 0
    refused: int = 0
    lost: int = 0


class Courier:
    """Sends parcels in the order in which they were written; `trouble` says what keeps it from it."""

    def __init__(self, where: Whereabouts, spool: spools.Spool) -> None:
        self.trouble = ""
        self.counts = Counts()
        self._where = where
        self._spool = spool
        self._inbox: queue.SimpleQueue[Parcel | None] = queue.SimpleQueue()
        self._waiting: deque[Parcel] = deque()
        self._held_bytes = 0
        self._given = self._done = 0
        self._back_off_s = 0.0
        self._retry_at = 0.0
        self._adopt_at = 0.0
        self._lock_handle: int | None = None
        self._line = Line()
        self._thread: threading.Thread | None = None

    def take(self, parcel: Parcel) -> None:
        """Accept a parcel; never waits."""
        if parcel.path is not None and self._held_bytes + parcel.size_bytes > HELD_BYTES_MAX:
            parcel.body = None
        if parcel.path is None and self._held_bytes + parcel.size_bytes > HELD_BYTES_MAX:
            self.counts.lost += 1
            return
        self._held_bytes += len(parcel.body or b"")
        self._given += 1
        self._inbox.put(parcel)

    def start(self) -> None:
        """Begin to work, unless it does already or the interpreter is ending."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._work, name="outlay-courier", daemon=True)
            self._thread.start()

    def hurry(self) -> None:
        """Try again now, whatever the pause was."""
        self._retry_at = 0.0
        self._inbox.put(None)

    @property
    def idle(self) -> bool:
        """Everything that was taken so far is delivered, refused or left in the spool for the house to fetch."""
        return self._done >= self._given

    @property
    def reachable(self) -> bool:
        """No try has failed since the last success."""
        return not self._back_off_s and self._where() is not None

    # ---- the thread ------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            try:
                parcel = self._inbox.get(timeout=self._pause())
                if parcel is not None:
                    self._waiting.append(parcel)
                while True:
                    following = self._inbox.get_nowait()
                    if following is not None:
                        self._waiting.append(following)
            except queue.Empty:
                pass
            try:
                self._deliver()
            except Exception as error:  # noqa: BLE001 - whatever happens, later batches are sent
                self.trouble = f"sending failed: {error!r}"
                self._fail(0)

    def _pause(self) -> float | None:
        """Seconds until there is something to do without being asked; None where there is nothing."""
        if self._waiting:
            return max(0.01, self._retry_at - time.monotonic())
        return None

    def _deliver(self) -> None:
        to = self._where()
        if to is None:
            self._leave()
            return
        if time.monotonic() < self._retry_at:
            return
        self._adopt(to)
        while self._waiting:
            group, body = self._gather()
            answer = self._line.post(to, body) if body else Answer(200)
            if not self._settle(group, answer):
                return

    def _leave(self) -> None:
        """No server: what is on disk is fetched when the house is opened, what is not waits here."""
        kept = deque(parcel for parcel in self._waiting if parcel.path is None)
        self._done += len(self._waiting) - len(kept)
        for parcel in self._waiting:
            if parcel.path is not None:
                self._let_go(parcel)
        self._waiting = kept
        self._back_off_s = 0.0
        self._retry_at = time.monotonic() + LOOK_EVERY_S

    def _gather(self) -> tuple[list[Parcel], bytes]:
        """The parcels of one request: requests put end to end are one request."""
        group: list[Parcel] = []
        bodies: list[bytes] = []
        size = 0
        while self._waiting and (not group or size + self._waiting[0].size_bytes <= POST_BYTES_MAX):
            parcel = self._waiting.popleft()
            body = parcel.body
            if body is None and parcel.path is not None:
                try:
                    body = parcel.path.read_bytes()
                except OSError:
                    body = b""  # somebody else has delivered it
            bodies.append(body or b"")
            size += parcel.size_bytes
            group.append(parcel)
        return group, b"".join(bodies)

    def _settle(self, group: list[Parcel], answer: Answer) -> bool:
        """Whether to go on with the next ones."""
        if answer.hopeless and len(group) > 1:
            for parcel in reversed(group):  # one of them is to blame: each alone
                self._waiting.appendleft(parcel)
            first = self._waiting.popleft()
            body = first.body or (first.path.read_bytes() if first.path and first.path.exists() else b"")
            to = self._where()
            return to is not None and self._settle([first], self._line.post(to, body))
        if not answer.taken and not answer.hopeless:
            for parcel in reversed(group):
                self._waiting.appendleft(parcel)
            said = f"the server answered {answer.status}: " if answer.status else ""
            self.trouble = said + answer.remark
            self._fail(answer.retry_after_s)
            return False
        for parcel in group:
            self._let_go(parcel)
            if answer.taken:
                self.counts.delivered += 1
                self.counts.delivered_bytes += parcel.size_bytes
                if parcel.path is not None:
                    self._spool.remove(parcel.path, parcel.size_bytes)
            else:
                self.counts.refused += 1
                self._put_aside(parcel)
        self._done += len(group)
        if answer.taken:
            self.trouble, self._back_off_s = "", 0.0
            if answer.remark:
                say_once(f"the server took a batch with a remark: {answer.remark}")
        else:
            say_once(f"the server refused a batch ({answer.status}): {answer.remark}")
        return True

    def _let_go(self, parcel: Parcel) -> None:
        self._held_bytes -= len(parcel.body or b"")
        parcel.body = None

    def _put_aside(self, parcel: Parcel) -> None:
        """What no server will ever take is kept under another name, for a person to look at."""
        if parcel.path is not None:
            try:
                parcel.path.replace(parcel.path.with_suffix(".refused"))
            except OSError:
                return

    def _fail(self, retry_after_s: float) -> None:
        """Wait before the next try, twice as long each time; every process a little differently."""
        self._back_off_s = min(BACK_OFF_MAX_S, self._back_off_s * 2 or BACK_OFF_FIRST_S)
        wait = max(retry_after_s, self._back_off_s * (0.75 + random.random() / 2))  # noqa: S311 - no secret
        self._retry_at = time.monotonic() + wait

    # ---- what others left ------------------------------------------------------------------------------------------

    def _adopt(self, to: Destination) -> None:
        """Take over batches of processes that ended before they could deliver; one process of a machine does it.

        The home's own server fetches from the home's spool by itself, so that only batches for elsewhere are adopted.
        """
        now = time.monotonic()
        if not self._where.endpoint or now < self._adopt_at or to.url != self._where.endpoint or not self._lead():
            return
        self._adopt_at = now + ADOPT_EVERY_S
        mine = os.getpid()
        old_ns = time.time_ns() - int(ADOPT_AGE_S * 1e9)
        for path in self._spool.waiting():
            writer = spools.writer_of(path)
            if writer == mine or (spools.written_ns(path) > old_ns and _alive(writer)):
                continue
            try:
                size = path.stat().st_size
            except OSError:
                continue
            self._given += 1
            self._waiting.append(Parcel(path, None, size))

    def _lead(self) -> bool:
        """Whether this process is the one that looks after the folder; it is until it ends."""
        if self._lock_handle is not None:
            return True
        try:
            import fcntl
        except ImportError:
            return True  # no such locks here: two may send the same, and the server counts it once
        try:
            handle = os.open(self._spool.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            return False
        self._lock_handle = handle
        return True


def _alive(pid: int) -> bool:
    if os.name == "nt":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
