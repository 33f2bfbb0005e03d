"""Recorder: takes steps from the agent's threads in a microsecond or two, and gets them to disk and to the server.

`record` encodes a step and leaves its bytes with its run; a thread of our own joins what is there a few times a second,
writes it to the spool and hands it to the courier. No lock is taken on the caller's side, so it is safe in signal
handlers and finalisers. What waits is bytes, which a step's objects would outweigh three times, and which no garbage
collection has to look through; beyond some `WAITING_MAX` of them the oldest are dropped, and counted.
"""

from __future__ import annotations

import atexit
import logging
import os
import queue
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from outlay.sdk import context as contexts
from outlay.sdk.context import Run
from outlay.sdk.courier import Courier, Parcel
from outlay.sdk.destination import Whereabouts
from outlay.sdk.encode import Encoder
from outlay.sdk.settings import Settings
from outlay.sdk.spool import Spool, folder_of
from outlay.sdk.step import Step, new_span_id, new_trace_id
from outlay.sdk.surroundings import resource_attributes
from outlay.sdk.tags import say_once

LINGER_S = 0.2
"""How long a step waits for company: what `kill -9` can cost."""

HURRY_AT = 4_096
"""Steps after which the thread is woken before that."""

BATCH_STEPS_MAX = 8_192
WAITING_MAX = 262_144
"""Steps that may wait for the thread, some 90 MB: nothing comes near it while the thread gets to run at all."""

LOOK_EVERY = 64
"""Steps of one run, or runs, after which it is looked at how many wait in all."""

_log = logging.getLogger("outlay")


@dataclass(frozen=True, slots=True)
class Status:
    """What the SDK did in this process: steps `recorded`, of which `dropped`, and `waiting` to be written.

    Of batches: `delivered` to the server at `endpoint` (empty: none was found), `refused` by it for good, `lost` as
    there was neither room on disk nor a server; `spool_bytes` wait on disk. `trouble` says what is wrong at present.
    """

    recorded: int
    dropped: int
    waiting: int
    delivered: int
    refused: int
    lost: int
    spool_bytes: int
    spool: str
    endpoint: str
    trouble: str


