"""What the tests of the wire share: the fake provider, and a client that is metered into a list."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from fake_provider import FakeProvider, fake_provider

from outlay.sdk import gate, recorder, wire
from outlay.sdk.gate import PendingCall
from outlay.sdk.wire.attempts import failures

CHAT = "/v1/chat/completions"
BODY: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "where is my parcel"}]}
STREAM = {**BODY, "stream": True, "stream_options": {"include_usage": True}}


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    """A fake provider for the tests of one module."""
    with fake_provider() as running:
        yield running


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Everything that is recorded while a test runs, the wire being installed for as long."""
    recorded: list[Any] = []
    monkeypatch.setattr(recorder, "record", recorded.append)
    failures.forget()
    wire.install(hosts={"127.0.0.1": "openai", "gateway.example": "openai"})
    yield recorded
    wire.uninstall()
    wire.settings.configure()


@dataclass
class Watcher:
    """A gate that lets everything pass and writes down what it is asked, unless told otherwise."""

    refusal: Exception | None = None
    clamp: int | None = None
    swap: str = ""
    cut_above: int | None = None
    asked: list[PendingCall] = field(default_factory=list)
    settled: list[tuple[PendingCall, list[Any]]] = field(default_factory=list)

    def before(self, call: PendingCall) -> None:
        self.asked.append(call)
        if self.refusal is not None:
            raise self.refusal
        if self.clamp is not None:
            assert call.clamp(self.clamp)
        if self.swap:
            assert call.swap(self.swap)

    def on_chunk(self, call: PendingCall, output_tokens: int) -> bool:
        return self.cut_above is None or output_tokens <= self.cut_above

    def settle(self, call: PendingCall, steps: Any) -> None:
        self.settled.append((call, list(steps)))


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    """A gate that is asked while a test runs."""
    standing = Watcher()
    unregister = gate.register(standing)
    yield standing
    unregister()
