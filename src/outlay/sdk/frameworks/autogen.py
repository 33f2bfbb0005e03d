"""AutoGen 0.7: its message runtime, teams, agents and tools.

A message waits in the runtime's queue and is handled by a task that may have been started long before: it takes along
the scope in which it was sent.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

from outlay.sdk.frameworks import scopes
from outlay.sdk.frameworks.around import Scope
from outlay.sdk.frameworks.hooking import inside, replace

_CARRIED = "_outlay_carried"


def hook_runtime(module: ModuleType) -> None:
    """`autogen_core._single_threaded_agent_runtime`."""
    for envelope in (module.SendMessageEnvelope, module.PublishMessageEnvelope):
        replace(envelope, "__init__", _sent)
    inside(module.SingleThreadedAgentRuntime, "_process_send", _received)
    inside(module.SingleThreadedAgentRuntime, "_process_publish", _received)


def hook_tools(module: ModuleType) -> None:
    """`autogen_core.tools._base`: every tool of a static workbench, and tools that are called directly."""
    inside(module.BaseTool, "run_json", _tool)
    inside(module.BaseStreamTool, "run_json_stream", _tool)


def hook_agents(module: ModuleType) -> None:
    """`autogen_agentchat.agents._base_chat_agent`."""
    inside(module.BaseChatAgent, "run", _named)
    inside(module.BaseChatAgent, "run_stream", _named)


def hook_participants(module: ModuleType) -> None:
    """`autogen_agentchat.teams._group_chat._chat_agent_container`: a participant's turn."""
    inside(module.ChatAgentContainer, "handle_request", _participant)


def hook_teams(module: ModuleType) -> None:
    """`autogen_agentchat.teams._group_chat._base_group_chat`; `run` goes through `run_stream`."""
    inside(module.BaseGroupChat, "run_stream", _team)


def hook_selectors(module: ModuleType) -> None:
    """`autogen_agentchat.teams._group_chat._selector_group_chat`: the model that picks who speaks next."""
    inside(module.SelectorGroupChatManager, "select_speaker", _manager)


def hook_orchestrators(module: ModuleType) -> None:
    """`autogen_agentchat.teams._group_chat._magentic_one._magentic_one_orchestrator`: the model that plans."""
    for name in ("handle_start", "handle_agent_response"):
        inside(module.MagenticOneOrchestrator, name, _manager)


def _sent(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def init(self: Any, *args: Any, **named: Any) -> None:
        original(self, *args, **named)
        setattr(self, _CARRIED, scopes.carried())

    return init


def _received(_runtime: Any, args: tuple[Any, ...], _named: dict[str, Any]) -> Scope | None:
    return getattr(args[0], _CARRIED, None)


def _tool(tool: Any, _args: tuple[Any, ...], _named: dict[str, Any]) -> Scope:
    return scopes.tool(str(tool.name))


def _named(agent: Any, _args: tuple[Any, ...], _named: dict[str, Any]) -> Scope | None:
    return scopes.agent(str(agent.name))


def _team(team: Any, _args: tuple[Any, ...], _named: dict[str, Any]) -> Scope | None:
    return scopes.agent(str(team.name), is_group=True)


def _manager(_owner: Any, _args: tuple[Any, ...], _named: dict[str, Any]) -> Scope:
    return scopes.group()


def _participant(container: Any, _args: tuple[Any, ...], _named: dict[str, Any]) -> Scope:
    return scopes.participant(str(container._agent.name))  # noqa: SLF001 - the container has no other word for it
