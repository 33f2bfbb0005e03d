"""Google ADK: agents, whoever runs them, and the tools they call."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from outlay.sdk.frameworks import scopes
from outlay.sdk.frameworks.around import Scope
from outlay.sdk.frameworks.hooking import inside


def hook_agents(module: ModuleType) -> None:
    """`google.adk.agents.base_agent`."""
    inside(module.BaseAgent, "run_async", _agent)
    inside(module.BaseAgent, "run_live", _agent)


def hook_tools(module: ModuleType) -> None:
    """`google.adk.flows.llm_flows.tools._caller`."""
    inside(module, "_call_tool_async", _tool)


def _agent(agent: Any, _args: tuple[Any, ...], _named: dict[str, Any]) -> Scope | None:
    return scopes.agent(str(agent.name))


def _tool(tool: Any, _args: tuple[Any, ...], _named: dict[str, Any]) -> Scope:
    return scopes.tool(str(tool.name))
