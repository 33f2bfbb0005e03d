"""How long one waits for nothing: `import outlay` over bare Python, and `outlay --help`; processes alternate."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from typing import Any

import measure
from server import OUTLAY

COMMANDS = {
    "bare_python": (sys.executable, "-c", "pass"),
    "import_outlay": (sys.executable, "-c", "import outlay"),
    "outlay_help": (*OUTLAY, "--help"),
}


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds of every command."""
    took: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for place in range(args.rounds + 1):
        for name, command in COMMANDS.items():
            began = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            if place:
                took[name].append((time.perf_counter() - began) * 1e3)
    medians = {name: statistics.median(values) for name, values in took.items()}
    return {
        **{f"{name}_ms": measure.spread(values) for name, values in took.items()},
        "import_over_bare_ms": round(medians["import_outlay"] - medians["bare_python"], 1),
        "help_over_bare_ms": round(medians["outlay_help"] - medians["bare_python"], 1),
    }


def main() -> int:
    """The command."""
    parser = measure.arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="how often each is started (15)")
    args = parser.parse_args()
    measure.report("startup", run(args), as_json=args.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
