"""Steps an application meters itself: a tool, a check, anything; and usage that is only known as figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from time import time_ns
from types import FrameType
from typing import Any, TypeVar, overload

from outlay.core.envelope import VALUE_CHARACTERS_MAX
from outlay.core.errors import nearest
from outlay.core.meters import OTHER_METERS
from outlay.core.money import to_decimal
from outlay.sdk import attachment
from outlay.sdk.block import Block
from outlay.sdk.context import Context, current
from outlay.sdk.encode import TOKEN_KEYS
from outlay.sdk.gate import watched
from outlay.sdk.recorder import keep, record
from outlay.sdk.setup import ensure
from outlay.sdk.step import CHECKS, KINDS, STEP, TOOL, Step, begin, new_span_id, new_trace_id, operation_of
from outlay.sdk.tags import clean, say_once

Function = TypeVar("Function", bound=Callable[..., Any])

_NANO_PER_SECOND = 1_000_000_000


class StepBlock(Block[Step]):
    """A step, not yet begun. The `Step` it gives may be filled in until the block ends."""

    __slots__ = ("_held", "_model", "_name", "_operation", "_provider", "_step", "_tags")

    def __init__(self, name: str, operation: str, provider: str, model: str, tags: Mapping[str, object]) -> None:
        self._name = name
        self._operation = operation
        self._provider = provider
        self._model = model
        self._tags = tags
        self._step: Step | None = None

    def _again(self) -> StepBlock:
        return StepBlock(self._name, self._operation, self._provider, self._model, self._tags)

    def _open(self, caller: FrameType) -> Step:
        outer = current()
        if self._operation == TOOL and watched():
            from outlay.sdk import caps

            caps.begin_tool(outer.run, outer)
        made = begin(self._operation, self._name, time_ns())
        if self._provider:
            made.provider = _word("provider", self._provider)
        if self._model:
            made.model_requested = _word("model", self._model)
        if self._tags:
            made.tags = {key: text for key, value in self._tags.items() if (text := clean(key, value))}
        made.span_id = span_id = new_span_id()
        made.trace_id = trace_id = outer.trace_id or new_trace_id()
        made.parent_span_id = outer.span_id
        made.context = outer
        purpose = self._operation if self._operation in CHECKS else outer.purpose
        self._held = attachment.attach(Context(outer.run, trace_id, span_id, purpose, outer.otel_span_id), caller)
        self._step = made
        return made

    def _shut(self, error: BaseException | None) -> None:
        made = self._step
        if made is None:
            return
        self._step = None
        attachment.detach(self._held)
        made.end_ns = time_ns()
        if error is not None and not made.error_type:
            made.error_type = failure_of(error)
        keep(made)


_names: dict[str, str] = {}
_NAMES_MAX = 4_096


def _name_of(name: object) -> str:
    """A name that may stand on a step; what was looked at once is known."""
    text = clean("name", name) or STEP
    if isinstance(name, str) and len(_names) < _NAMES_MAX and len(name) <= VALUE_CHARACTERS_MAX:
        _names[name] = text
    return text


_words: dict[str, str] = {}


def _word(key: str, value: object) -> str:
    """A provider or a model that may stand on a step, empty where it may not; the same memory."""
    text = _words.get(value) if type(value) is str else None
    if text is None:
        text = clean(key, value)
        if isinstance(value, str) and len(_words) < _NAMES_MAX and len(value) <= VALUE_CHARACTERS_MAX:
            _words[value] = text
    return text


@overload
def step(name: Function, /) -> Function: ...
@overload
def step(name: str, /, kind: str = "step", *, provider: str = "", model: str = "", **tags: object) -> StepBlock: ...
def step(name: Any, /, kind: str = STEP, *, provider: str = "", model: str = "", **tags: object) -> Any:
    """One thing an agent does: `with outlay.step("search", kind="tool"):`, or in front of a function.

    `kind` is an operation: chat, embedding, retrieval, rerank, guardrail, evaluation, tool, memory, step. The block
    gives the `Step`, whose `tokens`, `units` or `cost` may be filled in. An exception marks it as failed and goes on
    its way.
    """
    ensure()
    operation = KINDS.get(kind)
    if operation is None:
        say_once(f"{kind!r} is no kind of step and is written as a plain step")
        operation = STEP
    known = _names.get(name) if type(name) is str else None
    if known is None and callable(name):
        return StepBlock(getattr(name, "__name__", STEP), operation, provider, model, tags)(name)
    return StepBlock(known or _name_of(name), operation, provider, model, tags)


def usage(
    name: str = "",
    kind: str = "chat",
    *,
    provider: str = "",
    model: str = "",
    input_tokens: int | None = None,
    output_tokens: int | None = None,
    cache_read_tokens: int | None = None,
    cache_write_tokens: int | None = None,
    tokens: Mapping[str, int] | None = None,
    units: Mapping[str, int] | None = None,
    cost: Decimal | float | str | None = None,
    currency: str = "",
    response_id: str = "",
    duration_s: float = 0,
    error: str = "",
    attempt: int = 0,
    **tags: object,
) -> None:
    """Usage that nothing else meters, as figures: tokens, units or a cost of its own.

    The input includes what a cache served, the output includes reasoning. `units` are meters such as `searches`,
    `pages`, `characters`, `web_searches`. A `cost` is what was really charged; where it is left out the server prices
    the rest. A figure that cannot be one is left out and said in the log; it never raises.
    """
    try:
        ensure()
        end_ns = time_ns()
        given: dict[str, Any] = {"input_tokens": input_tokens, "output_tokens": output_tokens}
        given |= {"cache_read_tokens": cache_read_tokens, "cache_write_tokens": cache_write_tokens, **(tokens or {})}
        made = Step(operation_of(kind), clean("name", name) or operation_of(kind))
        made.start_ns, made.end_ns = end_ns - int(max(0.0, duration_s) * _NANO_PER_SECOND), end_ns
        made.provider, made.model_requested = clean("provider", provider), clean("model", model)
        made.response_id, made.error_type = clean("response_id", response_id), clean("error", error)
        made.attempt = max(0, int(attempt))
        made.tokens = _counts(given, TOKEN_KEYS)
        made.units = _counts(units or {}, OTHER_METERS)
        made.cost = amount_of(cost, "cost")
        if made.cost is not None:
            made.currency, made.cost_source = clean("currency", currency).upper() or "USD", "emitter"
        made.tags = {key: text for key, value in tags.items() if (text := clean(key, value))}
        record(made)
    except Exception as problem:  # noqa: BLE001 - metering must never be the reason that an agent fails
        say_once(f"usage could not be recorded: {problem!r}")


def amount_of(value: object, what: str) -> Decimal | None:
    """An exact amount; None for what is none, or below zero."""
    if value is None:
        return None
    try:
        amount = to_decimal(value)
        if amount.is_finite() and amount >= 0:
            return amount
    except ValueError:
        pass
    say_once(f"{what} {str(value)[:64]!r} is left out; valid: a number that is not below 0")
    return None


def failure_of(error: BaseException) -> str:
    """What an error is called: its class, with its module unless that is Python's own."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _counts(said: Mapping[str, Any], valid: Any) -> dict[str, int]:
    """The counts among what was said; what cannot be one is left out and said once."""
    counts: dict[str, int] = {}
    for name, value in said.items():
        if value is None:
            continue
        if name not in valid:
            say_once(f"{name!r} is no count Outlay keeps; {nearest(name, valid)}")
        elif isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or value != int(value):
            say_once(f"{name} {str(value)[:64]!r} is left out; valid: a whole number that is not below 0")
        else:
            counts[name] = int(value)
    return counts
