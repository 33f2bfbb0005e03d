"""Runs the product for a bench: a real `outlay up` in a temporary home, asked and stopped over HTTP."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OUTLAY = (sys.executable, "-c", "import sys; from outlay.faces.cli.main import main; sys.exit(main())")
"""The command as its entry point runs it, from the environment of the bench."""
START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 60


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: where it listens, its process, and its home."""

    port: int
    pid: int
    home: Path

    def get(self, path: str) -> Any:
        """The JSON at a path."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)) as connection:
            connection.request("GET", path)
            reply = connection.getresponse()
            body = reply.read()
        if reply.status != 200:
            raise RuntimeError(f"GET {path}: {reply.status} {body[:300]!r}")
        return json.loads(body)

    def usages(self) -> int:
        """How many usages the books hold, structure included: what a question can see, not what was answered 200."""
        counted = self.get("/api/v1/counters")["total"]
        return int(counted["posted"])


def free_port() -> int:
    """A port nobody listens on."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(home: Path, port: int = 0) -> Iterator[Server]:
    """A server on a home; ended politely afterwards, so that the books are closed."""
    chosen = port or free_port()
    with (home.parent / "server.log").open("wb") as log:
        command = [*OUTLAY, "--home", str(home), "up", "--port", str(chosen)]
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=dict(os.environ))
        try:
            _wait_until_up(process, chosen, home.parent / "server.log")
            yield Server(chosen, process.pid, home)
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_up(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(START_SECONDS_MAX * 10):
        if process.poll() is not None:
            raise RuntimeError(f"the server ended: {log.read_text(encoding='utf-8', errors='replace')[-2000:]}")
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=2)) as connection:
                connection.request("GET", "/healthz")
                if connection.getresponse().status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the server did not answer in time")
