"""AutoGen 0.7: a group chat on the message runtime, an agent as a tool, tools, a stream."""

from __future__ import annotations

import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import TextMentionTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_agentchat.tools import AgentTool
from autogen_core.models import ModelInfo
from autogen_ext.models.openai import OpenAIChatCompletionClient
from openai import AsyncOpenAI
from scene import EMBEDDING_MODEL, HELPER_MODEL, KEY, MAIN_MODEL, OPENAI_URL, QUESTION, order, session, signed

import outlay

outlay.init(include_usage=True)

INFO = ModelInfo(
    vision=False,
    function_calling=True,
    json_output=True,
    structured_output=True,
    family="gpt-41",
    multiple_system_messages=True,
)


def model(name: str) -> OpenAIChatCompletionClient:
    return OpenAIChatCompletionClient(
        model=name, base_url=OPENAI_URL, api_key=KEY, model_info=INFO, parallel_tool_calls=False
    )


async def search_papers(query: str) -> str:
    """Searches the office's papers."""
    client = AsyncOpenAI(base_url=OPENAI_URL, api_key=KEY)
    await client.embeddings.create(model=EMBEDDING_MODEL, input=f"{signed('researcher')} {query}")
    return "Parcels leave at nine."


def lookup_order(number: str) -> str:
    """Looks an order up."""
    return order(number)


researcher = AssistantAgent(
    "researcher",
    model(HELPER_MODEL),
    tools=[search_papers],
    description="Knows the papers.",
    system_message=signed("researcher"),
    max_tool_iterations=3,
    model_client_stream=True,
)
concierge = AssistantAgent(
    "concierge",
    model(MAIN_MODEL),
    tools=[lookup_order, AgentTool(researcher, return_value_as_last_message=True)],
    max_tool_iterations=4,
    system_message=signed("concierge"),
)
reviewer = AssistantAgent("reviewer", model(HELPER_MODEL), system_message=signed("reviewer"))


async def main() -> str:
    with session():
        end = TextMentionTermination("TERMINATE", sources=["reviewer"])
        team = RoundRobinGroupChat([concierge, reviewer], name="office", termination_condition=end)
        result = await team.run(task=QUESTION)
        return result.messages[-1].to_text()


if __name__ == "__main__":
    print(asyncio.run(main()))
