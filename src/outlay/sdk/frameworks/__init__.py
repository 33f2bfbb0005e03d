"""Frameworks: who asks for what. Agents get names and sessions, tools and searches become steps.

`install()` hooks the frameworks that are loaded and those that will be; it imports none of them. Model and embedding
calls are not metered here but on the wire, so nothing is counted twice, and a hook that no longer fits costs names, not
money.
"""

from __future__ import annotations

import functools
import importlib
from types import ModuleType

from outlay.sdk.frameworks.hooking import moved

HOOKS: dict[str, tuple[str, str]] = {
    "langgraph.pregel.main": ("langgraph", "hook_graphs"),
    "langchain_core.tools.base": ("langgraph", "hook_tools"),
    "langchain_core.retrievers": ("langgraph", "hook_retrievers"),
    "agents.tracing.spans": ("openai_agents", "hook_spans"),
    "autogen_core._single_threaded_agent_runtime": ("autogen", "hook_runtime"),
    "autogen_core.tools._base": ("autogen", "hook_tools"),
    "autogen_agentchat.agents._base_chat_agent": ("autogen", "hook_agents"),
    "autogen_agentchat.teams._group_chat._base_group_chat": ("autogen", "hook_teams"),
    "autogen_agentchat.teams._group_chat._chat_agent_container": ("autogen", "hook_participants"),
    "autogen_agentchat.teams._group_chat._selector_group_chat": ("autogen", "hook_selectors"),
    "autogen_agentchat.teams._group_chat._magentic_one._magentic_one_orchestrator": ("autogen", "hook_orchestrators"),
    "pydantic_ai.capabilities.combined": ("pydantic_ai", "hook_runs"),
    "pydantic_ai.tool_manager": ("pydantic_ai", "hook_tools"),
    "crewai.crew": ("crewai", "hook_crews"),
    "crewai.agent.core": ("crewai", "hook_agents"),
    "crewai.tools.base_tool": ("crewai", "hook_tools"),
    "crewai.tools.structured_tool": ("crewai", "hook_structured_tools"),
    "agent_framework._agents": ("agent_framework", "hook_agents"),
    "agent_framework._tools": ("agent_framework", "hook_tools"),
    "agent_framework._workflows._workflow": ("agent_framework", "hook_workflows"),
    "google.adk.agents.base_agent": ("google_adk", "hook_agents"),
    "google.adk.flows.llm_flows.tools._caller": ("google_adk", "hook_tools"),
    "llama_index.core.agent.workflow.base_agent": ("llamaindex", "hook_single"),
    "llama_index.core.agent.workflow.function_agent": ("llamaindex", "hook_function_agent"),
    "llama_index.core.agent.workflow.react_agent": ("llamaindex", "hook_react_agent"),
    "llama_index.core.agent.workflow.codeact_agent": ("llamaindex", "hook_codeact_agent"),
    "llama_index.core.agent.workflow.multi_agent_workflow": ("llamaindex", "hook_workflow"),
    "llama_index.core.base.base_retriever": ("llamaindex", "hook_retrievers"),
    "claude_agent_sdk._internal.transport.subprocess_cli": ("claude_agent", "hook_transport"),
    "ag2.agent": ("ag2", "hook_agents"),
    "ag2.tools.executor": ("ag2", "hook_tools"),
}
"""Module of a framework → our module and the function that hooks it."""


def install() -> None:
    """Hooks every framework there is and will be in this process; may be called again."""
    from outlay.sdk.wire.importing import Watcher

    watcher = Watcher()
    for name in HOOKS:
        watcher.watch(name, functools.partial(_hook, name))


def _hook(name: str, module: ModuleType) -> None:
    ours, function = HOOKS[name]
    try:
        getattr(importlib.import_module(f"{__name__}.{ours}"), function)(module)
    except Exception:  # noqa: BLE001 - a framework of an unknown make runs as it would without us
        moved(name)


__all__ = ["HOOKS", "install"]
