"""Context: what is known about the work at hand — whose money, which session, which step encloses it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import Any

from outlay.core.envelope import ENVELOPE_KEYS, UNTAGGED, Envelope
from outlay.sdk import attachment


@dataclass(slots=True, eq=False)
class Run:
    """One agent run as the SDK sees it; every step inside shares it, and it is written once a batch.

    The recorder's own are `encoded`, the run as it goes over the wire, `waiting`, its steps that are to be written, and
    `listed_by`, the recorder that knows of them. `lease` is the money set aside around the run (see `guard.py`),
    `account` the till's own: what binds it. `began_ns` is when the outermost session here began.
    """

    envelope: Envelope = field(default_factory=Envelope)
    session_id: str = ""
    parent_session_id: str = ""
    root_session_id: str = ""
    task_id: str = ""
    user: str = ""
    ended: bool = False
    encoded: bytes = b""
    waiting: list[bytes] = field(default_factory=list[bytes])
    listed_by: object = None
    lease: Any = None
    account: Any = None
    began_ns: int = 0


@dataclass(slots=True, eq=False)
class Context:
    """A run, and the step that encloses whatever begins now. Ids are bytes (16 and 8), empty where there is none.

    `purpose` is what model calls inside are for where that is another operation than their own: those of a judge are
    part of the check, not of the answer. `otel_span_id` is OpenTelemetry's current span when the step began.
    """

    run: Run
    trace_id: bytes = b""
    span_id: bytes = b""
    purpose: str = ""
    otel_span_id: bytes = b""

    @property
    def envelope(self) -> Envelope:
        """Whose money it is."""
        return self.run.envelope

    @property
    def session_id(self) -> str:
        """The agent run, empty outside any."""
        return self.run.session_id

    @property
    def parent_session_id(self) -> str:
        """The run that started this one."""
        return self.run.parent_session_id

    @property
    def root_session_id(self) -> str:
        """The run in which it all began."""
        return self.run.root_session_id or self.run.session_id

    @property
    def task_id(self) -> str:
        """The task that is worked on."""
        return self.run.task_id

    @property
    def agent(self) -> str:
        """The agent at work, empty where nobody said."""
        agent = self.run.envelope.agent
        return "" if agent == UNTAGGED else agent


def under(context: Context, envelope: Envelope, lease: object) -> Context:
    """The same place in the same run, under an envelope and a lease of its own (`replace` takes five times as long)."""
    run = context.run
    made = Run(envelope, run.session_id, run.parent_session_id, run.root_session_id, run.task_id, run.user)
    made.lease, made.began_ns = lease, run.began_ns
    if envelope is run.envelope:
        made.account = run.account
    if type(context) is Context:
        return Context(made, context.trace_id, context.span_id, context.purpose, context.otel_span_id)
    inside = copy(context)
    inside.run = made
    return inside


class _Outside:
    """The context of the process: what its environment says, read once."""

    def __init__(self) -> None:
        self._context: Context | None = None

    def __call__(self) -> Context:
        if self._context is None:
            from outlay.sdk.surroundings import context_of_process

            self._context = context_of_process()
        return self._context

    def forget(self) -> None:
        """Read the environment again."""
        self._context = None


outside = _Outside()

around: Callable[[Context], Context] | None = None
"""Puts a context under OpenTelemetry's current span; None where there is no OpenTelemetry. See `otel.py`."""


def current() -> Context:
    """What is in force here: the innermost session, agent or step, else what the environment of the process says."""
    return of(attachment.active())


def of(held: attachment.Held | None) -> Context:
    """What is in force where this is; None: nothing that was attached."""
    context = outside() if held is None else held.known or held.here
    return context if around is None else around(context)


def current_envelope() -> Envelope:
    """Whose money is being spent here."""
    return current().run.envelope


class attached:  # noqa: N801 - reads as a verb in a `with`
    """Puts a context that was captured elsewhere in force for a block: `with attached(job.carrier): …`.

    Takes a Context, or the text that `carrier()` gave. A text that cannot be read changes nothing.
    """

    def __init__(self, context: Context | str | Mapping[str, str] | None) -> None:
        self._context = context
        self._made: attachment.Attachment | None = None

    def __enter__(self) -> Context:
        return self._enter(attachment.frame_at(1))

    def _enter(self, caller: FrameType) -> Context:
        context = self._context if isinstance(self._context, Context) else context_of(self._context)
        if context is None:
            return current()
        self._made = attachment.attach(context, caller)
        return context

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._made is not None:
            attachment.detach(self._made)
            self._made = None

    async def __aenter__(self) -> Context:
        return self._enter(attachment.frame_at(1))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)


# ------------------------------------------------------------------------------------------------ as text, to carry

_FIELDS = {"session": "session_id", "parent": "parent_session_id", "root": "root_session_id", "task": "task_id"}


def carrier() -> str:
    """What is in force here as a line of text, to put into a message, a job or a header; empty outside any session.

    Whoever works on it elsewhere writes `with outlay.attached(text):`.
    """
    from urllib.parse import urlencode

    context = current()
    run = context.run
    said = {key: getattr(run, name) for key, name in _FIELDS.items()}
    said["root"] = context.root_session_id
    said |= {"user": run.user, "trace": context.trace_id.hex(), "span": context.span_id.hex()}
    said |= {key: value for key in ENVELOPE_KEYS if (value := getattr(run.envelope, key)) != UNTAGGED}
    said |= {f"tag.{key}": value for key, value in run.envelope.tags.items()}
    return urlencode({key: value for key, value in said.items() if value})


def context_of(text: str | Mapping[str, str] | None) -> Context | None:
    """The context that a carrier holds; None for one that holds nothing or cannot be read."""
    if isinstance(text, Mapping):
        text = next((value for key, value in text.items() if key.lower() == HEADER), "")
    if not isinstance(text, str) or not text or len(text) > CARRIER_CHARACTERS_MAX:
        return None
    from urllib.parse import parse_qsl

    try:
        said = dict(parse_qsl(text, max_num_fields=CARRIER_FIELDS_MAX))
        trace_id, span_id = bytes.fromhex(said.get("trace", "")), bytes.fromhex(said.get("span", ""))
    except ValueError:
        return None
    if len(trace_id) not in {0, 16} or len(span_id) not in {0, 8}:
        return None
    from outlay.sdk.tags import envelope_of

    words = {key: said[key] for key in ENVELOPE_KEYS if key in said}
    tags = {key[4:]: value for key, value in said.items() if key.startswith("tag.")}
    run = Run(envelope_of(words, tags), user=said.get("user", ""))
    for key, name in _FIELDS.items():
        setattr(run, name, said.get(key, ""))
    return Context(run, trace_id, span_id if trace_id else b"") if said else None


HEADER = "outlay-context"
"""The header (and key of a mapping) under which a carrier travels."""

CARRIER_CHARACTERS_MAX = 32_768
CARRIER_FIELDS_MAX = 200