class Recorder:
    """What waits to be written in one process, and the thread that writes it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._disabled = settings.disabled
        self._runs: deque[Run] = deque()  # those with something that waits
        self.dropped = 0
        self.ticking: Callable[[], float | None] | None = None
        self._taken = 0
        self._idle = True
        self._hurried = False
        self._closed = False
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._desk = threading.Lock()
        self._thread: threading.Thread | None = None
        self._where = Whereabouts(settings.home, settings.endpoint, settings.key)
        self._spool = Spool(settings.spool or folder_of(settings.home, settings.endpoint), settings.spool_bytes_max)
        self._courier = Courier(self._where, self._spool)
        self._encoder = Encoder({**resource_attributes(), **settings.resource}, settings.version)

    def take(self, step: Step) -> None:
        """Complete a step and keep it."""
        context = step.context
        if context is None:
            context = step.context = contexts.current()
        trace_id = step.trace_id
        if not trace_id:
            trace_id = step.trace_id = context.trace_id or new_trace_id()
        if not step.span_id:
            step.span_id = new_span_id()
        if not step.parent_span_id and trace_id == context.trace_id and step.span_id != context.span_id:
            step.parent_span_id = context.span_id
        if not step.end_ns:
            step.end_ns = time.time_ns()
        if not step.start_ns:
            step.start_ns = step.end_ns
        self.put(step)

    def put(self, step: Step) -> None:
        """Keep a step that is complete already: context, ids and times."""
        if self._disabled:
            return
        try:
            run = (step.context or contexts.current()).run
            span = self._encoder.span(step, run)
        except Exception as error:  # noqa: BLE001 - a value of a wrong type loses its own step only
            self.dropped += 1
            say_once(f"a step cannot be written and is dropped: {error!r}")
            return
        waiting = run.waiting
        waiting.append(span)  # before it is looked at who knows of it: `_batch` does both the other way round
        if run.listed_by is not self:
            self._list(run)
        elif not len(waiting) % LOOK_EVERY:
            self._look()
        if self._idle:
            self._awake()

    def nudge(self) -> None:
        """Begin to look at the clock, as for a session that opens."""
        if self._idle and not self._closed and not self.settings.disabled:
            self._awake()

    def _awake(self) -> None:
        self._idle = False
        if self._closed or not self._started():
            self.drain()  # at the very end of a process: at once, or never
            self._idle = True
            return
        self._wake.put(None)

    def _list(self, run: Run) -> None:
        """Have the thread know of a run; listed twice it is found empty once."""
        run.listed_by = self
        self._runs.append(run)
        if not len(self._runs) % LOOK_EVERY:
            self._look()

    def _look(self) -> None:
        """Wake the thread where many wait, and drop some where too many do."""
        waiting = self.waiting
        if waiting >= HURRY_AT and not self._hurried:
            self._hurried = True
            self._wake.put(None)
        if waiting > WAITING_MAX:
            dropped = 0
            for run in self._runs.copy():
                dropped += len(_taken(run.waiting, LOOK_EVERY - dropped))
            self.dropped += dropped
            say_once(f"steps are dropped: nothing more can be kept ({self._spool.trouble or 'too many at once'})")

    @property
    def waiting(self) -> int:
        """Steps that are not yet written."""
        return sum([len(run.waiting) for run in set(self._runs.copy())])

    def _started(self) -> bool:
        """Whether the threads run; at the end of the interpreter none can be started any more."""
        if self._thread is not None and self._thread.is_alive():
            return True
        try:
            self._thread = threading.Thread(target=self._work, name="outlay-recorder", daemon=True)
            self._thread.start()
            self._courier.start()
        except RuntimeError:
            self._thread = None
            return False
        if util := sys.modules.get("multiprocessing.util"):
            util.Finalize(None, self.close, exitpriority=100)  # such a process ends without atexit
        return True

    # ---- the thread ------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while not self._closed:
            try:
                self._wait()
                self.drain()
            except Exception as error:  # noqa: BLE001 - the agent must not notice, the next batch must go
                say_once(f"recording failed: {error!r}")

    def _wait(self) -> None:
        """Sleep until there is something to write: a step wakes the thread, then it waits a moment for others."""
        tick = self.ticking() if self.ticking is not None else None
        if not self._runs:
            self._idle = True
            if not self._runs:
                try:
                    self._wake.get(timeout=tick)
                except queue.Empty:
                    return
        self._idle = False
        try:
            while self.waiting < HURRY_AT:
                self._wake.get(timeout=LINGER_S)
        except queue.Empty:
            return

    def drain(self) -> None:
        """Write what waits."""
        with self._desk:
            self._hurried = False
            while batch := self._batch():
                self._taken += sum([len(spans) for _, spans in batch])
                self._write(self._encoder.request(batch))

    def _batch(self) -> list[tuple[Run, list[bytes]]]:
        """The oldest that wait, by run; of a run whose steps do not all fit, the rest is for the next batch."""
        batch: list[tuple[Run, list[bytes]]] = []
        room = BATCH_STEPS_MAX
        while room and self._runs:
            run = self._runs.popleft()
            run.listed_by = None  # whoever leaves a step from here on lists it anew
            spans = _taken(run.waiting, room)
            room -= len(spans)
            if spans:
                batch.append((run, spans))
            if not room and run.waiting:
                self._list(run)
        return batch

    def _write(self, body: bytes) -> None:
        path = self._spool.put(body, sync=not self._courier.reachable)
        if path is None and not self._spool.trouble:
            return
        if path is None:
            say_once(self._spool.trouble)
        self._courier.take(Parcel(path, body, len(body)))

    def forget(self) -> None:
        """Let go of what waits."""
        while self._runs:
            run = self._runs.popleft()
            run.listed_by = None
            run.waiting.clear()

    # ---- the end ---------------------------------------------------------------------------------------------------

    def flush(self, timeout_s: float) -> bool:
        """Write everything and wait until it is delivered; True when it is, or, without a server, on disk."""
        until = time.monotonic() + timeout_s
        self.drain()
        self._courier.hurry()
        while not self._courier.idle:
            if time.monotonic() >= until:
                return False
            time.sleep(0.005)
        return not self._courier.trouble

    def close(self, timeout_s: float = 2.0) -> None:
        """Flush and stop; what the server did not take in time stays in the spool. A later step is written at once."""
        self.flush(timeout_s)
        self._closed = self._idle = True
        self._wake.put(None)

    def status(self) -> Status:
        """What was done so far."""
        to = self._where()
        counts = self._courier.counts
        return Status(
            recorded=self._taken + self.dropped + (waiting := self.waiting),
            dropped=self.dropped,
            waiting=waiting,
            delivered=counts.delivered,
            refused=counts.refused,
            lost=counts.lost,
            spool_bytes=self._spool.size_bytes,
            spool=str(self._spool.folder),
            endpoint="" if to is None else to.url,
            trouble=self._spool.trouble or self._courier.trouble,
        )


def _taken(waiting: list[bytes], most: int) -> list[bytes]:
    """The oldest of them, taken out; others may put in at the same time."""
    with _desk.taking:
        taken = waiting[:most]
        del waiting[: len(taken)]
    return taken


class _Desk:
    """The recorder of this process, made when the first step comes."""

    def __init__(self) -> None:
        self.settings: Settings | None = None
        self.recorder: Recorder | None = None
        self.taking = threading.Lock()  # one for all recorders: a run may have passed from one to the next
        self._lock = threading.Lock()

    def open(self) -> Recorder:
        with self._lock:
            if self.recorder is None:
                self.recorder = Recorder(self.settings or Settings.from_environment())
            return self.recorder

    def after_fork(self) -> None:
        """A child has its own recorder and threads: what its parent had not yet sent is its parent's to send."""
        self._lock = threading.Lock()
        self.taking = threading.Lock()
        if self.recorder is not None:
            self.recorder.forget()
            ticking = self.recorder.ticking
            self.recorder = Recorder(self.recorder.settings)
            self.recorder.ticking = ticking


