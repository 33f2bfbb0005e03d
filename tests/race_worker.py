"""One process of a race: `race_worker.py URL CALLS tasks|threads CANCEL_MS` waits for a line, asks all at once, and
prints what became of each: an HTTP status, `cancelled`, or what was raised.

A quarter of the calls is cancelled after so many milliseconds, where any is.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2

import outlay

BODY: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "x" * 900}],
    "user": "200",
    "max_tokens": 800,
}


async def tasks(url: str, calls: int, cancel_s: float) -> Counter[str]:
    """Every call a task of one loop."""
    limits = httpx2.Limits(max_connections=calls)
    async with httpx2.AsyncClient(limits=limits, timeout=60) as client:

        async def one(number: int) -> str:
            asked = client.post(url, json=BODY)
            try:
                answer = await (asyncio.wait_for(asked, cancel_s) if cancel_s and number % 4 == 0 else asked)
            except TimeoutError:
                return "cancelled"
            except httpx2.HTTPError as error:
                return type(error).__name__
            return str(answer.status_code)

        return Counter(await asyncio.gather(*[one(number) for number in range(calls)]))


def threads(url: str, calls: int) -> Counter[str]:
    """Every call a thread."""
    limits = httpx2.Limits(max_connections=calls)
    with httpx2.Client(limits=limits, timeout=60) as client, ThreadPoolExecutor(calls) as pool:

        def one(_: int) -> str:
            try:
                return str(client.post(url, json=BODY).status_code)
            except httpx2.HTTPError as error:
                return type(error).__name__

        return Counter(pool.map(one, range(calls)))


def main() -> None:
    """Races once for each line it reads."""
    url, calls, way, cancel_ms = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    outlay.init(runtime=False, hosts={"127.0.0.1": "openai"})
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    team = sys.stdin.readline().strip()
    with outlay.session(team=team, feature="race"):
        ends = threads(url, calls) if way == "threads" else asyncio.run(tasks(url, calls, cancel_ms / 1000))
    outlay.shutdown()
    sys.stdout.write(json.dumps(ends) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
