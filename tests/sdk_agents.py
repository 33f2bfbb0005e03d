"""Agents of a process of their own, as a person runs them: scripts with the SDK, on a home of the test."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from e2e.processes import surroundings

AGENT = """
import os, sys, time
import outlay

name, calls, pause_s = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
outlay.init(instrument=False)
with outlay.session(team="a", id=f"session-{name}", task=f"task-{name}") as session:
    for number in range(calls):
        with outlay.step("chat", kind="chat", provider="openai", model="gpt-4.1") as step:
            step.response_id = f"chatcmpl-{name}-{number:012d}"
            step.tokens = {"input_tokens": 1000, "output_tokens": 100}
        if pause_s:
            time.sleep(pause_s)
        if os.path.exists(os.environ.get("STOP_FILE", "")):
            break
    session.complete("done", value="1")
print(number + 1)
"""


def environment(home: Path, **changes: str) -> dict[str, str]:
    """The environment of an agent on this home."""
    return surroundings(home) | changes


def run(home: Path, name: str, calls: int, **changes: str) -> subprocess.CompletedProcess[str]:
    """Runs an agent to its end."""
    command = [sys.executable, "-c", AGENT, name, str(calls), "0"]
    done = subprocess.run(
        command, env=environment(home, **changes), capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done


def start(home: Path, name: str, calls: int, pause_s: float, **changes: str) -> subprocess.Popen[str]:
    """Starts an agent without waiting for it."""
    command = [sys.executable, "-c", AGENT, name, str(calls), str(pause_s)]
    return subprocess.Popen(command, env=environment(home, **changes), stdout=subprocess.PIPE, text=True)


def until(condition: Any, seconds: float = 60) -> None:
    """Waits until something is so."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it never came to be"
        time.sleep(0.05)
