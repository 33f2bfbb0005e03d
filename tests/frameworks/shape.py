"""What the shapes of the three providers have in common."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from frameworks.brain import Tool
from frameworks.tariff import Tokens


@dataclass(frozen=True)
class Reply:
    """An answer, as one JSON object and as the bytes of an event stream."""

    answer_id: str = ""
    tool: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)
    events: bytes = b""


class Shape(Protocol):
    """How a provider words its answers."""

    def reply(self, asked: Asked, number: int, tokens: Tokens) -> Reply:
        """The answer to a request."""
        ...

    def refusal(self, status: int, reason: str) -> Reply:
        """The body of an error."""
        ...


@dataclass(frozen=True)
class Asked:
    """A request, whatever shape it has.

    `used` are the tools already called in the conversation, `after` the answer it goes on from, `agent` signed it;
    `purpose` is what the answer is for where the kind of request does not say it.
    """

    shape: Shape
    kind: str
    model: str
    stream: bool = False
    tools: Sequence[Tool] = ()
    used: Sequence[str] = ()
    form: str = ""
    after: str = ""
    agent: str = ""
    purpose: str = ""
    size: int = 1
    wants_base64: bool = False
    wants_usage: bool = True


def event_stream(events: Iterable[tuple[str, Mapping[str, Any]]], *, end: bytes = b"") -> bytes:
    """Server-sent events; an empty name leaves the line `event:` out."""
    lines = [
        (f"event: {name}\n".encode() if name else b"") + b"data: " + json.dumps(data).encode() + b"\n\n"
        for name, data in events
    ]
    return b"".join(lines) + end
