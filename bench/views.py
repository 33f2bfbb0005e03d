"""Server time of each view: a real `outlay up`, first and later looks, at a million and at ten million usages.

A first look follows a write to the books, as nearly every look at a server that is posted to does; a later look finds
them unchanged. CPU is that of the server's process tree between the two ends of the request, so it holds what
settling and rolling up take meanwhile, as a mean, since it is counted in hundredths of a second; the clock is the
client's.
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import json
import statistics
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import books
import measure
from outlay.house import House
from server import Server, serving

VIEWS = {
    "tactical": "/tactical",
    "strategic": "/strategic",
    "executive": "/executive",
    "overview": "/overview",
    "sessions": "/sessions",
    "feature": "/features/support-assistant",
    "budgets": "/budgets",
    "tags": "/tags",
}

RUN = time.time_ns()
"""Sessions of another run on the same home stay as they are."""


def get(server: Server, path: str) -> tuple[float, bytes]:
    """Milliseconds by the clock, and the page."""
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)) as connection:
        began = time.perf_counter()
        connection.request("GET", path, headers={"accept": "text/html"})
        reply = connection.getresponse()
        page = reply.read()
        took = (time.perf_counter() - began) * 1e3
    if reply.status != 200:
        raise SystemExit(f"error: GET {path}: {reply.status} {page[:300]!r}")
    return took, page


def post(server: Server, number: int) -> None:
    """Write a span and an outcome of this moment, and wait until both are in the books."""
    now = time.time_ns()
    span = {
        "traceId": f"{now:032x}",
        "spanId": f"{now % 2**64:016x}",
        "name": "chat",
        "startTimeUnixNano": str(now),
        "endTimeUnixNano": str(now + 10**9),
        "attributes": [
            {"key": key, "value": {"stringValue": value}}
            for key, value in {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": "gpt-4.1",
                "outlay.team": "support",
                "outlay.feature": "support-assistant",
                "session.id": f"live-{RUN}-{number // 10}",
            }.items()
        ]
        + [
            {"key": f"gen_ai.usage.{name}_tokens", "value": {"intValue": str(count)}}
            for name, count in (("input", 1000), ("output", 100))
        ],
    }
    _send(server, "/v1/traces", {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]})
    deadline = time.monotonic() + 30
    while server.get("/api/v1/counters")["total"]["waiting"] and time.monotonic() < deadline:
        time.sleep(0.02)


def _send(server: Server, path: str, body: dict[str, Any]) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        reply = connection.getresponse()
        said = reply.read()
    if reply.status >= 300:
        raise SystemExit(f"error: POST {path}: {reply.status} {said[:300]!r}")


def look(server: Server, path: str) -> tuple[float, float, bytes]:
    """Clock and CPU milliseconds of one look, and the page."""
    busy = measure.cpu_s(server.pid)
    took, page = get(server, path)
    return took, (measure.cpu_s(server.pid) - busy) * 1e3, page


def measure_views(server: Server, rounds: int, pause_s: float) -> dict[str, Any]:
    """Each view in turn, after a write and again without one, after one round that fills what is kept."""
    firsts: dict[str, list[tuple[float, float]]] = {name: [] for name in VIEWS}
    laters: dict[str, list[tuple[float, float]]] = {name: [] for name in VIEWS}
    sizes: dict[str, int] = {}
    number = 0
    for place in range(rounds + 1):
        for name, path in VIEWS.items():
            number += 1
            post(server, number)
            time.sleep(pause_s)  # what settling takes is not the page's
            for found in (firsts, laters):
                took, busy, page = look(server, path)
                if place:
                    found[name].append((took, busy))
            sizes[name] = len(gzip.compress(page, 6))
    return {
        name: {
            "first_look_p50_ms": _of(firsts[name], 0, 0.5),
            "first_look_p95_ms": _of(firsts[name], 0, 0.95),
            "first_look_cpu_ms": round(statistics.mean(busy for _, busy in firsts[name]), 1),
            "later_look_p50_ms": _of(laters[name], 0, 0.5),
            "later_look_cpu_ms": round(statistics.mean(busy for _, busy in laters[name]), 1),
            "gzip_bytes": sizes[name],
        }
        for name in VIEWS
    }


def _of(found: list[tuple[float, float]], place: int, share: float) -> float:
    return round(measure.percentile([pair[place] for pair in found], share), 1)


def home_of(folder: Path, usages: int) -> Path:
    """A home with so many usages whose days are added up; one that is there already is taken."""
    home = folder / f"views-{usages}"
    if not (home / "books.duckdb").exists():
        home.mkdir(parents=True, exist_ok=True)
        seconds = books.fill(home / "books.duckdb", usages)
        measure.say(f"  filled {usages:,} usages in {seconds:.0f} s")
        with House.open(home) as house:
            house.intake.settle()
    return home


def run(args: argparse.Namespace) -> dict[str, Any]:
    """All sizes, one after the other."""
    found: dict[str, Any] = {"rounds": args.rounds}
    for usages in args.usages:
        with tempfile.TemporaryDirectory(prefix="outlay-bench-", dir=args.folder) as name:
            home = home_of(args.keep or Path(name), usages)
            with serving(home) as server:
                found[f"{usages:,} usages"] = measure_views(server, args.rounds, args.pause)
    return found


def main() -> int:
    """The command."""
    parser = measure.arguments(__doc__)
    parser.add_argument("--usages", type=int, nargs="+", default=[1_000_000, 10_000_000], help="sizes of the books")
    parser.add_argument("--rounds", type=int, default=20, help="how often each view is looked at after a write (20)")
    parser.add_argument("--pause", type=float, default=0.5, help="seconds between a write and the look at it (0.5)")
    parser.add_argument("--folder", type=Path, help="where the temporary homes go (the system's temporary folder)")
    parser.add_argument("--keep", type=Path, help="a folder whose homes are made once and used again")
    args = parser.parse_args()
    measure.report("views", run(args), as_json=args.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
