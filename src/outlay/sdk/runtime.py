"""Runtime: what keeping a session alive took — seconds, processor time, memory — and the servers it declares.

Wall time is each session's own. Processor time and memory belong to the process, so at every moment they are divided
equally among the sessions that are open in it: the shares of all sessions add up to what the process used while any was
open, and what it used while none was is nobody's. Only the outermost session of a process is measured; its children are
inside it. A long session tells its runtime every minute, so that a process that is killed has lost one minute at most.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

from outlay.core.centre import Operation
from outlay.sdk import machine
from outlay.sdk.block import Block
from outlay.sdk.context import Context, current
from outlay.sdk.recorder import record, recorder
from outlay.sdk.step import Step, new_span_id, new_trace_id
from outlay.sdk.tags import clean, say_once

RUNTIME = Operation.RUNTIME.value
TELL_EVERY_S = 60.0
LOOK_EVERY_S = 1.0
"""How often the memory is looked at while a session is open."""

_MEMORY_FRESH_NS = 50_000_000
_NS_PER_MS = 1_000_000
_GIB = 1024**3


@dataclass(slots=True, eq=False)
class Share:
    """What one session has had so far: the sums of the process where it last told, in exact units."""

    context: Context
    told_ns: int
    cpu_ns: int = 0
    memory_byte_ns: int = 0


@dataclass(slots=True, eq=False)
class _Served:
    """A declared server: vCPU and memory that stand ready, in a session of their own or shared by all that are open."""

    context: Context
    name: str
    milli_vcpu: int
    memory_bytes: int
    told_ns: int
    shared: bool


class Meter:
    """The sums of the process. Times are monotonic nanoseconds, so that a clock that is set changes nothing."""

    def __init__(self, clock: Callable[[], int] = time.monotonic_ns, place: machine.Machine | None = None) -> None:
        self.open: dict[int, Share] = {}
        self.served: dict[int, _Served] = {}
        self._clock = clock
        self._place = place
        self._lock = threading.RLock()
        self._at_ns = 0
        self._cpu_at_ns = 0
        self._memory = 0
        self._memory_at_ns = -_MEMORY_FRESH_NS
        self._cpu_ns = self._memory_byte_ns = 0  # per open session, since the process began

    def begin(self, context: Context) -> Share:
        """A session opens."""
        with self._lock:
            self._advance()
            share = Share(context, self._at_ns, self._cpu_ns, self._memory_byte_ns)
            self.open[id(share)] = share
            return share

    def end(self, share: Share) -> dict[str, int]:
        """It ends: its last stretch as units, and those of the servers it declared as steps."""
        with self._lock:
            self._advance()
            for key, served in list(self.served.items()):
                if not served.shared and served.context.run is share.context.run:
                    self._tell_served(served)
                    del self.served[key]
            self.open.pop(id(share), None)
            return self._units(share)

    def declare(self, served: _Served) -> None:
        """A server stands ready."""
        with self._lock:
            self._advance()
            served.told_ns = self._at_ns
            self.served[id(served)] = served

    def withdraw(self, served: _Served) -> None:
        """It does no longer."""
        with self._lock:
            self._advance()
            if self.served.pop(id(served), None) is not None:
                self._tell_served(served)

    def tick(self) -> float | None:
        """Look at the machine, tell what is due; seconds until the next look, None while nothing is open."""
        with self._lock:
            if not self.open and not self.served:
                return None
            self._advance()
            due_ns = self._at_ns - int(TELL_EVERY_S * 1e9)
            for share in self.open.values():
                if share.told_ns <= due_ns:
                    began_ns = share.told_ns
                    self._record(share.context, "session", began_ns, self._units(share))
            for served in self.served.values():
                if served.told_ns <= due_ns:
                    self._tell_served(served)
            return LOOK_EVERY_S

    def _advance(self) -> None:
        """Give every open session its part of what was used since the last look."""
        now = self._clock()
        place = self._place = self._place or machine.find()
        try:
            cpu_ns = place.cpu_ns()
            if now - self._memory_at_ns >= _MEMORY_FRESH_NS:
                self._memory, self._memory_at_ns = place.memory_bytes(), now
        except (OSError, ValueError) as error:
            say_once(f"the machine's figures cannot be read: {error!r}")
            cpu_ns = self._cpu_at_ns
        if self.open:
            self._cpu_ns += max(0, cpu_ns - self._cpu_at_ns) // len(self.open)
            self._memory_byte_ns += self._memory * (now - self._at_ns) // len(self.open)
        self._at_ns, self._cpu_at_ns = now, cpu_ns

    def _units(self, share: Share) -> dict[str, int]:
        """What a session had since it last told, which is now; parts of a unit are kept for the next time."""
        wall_ms = max(1, (self._at_ns - share.told_ns) // _NS_PER_MS)
        cpu_ms = (self._cpu_ns - share.cpu_ns) // _NS_PER_MS
        gib_ms = (self._memory_byte_ns - share.memory_byte_ns) // (_GIB * _NS_PER_MS)
        share.told_ns = self._at_ns
        share.cpu_ns += cpu_ms * _NS_PER_MS
        share.memory_byte_ns += gib_ms * _GIB * _NS_PER_MS
        units = {"runtime_ms": wall_ms, "vcpu_ms": cpu_ms, "memory_gib_ms": gib_ms}
        return {name: quantity for name, quantity in units.items() if quantity}

    def _tell_served(self, served: _Served) -> None:
        began_ns, served.told_ns = served.told_ns, self._at_ns
        length_ms = (self._at_ns - began_ns) // _NS_PER_MS
        owners = [share.context for share in self.open.values()] if served.shared else [served.context]
        for owner in owners or [served.context]:
            parts = max(1, len(owners))
            units = {
                "vcpu_ms": served.milli_vcpu * length_ms // (1_000 * parts),
                "memory_gib_ms": served.memory_bytes * length_ms // (_GIB * parts),
            }
            self._record(owner, served.name, began_ns, {name: count for name, count in units.items() if count})

    def _record(self, context: Context, name: str, began_ns: int, units: dict[str, int]) -> None:
        if not units:
            return
        end_ns = time.time_ns()
        step = Step(RUNTIME, name, end_ns - max(0, self._clock() - began_ns), end_ns, units=units, context=context)
        step.trace_id, step.parent_span_id = context.trace_id or _OF_PROCESS[0], context.span_id or _OF_PROCESS[1]
        record(step)


_OF_PROCESS = (new_trace_id(), new_span_id())
"""A trace and an enclosing step for what runs outside any session: without one it would count as a session itself."""

_meter = Meter()


def begin(context: Context) -> Share | None:
    """Measure an outermost session; None where runtime is switched off or cannot be had."""
    try:
        if not _wanted:
            return None
        share = _meter.begin(context)
        _watch()
        return share
    except Exception as error:  # noqa: BLE001 - metering must never be the reason that an agent fails
        say_once(f"runtime is not measured: {error!r}")
        return None


def _watch() -> None:
    """Have the recorder's thread look at the machine now and then."""
    keeper = recorder()
    keeper.ticking = _meter.tick
    keeper.nudge()


