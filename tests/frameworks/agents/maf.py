"""Microsoft Agent Framework: tools, an agent as a tool, a sequential workflow of two agents, plain and streamed."""

from __future__ import annotations

import asyncio

from agent_framework import Agent, AgentExecutor, WorkflowBuilder, tool
from agent_framework.openai import OpenAIChatClient, OpenAIChatCompletionClient, OpenAIEmbeddingClient
from scene import EMBEDDING_MODEL, HELPER_MODEL, KEY, MAIN_MODEL, OPENAI_URL, QUESTION, order, session, signed

import outlay

outlay.init()

embedder = OpenAIEmbeddingClient(model=EMBEDDING_MODEL, base_url=OPENAI_URL, api_key=KEY)


@tool(approval_mode="never_require")
async def search_papers(query: str) -> str:
    """Searches the office's papers."""
    await embedder.get_embeddings([f"{signed('researcher')} {query}"])
    return "Parcels leave at nine."


@tool(approval_mode="never_require")
def lookup_order(number: str) -> str:
    """Looks an order up."""
    return order(number)


def helper(name: str, *tools: object) -> Agent:
    client = OpenAIChatCompletionClient(model=HELPER_MODEL, base_url=OPENAI_URL, api_key=KEY)
    return Agent(client, signed(name), name=name, tools=list(tools))


researcher = helper("researcher", search_papers)
reviewer = helper("reviewer")
concierge = Agent(
    OpenAIChatClient(model=MAIN_MODEL, base_url=OPENAI_URL, api_key=KEY),
    instructions=signed("concierge"),
    name="concierge",
    tools=[lookup_order, researcher.as_tool(name="ask_researcher")],
)


async def main() -> str:
    first, second = AgentExecutor(concierge), AgentExecutor(reviewer)
    workflow = WorkflowBuilder(start_executor=first, name="office").add_edge(first, second).build()
    with session():
        async for _ in workflow.run(QUESTION, stream=True):
            pass
        return str(await concierge.run("Thank you."))


if __name__ == "__main__":
    print(asyncio.run(main()))
