"""Everything arrives once: with a server, without one, with one that comes late or dies, and when the agent is killed.

Real processes, a real `outlay up`, real files.
"""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

import sdk_agents as agents
from e2e.processes import Server, await_up, command_line, integrity, outlay, settled, surroundings, told, up
from outlay.ledger.spool import REFUSED
from sdk_facts import facts_in

CALLS = 1_500


def calls(home: Path) -> dict[str, int]:
    """Model calls in the books by session."""
    rows = told(home, "spend", "--by", "session", "--measures", "chat_calls", "--top", "100")["rows"]
    return {row["session"]: row["chat_calls"] for row in rows}


def serve_at(home: Path, port: int) -> Server:
    """A server at a port that was known before."""
    import subprocess

    process = subprocess.Popen(
        command_line(["up", "--port", str(port), "--no-open"]),
        env=surroundings(home),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    return await_up(Server(process))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def spooled(home: Path) -> list[Path]:
    return sorted((home / "spool").rglob("*.otlp"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def test_without_any_server_the_next_command_finds_everything(home: Path) -> None:
    agents.run(home, "one", CALLS)
    assert spooled(home)
    assert calls(home) == {"session-one": CALLS}
    assert not spooled(home)
    agents.run(home, "two", 10)
    assert calls(home) == {"session-one": CALLS, "session-two": 10}
    assert all(integrity(home).values())
    outcomes = told(home, "outcomes", "--by", "team")
    assert outcomes["rows"][0]["tasks_completed"] == 2


def test_with_a_server_on_the_home_everything_is_there_when_the_agent_ends(home: Path) -> None:
    with up(home) as server:
        agents.run(home, "one", CALLS)
        assert not spooled(home)
        counters = settled(server)
        assert counters["duplicates"] == 0
        assert calls(home) == {"session-one": CALLS}
    assert all(integrity(home).values())


def test_a_server_that_was_down_for_the_whole_run_gets_everything_once(home: Path) -> None:
    for name in ("one", "two"):
        agents.run(home, name, CALLS)
    with up(home) as server:
        settled(server)
        assert calls(home) == {"session-one": CALLS, "session-two": CALLS}
        # and what another agent spools while it is up and does not know of it, it fetches by itself
        agents.run(home, "three", 5, OUTLAY_ENDPOINT="")
        agents.until(lambda: calls(home).get("session-three") == 5)
    assert all(integrity(home).values())


def test_a_server_elsewhere_that_comes_late_gets_everything_from_the_same_process(tmp_path: Path, home: Path) -> None:
    port = free_port()
    stop, address = tmp_path / "stop", f"http://127.0.0.1:{port}"
    agent = agents.start(tmp_path / "agent", "one", 100_000, 0.02, OUTLAY_ENDPOINT=address, STOP_FILE=str(stop))
    agents.until(lambda: spooled(tmp_path / "agent"))
    server = serve_at(home, port)
    try:
        agents.until(lambda: not spooled(tmp_path / "agent"))
        stop.touch()
        done, _ = agent.communicate(timeout=60)
        assert not spooled(tmp_path / "agent")
        settled(server)
        assert calls(home) == {"session-one": int(done)}
        assert server.stop() == 0
    finally:
        server.kill()
    assert all(integrity(home).values())


def test_what_a_process_could_not_deliver_the_next_one_does(tmp_path: Path, home: Path) -> None:
    port = free_port()
    address = {"OUTLAY_ENDPOINT": f"http://127.0.0.1:{port}"}
    agents.run(tmp_path / "agent", "one", CALLS, **address)
    left = spooled(tmp_path / "agent")
    assert left
    assert calls(tmp_path / "agent") == {}, "what is meant for elsewhere is no house's to take"
    server = serve_at(home, port)
    try:
        agents.run(tmp_path / "agent", "two", 10, **address)
        settled(server)
        assert calls(home) == {"session-one": CALLS, "session-two": 10}
        assert not spooled(tmp_path / "agent")
        assert server.stop() == 0
    finally:
        server.kill()


def test_kill_9_of_the_agent_loses_nothing_that_was_spooled(home: Path) -> None:
    agent = agents.start(home, "one", 100_000, 0.001)
    agents.until(lambda: len(spooled(home)) >= 3)
    agent.kill()
    agent.communicate()
    facts = [fact for fact in facts_in(home / "spool") if fact["operation"] == "chat"]
    assert len({fact["fact_key"] for fact in facts}) == len(facts) > 0
    assert calls(home) == {"session-one": len(facts)}
    assert all(integrity(home).values())


def test_kill_9_of_the_server_in_the_middle_loses_and_repeats_nothing(tmp_path: Path, home: Path) -> None:
    with up(home) as server:
        stop = tmp_path / "stop"
        agent = agents.start(home, "one", 100_000, 0.002, STOP_FILE=str(stop))
        agents.until(lambda: server.get("counters")["total"]["received"] > 0)
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        with up(home) as second:
            stop.touch()
            done, _ = agent.communicate(timeout=60)
            agents.until(lambda: not spooled(home))
            settled(second)
            assert calls(home) == {"session-one": int(done)}
        server.stop = lambda: 0  # type: ignore[method-assign] # it is dead already
    assert all(integrity(home).values())


def test_a_file_that_is_no_otlp_is_put_aside(home: Path) -> None:
    agents.run(home, "one", 3)
    broken = home / "spool" / "00000000000000000001-1-0.otlp"
    broken.write_bytes(b"this is not protobuf at all")
    assert calls(home) == {"session-one": 3}
    assert broken.with_suffix(REFUSED).exists()
    assert not spooled(home)
    assert outlay(home, "doctor").returncode in {0, 1}
