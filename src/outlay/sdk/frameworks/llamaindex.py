"""LlamaIndex: agents of a workflow, their tools, retrievers."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any

from outlay.sdk.frameworks import scopes
from outlay.sdk.frameworks.around import Held, Scope
from outlay.sdk.frameworks.hooking import inside, replace


def hook_function_agent(module: ModuleType) -> None:
    """`llama_index.core.agent.workflow.function_agent`."""
    inside(module.FunctionAgent, "take_step", _agent)


def hook_react_agent(module: ModuleType) -> None:
    """`llama_index.core.agent.workflow.react_agent`."""
    inside(module.ReActAgent, "take_step", _agent)


def hook_codeact_agent(module: ModuleType) -> None:
    """`llama_index.core.agent.workflow.codeact_agent`."""
    inside(module.CodeActAgent, "take_step", _agent)


def hook_single(module: ModuleType) -> None:
    """`llama_index.core.agent.workflow.base_agent`: an agent that runs by itself calls its own tools."""
    replace(module.BaseWorkflowAgent, "_call_tool", _calls(_own_name))


def hook_workflow(module: ModuleType) -> None:
    """`llama_index.core.agent.workflow.multi_agent_workflow`: the tools of whichever agent has the turn."""
    replace(module.AgentWorkflow, "_call_tool", _calls(_name_of_turn))


def hook_retrievers(module: ModuleType) -> None:
    """`llama_index.core.base.base_retriever`."""
    inside(module.BaseRetriever, "retrieve", _retriever)
    inside(module.BaseRetriever, "aretrieve", _retriever)


def _verdict(output: Any) -> str:
    return "tool_error" if output.is_error else ""


def _agent(agent: Any, _args: tuple[Any, ...], _named: dict[str, Any]) -> Scope | None:
    return scopes.agent(str(agent.name))


def _retriever(retriever: Any, _args: tuple[Any, ...], _named: dict[str, Any]) -> Scope:
    return scopes.retrieval(type(retriever).__name__)


async def _own_name(agent: Any, _context: Any) -> str:
    return str(agent.name)


async def _name_of_turn(_workflow: Any, context: Any) -> str:
    return str(await context.store.get("current_agent_name", default=""))


def _calls(name_of: Callable[[Any, Any], Awaitable[str]]) -> Callable[[Any], Any]:
    """The patch of `_call_tool(self, context, tool, arguments)`: the tool call within the agent that has the turn."""

    def around(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(original)
        async def call(self: Any, context: Any, tool: Any, *args: Any, **named: Any) -> Any:
            try:
                name = await name_of(self, context)
            except Exception:  # noqa: BLE001 - metering never breaks the framework's call
                name = ""
            agent = Held(lambda *_: scopes.agent(name, is_recorded=False), self, (), {})
            with agent.current():
                step = Held(lambda *_: scopes.tool(str(tool.metadata.name)), tool, (), {})
                try:
                    with step.current():
                        result = await original(self, context, tool, *args, **named)
                except BaseException as error:
                    step.close(error)
                    agent.close()
                    raise
                step.judge(result, _verdict)
            agent.close()
            return result

        return call

    return around
