"""Hard times: forks, signals, the end of the interpreter, a full or unwritable disk, a server that hangs or refuses."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import outlay
from outlay.sdk import recorder as recorders
from outlay.sdk import tags as tag_rules
from outlay.sdk.step import Step
from sdk_agents import environment
from sdk_facts import Fact, facts_in

Recorded = Callable[[], list[Fact]]


def ran(home: Path, script: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """A script with the SDK, run to its end."""
    command = [sys.executable, "-c", f"import outlay\noutlay.init(instrument=False)\n{script}"]
    done = subprocess.run(
        command, env=environment(home, **changes), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done


def names(home: Path) -> list[str]:
    return sorted(fact["name"] for fact in facts_in(home / "spool"))


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="there is no fork on this system")
def test_a_fork_sends_its_own_and_nothing_of_its_parent(tmp_path: Path) -> None:
    script = """
import os
with outlay.session(team="a", id="s"):
    outlay.usage("before", "tool")
    child = os.fork()
    outlay.usage("child" if child == 0 else "parent", "tool")
    if child == 0:
        outlay.flush()
        os._exit(0)
    os.waitpid(child, 0)
"""
    ran(tmp_path, script)
    assert names(tmp_path) == ["before", "child", "parent", "session"]
    assert {fact["session_id"] for fact in facts_in(tmp_path / "spool")} == {"s"}


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork on this system")
def test_a_child_that_leaves_the_block_too_does_not_write_the_session_twice(tmp_path: Path) -> None:
    script = """
import os, sys
with outlay.session(team="a"):
    child = os.fork()
if child:
    os.waitpid(child, 0)
"""
    ran(tmp_path, script)
    assert names(tmp_path) == ["session"]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_children_flush_at_their_end(tmp_path: Path, method: str) -> None:
    if sys.platform == "win32" and method != "spawn":
        pytest.skip("there is no fork on this system")
    module = tmp_path / "job_of_a_child.py"
    module.write_text(
        f"""
import multiprocessing, outlay

def job(carrier):
    with outlay.attached(carrier):
        outlay.usage("child", "tool")

if __name__ == "__main__":
    outlay.init(instrument=False)
    with outlay.session(team="a"):
        context = multiprocessing.get_context("{method}")
        process = context.Process(target=job, args=(outlay.carrier(),))
        process.start()
        process.join()
""",
        encoding="utf-8",
    )
    home = tmp_path / "home"
    run = subprocess.run(
        [sys.executable, str(module)], env=environment(home), capture_output=True, text=True, check=False, timeout=60
    )
    assert run.returncode == 0, run.stderr
    facts = {fact["name"]: fact for fact in facts_in(home / "spool")}
    assert facts["child"]["session_id"] == facts["session"]["session_id"]


def test_a_signal_handler_may_record(tmp_path: Path) -> None:
    script = """
import os, signal
signal.signal(signal.SIGUSR1, lambda *_: outlay.usage("signal", "tool"))
for number in range(300):
    outlay.usage("work", "tool")
    os.kill(os.getpid(), signal.SIGUSR1)
"""
    if sys.platform == "win32":
        pytest.skip("there is no such signal on this system")
    ran(tmp_path, script)
    assert names(tmp_path).count("signal") == names(tmp_path).count("work") == 300


def test_what_is_recorded_while_the_interpreter_ends_is_kept(tmp_path: Path) -> None:
    script = """
import atexit
atexit.register(lambda: outlay.usage("last", "tool"))
class Late:
    def __del__(self): outlay.usage("finaliser", "tool")
kept = Late()
import outlay.sdk.recorder
outlay.usage("first", "tool")
outlay.shutdown()
outlay.usage("after shutdown", "tool")
outlay.usage("after shutdown too", "tool")
"""
    ran(tmp_path, script)
    assert {"last", "first", "after shutdown", "after shutdown too"} <= set(names(tmp_path))


def test_an_agent_without_a_disk_to_write_to_runs_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    done = ran(tmp_path / "file" / "home", "outlay.usage('x', 'tool')\noutlay.flush(1)\nprint(outlay.status().trouble)")
    assert "cannot be written" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_full_spool_keeps_what_is_old_and_says_so(
    spool: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag_rules._said.clear()
    monkeypatch.setattr("outlay.sdk.courier.HELD_BYTES_MAX", 0)
    outlay.init(instrument=False, runtime=False, spool_bytes_max=2_000)
    with caplog.at_level(logging.WARNING, "outlay"):
        for number in range(40):
            outlay.record(Step("tool", f"step {number}"))
            recorders.recorder().drain()
    kept = facts_in(spool)
    status = outlay.status()
    assert [fact["name"] for fact in kept] == [f"step {number}" for number in range(len(kept))]
    assert 0 < len(kept) < 40
    assert sum(path.stat().st_size for path in spool.glob("*.otlp")) <= 2_000
    assert len(kept) + status.lost == 40
    assert "is full" in caplog.text
    assert "is full" in status.trouble


class Answering:
    """A server that answers as it is told."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.bodies: list[bytes] = []
        self.hang = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                status = outer.statuses.pop(0) if outer.statuses else 200
                if status == 0:
                    outer.hang.wait(20)
                    status = 200
                if status == 200:
                    outer.bodies.append(body)
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_words: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self.hang.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server(spool: Path) -> Iterator[Answering]:
    answering = Answering()
    yield answering
    outlay.shutdown(0.1)
    answering.close()


def test_a_server_that_is_busy_is_asked_again(server: Answering, tmp_path: Path) -> None:
    server.statuses = [503, 429, 500]
    outlay.init(endpoint=server.address, instrument=False, runtime=False)
    outlay.usage("x", "tool")
    assert outlay.flush(30)
    assert len(server.bodies) == 1
    assert not list((tmp_path / "home" / "spool").rglob("*.otlp"))
    assert outlay.status().delivered == 1


def test_what_a_server_refuses_for_good_is_put_aside(server: Answering, tmp_path: Path) -> None:
    server.statuses = [400]
    outlay.init(endpoint=server.address, instrument=False, runtime=False)
    outlay.usage("x", "tool")
    outlay.flush(10)
    outlay.usage("y", "tool")
    assert outlay.flush(10)
    assert len(server.bodies) == 1
    assert outlay.status().refused == 1
    assert len(list((tmp_path / "home" / "spool").rglob("*.refused"))) == 1


def test_a_server_that_hangs_holds_up_nobody(server: Answering, tmp_path: Path) -> None:
    server.statuses = [0]
    outlay.init(endpoint=server.address, instrument=False, runtime=False)
    outlay.usage("first", "tool")
    began = time.monotonic()
    assert not outlay.flush(0.5)
    for number in range(200):
        outlay.usage(f"{number}", "tool")
    recorders.recorder().drain()
    assert time.monotonic() - began < 15, "the agent waited for the server"
    assert len(list((tmp_path / "home" / "spool").rglob("*.otlp"))) >= 2, "what was recorded meanwhile is on disk"
    server.hang.set()
    assert outlay.flush(30)
