"""Races for a budget between processes of their own: started, let go at once, one of them killed where wanted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from budgeting import MINI, live_leases, put, put_rates, soon, standing
from obliging_provider import Obliging

HERE = Path(__file__).resolve().parent


@dataclass
class Raced:
    """What became of the calls, what the provider billed, and the budget afterwards."""

    ends: Counter[str] = field(default_factory=Counter[str])
    billed_nano: int = 0
    spent_nano: int = 0
    held_nano: int = 0
    presumed_nano: int = 0
    limit_nano: int = 0
    live: int = 0


def each_nano(provider: Obliging) -> int:
    """What one call of the race is billed."""
    return MINI.worst_nano(provider.input_tokens, 200)


def teach(home: Path, provider: Obliging, calls: int = 24) -> None:
    """Lets it be known what such calls cost, under a budget of its own."""
    put_rates(home)
    put(home, "teaching", 1_000, {"team": "teaching"})
    delay, provider.delay_s = provider.delay_s, 0.0
    race(home, provider, team="teaching", calls=calls)
    provider.delay_s = delay
    provider.bills.clear()


def race(
    home: Path,
    provider: Obliging,
    *,
    team: str,
    calls: int,
    processes: int = 1,
    way: str = "tasks",
    cancel_ms: int = 0,
    kill_after_s: float = 0,
) -> Raced:
    """Races once; the first process is killed after so long, where it is."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("OUTLAY_")}
    env |= {"OUTLAY_HOME": str(home), "PYTHONPATH": str(HERE.parent / "src")}
    command = [sys.executable, str(HERE / "race_worker.py"), provider.url, str(calls // processes), way, str(cancel_ms)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    started = [subprocess.Popen(command, env=env, **pipes) for _ in range(processes)]  # type: ignore[call-overload]
    for process in started:
        assert process.stdout.readline() == "ready\n"
    for process in started:
        process.stdin.write(f"{team}\n")
        process.stdin.flush()
    if kill_after_s:
        time.sleep(kill_after_s)
        started[0].kill()
    done = Raced()
    for process in started:
        said = process.communicate(timeout=120)[0]
        done.ends += Counter(json.loads(said) if said else {"killed": 1})
    soon(lambda: standing(home, team).held_nano == 0, 0.5)
    found = standing(home, team)
    done.billed_nano = sum(MINI.worst_nano(bill.input_tokens, bill.output_tokens) for bill in provider.bills)
    done.spent_nano, done.held_nano, done.presumed_nano = found.spent_nano, found.held_nano, found.presumed_nano
    done.limit_nano, done.live = found.limit_nano, live_leases(home)
    return done
