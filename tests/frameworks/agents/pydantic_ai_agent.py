"""Pydantic AI: tools, an agent that asks another one, an embedder, sync and streamed."""

from __future__ import annotations

import asyncio

from pydantic_ai import Agent, Embedder
from pydantic_ai.embeddings.openai import OpenAIEmbeddingModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider
from scene import EMBEDDING_MODEL, HELPER_MODEL, KEY, MAIN_MODEL, OPENAI_URL, QUESTION, order, session, signed

import outlay

outlay.init()

provider = OpenAIProvider(base_url=OPENAI_URL, api_key=KEY)
embedder = Embedder(OpenAIEmbeddingModel(EMBEDDING_MODEL, provider=provider))
researcher = Agent(
    OpenAIChatModel(HELPER_MODEL, provider=provider), name="researcher", instructions=signed("researcher")
)
concierge = Agent(
    OpenAIResponsesModel(MAIN_MODEL, provider=provider), name="concierge", instructions=signed("concierge")
)


@researcher.tool_plain
async def search_papers(query: str) -> str:
    """Searches the office's papers."""
    await embedder.embed_query(f"{signed('researcher')} {query}")
    return "Parcels leave at nine."


@concierge.tool_plain
def lookup_order(number: str) -> str:
    """Looks an order up; a plain function, so it runs in a thread."""
    return order(number)


@concierge.tool_plain
async def ask_researcher(question: str) -> str:
    """Asks the researcher."""
    async with researcher.run_stream(question) as run:
        return await run.get_output()


async def main() -> str:
    with session():
        return (await concierge.run(QUESTION)).output


if __name__ == "__main__":
    print(asyncio.run(main()))
