"""LangGraph and LangChain: named graphs are agents, tools and retrievers are steps.

A graph that `create_agent(name=…)` or `compile(name=…)` named is an agent; inside another one it is a sub-agent. A
graph without a name of its own belongs to whoever runs it.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from outlay.sdk.frameworks import scopes
from outlay.sdk.frameworks.around import Scope
from outlay.sdk.frameworks.hooking import inside

UNNAMED = "LangGraph"


def hook_graphs(module: ModuleType) -> None:
    """`langgraph.pregel.main`: every way to run a graph goes through these two."""
    inside(module.Pregel, "stream", _graph)
    inside(module.Pregel, "astream", _graph)


def hook_tools(module: ModuleType) -> None:
    """`langchain_core.tools.base`."""
    inside(module.BaseTool, "run", _tool, _verdict)
    inside(module.BaseTool, "arun", _tool, _verdict)


def hook_retrievers(module: ModuleType) -> None:
    """`langchain_core.retrievers`."""
    inside(module.BaseRetriever, "invoke", _retriever)
    inside(module.BaseRetriever, "ainvoke", _retriever)


def _verdict(result: Any) -> str:
    return "tool_error" if getattr(result, "status", "") == "error" else ""


def _graph(graph: Any, _args: tuple[Any, ...], _named: dict[str, Any]) -> Scope | None:
    said = ((graph.config or {}).get("metadata") or {}).get("lc_agent_name")
    name = said or (graph.name if graph.name != UNNAMED else "")
    return scopes.agent(str(name)) if name else None


def _tool(tool: Any, _args: tuple[Any, ...], _named: dict[str, Any]) -> Scope:
    return scopes.tool(str(tool.name))


def _retriever(retriever: Any, _args: tuple[Any, ...], _named: dict[str, Any]) -> Scope:
    return scopes.retrieval(str(retriever.get_name()))
