"""Attachment: which context is in force here, and for how long.

A `ContextVar` of our own holds it, so nothing of it is ever sent along by W3C baggage. Asyncio copies it into tasks,
and `threads.py` into threads. Generators are the hard case: the variable belongs to whoever drives them, so what a
generator attaches would stay in force for its consumer while it is suspended. Therefore an attachment made in the body
of a generator is bound to its frame: it counts while that frame is on the stack, and nowhere else in the same task.
A task or thread that was started inside the block holds a copy, and keeps it.
"""

from __future__ import annotations

import inspect
import sys
import weakref
from contextvars import ContextVar
from threading import get_ident
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from outlay.sdk.context import Context

_GENERATOR = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR

LENDERS = frozenset({"contextlib", "_pytest.fixtures", "pytest_asyncio.plugin"})
"""Modules that run a generator as two halves of a `with`: what it attaches is meant for whoever asked them."""


_Owner = tuple[int, "weakref.ref[Any] | None"]
NOBODY: _Owner = (0, None)


class Held:
    """What is in force. `outer` is what was in force before, `below` what the variable held.

    `known` is the context; None where nobody has asked for it yet, as in a step in which nothing else happens. `frame`
    and `owner` say which generator, of which task, it is bound to, `ended` that this is over, `lent` that it ends with
    its session: few are any of that. (Whoever is one has the slots: a step's block is its own, because making another
    object takes as long as all else here.)
    """

    __slots__ = ()

    known: Context | None
    outer: Held | None
    below: Held | None
    frame: FrameType | None = None
    owner: _Owner = NOBODY
    ended: bool = False
    lent: bool = False

    @property
    def here(self) -> Context:
        """The context in force."""
        made = self.known
        if made is None:
            made = self.known = self.inside()
        return made

    def inside(self) -> Context:
        """Make the context."""
        raise TypeError(f"{type(self).__name__} has no context")


class Attachment(Held):
    """A context in force."""

    __slots__ = ("below", "ended", "frame", "known", "lent", "outer", "owner")

    def __init__(self, context: Context) -> None:
        self.known = context
        self.outer = self.below = self.frame = None
        self.owner = NOBODY
        self.ended = self.lent = False


frame_at = sys._getframe  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - the stack has no other door
"""The frame that many calls up."""

_current: ContextVar[Held | None] = ContextVar("outlay", default=None)
_bound: dict[FrameType, list[Held]] = {}
_latest_plain: list[CodeType | None] = [None]
"""The code that attached last and is neither a generator's nor a lender's: mostly it is the one that attaches next."""


def active() -> Held | None:
    """What is in force here, None where nothing was attached."""
    held = _current.get()
    if _bound or (held is not None and (held.ended or held.lent)):
        return _resolved(held)
    return held


def attach(context: Context, caller: FrameType) -> Attachment:
    """Put a context in force; `caller` is the frame of whoever wrote the `with`."""
    made = Attachment(context)
    hold(made, caller)
    return made


def hold(made: Held, caller: FrameType) -> Held | None:
    """Put in force what has its context, or makes it when somebody asks; gives what was in force until now."""
    below = outer = _current.get()
    if _bound or (below is not None and (below.ended or below.lent)):
        outer = _resolved(below)
    made.outer, made.below = outer, below
    code = caller.f_code
    if code is not _latest_plain[0]:
        if code.co_flags & _GENERATOR or caller.f_globals.get("__name__") in LENDERS:
            frame = _home_of(caller)
            if frame is not None:
                made.frame, made.owner = frame, _owner()
                _bound.setdefault(frame, []).append(made)
        else:
            _latest_plain[0] = code
    _current.set(made)
    return outer


def detach(made: Held) -> None:
    """Take it out of force, also from another task or thread than the one that attached it."""
    if made.frame is not None:
        stack = _bound.get(made.frame, [])
        if made in stack:
            stack.remove(made)
        if not stack:
            _bound.pop(made.frame, None)
        made.frame, made.ended = None, True
    if _current.get() is made:
        below = made.below
        _current.set(_cleared(below) if below is not None and below.ended else below)


def put(held: Held | None) -> Held | None:
    """Make this the value of the variable, as a worker does for the length of a job; answers what it was."""
    before = _current.get()
    _current.set(held)
    return before


def portable() -> Held | None:
    """What is in force here in a form that another thread may hold: bound to no frame of this one."""
    held = active()
    return held if held is None or held.frame is None else Attachment(held.here)


def lent(held: Held) -> Attachment:
    """The same for a worker that may outlive the session: it is in force until that ends."""
    made = Attachment(held.here)
    made.lent = True
    return made


def _home_of(caller: FrameType) -> FrameType | None:
    """The generator's frame an attachment is bound to; None where whoever wrote the `with` is no generator.

    A generator that is run by `contextlib` lends what it attaches to the block that asked for it.
    """
    frame: FrameType | None = caller
    while frame is not None:
        if frame.f_globals.get("__name__") in LENDERS:
            frame = frame.f_back
        elif not frame.f_code.co_flags & _GENERATOR:
            return None
        elif frame.f_back is not None and frame.f_back.f_globals.get("__name__") in LENDERS:
            frame = frame.f_back
        else:
            return frame
    return None


def _resolved(held: Held | None) -> Held | None:
    """What is in force while generators hold attachments: the innermost frame on the stack that is bound to one."""
    running: list[Held] = []
    frame: FrameType | None = frame_at(1)
    while frame is not None:
        if frame in _bound:
            running.append(_bound[frame][-1])
        frame = frame.f_back
    if held is not None and held.lent and held.here.run.ended:
        held = None
    if held is not None and held.ended and held is not (cleared := _cleared(held)):
        _current.set(cleared)  # nor may tasks that are started later take it for one they were started in
        held = cleared
    here: _Owner | None = None
    while held is not None and (held.ended or (held.frame is not None and not _on_stack(held, running))):
        here = here or _owner()
        if held.owner != here:
            break  # a copy, in a task or thread that was started inside the block
        held = held.outer
    if not running or _within(held, running[0]):
        return held
    return running[0]


def _cleared(held: Held | None) -> Held | None:
    """Without what has ended here in the meantime, as a generator's that ended before its consumer's."""
    while held is not None and held.ended and held.owner == _owner():
        held = held.below
    return held


def _on_stack(held: Held, running: list[Held]) -> bool:
    return any(one.frame is held.frame for one in running)


def _within(held: Held | None, outer: Held) -> bool:
    """Whether `held` was attached while `outer` was in force, or is it."""
    while held is not None:
        if held is outer:
            return True
        held = held.outer
    return False


def _owner() -> _Owner:
    """The thread, and the task if there is one."""
    asyncio = sys.modules.get("asyncio")
    task = None
    if asyncio is not None:
        try:
            task = asyncio.current_task()
        except RuntimeError:
            task = None
    return get_ident(), None if task is None else weakref.ref(task)
