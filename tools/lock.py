"""Compiles the hash-pinned requirements files: `python tools/lock.py [--upgrade]`.

No registry address is written into them: whoever installs decides where from, and the digests decide what.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = "# Compiled by `make lock` from {source}; do not edit.\n"
FRAMEWORKS = ("agents", "claude", "clients", "crewai", "llamaindex-adk", "recipes")
"""Environments of tests/frameworks: no part of Outlay needs them, and they do not agree with each other."""
PARTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("dev.txt", "pyproject.toml", ("--extra", "dev")),
    ("runtime.txt", "pyproject.toml", ("--constraints", "requirements/dev.txt")),
    ("build.txt", "requirements/build.in", ("--constraints", "requirements/dev.txt")),
    ("uv.txt", "requirements/uv.in", ()),
    *((f"frameworks/{name}.txt", f"requirements/frameworks/{name}.in", ()) for name in FRAMEWORKS),
)
"""Target, source and options; `dev.txt` first, because the others may not disagree with it."""


def compile_part(uv: str, target: str, source: str, options: tuple[str, ...], *, upgrade: bool) -> None:
    """Compiles one requirements file in place, keeping its pins unless `upgrade`."""
    path = ROOT / "requirements" / target
    shape = ["--generate-hashes", "--universal", "--python-version", "3.11", "--no-header", "--no-emit-index-url"]
    command = [uv, "pip", "compile", "--quiet", *shape, *options, *(["--upgrade"] if upgrade else []), source]
    subprocess.run([*command, "--output-file", str(path.relative_to(ROOT))], cwd=ROOT, check=True)
    body = path.read_text(encoding="utf-8")
    path.write_text(HEADER.format(source=source) + body.removeprefix(HEADER.format(source=source)), encoding="utf-8")


def main() -> int:
    """Compiles all files with the uv beside the running Python."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upgrade", action="store_true", help="move to the newest releases that the ranges allow")
    upgrade = parser.parse_args().upgrade
    beside = Path(sys.executable).parent / "uv"
    for target, source, options in PARTS:
        compile_part(str(beside) if beside.exists() else "uv", target, source, options, upgrade=upgrade)
        print(f"locked requirements/{target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
