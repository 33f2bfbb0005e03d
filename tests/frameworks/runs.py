"""One run of an agent script: its framework's own Python, the fake model server, and the books of a real server."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

from e2e.processes import Server, settled
from frameworks.environments import ROOT, python_of
from frameworks.fake_models import Exchange, FakeModels, fake_models

AGENTS = Path(__file__).parent / "agents"
RUN_SECONDS_MAX = 240


@dataclass(frozen=True)
class Scenario:
    """A script, where it runs and what its agents are to each other.

    `family` reads `main > its helper > the helper's helper, main > another`; `handovers` are tools that only pass the
    turn on and are no tool calls for the framework. `settings` go into the script's environment.
    """

    script: str
    environment: str
    family: str
    handovers: frozenset[str] = frozenset()
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    refusals: Mapping[int, int] = field(default_factory=lambda: {2: 429, 5: 500})

    @property
    def main(self) -> str:
        """The agent that takes the session."""
        return self.family.split(" > ", maxsplit=1)[0]

    def pairs(self) -> set[tuple[str, str]]:
        """Who started whom."""
        lines = [line.split(" > ") for line in self.family.split(", ")]
        return {pair for line in lines for pair in pairwise(line)}


@dataclass(frozen=True)
class Done:
    """What a run left: the bill of the model server and the sessions in the books, the root session first."""

    run_id: str
    bill: list[Exchange]
    sessions: list[Mapping[str, Any]]

    def steps(self) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
        """Every usage, with its session."""
        for session in self.sessions:
            for usage in session["usages"]:
                yield session, usage


def run(scenario: Scenario, server: Server, run_id: str, folder: Path) -> Done:
    """Runs the script to its end and asks the books."""
    python = python_of(scenario.environment)
    with fake_models(scenario.refusals) as models:
        act(python, scenario, models, server, run_id, folder)
        assert models.unknown == [], "the script asked the model server for what it does not have"
    await_books(server)
    return Done(run_id, models.bill, list(family(server, run_id)))


def await_books(server: Server) -> None:
    """Waits until everything is posted and its relations are settled."""
    settled(server)
    for _ in range(600):
        checks = {row["name"]: row["ok"] for row in server.get("doctor")["rows"]}
        if checks["settled"]:
            return
        time.sleep(0.05)
    raise AssertionError(checks)


def act(python: Path, scenario: Scenario, models: FakeModels, server: Server, run_id: str, folder: Path) -> None:
    """The agent's process: nothing of ours in its environment but where to send."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OUTLAY_", "OTEL_", "PYTEST"))}
    env = kept | {
        "PYTHONPATH": str(ROOT / "src"),
        "OUTLAY_ENDPOINT": server.url,
        "OUTLAY_HOME": str(folder / "agent-home"),
        "HOME": str(folder),
        "MODELS_URL": models.url,
        "RUN_ID": run_id,
        **scenario.settings,
    }
    done = subprocess.run(
        [str(python), str(AGENTS / f"{scenario.script}.py")],
        env=env,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=RUN_SECONDS_MAX,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "Your parcel left the depot this morning." in done.stdout, f"{done.stdout}\n{done.stderr}"


def family(server: Server, session_id: str) -> Iterator[Mapping[str, Any]]:
    """A session and all below it, as the API tells them."""
    reply = server.get(f"sessions/{quote(session_id, safe='')}")
    yield {**reply["total"], **reply["coverage"], "usages": reply["rows"]}
    for child in reply["total"]["child_sessions"]:
        yield from family(server, child)