_desk = _Desk()
if hasattr(os, "register_at_fork"):  # not where there is no fork
    os.register_at_fork(after_in_child=_desk.after_fork)


def record(step: Step) -> None:
    """Keep a step. Never waits, never raises."""
    try:
        (_desk.recorder or _desk.open()).take(step)
    except Exception as error:  # noqa: BLE001 - metering must never be the reason that an agent fails
        say_once(f"a step could not be recorded: {error!r}")


def keep(step: Step) -> None:
    """The same for a step that lacks nothing: it saves looking at each of its ids and times."""
    try:
        (_desk.recorder or _desk.open()).put(step)
    except Exception as error:  # noqa: BLE001 - see above
        say_once(f"a step could not be recorded: {error!r}")


def recorder() -> Recorder:
    """The recorder of this process."""
    return _desk.recorder or _desk.open()


def configure(settings: Settings) -> Recorder:
    """Use these settings from now on; what was recorded before goes where it was meant to go."""
    before = _desk.recorder
    if before is not None and before.settings == settings:
        return before
    _desk.settings, _desk.recorder = settings, None
    if before is not None:
        before.close(timeout_s=0.5)
    return _desk.open()


@atexit.register
def _at_exit() -> None:
    if _desk.recorder is not None:
        try:
            _desk.recorder.close()
        except Exception:  # noqa: BLE001 - the process is ending
            _log.debug("closing failed", exc_info=True)
