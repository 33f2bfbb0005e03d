"""Pydantic AI: an agent's run and its tool calls, where the library lets its own capabilities wrap them."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from outlay.sdk.frameworks import scopes
from outlay.sdk.frameworks.around import Scope
from outlay.sdk.frameworks.hooking import inside

UNNAMED = "agent"


def hook_runs(module: ModuleType) -> None:
    """`pydantic_ai.capabilities.combined`: the root of every run's capabilities; what it sets, the run sees."""
    inside(module.CombinedCapability, "wrap_run", _run)


def hook_tools(module: ModuleType) -> None:
    """`pydantic_ai.tool_manager`."""
    inside(module.ToolManager, "execute_tool_call", _tool)


def _run(_root: Any, args: tuple[Any, ...], _named: dict[str, Any]) -> Scope | None:
    context = args[0]
    name = getattr(context.agent, "name", None) or UNNAMED
    return scopes.agent(str(name))


def _tool(_manager: Any, args: tuple[Any, ...], _named: dict[str, Any]) -> Scope:
    call = args[0].call
    return scopes.tool(str(call.tool_name))
