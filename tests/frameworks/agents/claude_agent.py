"""Claude Agent SDK: the bundled command line, a tool of our own, a sub-agent; its telemetry goes out by itself."""

from __future__ import annotations

import asyncio

from claude_agent_sdk import AgentDefinition, ClaudeAgentOptions, ResultMessage, create_sdk_mcp_server, query, tool
from scene import KEY, MODELS_URL, QUESTION, order, session, signed

import outlay

outlay.init()


@tool("lookup_order", "Looks an order up.", {"number": str})
async def lookup_order(args: dict[str, str]) -> dict[str, object]:
    return {"content": [{"type": "text", "text": order(args["number"])}]}


async def main() -> str:
    researcher = AgentDefinition("Knows the papers.", signed("researcher"), tools=[], model="haiku")
    options = ClaudeAgentOptions(
        model="claude-haiku-4-5",
        system_prompt=signed("concierge"),
        tools=["Agent"],
        mcp_servers={"office": create_sdk_mcp_server("office", tools=[lookup_order])},
        allowed_tools=["mcp__office__lookup_order", "Agent"],
        agents={"researcher": researcher},
        env={"ANTHROPIC_BASE_URL": MODELS_URL, "ANTHROPIC_API_KEY": KEY, "DISABLE_AUTOUPDATER": "1"},
        permission_mode="acceptEdits",
        setting_sources=[],
        max_turns=6,
    )
    said = ""
    with session():
        async for message in query(prompt=QUESTION, options=options):
            if isinstance(message, ResultMessage):
                said = str(message.result)
    return said


if __name__ == "__main__":
    print(asyncio.run(main()))
