"""The gate: where a budget is asked before a call is sent, while it streams and after it ended.

Nothing stands here by default and then nothing is asked. Whoever registers a gate is asked on the path of every metered
call, in the caller's own thread or task, so it must answer from memory.

    before(call)             may lower the ceiling, swap the model, wait, or raise RefusedError: then nothing is sent
    before_async(call)       the same for async clients, where a gate has it: it may wait without blocking the loop
    on_chunk(call, tokens)   False cuts the stream after what has arrived
    settle(call, steps)      exactly once for every call that `before` let pass, however it ended
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from outlay.core.errors import OutlayError

REFUSED_STATUS = 402
"""What a refused call is answered with where its client turns every error into its own: no client retries a 402."""


class RefusedError(OutlayError):
    """A call was not sent, or its stream was cut, because a gate said so."""

    code = "refused"
    status = REFUSED_STATUS

    def as_answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body (RFC 9457) with which a client is answered in the provider's place.

        The clients of OpenAI and Anthropic wrap whatever a transport raises and try again first; an answer that may not
        be retried reaches the agent at once and whole.
        """
        said = {
            "type": f"urn:outlay:{self.code}",
            "title": self.message,
            "status": self.status,
            "detail": "\n".join(self.detail),
        }
        problem = {**said, "hint": self.hint, "error": {"type": self.code, "code": self.code, "message": self.message}}
        headers = {"content-type": "application/problem+json", "x-should-retry": "false", "x-outlay-refused": "true"}
        return self.status, headers, json.dumps(problem, ensure_ascii=False).encode()


@dataclass(slots=True)
class PendingCall:
    """One attempt that has not been sent yet, as far as it is known. `max_tokens` is None where it names no ceiling.

    `input_tokens_estimate` comes from the length of the body alone. `context` is what `sdk.context.current()` was.
    `lower_to` and `swap_to` are how a gate changes the request: see `clamp` and `swap`. `output_tokens_seen` is what
    had arrived of a stream, estimated from its characters, to settle a cut one with. `held` is the gate's own.
    """

    operation: str
    provider: str
    model: str
    host: str
    stream: bool
    attempt: int
    max_tokens: int | None
    answers: int
    input_tokens_estimate: int
    context: Any
    can_clamp: bool
    can_swap: bool
    start_ns: int
    lower_to: int | None = None
    swap_to: str = ""
    output_tokens_seen: int = 0
    held: dict[int, Any] = field(default_factory=dict[int, Any])

    def clamp(self, max_tokens: int) -> bool:
        """Lowers the ceiling of the answer to this many tokens; False where the request cannot be changed."""
        if not self.can_clamp:
            return False
        if self.max_tokens is None or max_tokens < self.max_tokens:
            self.lower_to = self.max_tokens = max(1, max_tokens)
        return True

    def swap(self, model: str) -> bool:
        """Sends the request to another model of the same provider; False where the request cannot be changed."""
        if self.can_swap:
            self.swap_to = self.model = model
        return self.can_swap


class Gate(Protocol):
    """What is asked; see the head of this module."""

    def before(self, call: PendingCall) -> None:
        """Lets the call pass, changes it, or raises RefusedError."""
        ...

    def on_chunk(self, call: PendingCall, output_tokens: int) -> bool:
        """Whether the stream may go on; `output_tokens` is what has arrived, estimated from its characters."""
        ...

    def settle(self, call: PendingCall, steps: Sequence[Any]) -> None:
        """The call is over; `steps` are what was recorded of it, none where nothing was sent after all."""
        ...


_standing: list[tuple[Gate, ...]] = [()]
_glances: list[Callable[[bool], None]] = []


def register(gate: Gate) -> Callable[[], None]:
    """Asks this gate from now on, after those before it; the answer takes it out again."""
    _standing[0] = (*_standing[0], gate)

    def unregister() -> None:
        _standing[0] = tuple(item for item in _standing[0] if item is not gate)

    return unregister


def glance(at: Callable[[bool], None] | None) -> None:
    """Calls this whenever it is asked which gates stand, so that one may be registered just before it is needed.

    It is told whether a call waits for the answer, which may then take a moment the first time.
    """
    _glances[:] = [] if at is None else [at]


def gates() -> tuple[Gate, ...]:
    """The gates that stand now, for a call that is about to be sent."""
    for look in _glances:
        look(True)  # noqa: FBT003 - the word is its caller's
    return _standing[0]


def watched() -> bool:
    """Whether anybody watches what begins; a session and a tool step ask this first, and wait for nobody."""
    for look in _glances:
        look(False)  # noqa: FBT003 - see above
    return bool(_standing[0])
