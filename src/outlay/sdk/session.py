"""Sessions and agents: one agent run, tagged in one line; what runs inside another run is its child.

A session is written down as one step of its own when it ends, around everything that happened in it. Its id, its
parent's and its tags stand on every step inside, so that nothing depends on that last line being written.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from decimal import Decimal
from hashlib import blake2b
from types import FrameType
from typing import Any, TypeVar, overload

from outlay.core.centre import Operation
from outlay.core.envelope import ENVELOPE_KEYS, UNTAGGED, VALUE_CHARACTERS_MAX, Envelope
from outlay.sdk import attachment, runtime
from outlay.sdk.block import Block
from outlay.sdk.context import Context, Run, current
from outlay.sdk.gate import watched
from outlay.sdk.otel import look
from outlay.sdk.outcome import complete
from outlay.sdk.recorder import record
from outlay.sdk.setup import ensure
from outlay.sdk.step import Step, new_span_id, new_trace_id
from outlay.sdk.steps import failure_of
from outlay.sdk.tags import clean, envelope_of, say_once

AGENT = Operation.AGENT.value
WORKFLOW = Operation.WORKFLOW.value

Function = TypeVar("Function", bound=Callable[..., Any])

_REMEMBERED_MAX = 1_024
_remembered: OrderedDict[str, Envelope] = OrderedDict()


class Session:
    """An open session: who it is, and how to end its task."""

    __slots__ = ("_context", "_step")

    def __init__(self, context: Context, step: Step) -> None:
        self._context = context
        self._step = step

    @property
    def id(self) -> str:
        """The session's id."""
        return self._context.run.session_id

    @property
    def parent_id(self) -> str:
        """The session that started this one, empty for none."""
        return self._context.run.parent_session_id

    @property
    def root_id(self) -> str:
        """The session in which it all began."""
        return self._context.root_session_id

    @property
    def task_id(self) -> str:
        """The task it works on, empty where nobody said."""
        return self._context.run.task_id

    @property
    def envelope(self) -> Envelope:
        """Whose money it is."""
        return self._context.run.envelope

    @property
    def context(self) -> Context:
        """What is in force inside, to be attached elsewhere."""
        return self._context

    def complete(
        self,
        outcome: str = "done",
        *,
        value: Decimal | float | str | None = None,
        currency: str = "",
        task: str = "",
        type: str = "",  # noqa: A002 - the word of the outcome
    ) -> None:
        """Say how its task ended: see `outlay.complete`."""
        complete(outcome, value=value, currency=currency, task=task, type=type, context=self._context)


class SessionBlock(Block[Session]):
    """A session or an agent, not yet begun: `with`, `async with`, or in front of a function."""

    __slots__ = ("_made", "_meter", "_name", "_process", "_said", "_step")

    def __init__(self, said: Mapping[str, object], name: str = "") -> None:
        self._said = said
        self._name = name
        self._made: attachment.Attachment | None = None
        self._step: Step | None = None
        self._meter: runtime.Share | None = None
        self._process = 0

    def _again(self) -> SessionBlock:
        return SessionBlock(self._said, self._name)

    def _open(self, caller: FrameType) -> Session:
        ensure()
        look()
        outer = current()
        run = _run_of(self._said, outer.run)
        agent = run.envelope.agent if self._name or self._said.get("agent") else ""
        step = Step(AGENT if agent else WORKFLOW, agent or "session", time.time_ns())
        step.trace_id, step.span_id = outer.trace_id or new_trace_id(), new_span_id()
        step.parent_span_id = outer.span_id
        context = Context(run, step.trace_id, step.span_id, outer.purpose, outer.otel_span_id)
        step.context = context
        if watched():
            from outlay.sdk import caps

            caps.begin_session(run, outer)
        outermost = attachment.active() is None
        self._made = attachment.attach(context, caller)
        self._step, self._process = step, os.getpid()
        self._meter = runtime.begin(context) if outermost else None
        return Session(context, step)

    def _shut(self, error: BaseException | None) -> None:
        made, step = self._made, self._step
        if made is None or step is None:
            return
        self._made = self._step = None
        attachment.detach(made)
        if self._process != os.getpid():
            return  # a child process leaves the block too: it is its parent's to write down
        made.here.run.ended = True
        step.end_ns = time.time_ns()
        if error is not None:
            step.error_type = failure_of(error)
        if self._meter is not None:
            step.units = runtime.end(self._meter)
            self._meter = None
        record(step)


