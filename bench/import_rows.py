"""`outlay import` of a CSV table: rows a second, CPU and peak memory of the command.

The file is a spend log as a gateway writes it, mapped by a small file beside it.
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import measure
from server import OUTLAY

HEAD = "id,session,started,operation,provider,model,input_tokens,output_tokens,cache_read_tokens,cost,team,feature\n"
MAPPING = """\
text = "a spend log of the benches"

[identity]
columns = ["id"]

[fact]
operation = "operation"
start = "started"
session_id = "session"
provider = "provider"
model_requested = "model"
input_tokens = "input_tokens"
output_tokens = "output_tokens"
cache_read_tokens = "cache_read_tokens"
basis = { value = "inclusive" }
cost = "cost"
team = "team"
feature = "feature"
"""
MODELS = (
    ("openai", "gpt-5"),
    ("anthropic", "claude-sonnet-4-5"),
    ("openai", "gpt-5-mini"),
    ("google", "gemini-2.5-flash"),
)


def write_table(path: Path, rows: int, seed: int) -> None:
    """A CSV of so many calls over ninety days; every second row states its cost."""
    pick = random.Random(seed)
    began = datetime.now(UTC).replace(microsecond=0) - timedelta(days=90)
    step = timedelta(days=90) / rows
    with path.open("w", encoding="ascii") as file:
        file.write(HEAD)
        for place in range(rows):
            provider, model = MODELS[pick.getrandbits(2)]
            tokens = pick.getrandbits(13)
            cost = f"0.{pick.getrandbits(20):09d}" if place % 2 else ""
            who = place // 9
            file.write(
                f"call-{place},run-{who},{(began + step * place).isoformat()},chat,{provider},{model},{tokens + 50},"
                f"{pick.getrandbits(9)},{tokens // 2},{cost},team-{who % 12},feature-{who % 40}\n"
            )


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Imports the table into a fresh home, once."""
    with tempfile.TemporaryDirectory(prefix="outlay-bench-") as name:
        folder = Path(name)
        table, mapping, home = folder / "calls.csv", folder / "bench.toml", folder / "home"
        write_table(table, args.rows, args.seed)
        mapping.write_text(MAPPING, encoding="utf-8")
        command = [*OUTLAY, "--home", str(home), "import", "--mapping", str(mapping), str(table)]
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wall_s = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            raise SystemExit(f"error: the import failed: {done.stderr[-2000:]}")
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return {
            "rows": args.rows,
            "file_mb": round(table.stat().st_size / 1e6, 1),
            "wall_s": round(wall_s, 1),
            "rows_per_second_wall": round(args.rows / wall_s),
            "cpu_s": round(cpu_s, 1),
            "rows_per_cpu_second": round(args.rows / cpu_s),
            "peak_memory_mb": round(after.ru_maxrss / 1e3),
            "home_bytes_per_row": round(measure.folder_bytes(home) / args.rows),
        }


def main() -> int:
    """The command."""
    parser = measure.arguments(__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the table (1,000,000)")
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    measure.report("import_rows", run(args), as_json=args.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
