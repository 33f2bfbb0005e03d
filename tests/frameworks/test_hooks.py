"""Every hook fits the release it was written for, whichever is imported first; and what the docs say was tried was."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from frameworks.environments import ROOT, python_of
from frameworks.runs import AGENTS

ENVIRONMENTS = ("agents", "llamaindex-adk", "crewai", "claude")


@pytest.mark.slow
@pytest.mark.parametrize("when", ["first", "last"])
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_hook_fits(environment: str, when: str, tmp_path: Path) -> None:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("OUTLAY_")}
    env = kept | {"PYTHONPATH": str(ROOT / "src"), "OUTLAY_HOME": str(tmp_path), "HOME": str(tmp_path)}
    command = [str(python_of(environment)), "-W", "ignore", str(AGENTS / "hooked.py"), when]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["notices"] == []
    assert said["hooks"]
    assert [name for name, count in said["hooks"].items() if not count] == []


def test_the_docs_name_the_versions_that_are_tried() -> None:
    page = (ROOT / "docs" / "frameworks.md").read_text(encoding="utf-8")
    named = dict(re.findall(r"\b([a-z][a-z0-9-]+) (\d+\.\d+\.\d+)\b", page))
    pins: dict[str, str] = {}
    for environment in ENVIRONMENTS:
        text = (ROOT / "requirements" / "frameworks" / f"{environment}.txt").read_text(encoding="utf-8")
        pins |= dict(re.findall(r"^([a-z0-9-]+)==([^ ]+) ", text, re.MULTILINE))
    assert len(named) >= 10
    assert named == {name: pins.get(name) for name in named}


@pytest.mark.slow
def test_a_message_in_a_queue_carries_the_session_of_its_sender(tmp_path: Path) -> None:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("OUTLAY_")}
    env = kept | {"PYTHONPATH": str(ROOT / "src"), "OUTLAY_HOME": str(tmp_path), "HOME": str(tmp_path)}
    command = [str(python_of("agents")), "-W", "ignore", str(AGENTS / "autogen_queue.py")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == ["one one", "two two"]


@pytest.mark.slow
def test_every_place_in_a_graph_belongs_to_its_session_sync_and_async(tmp_path: Path) -> None:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("OUTLAY_")}
    env = kept | {"PYTHONPATH": str(ROOT / "src"), "OUTLAY_HOME": str(tmp_path), "HOME": str(tmp_path)}
    command = [str(python_of("agents")), "-W", "ignore", str(AGENTS / "langgraph_rows.py")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    places = ("tool", "left node", "right node", "raw thread in a node", "pool in a node")
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "sync": dict.fromkeys(places, "sync a"),
        "async": dict.fromkeys(places, "async b"),
    }
