"""No framework at all: OpenAI's and Anthropic's own clients in two loops, with the lines an application writes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from anthropic import AsyncAnthropic
from openai import OpenAI
from scene import (
    EMBEDDING_MODEL,
    KEY,
    MAIN_MODEL,
    MODELS_URL,
    OPENAI_URL,
    PAPERS,
    QUESTION,
    order,
    session,
    signed,
)

import outlay

outlay.init()

openai = OpenAI(base_url=OPENAI_URL, api_key=KEY)
anthropic = AsyncAnthropic(base_url=MODELS_URL, api_key=KEY)


def schema(name: str) -> dict[str, Any]:
    """A tool that takes a text."""
    return {"type": "object", "properties": {name: {"type": "string"}}, "required": [name]}


def search_papers(query: str) -> str:
    """Searches the office's papers."""
    openai.embeddings.create(model=EMBEDDING_MODEL, input=f"{signed('researcher')} {query}")
    return PAPERS[0]


def lookup_order(number: str) -> str:
    """Looks an order up."""
    return order(number)


@outlay.agent("researcher")
async def research(question: str) -> str:
    """Anthropic's client, streamed, until no tool is asked for any more."""
    said: list[Any] = [{"role": "user", "content": question}]
    tools: Any = [{"name": "search_papers", "description": "The papers.", "input_schema": schema("query")}]
    while True:
        async with anthropic.messages.stream(
            model="claude-haiku-4-5", max_tokens=500, system=signed("researcher"), messages=said, tools=tools
        ) as stream:
            message = await stream.get_final_message()
        calls = [block for block in message.content if block.type == "tool_use"]
        if not calls:
            return str(message.content[0].text)
        said.append({"role": "assistant", "content": message.content})
        done = []
        for call in calls:
            with outlay.step(call.name, kind="tool"):
                text = await asyncio.to_thread(search_papers, **call.input)
            done.append({"type": "tool_result", "tool_use_id": call.id, "content": text})
        said.append({"role": "user", "content": done})


TOOLS: dict[str, Callable[[str], str]] = {
    "lookup_order": lookup_order,
    "ask_researcher": lambda question: asyncio.run(research(question)),
}


def concierge() -> str:
    """OpenAI's client, until no tool is asked for any more."""
    said: list[Any] = [{"role": "system", "content": signed("concierge")}, {"role": "user", "content": QUESTION}]
    offered: Any = [{"type": "function", "function": {"name": name, "parameters": schema("text")}} for name in TOOLS]
    while True:
        answer = openai.chat.completions.create(model=MAIN_MODEL, messages=said, tools=offered).choices[0].message
        if not answer.tool_calls:
            return str(answer.content)
        said.append(answer)
        for call in answer.tool_calls:
            with outlay.step(call.function.name, kind="tool"):
                text = TOOLS[call.function.name](json.loads(call.function.arguments)["text"])
            said.append({"role": "tool", "tool_call_id": call.id, "content": text})


if __name__ == "__main__":
    with session(agent="concierge"):
        print(concierge())
