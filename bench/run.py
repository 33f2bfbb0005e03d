"""`make bench`: every bench one after the other with modest sizes, or those named, with their own options.

python bench/run.py
python bench/run.py ingest --peer phoenix
python bench/run.py questions --usages 10000000
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

MODEST: dict[str, tuple[str, ...]] = {
    "startup": (),
    "wire": (),
    "sdk": (),
    "guard": ("--rows", "100000"),
    "decide": (),
    "race": ("--calls", "64"),
    "ingest": (),
    "import_rows": (),
    "footprint": (),
    "questions": ("--usages", "1000000"),
    "views": ("--usages", "1000000"),
    "paint": (),
}

SHARED = Path(os.environ.get("OUTLAY_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "bench"
"""Where the race that `race` runs lies; it is not part of this repository."""


def main() -> int:
    """Runs the benches; the first one that fails ends the run."""
    named, options = sys.argv[1:2], sys.argv[2:]
    if named and named[0] not in MODEST:
        print(f"error: no bench {named[0]!r}; valid: {', '.join(MODEST)}", file=sys.stderr)
        return 2
    for name, modest in {named[0]: options}.items() if named else MODEST.items():
        if name == "race" and not named and not SHARED.is_dir():
            print(f"race: left out, there is no {SHARED}", file=sys.stderr)
            continue
        script = Path(__file__).with_name(f"{name}.py")
        done = subprocess.run([sys.executable, str(script), *modest], check=False)
        if done.returncode:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
