"""OpenAI Agents SDK: a guardrail, tools, an agent as a tool, a hand-off, plain and streamed."""

from __future__ import annotations

import asyncio

from agents import (
    Agent,
    GuardrailFunctionOutput,
    InputGuardrail,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
)
from agents.tracing import set_trace_processors
from openai import AsyncOpenAI
from scene import EMBEDDING_MODEL, HELPER_MODEL, KEY, MAIN_MODEL, OPENAI_URL, QUESTION, judging, order, session, signed

import outlay

set_trace_processors([])  # nothing of this test goes to OpenAI's own trace door
outlay.init(include_usage=True)

client = AsyncOpenAI(base_url=OPENAI_URL, api_key=KEY)


@function_tool
async def search_papers(query: str) -> str:
    """Searches the office's papers."""
    await client.embeddings.create(model=EMBEDDING_MODEL, input=f"{signed('researcher')} {query}")
    return "Parcels leave at nine."


@function_tool
def lookup_order(number: str) -> str:
    """Looks an order up."""
    return order(number)


async def decent(_context: object, _agent: object, text: object) -> GuardrailFunctionOutput:
    """Whether the question may be answered."""
    checked = await client.moderations.create(model="omni-moderation-latest", input=f"{signed('concierge')} {text}")
    asked = [{"role": "user", "content": f"{judging('concierge')} {text}"}]
    await client.chat.completions.create(model=HELPER_MODEL, messages=asked)
    return GuardrailFunctionOutput(output_info=None, tripwire_triggered=checked.results[0].flagged)


researcher = Agent(
    name="researcher",
    instructions=signed("researcher"),
    model=OpenAIResponsesModel(HELPER_MODEL, client),
    tools=[search_papers],
)
clerk = Agent(
    name="clerk",
    instructions=signed("clerk"),
    model=OpenAIChatCompletionsModel(HELPER_MODEL, client),
    tools=[lookup_order],
)
concierge = Agent(
    name="concierge",
    instructions=signed("concierge"),
    model=OpenAIResponsesModel(MAIN_MODEL, client),
    tools=[researcher.as_tool("ask_researcher", "Asks the researcher.")],
    handoffs=[clerk],
    input_guardrails=[InputGuardrail(decent, run_in_parallel=False)],
)


async def main() -> str:
    with session():
        streamed = Runner.run_streamed(concierge, QUESTION)
        async for _ in streamed.stream_events():
            pass
        return str(streamed.final_output)


if __name__ == "__main__":
    print(asyncio.run(main()))
