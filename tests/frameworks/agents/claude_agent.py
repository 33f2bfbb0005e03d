"""Claude Agent SDK: the bundled command line, tools of our own, a sub-agent; its telemetry goes out by itself.

The tools run in this process, so that what they ask a model is metered here. `NAMED` lets the command line say the
names of its agents and tools.
"""

from __future__ import annotations

import asyncio
import os

import httpx2
from claude_agent_sdk import AgentDefinition, ClaudeAgentOptions, ResultMessage, create_sdk_mcp_server, query, tool
from scene import EMBEDDING_MODEL, KEY, MODELS_URL, OPENAI_URL, PAPERS, QUESTION, order, session, signed

import outlay

outlay.init()

DETAILS = {"OTEL_LOG_TOOL_DETAILS": "1"} if os.environ.get("NAMED") else {}


@tool("lookup_order", "Looks an order up.", {"number": str})
async def lookup_order(args: dict[str, str]) -> dict[str, object]:
    return {"content": [{"type": "text", "text": order(args["number"])}]}


@tool("search_papers", "Searches the papers.", {"query": str})
async def search_papers(args: dict[str, str]) -> dict[str, object]:
    async with httpx2.AsyncClient() as client:
        asked = {"model": EMBEDDING_MODEL, "input": f"{signed('researcher')} {args['query']}"}
        await client.post(f"{OPENAI_URL}/embeddings", json=asked, headers={"authorization": f"Bearer {KEY}"})
    return {"content": [{"type": "text", "text": PAPERS[0]}]}


async def main() -> str:
    papers = "mcp__office__search_papers"
    researcher = AgentDefinition("Knows the papers.", signed("researcher"), tools=[papers], model="haiku")
    options = ClaudeAgentOptions(
        model="claude-haiku-4-5",
        system_prompt=signed("concierge"),
        tools=["Agent"],
        mcp_servers={"office": create_sdk_mcp_server("office", tools=[lookup_order, search_papers])},
        allowed_tools=["mcp__office__lookup_order", papers, "Agent"],
        agents={"researcher": researcher},
        env={"ANTHROPIC_BASE_URL": MODELS_URL, "ANTHROPIC_API_KEY": KEY, "DISABLE_AUTOUPDATER": "1", **DETAILS},
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
