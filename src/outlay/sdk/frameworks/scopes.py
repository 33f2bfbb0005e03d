"""Scopes: an agent's run, a tool call, a search or a check, as the hooks of the frameworks begin and end them."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from outlay.core.centre import Operation
from outlay.core.envelope import UNTAGGED
from outlay.sdk import attachment, context, recorder
from outlay.sdk.context import Context, Run
from outlay.sdk.frameworks.families import families
from outlay.sdk.gate import watched
from outlay.sdk.session import new_session_id
from outlay.sdk.step import Step, new_span_id, new_trace_id
from outlay.sdk.steps import failure_of
from outlay.sdk.tags import clean


@dataclass(slots=True, eq=False)
class _Inside(Context):
    """Inside a scope; `outer` is what was in force around it."""

    outer: Context | None = None


@dataclass(slots=True, eq=False)
class _InAgent(_Inside):
    """Inside an agent's run; a group's is that of those who take turns in it."""

    name: str = ""
    is_group: bool = False


@dataclass(slots=True, eq=False)
class _InTool(_Inside):
    """Inside a tool call."""


class _Carried:
    """What was in force elsewhere, in force again: a message is handled as its sender would have."""

    def __init__(self, carried: Context) -> None:
        self._context = carried

    def open(self) -> None:
        """Nothing begins."""

    def current(self) -> AbstractContextManager[None]:
        """In force for a block."""
        return _InForce(self._context)

    def close(self, error: object) -> None:
        """Nothing ends."""


class _Timed(_Carried):
    """A scope that is written down as a step when it ends."""

    def __init__(self, operation: Operation, name: str, outer: Context | None = None) -> None:
        self._outer = outer or context.current()
        super().__init__(self._outer)
        self._operation = operation
        self._name = clean("name", name)
        self._start_ns = 0

    def open(self) -> None:
        """Begins here and now."""
        self._start_ns = time.time_ns()
        outer = self._outer
        self._context = self._inner(outer, outer.trace_id or new_trace_id(), new_span_id())

    def _inner(self, outer: Context, trace_id: bytes, span_id: bytes) -> _Inside:
        kind = _InTool if self._operation is Operation.TOOL else _Inside
        if kind is _InTool and watched():
            from outlay.sdk import caps

            caps.mark_tool(outer.run, outer)
        purpose = self._operation.value if self._operation is Operation.GUARDRAIL else outer.purpose
        return kind(outer.run, trace_id, span_id, purpose, outer.otel_span_id, outer)

    def close(self, error: object) -> None:
        """Ends, and is recorded; `error` is an exception, a word, or None where it went well."""
        inner, outer = self._context, self._outer
        step = Step(
            operation=self._operation.value,
            name=self._name,
            start_ns=self._start_ns,
            end_ns=time.time_ns(),
            error_type=_word(error),
            trace_id=inner.trace_id,
            span_id=inner.span_id,
            parent_span_id=outer.span_id,
            context=inner,
        )
        recorder.record(step)


class _Agent(_Timed):
    """An agent's run, in the session that is its own."""

    def __init__(self, name: str, outer: Context, *, is_group: bool, is_recorded: bool) -> None:
        super().__init__(Operation.AGENT, name, outer)
        self._is_group = is_group
        self._is_recorded = is_recorded

    def _inner(self, outer: Context, trace_id: bytes, span_id: bytes) -> _Inside:
        span_id = span_id if self._is_recorded else outer.span_id
        run = _run_of(self._name, outer)
        if watched():
            from outlay.sdk import caps

            caps.mark_session(run, outer)
        around = (outer.purpose, outer.otel_span_id, outer)
        return _InAgent(run, trace_id, span_id, *around, self._name, self._is_group)

    def close(self, error: object) -> None:
        """Ends; recorded where this is the run and not a part of it."""
        if self._is_recorded:
            super().close(error)


def _run_of(name: str, outer: Context) -> Run:
    """The run of the agent `name` that is started in `outer`."""
    run = outer.run
    call = outer.span_id if isinstance(outer, _InTool) else b""
    session_id = run.session_id or new_session_id()
    own = families.session_of(session_id, name, call)
    if own == session_id:
        envelope = run.envelope if run.envelope.agent != UNTAGGED else replace(run.envelope, agent=name)
        return replace(run, envelope=envelope, session_id=session_id, encoded=b"", account=None)
    return Run(
        replace(run.envelope, agent=name),
        session_id=own,
        parent_session_id=session_id,
        root_session_id=run.root_session_id or session_id,
        task_id=run.task_id,
        user=run.user,
        lease=run.lease,
        began_ns=run.began_ns or time.time_ns(),
    )


def agent(name: str, *, is_group: bool = False, is_recorded: bool = True) -> _Carried | None:
    """An agent's run; None where it is this agent's run already.

    `is_group` says that others take turns in it; what is not `is_recorded` is a part of a run that is.
    """
    here = context.current()
    if not name or (isinstance(here, _InAgent) and here.name == clean("name", name)):
        return None
    return _Agent(name, here, is_group=is_group, is_recorded=is_recorded)


def participant(name: str) -> _Carried:
    """An agent's turn in the group it belongs to, whoever had the turn before."""
    return _Agent(name, _group_of(context.current()), is_group=False, is_recorded=True)


def group() -> _Carried:
    """The group itself at work, between the turns of its agents."""
    return _Carried(_group_of(context.current()))


def tool(name: str) -> _Carried:
    """A tool call."""
    return _Timed(Operation.TOOL, name)


def retrieval(name: str) -> _Carried:
    """A search."""
    return _Timed(Operation.RETRIEVAL, name)


def guardrail(name: str) -> _Carried:
    """A check."""
    return _Timed(Operation.GUARDRAIL, name)


def carried() -> _Carried:
    """What is in force here, to be in force elsewhere."""
    return _Carried(context.current())


def _group_of(here: Context) -> Context:
    """The innermost group around, else where we are."""
    around: Context | None = here
    while isinstance(around, _Inside):
        if isinstance(around, _InAgent) and around.is_group:
            return around
        around = around.outer
    return here


class _InForce:
    """A context in force for a block, whoever writes the block: `around` enters and leaves it step by step."""

    __slots__ = ("_context", "_made")

    def __init__(self, inner: Context) -> None:
        self._context = inner
        self._made: attachment.Attachment | None = None

    def __enter__(self) -> None:
        # This function's own frame: it is no generator, so the attachment is bound to none.
        self._made = attachment.attach(self._context, attachment.frame_at(0))

    def __exit__(self, *_: object) -> None:
        if self._made is not None:
            attachment.detach(self._made)


def _word(error: object) -> str:
    """What went wrong, in a word: the kind of an exception, never its text."""
    if error is None:
        return ""
    if isinstance(error, BaseException):
        return failure_of(error)
    return error if isinstance(error, str) else "error"
