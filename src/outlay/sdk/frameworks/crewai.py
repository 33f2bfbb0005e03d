"""CrewAI: crews, agents at their tasks, tools of either kind."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from outlay.sdk.frameworks import scopes
from outlay.sdk.frameworks.around import Scope
from outlay.sdk.frameworks.hooking import inside


def hook_crews(module: ModuleType) -> None:
    """`crewai.crew`."""
    for name in ("kickoff", "akickoff"):
        inside(module.Crew, name, _crew)


def hook_agents(module: ModuleType) -> None:
    """`crewai.agent.core`."""
    for name in ("execute_task", "aexecute_task", "kickoff", "kickoff_async"):
        inside(module.Agent, name, _agent)


def hook_tools(module: ModuleType) -> None:
    """`crewai.tools.base_tool`: what a model's own tool call runs."""
    for owner in (module.BaseTool, module.Tool):
        for name in ("run", "arun"):
            inside(owner, name, _tool)


def hook_structured_tools(module: ModuleType) -> None:
    """`crewai.tools.structured_tool`: what an action written in text runs."""
    for name in ("invoke", "ainvoke"):
        inside(module.CrewStructuredTool, name, _tool)


def _crew(crew: Any, _args: tuple[Any, ...], _named: dict[str, Any]) -> Scope | None:
    return scopes.agent(str(crew.name or "crew"), is_group=True)


def _agent(agent: Any, _args: tuple[Any, ...], _named: dict[str, Any]) -> Scope | None:
    return scopes.agent(str(agent.role).strip())


def _tool(tool: Any, _args: tuple[Any, ...], _named: dict[str, Any]) -> Scope:
    return scopes.tool(str(tool.name))
