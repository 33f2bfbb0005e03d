"""What a decision before a call costs a server, and whether a cap holds when everybody asks at once.

    python bench/decide.py
    python bench/decide.py --leases 1000000 --seconds 5

The server is a real `outlay up` with three budgets that bind each call: company, team, session. `cpu_us` is the CPU of
its process tree per request; the floor is `GET /healthz`, which decides nothing. Then a race: many callers at once, an
upstream of 400 ms, a cap of 0.005 USD and a call that is billed 0.00027, where the input was counted at a quarter of
what is billed (low), or `max_tokens` is four times the answer (high), before and after anything was learned.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from measure import arguments, cpu_s, percentile, report, say
from server import OUTLAY, Server, serving

CAP_USD = 0.005
UPSTREAM_S = 0.4
PATIENCE_S = 2.0
INPUT_USD, OUTPUT_USD = 0.15e-6, 0.6e-6  # gpt-4o-mini, as it was measured with others
BILLED = (1_000, 200)
CALL = {"envelope": {"team": "search"}, "session": "s", "provider": "acme", "model": "mini", "input_tokens": 1_000}


def main() -> None:
    """Measures and prints."""
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement (default 2)")
    parser.add_argument("--leases", type=int, default=100_000, help="leases in the store for the second round")
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="outlay-decide-") as folder:
        home = Path(folder) / "home"
        _prepare(home)
        for leases in (0, options.leases):
            _fill(home, leases)
            say(f"decide with {leases:,} leases in the store")
            with serving(home) as server:
                _measured(server, 32, 0.5, "/api/v1/decide")
                figures[f"{leases} leases"] = {
                    "floor c=32": _measured(server, 32, options.seconds, "/healthz"),
                    "decide c=1": _measured(server, 1, options.seconds, "/api/v1/decide"),
                    "decide c=32": _measured(server, 32, options.seconds, "/api/v1/decide"),
                }
        with serving(home) as server:
            for callers in (64, 512):
                say(f"race of {callers}")
                figures[f"race of {callers}"] = _races(server, callers)
    report("decide", figures, as_json=options.json)


def _prepare(home: Path) -> None:
    prices = ("input=0.15 per 1M", "output=0.6 per 1M")
    _outlay(home, "prices", "add", "--provider", "acme", "--model", "mini", *prices)
    _outlay(home, "budgets", "set", "--name", "company", "--year", "1000000")
    _outlay(home, "budgets", "set", "--name", "search", "--team", "search", "--month", "100000")
    _outlay(home, "budgets", "set", "--name", "run", "--session", "*", "--life", "100000")


def _outlay(home: Path, *words: str) -> None:
    quiet = subprocess.DEVNULL
    subprocess.run([*OUTLAY, "--home", str(home), *words], check=True, stdout=quiet, stderr=quiet)


def _fill(home: Path, leases: int) -> None:
    """Leases that are over, as a server that has worked for a while has them."""
    if not leases:
        return
    now = time.time_ns()
    with sqlite3.connect(home / "control.sqlite") as store:
        store.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
            "INSERT INTO leases (id, parent, holder, state, envelope, balances, own, session, held_nano, settled_nano, "
            "created_ns, expires_ns, closed_ns) SELECT printf('%032x', i), '', '', 'settled', '{}', "
            "'[\"1:0:\"]', '[\"1:0:\"]', 's' || (i / 20), 0, 1000, ? + i, ? + i, ? + i FROM n",
            (leases, now - 10**12, now - 10**12, now - 10**12),
        )


class _Asker(asyncio.Protocol):
    """One connection that asks again as soon as it is answered."""

    def __init__(self, request: bytes, waits: list[float]) -> None:
        self._request, self._waits = request, waits
        self._buffer, self._sent = b"", 0.0
        self.going = True

    def connection_made(self, transport: Any) -> None:
        """Begins."""
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        """Looks for the end of the answer."""
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        length = next(
            (int(line[16:]) for line in head.lower().split(b"\r\n") if line[:16] == b"content-length: "), None
        )
        if found and length is not None and len(body) >= length:
            self._waits.append(time.perf_counter() - self._sent)
            self._buffer = b""
            if self.going:
                self._ask()

    def _ask(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._request)


def _measured(server: Server, callers: int, seconds: float, path: str) -> dict[str, float]:
    body = json.dumps({**CALL, "max_tokens": 800}).encode()
    head = f"Host: 127.0.0.1:{server.port}\r\n"
    request = f"GET {path} HTTP/1.1\r\n{head}\r\n".encode()
    if path != "/healthz":
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        request = f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body
    waits: list[float] = []

    async def run() -> float:
        loop = asyncio.get_running_loop()
        opened = [
            await loop.create_connection(lambda: _Asker(request, waits), "127.0.0.1", server.port)
            for _ in range(callers)
        ]
        await asyncio.sleep(seconds / 4)
        waits.clear()
        before = cpu_s(server.pid)
        await asyncio.sleep(seconds)
        used = cpu_s(server.pid) - before
        for transport, asker in opened:
            asker.going = False
            transport.close()
        return used

    used = asyncio.run(run())
    return {
        "cpu_us": round(used / len(waits) * 1e6, 1),
        "per_second": round(len(waits) / seconds),
        "p50_ms": round(percentile(waits, 0.5) * 1e3, 2),
        "p99_ms": round(percentile(waits, 0.99) * 1e3, 2),
    }


# ---- the race --------------------------------------------------------------------------------------------------------


def _races(server: Server, callers: int) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for name, counted, most in (("right", 1_000, 200), ("low", 254, 200), ("high", 1_000, 800)):
        for history in (False, True):
            team = f"{name}-{'learned' if history else 'new'}-{callers}"
            asyncio.run(_post(server, "budgets", {"name": team, "team": team, "month": str(CAP_USD)}))
            call = {**CALL, "envelope": {"team": team, "feature": team}, "input_tokens": counted, "max_tokens": most}
            told[f"estimate {name}, {'learned' if history else 'nothing learned'}"] = asyncio.run(
                _race(server, callers, call, history=history)
            )
    return told


async def _race(server: Server, callers: int, call: dict[str, Any], *, history: bool) -> dict[str, Any]:
    if history:  # of a team without a cap: the same feature, model and step
        for _ in range(20):
            given = await _post(server, "decide", {**call, "envelope": {**call["envelope"], "team": "search"}})
            await _post(server, "settle", {"lease": given["lease"], "amount_usd": _billed(BILLED[1])})
    answers = await asyncio.gather(*(_call(server, call) for _ in range(callers)))
    admitted = [amount for amount in answers if amount is not None]
    spent = sum(admitted)
    return {
        "admitted": len(admitted),
        "spent_of_cap": round(spent / CAP_USD, 3),
        "refused": callers - len(admitted),
    }


def _billed(output_tokens: int) -> str:
    return f"{BILLED[0] * INPUT_USD + output_tokens * OUTPUT_USD:.9f}"


async def _call(server: Server, call: dict[str, Any]) -> float | None:
    """What one call was billed; None where it was refused. It waits as the SDK does."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        given = await _post(server, "decide", call)
        if "lease" in given:
            break
        if not given["refusal"]["retryable"] or time.monotonic() > deadline:
            return None
        await asyncio.sleep(0.1)
    await asyncio.sleep(UPSTREAM_S)
    amount = _billed(min(BILLED[1], given["max_tokens"] or BILLED[1]))
    await _post(server, "settle", {"lease": given["lease"], "amount_usd": amount})
    return float(amount)


async def _post(server: Server, path: str, said: dict[str, Any]) -> dict[str, Any]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    body = json.dumps(said).encode()
    head = f"POST /api/v1/{path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nConnection: close\r\n"
    writer.write(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    content = await reader.read()
    writer.close()
    answer: dict[str, Any] = json.loads(content.partition(b"\r\n\r\n")[2])
    return answer


if __name__ == "__main__":
    sys.exit(main())
