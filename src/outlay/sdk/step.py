"""Step: one thing that happened once inside an agent, as the SDK hands it to the recorder."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from struct import Struct
from typing import TYPE_CHECKING

from outlay.core.centre import Operation

if TYPE_CHECKING:
    from outlay.sdk.context import Context

CHAT = Operation.CHAT.value
STEP = Operation.STEP.value
TOOL = Operation.TOOL.value
CHECKS = frozenset({Operation.GUARDRAIL.value, Operation.EVALUATION.value})
"""Operations that make the model calls inside them part of a check."""

KINDS = {item.value: item.value for item in Operation} | {
    "llm": CHAT,
    "embeddings": Operation.EMBEDDING.value,
    "retriever": Operation.RETRIEVAL.value,
    "judge": Operation.EVALUATION.value,
    "evaluator": Operation.EVALUATION.value,
}
"""Words for a kind of step, and the operation they mean."""


def _no_counts() -> dict[str, int]:
    return {}  # calling `dict[str, int]` takes three times as long


def _no_tags() -> dict[str, str]:
    return {}


@dataclass(eq=False)
class Step:
    """One wire attempt at a model, tool call, check or stretch of runtime.

    Times are UTC epoch nanoseconds; 0 is filled in when the step is recorded. `tokens` are named like the token columns
    of a fact (`input_tokens`, `output_tokens`, `cache_read_tokens`, `cache_write_tokens`, `cache_write_5m_tokens`,
    `cache_write_1h_tokens`, `reasoning_tokens`, `input_audio_tokens`, `output_audio_tokens`, `input_image_tokens`,
    `output_image_tokens`, `total_tokens`) and counted the OpenTelemetry way: the input includes what a cache served or
    stored, the output includes reasoning. `units` are the meters of `core.meters` whose side is "other", in whole
    units. `error_type` is empty where it went well. `attempt` 0 is the first. `context` is what was current when the
    step began; left out, what is current when it is recorded. Ids left empty are made.

    (Without slots on purpose: the defaults stand on the class, so that `begin` sets only what differs from them.)
    """

    operation: str = STEP
    name: str = ""
    start_ns: int = 0
    end_ns: int = 0
    provider: str = ""  # OpenTelemetry's gen_ai.provider.name
    model_requested: str = ""
    model_served: str = ""
    response_id: str = ""
    service_tier: str = ""  # as served, else as requested
    processing: str = ""
    speed: str = ""
    region: str = ""
    server_address: str = ""
    http_status: int = 0
    error_type: str = ""
    finish_reason: str = ""
    attempt: int = 0
    retry_reason: str = ""
    tokens: dict[str, int] = field(default_factory=_no_counts)
    units: dict[str, int] = field(default_factory=_no_counts)
    cost: Decimal | None = None
    currency: str = ""
    cost_source: str = ""  # provider or emitter
    tags: dict[str, str] = field(default_factory=_no_tags)
    trace_id: bytes = b""
    span_id: bytes = b""
    parent_span_id: bytes = b""
    context: Context | None = None


def begin(operation: str, name: str, start_ns: int) -> Step:
    """A step of which hardly anything is known yet, in a third of the time that filling in every field takes."""
    made = object.__new__(Step)
    made.operation = operation
    made.name = name
    made.start_ns = start_ns
    made.tokens = {}
    made.units = {}
    made.tags = {}
    return made


def operation_of(kind: str) -> str:
    """The operation a kind of step is written as (`"llm"` → `"chat"`); a word that is none is a plain step."""
    return KINDS.get(kind, STEP)


def new_trace_id() -> bytes:
    """16 random bytes."""
    return os.urandom(16)


_to_bytes = Struct(">Q").pack


class _SpanIds:
    """Eight bytes each: counted on from a random place, because a random number a span costs more than all else."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Go on from another random place, as a child process must after a fork."""
        start = int.from_bytes(os.urandom(8), "big") >> 1 | 1
        self.next: Callable[[], bytes] = map(_to_bytes, itertools.count(start)).__next__


_span_ids = _SpanIds()
if hasattr(os, "register_at_fork"):  # not where there is no fork
    os.register_at_fork(after_in_child=_span_ids.restart)


def new_span_id() -> bytes:
    """8 bytes that no other span of the process has."""
    return _span_ids.next()
