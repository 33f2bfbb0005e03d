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
from outlay.sdk import attachment, setup
from outlay.sdk.block import Block
from outlay.sdk.context import Context, current, of
from outlay.sdk.encode import TOKEN_KEYS
from outlay.sdk.gate import watched
from outlay.sdk.recorder import keep, record
from outlay.sdk.step import CHECKS, KINDS, STEP, TOOL, Step, new_trace_id, operation_of, span_ids
from outlay.sdk.tags import clean, say_once

Function = TypeVar("Function", bound=Callable[..., Any])

_NANO_PER_SECOND = 1_000_000_000


Words = tuple[str, str, str, str]
"""Operation, name, provider and model of a step, fit to be written."""


_FRESH, _OPEN, _OVER = range(3)


class StepBlock(Step, Block[Step], attachment.Held):
    """A step, not yet begun, and the block around it: the `Step` that `with` gives may be filled in until it ends."""

    __slots__ = ("_stage", "_tags", "_words", "below", "known", "outer")

    _others: list[StepBlock] | None = None

    def __init__(self, words: Words, tags: dict[str, str]) -> None:
        self.operation, self.name, self.provider, self.model_requested = words
        self.response_id = self.error_type = ""
        self.start_ns = self.end_ns = 0
        self.tokens = {}
        self.trace_id = self.span_id = self.parent_span_id = b""
        self.context = None
        self.more = {"tags": {**tags}} if tags else None
        self.known = self.outer = self.below = None
        self._words = words
        self._tags = tags
        self._stage = _FRESH

    def _again(self) -> StepBlock:
        return StepBlock(self._words, self._tags)

    def _open(self, caller: FrameType) -> Step:
        if self._stage is not _FRESH:
            return self._reopen(caller)
        if self.operation == TOOL and watched():
            from outlay.sdk import caps

            outer = current()
            caps.begin_tool(outer.run, outer)
        self._stage = _OPEN
        self.start_ns = time_ns()
        self.span_id = span_ids.next()
        self.context = outer = of(attachment.hold(self, caller))
        self.trace_id = outer.trace_id or new_trace_id()
        self.parent_span_id = outer.span_id
        return self

    def inside(self) -> Context:
        """What is in force inside, made when somebody asks: mostly nothing else happens in a step."""
        outer = self.context or current()
        purpose = self.operation if self.operation in CHECKS else outer.purpose
        return Context(outer.run, self.trace_id, self.span_id, purpose, outer.otel_span_id)

    def _reopen(self, caller: FrameType) -> Step:
        """One block entered twice is two steps."""
        another = self._again()
        made = another._open(caller)  # noqa: SLF001 - one like this
        self._others = [*(self._others or ()), another]
        return made

    def _shut(self, error: BaseException | None) -> None:
        if self._others:
            self._others.pop()._shut(error)  # noqa: SLF001 - see above
            return
        if self._stage is not _OPEN:
            return
        self._stage = _OVER
        attachment.detach(self)
        self.end_ns = time_ns()
        if error is not None and not self.error_type:
            self.error_type = failure_of(error)
        keep(self)


_known: dict[tuple[str, str, str, str], Words] = {}
_KNOWN_MAX = 4_096


def _words_of(name: object, kind: object, provider: object, model: object) -> Words:
    """What a step is to be written as; what was looked at once is known."""
    operation = KINDS.get(kind) if isinstance(kind, str) else None
    if operation is None:
        say_once(f"{kind!r} is no kind of step and is written as a plain step")
        operation = STEP
    words = (operation, clean("name", name) or STEP, clean("provider", provider), clean("model", model))
    given = (name, kind, provider, model)
    if len(_known) < _KNOWN_MAX and all(type(one) is str and len(one) <= VALUE_CHARACTERS_MAX for one in given):
        _known[given] = words  # pyright: ignore[reportArgumentType] - all of them are text
    return words


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
    if not setup.done:
        setup.ensure()
    own = {key: text for key, value in tags.items() if (text := clean(key, value))} if tags else {}
    try:
        words = _known.get((name, kind, provider, model))
    except TypeError:  # one of them is no text at all
        words = None
    if words is None:
        if callable(name):
            return StepBlock(_words_of(getattr(name, "__name__", STEP), kind, provider, model), own)(name)
        words = _words_of(name, kind, provider, model)
    return StepBlock(words, own)


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
        setup.ensure()
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
