"""Google ADK: a tool, an agent as a tool, a transfer to a sub-agent, Gemini plain and streamed."""

from __future__ import annotations

import asyncio
import os

from google.adk.agents import LlmAgent
from google.adk.agents.run_config import RunConfig, StreamingMode
from google.adk.models.google_llm import Gemini
from google.adk.runners import InMemoryRunner
from google.adk.tools.agent_tool import AgentTool
from google.genai import types
from openai import AsyncOpenAI
from scene import EMBEDDING_MODEL, KEY, MODELS_URL, OPENAI_URL, QUESTION, order, session, signed

import outlay

os.environ["GOOGLE_API_KEY"] = KEY
outlay.init()


def gemini(name: str) -> Gemini:
    retries = types.HttpRetryOptions(attempts=3, initial_delay=0.01, jitter=0.01, max_delay=0.02)
    return Gemini(model=name, base_url=MODELS_URL, retry_options=retries)


async def search_papers(query: str) -> str:
    """Searches the office's papers."""
    client = AsyncOpenAI(base_url=OPENAI_URL, api_key=KEY)
    await client.embeddings.create(model=EMBEDDING_MODEL, input=f"{signed('researcher')} {query}")
    return "Parcels leave at nine."


def lookup_order(number: str) -> str:
    """Looks an order up."""
    return order(number)


researcher = LlmAgent(
    name="researcher", instruction=signed("researcher"), model=gemini("gemini-2.5-flash-lite"), tools=[search_papers]
)
clerk = LlmAgent(
    name="clerk",
    instruction=signed("clerk"),
    model=gemini("gemini-2.5-flash-lite"),
    tools=[lookup_order],
    disallow_transfer_to_parent=True,
    disallow_transfer_to_peers=True,
)
concierge = LlmAgent(
    name="concierge",
    instruction=signed("concierge"),
    model=gemini("gemini-2.5-flash"),
    tools=[AgentTool(researcher)],
    sub_agents=[clerk],
)


async def main() -> str:
    runner = InMemoryRunner(concierge, app_name="office")
    talk = await runner.session_service.create_session(app_name="office", user_id="u")
    said = ""
    with session():
        question = types.Content(role="user", parts=[types.Part(text=QUESTION)])
        config = RunConfig(streaming_mode=StreamingMode.SSE)
        async for event in runner.run_async(user_id="u", session_id=talk.id, new_message=question, run_config=config):
            parts = event.content.parts if event.content else ()
            said = "".join(part.text or "" for part in parts or ()) or said
    return said


if __name__ == "__main__":
    print(asyncio.run(main()))
