"""How big it is: peak memory of a server while it takes in spans, bytes a usage on disk, memory of questions."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import measure
from ingest import CONTENT_TYPE, Target, post_all, until_counted
from server import serving
from traffic import Traffic

SPANS = 512


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Sends spans to a fresh server, asks it, closes it, and looks at the home."""
    requests = args.spans // SPANS
    with tempfile.TemporaryDirectory(prefix="outlay-bench-") as name:
        home = Path(name) / "home"
        home.mkdir()
        with serving(home) as server:
            idle = measure.peak_bytes(server.pid)
            target = Target("outlay", server.port, server.pid, server.usages, requests)
            bodies = Traffic(args.seed, SPANS).bodies(requests)
            for first in range(0, requests, 64):
                group = [next(bodies) for _ in range(min(64, requests - first))]
                post_all(server.port, group, 4, {"Content-Type": CONTENT_TYPE})
            until_counted(target, requests * SPANS)
            taken_in = measure.peak_bytes(server.pid)
            server.get("/api/v1/spend?by=team&by=model&measures=cost")
            server.get("/api/v1/sessions?top=20")
            asked = measure.peak_bytes(server.pid)
        files = {path.name: path.stat().st_size for path in home.rglob("*") if path.is_file()}
    spans = requests * SPANS
    return {
        "spans": spans,
        "peak_memory_idle_mb": round(idle / 1e6),
        "peak_memory_after_intake_mb": round(taken_in / 1e6),
        "peak_memory_after_questions_mb": round(asked / 1e6),
        "home_bytes_per_usage": round(sum(files.values()) / spans),
        "books_bytes_per_usage": round(sum(size for name, size in files.items() if ".duckdb" in name) / spans),
    }


def main() -> int:
    """The command."""
    parser = measure.arguments(__doc__)
    parser.add_argument("--spans", type=int, default=500_000, help="spans to send (500,000)")
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    measure.report("footprint", run(args), as_json=args.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