@overload
def session(function: Function, /) -> Function: ...
@overload
def session(
    *,
    team: str | None = None,
    feature: str | None = None,
    tier: str | None = None,
    id: str | None = None,
    agent: str | None = None,
    product_line: str | None = None,
    environment: str | None = None,
    customer: str | None = None,
    cost_code: str | None = None,
    task: str | None = None,
    user: str | None = None,
    **tags: object,
) -> SessionBlock: ...
def session(function: Callable[..., Any] | None = None, /, **said: Any) -> Any:
    """One agent run: everything inside is metered under its tags.

    Use it as `with outlay.session(team="search", feature="answers"):`, with `async with`, or in front of a function
    (with or without brackets), coroutine or generator. `id` is made where it is left out; `tier` is the tier of the
    user; whatever is no word of the envelope is a tag. Inside another session it is a child: it inherits what it does
    not say itself. With the id of the session it is inside, it is that session again.
    """
    block = SessionBlock(said)
    return block if function is None else block(function)


@overload
def agent(name: Function, /) -> Function: ...
@overload
def agent(name: str, /, *, task: str | None = None, id: str | None = None, **tags: object) -> SessionBlock: ...
def agent(name: Any, /, **said: Any) -> Any:
    """One run of a named agent: a session with the agent's name; inside another session, its child.

    Use it like `outlay.session`; in front of a function without brackets, the agent has the function's name.
    """
    if callable(name):
        own = getattr(name, "__name__", type(name).__name__)
        return SessionBlock({"agent": own}, own)(name)
    text = clean("agent", name)
    return SessionBlock({**said, "agent": text or None}, text)


_OWN_WORDS = frozenset({"id", "task", "user"})


def _run_of(said: Mapping[str, object], outer: Run) -> Run:
    """The run that begins inside `outer` with these words."""
    own = envelope_of({}, {key: value for key, value in said.items() if key not in _OWN_WORDS})
    envelope = own.inherit(outer.envelope)
    named = _identity(said.get("id"))
    task, user = _identity(said.get("task")) or outer.task_id, clean("user", said.get("user")) or outer.user
    if named and named == outer.session_id:
        _compare(named, own, outer.envelope)
        ids = (outer.parent_session_id, outer.root_session_id, task, user)
        return Run(envelope, named, *ids, lease=outer.lease, began_ns=outer.began_ns)
    if named:
        _compare(named, own, _remembered.get(named))
        _remembered[named] = envelope
        if len(_remembered) > _REMEMBERED_MAX:
            _remembered.popitem(last=False)
    session_id = named or new_session_id()
    root = outer.root_session_id or outer.session_id or session_id
    ids = (session_id, outer.session_id, root, task, user)
    return Run(envelope, *ids, lease=outer.lease, began_ns=outer.began_ns or time.time_ns())


def _compare(session_id: str, own: Envelope, before: Envelope | None) -> None:
    """Say once where one session is said to be of two teams; each step is booked under the word it was done under."""
    if before is None:
        return
    for key in ENVELOPE_KEYS:
        now, then = getattr(own, key), getattr(before, key)
        if UNTAGGED not in {now, then} and now != then and key != "agent":
            say_once(
                f"session {session_id[:64]!r} was of {key} {then!r} and is now of {now!r}; each step keeps its own"
            )


def _identity(value: object) -> str:
    """An id as text. One that is too long for a label is cut and ends in a digest, so that it still is one identity."""
    if value is None:
        return ""
    text = "".join(character if character.isprintable() else "?" for character in str(value).strip())
    if len(text) <= VALUE_CHARACTERS_MAX:
        return text
    return f"{text[:200]}~{blake2b(text.encode('utf-8', 'replace'), digest_size=16).hexdigest()}"


def new_session_id() -> str:
    """A version 7 UUID: unique, and in order of time."""
    number = (time.time_ns() // 1_000_000 & 0xFFFFFFFFFFFF) << 80 | int.from_bytes(os.urandom(10), "big")
    number = number & ~(0xF << 76) | 7 << 76
    number = number & ~(0x3 << 62) | 2 << 62
    text = f"{number:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
