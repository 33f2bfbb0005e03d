"""Leases over real HTTP: a crowd of callers, some of whom fail, cancel or vanish, and a server killed in between."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path
from typing import Any

import httpx2

from e2e.processes import Server, await_up, spawn, told

CALLERS = 64
CAP = 0.05
WORST = 0.00104
TTL_S = 2
CALL = {"provider": "acme", "model": "dear", "input_tokens": 10, "max_tokens": 100, "ttl_s": TTL_S}


def _standing(server: Server) -> dict[str, Any]:
    return next(row for row in server.get("budgets")["rows"] if row["name"] == "search")


async def _caller(client: httpx2.AsyncClient, number: int, calls: int) -> list[float]:
    """What one caller was billed; every fourth way to end is one that leaves a lease behind."""
    lot, billed = random.Random(number), list[float]()
    for turn in range(calls):
        asked = {"envelope": {"team": "search"}, "id": f"{number}/{turn}", **CALL}
        try:
            given = await client.post("/api/v1/decide", json=asked)
            if given.status_code == 402 and given.json()["refusal"]["retryable"]:
                await asyncio.sleep(0.05)
                continue
            if given.status_code != 200:
                assert given.status_code == 402, given.text
                break
            lease, ending = given.json()["lease"], lot.random()
            if ending < 0.1:
                await client.post("/api/v1/return", json={"lease": lease})
            elif ending > 0.25:  # the others vanish
                amount = round(min(WORST, float(given.json()["amount_usd"])) * lot.uniform(0.2, 1), 9)
                settled = await client.post("/api/v1/settle", json={"lease": lease, "amount_usd": f"{amount:.9f}"})
                assert settled.status_code == 200, settled.text
                billed.append(amount)
        except httpx2.TransportError:  # the server is gone: what was asked may or may not have been decided
            return billed
    return billed


async def _crowd(server: Server, calls: int, *, kill_after_s: float | None = None) -> float:
    limits = httpx2.Limits(max_connections=CALLERS, max_keepalive_connections=CALLERS)
    async with httpx2.AsyncClient(base_url=server.url, timeout=30, limits=limits) as client:
        work = asyncio.gather(*(_caller(client, number, calls) for number in range(CALLERS)))
        if kill_after_s is not None:
            await asyncio.sleep(kill_after_s)
            server.process.kill()
        return sum(sum(billed) for billed in await work)


def test_c14_c19_a_crowd_over_http_and_a_server_killed_among_them_never_pass_the_cap(tmp_path: Path) -> None:
    told(tmp_path, "prices", "add", "--provider", "acme", "--model", "dear", "input=4 per 1M", "output=10 per 1M")
    told(tmp_path, "budgets", "set", "--name", "search", "--team", "search", "--month", str(CAP))
    told(tmp_path, "budgets", "set", "--name", "company", "--month", "1000")
    first = await_up(spawn(tmp_path))
    asyncio.run(_crowd(first, calls=3, kill_after_s=0.3))
    first.process.wait()
    second = await_up(spawn(tmp_path))
    try:
        asyncio.run(_crowd(second, calls=3))
        deadline = time.monotonic() + 30
        while (standing := _standing(second))["held"] != "0":
            assert time.monotonic() < deadline, f"leaked: {standing}"
            time.sleep(0.2)
        assert second.get("leases")["rows"] == []
        assert float(standing["spent"]) + float(standing["presumed"]) <= CAP
        assert float(standing["spent"]) > 0
    finally:
        second.stop()
