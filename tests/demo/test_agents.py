"""The demo's own agents: a graph with parallel nodes and a chat through a queue, metered by the SDK."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from e2e.processes import settled, up
from frameworks.environments import ROOT, python_of
from outlay.core.errors import ServerError
from outlay.demo import agents

PYTHONS = (
    pytest.param("", id="alone"),
    pytest.param("agents", id="with langgraph", marks=pytest.mark.slow),
)


@pytest.mark.parametrize("environment", PYTHONS)
def test_both_are_whole_in_the_books(environment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    python = str(python_of(environment)) if environment else sys.executable
    with up(tmp_path / "home") as server:
        agents.run(server.url, tmp_path / "agents", python)
        settled(server)
        rows = server.get("spend?by=feature,session,agent&measures=operations,cost,unpriced_usages")["rows"]
        found = {(row["session"].split("~")[0], row["agent"]): row["operations"] for row in rows}
        for session in (agents.GRAPH_SESSION, agents.CHAT_SESSION):
            told = server.get(f"sessions/{session}")["total"]
            assert [outcome["outcome"] for outcome in told["outcomes"]] == ["done"]
            assert told["envelope"]["team"] == "support"
            assert float(told["tree_cost"]) > float(told["cost"]) > 0
        assert found[agents.CHAT_SESSION, "writer"] == 2
        assert found[agents.CHAT_SESSION, "critic"] == 1
        assert {row["unpriced_usages"] for row in rows} == {0}
        assert {row["feature"] for row in rows} == {"parcel-desk", "reply-review"}
        centres = server.get(f"spend?by=centre&where=session:{agents.GRAPH_SESSION}&measures=operations")["rows"]
        assert {row["centre"] for row in centres} >= {"inference", "retries", "retrieval", "guardrails", "tools"}


def test_a_server_that_is_not_there_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents, "SECONDS_MAX", 0.01)
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        with pytest.raises(ServerError, match="own agents did not run"):
            agents.run(f"http://127.0.0.1:{place.getsockname()[1]}", tmp_path)
