"""Ten typical questions: p50 and p95 in the process that owns the books, at a million and at ten million usages.

`books.py` fills the books. Questions are asked in turn, each many times, after one unmeasured pass; `ask` is measured
whole: parsing the question, SQL, and rows with exact decimals.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import books
import measure
from outlay.house import House
from outlay.metrics.query import parse_query

QUESTIONS: dict[str, dict[str, list[str]]] = {
    "spend of the last 30 days": {"measures": ["cost"], "since": ["30d"]},
    "by team, 30 days": {"measures": ["cost", "sessions"], "by": ["team"], "since": ["30d"]},
    "by day, 90 days": {"measures": ["cost"], "grain": ["day"], "since": ["90d"]},
    "by cost centre and week, a year": {"measures": ["cost"], "by": ["centre"], "grain": ["week"]},
    "by model, a year": {"measures": ["cost", "input_tokens", "output_tokens"], "by": ["model"]},
    "dearest customers": {"measures": ["cost"], "by": ["customer"], "top": ["10"], "since": ["90d"]},
    "dearest sessions": {"measures": ["cost"], "by": ["session"], "top": ["20"], "since": ["30d"]},
    "one team by feature, a year": {"measures": ["cost"], "by": ["feature"], "where": ["team=risk"]},
    "cost per completed task by feature": {
        "measures": ["cost_per_completed_task"],
        "by": ["feature"],
        "since": ["90d"],
    },
    "by provenance, a year": {"measures": ["cost"], "by": ["provenance"]},
}


def ask_all(house: House, rounds: int) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Milliseconds of every question in every round: by the clock, and of CPU time in all threads."""
    took: dict[str, list[float]] = {name: [] for name in QUESTIONS}
    busy: dict[str, list[float]] = {name: [] for name in QUESTIONS}
    for place in range(rounds + 1):
        for name, params in QUESTIONS.items():
            began, cpu = time.perf_counter(), time.process_time()
            answer = house.ask(parse_query(params))
            if not answer.rows:
                raise SystemExit(f"error: {name} has no answer; the books are not what they should be")
            if place:
                took[name].append((time.perf_counter() - began) * 1e3)
                busy[name].append((time.process_time() - cpu) * 1e3)
    return took, busy


def measure_size(folder: Path, usages: int, rounds: int) -> dict[str, Any]:
    """Fills a home and asks it."""
    home = folder / f"home-{usages}"
    home.mkdir()
    seconds = books.fill(home / "books.duckdb", usages)
    measure.say(f"  filled {usages:,} usages in {seconds:.0f} s")
    with House.open(home) as house:
        began = time.perf_counter()
        house.intake.settle()
        added_up = time.perf_counter() - began
        took, busy = ask_all(house, rounds)
    every = [value for values in took.values() for value in values]
    return {
        "days_added_up_seconds": round(added_up, 1),
        "disk_bytes_per_usage": round(measure.folder_bytes(home) / usages),
        "all_p50_ms": round(measure.percentile(every, 0.5), 1),
        "all_p95_ms": round(measure.percentile(every, 0.95), 1),
        "cpu_p50_ms": {name: round(measure.percentile(values, 0.5), 1) for name, values in busy.items()},
        "p50_ms": {name: round(measure.percentile(values, 0.5), 1) for name, values in took.items()},
        "p95_ms": {name: round(measure.percentile(values, 0.95), 1) for name, values in took.items()},
    }


def run(args: argparse.Namespace) -> dict[str, Any]:
    """All sizes, one after the other."""
    found: dict[str, Any] = {"rounds": args.rounds}
    for usages in args.usages:
        with tempfile.TemporaryDirectory(prefix="outlay-bench-", dir=args.folder) as name:
            found[f"{usages:,} usages"] = measure_size(Path(name), usages, args.rounds)
    return found


def main() -> int:
    """The command."""
    parser = measure.arguments(__doc__)
    parser.add_argument("--usages", type=int, nargs="+", default=[1_000_000, 10_000_000], help="sizes of the books")
    parser.add_argument("--rounds", type=int, default=20, help="how often each question is asked (20)")
    parser.add_argument("--folder", type=Path, help="where the temporary homes go (the system's temporary folder)")
    args = parser.parse_args()
    measure.report("questions", run(args), as_json=args.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
