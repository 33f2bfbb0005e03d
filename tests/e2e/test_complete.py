"""`outlay.complete` from an agent's own process to the books of a server: done, failed, revised, shared, abandoned."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.e2e.processes import Server, outlay, settled, surroundings, told, up

AGENT = """
import outlay
from outlay import Step

outlay.init(instrument=False)


def work(cost):
    outlay.usage("model", "chat", provider="openai", model="gpt-4.1-mini", cost=cost)


with outlay.session(team="support", feature="refunds", id="one"):
    work("0.30")
    outlay.complete("done", value="4.50", currency="USD")
with outlay.session(team="support", feature="refunds", id="two"):
    work("0.20")
    outlay.complete("failed")
for part in ("three", "four"):  # two sessions of one task
    with outlay.session(team="support", feature="refunds", id=part):
        work("0.05")
        outlay.complete("failed" if part == "three" else "done", task="ticket", value=1)
with outlay.session(team="support", feature="refunds", id="five"):  # two tasks of one session
    work("0.40")
    outlay.complete("done", task="first", type="refund")
    outlay.complete("done", task="second", value="2", currency="EUR")
with outlay.session(team="support", feature="refunds", id="six"):  # nobody says how it ended
    work("0.10")
"""


def agent(server: Server, folder: Path, script: str) -> None:
    """Runs a script as an application would, with nothing of ours around it but the server's address."""
    env = surroundings(folder / "agent") | {"OUTLAY_ENDPOINT": server.url}
    done = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    settled(server)
    server.get("doctor")


def test_every_way_a_task_ends_reaches_the_books(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with up(home) as server:
        agent(server, tmp_path, AGENT)
        tasks = {row["task"]: row for row in server.get("tasks?since=1d")["rows"]}
        assert {name: row["outcome"] for name, row in tasks.items()} == {
            "one": "done",
            "two": "failed",
            "ticket": "done",
            "first": "done",
            "second": "done",
        }
        assert (tasks["one"]["value"], tasks["one"]["value_currency"]) == ("4.5", "USD")
        assert (tasks["second"]["value"], tasks["second"]["value_currency"]) == ("2", "EUR")
        assert tasks["first"]["task_type"] == "refund"
        assert set(tasks["ticket"]["sessions"]) == {"three", "four"}
        assert tasks["ticket"]["cost"] == "0.1"
        total = server.get("spend?where=feature:refunds&measures=cost,tasks_completed,cost_per_completed_task")["total"]
        assert (total["cost"], total["tasks_completed"]) == ("1.1", 4)
        assert total["cost_per_completed_task"] == "0.275", "what failed, and what nobody ended, is charged to the rest"
        shown = server.get("tasks/ticket")["rows"]
        assert [row["outcome"] for row in shown] == ["done", "failed"]
        agent(server, tmp_path, AGENT.replace("failed", "done").split("for part")[0])
        assert server.get("tasks/two")["total"]["outcome"] == "done", "said again, the later word stands"
    before = told(home, "outcomes", "--by", "feature")["total"]
    assert (before["tasks_completed"], before["tasks_abandoned"]) == (5, 0)
    (home / "outcomes.toml").write_text("[timeout.feature]\nrefunds = '1s'\n", encoding="utf-8")
    outlay(home, "rebuild")  # says that it differs: an outcome more
    after = told(home, "outcomes", "--by", "feature")["total"]
    assert (after["tasks_completed"], after["tasks_abandoned"]) == (5, 1), "nobody ended six in time"
