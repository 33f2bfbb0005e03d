"""What the model of the fake server thinks: use each offered tool once, in order, then answer.

Stateless, so it serves every framework: the conversation in the request says which tools were used already. A tool is
used with arguments made from its JSON schema.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ANSWER = "Your parcel left the depot this morning. TERMINATE"
WORDS = "where is my parcel"
NAMES = {"to_agent": "researcher", "agent_name": "clerk", "coworker": "researcher", "subagent_type": "researcher"}
"""What to write where a framework asks for the name of an agent."""
HANDING_OVER = ("transfer_to_", "handoff")
"""Names of tools that end an agent's turn: they come last."""


@dataclass(frozen=True)
class Tool:
    """A tool as the request offers it."""

    name: str
    schema: Mapping[str, Any]


@dataclass(frozen=True)
class Thought:
    """What to answer: a call of `tool` with `arguments`, or `text`."""

    text: str = ""
    tool: str = ""
    arguments: Mapping[str, Any] | None = None


def think(tools: Sequence[Tool], used: Sequence[str]) -> Thought:
    """The first tool that this conversation has not used, else the answer."""
    for tool in sorted(tools, key=lambda tool: tool.name.startswith(HANDING_OVER)):
        if tool.name not in used:
            return Thought(tool=tool.name, arguments=arguments(tool.schema))
    return Thought(text=ANSWER)


def arguments(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments that satisfy a schema: every required property, the first allowed value of an enumeration."""
    properties: Mapping[str, Any] = schema.get("properties") or {}
    needed = [*(schema.get("required") or ()), *(name for name in NAMES if name in properties)]
    return {name: NAMES.get(name) or value(properties.get(name) or {}) for name in dict.fromkeys(needed)}


def value(schema: Mapping[str, Any]) -> Any:
    """One value of a property's schema."""
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    for choice in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        if choice.get("type") != "null":
            return value(choice)
    kinds: dict[str, Any] = {"integer": 3, "number": 3, "boolean": True, "array": [], "object": {}}
    return kinds.get(str(schema.get("type", "string")).lower(), WORDS)
