"""OTLP over HTTP to durable rows: CPU of the server's whole process tree per span.

Every round posts fresh traffic over several connections and ends when the spans are counted in the books, so that a
reply which is only an enqueue does not flatter. Product and peer alternate; the first round of each warms up. CPU is
what to compare, since sender and server share the machine.

    python bench/ingest.py
    python bench/ingest.py --peer phoenix --json
    OUTLAY_SHARED=../shared python bench/ingest.py --payload shared
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import measure
import peers
from server import serving
from traffic import Traffic

SETTLE_SECONDS_MAX = 600
CONTENT_TYPE = "application/x-protobuf"


@dataclass(slots=True)
class Target:
    """Somebody who takes OTLP: where it listens, whose CPU counts, how its rows are counted, how much it is sent."""

    name: str
    port: int
    pid: int
    count: Callable[[], int]
    requests: int
    rates: list[float] = field(default_factory=list[float])
    walls: list[float] = field(default_factory=list[float])


def post_all(port: int, bodies: Sequence[bytes], connections: int, headers: dict[str, str]) -> None:
    """Posts every body once over so many kept-alive connections; any reply but 200 raises."""
    waiting, failures, lock = iter(bodies), [], threading.Lock()

    def send() -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=300)) as connection:
            while not failures:
                with lock:
                    body = next(waiting, None)
                if body is None:
                    return
                try:
                    connection.request("POST", "/v1/traces", body, headers)
                    reply = connection.getresponse()
                    said = reply.read()
                    if reply.status != 200:
                        failures.append(f"{reply.status} {said[:200]!r}")
                except OSError as error:
                    failures.append(repr(error))

    threads = [threading.Thread(target=send) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise RuntimeError(f"a request failed: {failures[0]}")


def until_counted(target: Target, wanted: int) -> None:
    """Returns when the target's books hold so many spans; raises when they never do."""
    limit = time.monotonic() + SETTLE_SECONDS_MAX
    pause_s = 0.05
    while (held := target.count()) < wanted:
        if time.monotonic() > limit:
            raise RuntimeError(f"{target.name} holds {held} of {wanted} spans: something acknowledged is missing")
        time.sleep(pause_s)
        pause_s = min(0.5, pause_s * 1.5)
    if held > wanted:
        raise RuntimeError(f"{target.name} holds {held} spans, {wanted} were sent")


def one_round(target: Target, traffic: Iterator[bytes], args: argparse.Namespace, *, keep: bool) -> None:
    """Sends one round and keeps its figures unless it is the warm-up."""
    bodies = [next(traffic) for _ in range(target.requests)]
    headers = {"Content-Type": CONTENT_TYPE}
    if args.gzip:
        bodies = [gzip.compress(body, 6) for body in bodies]
        headers["Content-Encoding"] = "gzip"
    spans = target.requests * args.spans
    before = target.count()
    cpu, began = measure.cpu_s(target.pid), time.perf_counter()
    post_all(target.port, bodies, args.connections, headers)
    until_counted(target, before + spans)
    wall_s, cpu_used_s = time.perf_counter() - began, measure.cpu_s(target.pid) - cpu
    if keep:
        target.rates.append(spans / cpu_used_s)
        target.walls.append(spans / wall_s)
    measure.say(f"  {target.name}: {spans / cpu_used_s:,.0f} spans a CPU second, {spans / wall_s:,.0f} a second")


def endless(args: argparse.Namespace, seed: int) -> Iterator[bytes]:
    """Bodies nobody has seen before, from our own generator or the shared one."""
    if args.payload == "own":
        traffic = Traffic(seed, args.spans)
        while True:
            yield from traffic.bodies(1_000)
    shared = Path(os.environ.get("OUTLAY_SHARED", Path(measure.ROOT).parent / "shared")) / "bench"
    if not (shared / "payloads.py").exists():
        raise SystemExit("error: no shared bench folder; set OUTLAY_SHARED, or leave --payload at own")
    sys.path.append(str(shared))
    import payloads

    agents = payloads.Traffic(seed)
    while True:
        yield agents.request(args.spans).SerializeToString()


def figures(target: Target) -> dict[str, Any]:
    """What one target did."""
    return {
        "spans_per_cpu_second": measure.spread(target.rates, 0),
        "cpu_us_per_span": measure.spread([1e6 / rate for rate in target.rates], 2),
        "spans_per_second_wall": measure.spread(target.walls, 0),
    }


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measures the product and, where asked, the peer, in alternating rounds."""
    seed = random.SystemRandom().getrandbits(32) if args.seed is None else args.seed
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="outlay-bench-")))
        home = folder / "home"
        home.mkdir()
        server = stack.enter_context(serving(home))
        targets = [Target("outlay", server.port, server.pid, server.usages, args.requests)]
        if args.peer:
            peer = stack.enter_context(peers.serving(args.peer, folder))
            targets.append(Target(args.peer, peer.port, peer.pid, peer.count, args.peer_requests))
        streams = {target.name: endless(args, seed) for target in targets}
        for place in range(args.rounds + 1):
            for target in targets:
                one_round(target, streams[target.name], args, keep=place > 0)
        peak = measure.peak_bytes(server.pid)
    sample = next(endless(args, seed))
    found: dict[str, Any] = {
        "seed": seed,
        "payload": args.payload,
        "bytes_per_span": round(len(sample) / args.spans),
        **{target.name: figures(target) for target in targets},
        "peak_memory_mb": round(peak / 1e6),
    }
    if args.peer:
        ours, theirs = (statistics.median(target.rates) for target in targets)
        found["ratio_of_medians"] = round(ours / theirs, 1)
        found["ratio_worst_to_best"] = round(min(targets[0].rates) / max(targets[1].rates), 1)
    return found


def main() -> int:
    """The command."""
    parser = measure.arguments(__doc__)
    parser.add_argument("--requests", type=int, default=120, help="requests a round (120)")
    parser.add_argument("--spans", type=int, default=512, help="spans a request (512)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds after the warm-up (5)")
    parser.add_argument("--connections", type=int, default=4, help="kept-alive connections (4)")
    parser.add_argument("--gzip", action="store_true", help="send gzipped bodies")
    parser.add_argument("--seed", type=int, help="repeat a run's traffic exactly")
    parser.add_argument("--payload", choices=("own", "shared"), default="own", help="whose generator makes the traffic")
    parser.add_argument("--peer", choices=sorted(peers.PEERS), help="measure another product on the same traffic")
    parser.add_argument("--peer-requests", type=int, default=4, help="requests a round for the peer (4)")
    args = parser.parse_args()
    measure.report("ingest", run(args), as_json=args.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