def end(share: Share) -> dict[str, int]:
    """The last stretch of a session, as units."""
    try:
        return _meter.end(share)
    except Exception as error:  # noqa: BLE001 - see above
        say_once(f"runtime is not measured: {error!r}")
        return {}


_wanted = True


def want(*, measured: bool) -> None:
    """Whether sessions are measured at all."""
    global _wanted  # noqa: PLW0603 - a switch of the process
    _wanted = measured


class RuntimeBlock(Block[None]):
    """A declared server: it stands ready from the moment it is declared until the block, or its session, ends."""

    __slots__ = ("_served",)

    def __init__(self, served: _Served) -> None:
        self._served = served
        _meter.declare(served)

    def _again(self) -> RuntimeBlock:
        made = self._served
        context = current()
        return RuntimeBlock(_Served(context, made.name, made.milli_vcpu, made.memory_bytes, 0, not context.session_id))

    def _open(self, caller: FrameType) -> None:
        """It stands ready already."""

    def _shut(self, error: BaseException | None) -> None:  # noqa: ARG002 - it ends all the same
        _meter.withdraw(self._served)

    def close(self) -> None:
        """The server is gone."""
        _meter.withdraw(self._served)


def runtime(name: str, *, vcpu: float = 0, memory_gib: float = 0) -> RuntimeBlock:
    """Declare a tool server or memory store that is kept ready: its vCPU and GiB, until the block or session ends.

    Inside a session it is that session's. Outside any, it serves whatever sessions are open, and is divided among them.
    """
    context = current()
    if not all(0 <= figure < 1e6 for figure in (vcpu, memory_gib)):
        say_once(f"runtime {name!r} is declared with figures that cannot be; valid: vcpu and memory_gib of 0 or more")
        vcpu = memory_gib = 0
    served = _Served(
        context,
        clean("name", name) or RUNTIME,
        round(vcpu * 1_000),
        round(memory_gib * _GIB),
        0,
        not context.session_id,
    )
    block = RuntimeBlock(served)
    _watch()
    return block
