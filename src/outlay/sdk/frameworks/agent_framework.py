"""Microsoft Agent Framework: agents, workflows and function tools."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

from outlay.sdk.frameworks import scopes
from outlay.sdk.frameworks.around import Held, Scope
from outlay.sdk.frameworks.hooking import inside, replace

GIVEN = "WorkflowBuilder-"
"""What the framework calls a workflow that its author did not name, before a random part."""


def hook_agents(module: ModuleType) -> None:
    """`agent_framework._agents`: `run` gives an awaitable or a stream."""
    replace(module.RawAgent, "run", _run)


def hook_workflows(module: ModuleType) -> None:
    """`agent_framework._workflows._workflow`."""
    inside(module.Workflow, "_run_workflow_with_tracing", _workflow)


def hook_tools(module: ModuleType) -> None:
    """`agent_framework._tools`."""
    inside(module.FunctionTool, "invoke", _tool)


def _run(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def run(self: Any, *args: Any, **named: Any) -> Any:
        result = original(self, *args, **named)
        if inspect.isawaitable(result) and not hasattr(result, "with_pull_context_manager"):
            return _awaited(self, result)
        return _streamed(self, result)

    return run


async def _awaited(agent: Any, result: Any) -> Any:
    held = Held(_agent, agent, (), {})
    try:
        with held.current():
            answer = await result
    except BaseException as error:
        held.close(error)
        raise
    held.close()
    return answer


def _streamed(agent: Any, result: Any) -> Any:
    held = Held(_agent, agent, (), {})
    try:
        return result.with_pull_context_manager(held.current).with_cleanup_hook(held.close)
    except Exception:  # noqa: BLE001 - metering never breaks the framework's call
        held.close()
        return result


def _agent(agent: Any, _args: tuple[Any, ...], _named: dict[str, Any]) -> Scope | None:
    return scopes.agent(str(agent.name or agent.id))


def _workflow(workflow: Any, _args: tuple[Any, ...], _named: dict[str, Any]) -> Scope | None:
    name = str(workflow.name or "")
    return scopes.agent("workflow" if not name or name.startswith(GIVEN) else name, is_group=True)


def _tool(tool: Any, _args: tuple[Any, ...], _named: dict[str, Any]) -> Scope:
    return scopes.tool(str(tool.name))
