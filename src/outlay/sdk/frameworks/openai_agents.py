"""OpenAI Agents SDK: its spans say when an agent, a function tool or a guardrail begins and ends.

They are met in the span classes themselves, not through a trace processor: with tracing switched off, as most do who do
not send traces to OpenAI, there is no processor, while the spans are still opened and closed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import ExitStack
from types import ModuleType
from typing import Any

from outlay.sdk.frameworks import scopes
from outlay.sdk.frameworks.around import Held, Scope
from outlay.sdk.frameworks.hooking import replace

_HELD = "_outlay_held"


def hook_spans(module: ModuleType) -> None:
    """`agents.tracing.spans`."""
    for kind in (module.SpanImpl, module.NoOpSpan):
        replace(kind, "start", _start)
        replace(kind, "finish", _finish)


def _scope(span: Any, _args: tuple[Any, ...], _named: dict[str, Any]) -> Scope | None:
    data = span.span_data
    if data.type == "agent":
        return scopes.agent(str(data.name))
    if data.type == "function":
        return scopes.tool(str(data.name))
    if data.type == "guardrail":
        return scopes.guardrail(str(data.name))
    return None


def _start(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def start(self: Any, *args: Any, **named: Any) -> Any:
        result = original(self, *args, **named)
        if not hasattr(self, _HELD):
            held = Held(_scope, self, (), {})
            stack = ExitStack()
            stack.enter_context(held.current())
            setattr(self, _HELD, (held, stack))
        return result

    return start


def _finish(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def finish(self: Any, *args: Any, **named: Any) -> Any:
        held, stack = self.__dict__.pop(_HELD, (None, None))
        if stack is not None:
            stack.close()
        if held is not None:
            held.close(getattr(self, "error", None))
        return original(self, *args, **named)

    return finish
