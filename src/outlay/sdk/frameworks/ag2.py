"""AG2 1.x: an agent's turn and its tool calls."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import ModuleType
from typing import Any

from outlay.sdk.frameworks import scopes
from outlay.sdk.frameworks.around import Held, Scope
from outlay.sdk.frameworks.hooking import inside, replace


def hook_agents(module: ModuleType) -> None:
    """`ag2.agent`: every way to ask an agent opens a turn."""
    replace(module.Agent, "_turn_scope", _turns)


def hook_tools(module: ModuleType) -> None:
    """`ag2.tools.executor`."""
    inside(module, "_execute_call", _tool, _verdict)


def _turns(
    original: Callable[..., AbstractAsyncContextManager[Any]],
) -> Callable[..., AbstractAsyncContextManager[Any]]:
    @functools.wraps(original)
    @asynccontextmanager
    async def turn(self: Any, *args: Any, **named: Any) -> AsyncGenerator[Any, None]:
        held = Held(_agent, self, (), {})
        try:
            with held.current():
                async with original(self, *args, **named) as drive:
                    yield drive
        except BaseException as error:
            held.close(error)
            raise
        held.close()

    return turn


def _agent(agent: Any, _args: tuple[Any, ...], _named: dict[str, Any]) -> Scope | None:
    return scopes.agent(str(agent.name))


def _verdict(event: Any) -> str:
    return "tool_error" if "Error" in type(event).__name__ else ""


def _tool(_context: Any, args: tuple[Any, ...], _named: dict[str, Any]) -> Scope:
    call = args[0]
    return scopes.tool(str(call.name))
