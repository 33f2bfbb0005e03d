"""AG2: tools, an agent as a tool, plain and streamed."""

from __future__ import annotations

import asyncio

from ag2 import Agent, tool
from ag2.config import OpenAIConfig
from openai import AsyncOpenAI
from scene import EMBEDDING_MODEL, HELPER_MODEL, KEY, MAIN_MODEL, OPENAI_URL, QUESTION, order, session, signed

import outlay

outlay.init()


@tool
async def search_papers(query: str) -> str:
    """Searches the office's papers."""
    client = AsyncOpenAI(base_url=OPENAI_URL, api_key=KEY)
    await client.embeddings.create(model=EMBEDDING_MODEL, input=f"{signed('researcher')} {query}")
    return "Parcels leave at nine."


@tool
def lookup_order(number: str) -> str:
    """Looks an order up; a plain function, so it runs in a thread."""
    return order(number)


researcher = Agent(
    "researcher",
    signed("researcher"),
    config=OpenAIConfig(HELPER_MODEL, base_url=OPENAI_URL, api_key=KEY, streaming=True),
    tools=[search_papers],
)
concierge = Agent(
    "concierge",
    signed("concierge"),
    config=OpenAIConfig(MAIN_MODEL, base_url=OPENAI_URL, api_key=KEY),
    tools=[lookup_order, researcher.as_tool(description="Asks the researcher.", name="ask_researcher")],
)


async def main() -> str:
    with session():
        return str((await concierge.ask(QUESTION)).body)


if __name__ == "__main__":
    print(asyncio.run(main()))
