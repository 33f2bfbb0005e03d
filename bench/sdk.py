"""What the SDK costs an agent: CPU a span in the caller's thread and in the whole process, export included; memory.

Every arm runs in a process of its own against the same sink on 127.0.0.1, in turns; peers in environments of their own
(`.bench/`). "Caller" is the CPU of the thread that does the work, "process" that of all threads until everything is
exported. `--burst` records that many spans without a pause and reports how far memory rose, with and without a server.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import measure
import peers

HERE = Path(__file__).resolve().parent
OWN = ("nothing", "outlay record", "outlay step")
PEERS = ("opentelemetry", "langfuse")


@contextmanager
def sink() -> Iterator[str]:
    """The far end, as an address."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / "sdk_sink.py")], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.kill()
        process.communicate()


def python_of(arm: str) -> str:
    """The interpreter an arm runs in."""
    return str(peers.install(arm) / "python") if arm in PEERS else sys.executable


def work(arm: str, spans: int, rounds: int, address: str, home: Path) -> dict[str, Any]:
    """The figures of one process."""
    surroundings = {key: value for key, value in os.environ.items() if not key.startswith(("OUTLAY_", "OTEL_"))}
    surroundings |= {"BENCH_ENDPOINT": address or "http://127.0.0.1:9", "OUTLAY_HOME": str(home)}
    if address:
        surroundings["OUTLAY_ENDPOINT"] = address
    command = [python_of(arm), str(HERE / "sdk_work.py"), arm, str(spans), str(rounds), "0"]
    done = subprocess.run(command, env=surroundings, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"error: {arm} failed\n{done.stderr[-2_000:]}")
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Every arm in turns, then the bursts."""
    arms = (*OWN, *(args.peer or ()))
    taken: dict[str, dict[str, list[float]]] = {arm: {"caller_us": [], "process_us": []} for arm in arms}
    with tempfile.TemporaryDirectory() as folder, sink() as address:
        for place in range(args.rounds):
            for arm in arms:
                told = work(arm, args.spans, 2, address, Path(folder) / f"{place}")
                for name, values in taken[arm].items():
                    values.extend(told[name])
        figures: dict[str, Any] = {
            arm: {name: measure.spread(values, 2) for name, values in told.items()} for arm, told in taken.items()
        }
        for name, at in (("burst with a server", address), ("burst without one", "")):
            told = work("outlay record", args.burst, 1, at, Path(folder) / name.replace(" ", "-"))
            figures[name] = {"spans": args.burst, "peak_mb": round(told["peak_mb"], 1)}
    return figures


def main() -> int:
    """The command."""
    parser = measure.arguments(__doc__)
    parser.add_argument("--spans", type=int, default=20_000, help="spans a round (20000)")
    parser.add_argument("--rounds", type=int, default=5, help="processes an arm, two rounds each (5)")
    parser.add_argument("--burst", type=int, default=100_000, help="spans of a burst (100000)")
    parser.add_argument("--peer", action="append", choices=PEERS, help="another SDK beside it; may be repeated")
    args = parser.parse_args()
    measure.report("sdk", run(args), as_json=args.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
