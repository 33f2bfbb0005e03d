"""Step: one thing that happened once inside an agent, as the SDK hands it to the recorder."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from decimal import Decimal
from struct import Struct
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from outlay.core.centre import Operation

if TYPE_CHECKING:
    from outlay.sdk.context import Context

Value = TypeVar("Value")

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


class _Rare(Generic[Value]):
    """A word that few steps say: it stands in their `more`, and takes neither room nor time in the others."""

    __slots__ = ("_default", "_name")

    def __init__(self, default: Value) -> None:
        self._default = default

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, step: Step, owner: type) -> Value:
        return self._default if step.more is None else step.more.get(self._name, self._default)

    def __set__(self, step: Step, value: Value) -> None:
        if step.more is None:
            step.more = {}
        step.more[self._name] = value


class _RareNames(_Rare[dict[str, Value]]):
    """The same for a mapping, which may be filled in where it stands."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__({})

    def __get__(self, step: Step, owner: type) -> dict[str, Value]:
        if step.more is None:
            step.more = {}
        return step.more.setdefault(self._name, {})


class Step:
    """One wire attempt at a model, tool call, check or stretch of runtime.

    Times are UTC epoch nanoseconds; 0 is filled in when the step is recorded. `tokens` are named like the token columns
    of a fact (`input_tokens`, `output_tokens`, `cache_read_tokens`, `cache_write_tokens`, `cache_write_5m_tokens`,
    `cache_write_1h_tokens`, `reasoning_tokens`, `input_audio_tokens`, `output_audio_tokens`, `input_image_tokens`,
    `output_image_tokens`, `total_tokens`) and counted the OpenTelemetry way: the input includes what a cache served or
    stored, the output includes reasoning. `units` are the meters of `core.meters` whose side is "other", in whole
    units. `error_type` is empty where it went well. `attempt` 0 is the first. `context` is what was current when the
    step began; left out, what is current when it is recorded. Ids left empty are made.

    What few steps say stands in `more`, which is None in the others.
    """

    __slots__ = (
        "__dict__",  # a word that is none of ours is not written, and no reason to fail
        "context",
        "end_ns",
        "error_type",
        "model_requested",
        "more",
        "name",
        "operation",
        "parent_span_id",
        "provider",
        "response_id",
        "span_id",
        "start_ns",
        "tokens",
        "trace_id",
    )

    model_served = _Rare("")
    service_tier = _Rare("")  # as served, else as requested
    processing = _Rare("")
    speed = _Rare("")
    region = _Rare("")
    server_address = _Rare("")
    http_status = _Rare(0)
    finish_reason = _Rare("")
    attempt = _Rare(0)
    retry_reason = _Rare("")
    units = _RareNames[int]()
    cost = _Rare[Decimal | None](None)
    currency = _Rare("")
    cost_source = _Rare("")  # provider or emitter
    tags = _RareNames[str]()

    def __init__(
        self,
        operation: str = STEP,
        name: str = "",
        start_ns: int = 0,
        end_ns: int = 0,
        provider: str = "",  # OpenTelemetry's gen_ai.provider.name
        model_requested: str = "",
        *,
        response_id: str = "",
        error_type: str = "",
        tokens: dict[str, int] | None = None,
        trace_id: bytes = b"",
        span_id: bytes = b"",
        parent_span_id: bytes = b"",
        context: Context | None = None,
        model_served: str = "",
        service_tier: str = "",
        processing: str = "",
        speed: str = "",
        region: str = "",
        server_address: str = "",
        http_status: int = 0,
        finish_reason: str = "",
        attempt: int = 0,
        retry_reason: str = "",
        units: dict[str, int] | None = None,
        cost: Decimal | None = None,
        currency: str = "",
        cost_source: str = "",
        tags: dict[str, str] | None = None,
    ) -> None:
        self.operation = operation
        self.name = name
        self.start_ns = start_ns
        self.end_ns = end_ns
        self.provider = provider
        self.model_requested = model_requested
        self.response_id = response_id
        self.error_type = error_type
        self.tokens: dict[str, int] = {} if tokens is None else tokens
        self.trace_id = trace_id
        self.span_id = span_id
        self.parent_span_id = parent_span_id
        self.context = context
        self.more: dict[str, Any] | None = None
        words = model_served or service_tier or processing or speed or region or server_address or finish_reason
        if words or http_status or attempt or retry_reason or units or tags or cost is not None:
            more: dict[str, Any] = {
                "model_served": model_served,
                "service_tier": service_tier,
                "processing": processing,
                "speed": speed,
                "region": region,
                "server_address": server_address,
                "http_status": http_status,
                "finish_reason": finish_reason,
                "attempt": attempt,
                "retry_reason": retry_reason,
                "units": units,
                "currency": currency,
                "cost_source": cost_source,
                "tags": tags,
            }
            self.more = {name: value for name, value in more.items() if value}
            if cost is not None:
                self.more["cost"] = cost

    def fields(self) -> dict[str, object]:
        """Everything it says, by the name of the field; also what nobody has filled in."""
        names = (*(name for name in Step.__slots__ if name not in {"__dict__", "more"}), *RARE)
        return {name: getattr(self, name) for name in names}

    def __repr__(self) -> str:
        return f"Step({', '.join(f'{name}={value!r}' for name, value in self.fields().items() if value)})"


RARE = tuple(name for name, value in vars(Step).items() if isinstance(value, _Rare))
"""The words that few steps say."""


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


span_ids = _SpanIds()
if hasattr(os, "register_at_fork"):  # not where there is no fork
    os.register_at_fork(after_in_child=span_ids.restart)


def new_span_id() -> bytes:
    """8 bytes that no other span of the process has."""
    return span_ids.next()
