"""docs/getting-started.md, run from top to bottom in an empty folder, as a newcomer would."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

PAGE = Path(__file__).resolve().parent.parent / "docs" / "getting-started.md"
SHIM = """#!/bin/sh
exec {python} -c 'import sys; from outlay.faces.cli.main import main; sys.exit(main())' "$@"
"""


def script() -> str:
    """The page's console blocks as one script: a line with a prompt begins a command, the lines below belong to it."""
    blocks = [token for token in MarkdownIt().parse(PAGE.read_text(encoding="utf-8")) if token.type == "fence"]
    lines = [line for block in blocks if block.info.strip() == "console" for line in block.content.splitlines()]
    marked = [
        f"echo '### {line[2:].split(chr(39))[0]}'\n{line[2:]}" if line.startswith("$ ") else line for line in lines
    ]
    return "\n".join(["set -eu", *marked])


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What every command of the page printed, by its command line."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash on this machine to run the page with")
    folder = tmp_path_factory.mktemp("newcomer")
    shim = folder / "bin" / "outlay"
    shim.parent.mkdir()
    shim.write_text(SHIM.format(python=sys.executable), encoding="utf-8")
    shim.chmod(0o755)
    surroundings = {key: value for key, value in os.environ.items() if not key.startswith("OUTLAY_")}
    surroundings["PATH"] = f"{shim.parent}{os.pathsep}{os.environ['PATH']}"
    run = subprocess.run(
        [bash, "-c", script()], cwd=folder, env=surroundings, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr}"
    pieces = [piece.partition("\n") for piece in run.stdout.split("### ")[1:]]
    return {command: output for command, _, output in pieces}


def test_the_spend_has_a_team_and_a_price(told: dict[str, str]) -> None:
    assert "support" in told["outlay spend --by team"]
    assert "(unpriced)" not in told["outlay spend --by team"]


def test_the_failed_attempt_is_a_retry(told: dict[str, str]) -> None:
    assert "retries" in told["outlay spend --by centre --grain day"]


def test_a_completed_task_has_a_cost(told: dict[str, str]) -> None:
    assert "reply" in told["outlay outcomes --by feature"]


def test_the_home_is_healthy(told: dict[str, str]) -> None:
    assert told["outlay doctor"].strip()
