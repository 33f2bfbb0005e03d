"""Real clients under a budget that is used up, in an environment of their own: `budget_runs.py PORT` prints what the
agent's code gets of each: what was raised, and the refusal behind it.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from collections.abc import Callable
from typing import Any

import outlay

MESSAGES = [{"role": "user", "content": "where is my parcel"}]
BODY = {"model": "gpt-4o", "messages": MESSAGES, "max_tokens": 400}
TEAM = {"team": "search"}


def openai(url: str) -> None:
    client = importlib.import_module("openai").OpenAI(api_key="k", base_url=f"{url}/v1", max_retries=4)
    client.chat.completions.create(**BODY)


def openai_stream(url: str) -> None:
    client = importlib.import_module("openai").OpenAI(api_key="k", base_url=f"{url}/v1", max_retries=4)
    list(client.chat.completions.create(**BODY, stream=True))


def openai_async(url: str) -> None:
    async def ask() -> None:
        client = importlib.import_module("openai").AsyncOpenAI(api_key="k", base_url=f"{url}/v1", max_retries=4)
        await client.chat.completions.create(**BODY)

    asyncio.run(ask())


def anthropic(url: str) -> None:
    client = importlib.import_module("anthropic").Anthropic(api_key="k", base_url=url, max_retries=4)
    client.messages.create(model="claude-opus-5", messages=MESSAGES, max_tokens=400)


def requests(url: str) -> None:
    importlib.import_module("requests").post(f"{url}/v1/chat/completions", json=BODY, timeout=5).raise_for_status()


def httpx(url: str) -> None:
    importlib.import_module("httpx").post(f"{url}/v1/chat/completions", json=BODY, timeout=5).raise_for_status()


def aiohttp(url: str) -> None:
    async def ask() -> None:
        sessions = importlib.import_module("aiohttp").ClientSession
        async with sessions() as session, session.post(f"{url}/v1/chat/completions", json=BODY) as answer:
            answer.raise_for_status()

    asyncio.run(ask())


RUNS: tuple[Callable[[str], None], ...] = (openai, openai_stream, openai_async, anthropic, requests, httpx, aiohttp)


def what(error: BaseException | None) -> dict[str, Any]:
    """An exception, and the refusal that is found behind it."""
    refused = outlay.BudgetExceeded.of(error)
    return {
        "raised": type(error).__name__,
        "status": getattr(error, "status_code", None),
        "budget": refused.refusal.budget if refused is not None else "",
        "said": str(refused),
    }


def main() -> None:
    """Every client bare, and inside a guard."""
    url = f"http://127.0.0.1:{sys.argv[1]}"
    outlay.init(runtime=False, hosts={"127.0.0.1": "openai"})
    found: dict[str, Any] = {}
    for each in RUNS:
        with outlay.session(**TEAM):
            try:
                each(url)
                found[each.__name__] = what(None)
            except Exception as error:  # noqa: BLE001 - whatever a client makes of it
                found[each.__name__] = what(error)
            try:
                with outlay.guard():
                    each(url)
            except Exception as error:  # noqa: BLE001 - whatever a client makes of it
                found[each.__name__]["in a guard"] = type(error).__name__
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
