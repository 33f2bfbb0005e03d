"""Other products, in environments of their own, so that one payload can be measured side by side.

A peer is installed once into `.bench/` by the uv of this project from the ordinary package registry. It never becomes a
dependency of Outlay.
"""

from __future__ import annotations

import http.client
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import measure
from server import free_port

START_SECONDS_MAX = 180


@dataclass(frozen=True, slots=True)
class Peer:
    """A running peer: its port, its process, and how many spans its store holds."""

    port: int
    pid: int
    count: Callable[[], int]


PEERS = {
    "phoenix": "arize-phoenix",
    "opentelemetry": "opentelemetry-sdk opentelemetry-exporter-otlp-proto-http opentelemetry-processor-baggage",
    "langfuse": "langfuse>=5,<6",
}


def install(name: str) -> Path:
    """The environment of a peer, made on first use; a clear end where it cannot be installed."""
    folder = measure.ROOT / ".bench" / name
    if not (folder / "installed").exists():
        uv = str(Path(sys.executable).with_name("uv"))
        measure.say(f"installing {PEERS[name]} into an environment of its own (once)")
        made = subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)], check=False)
        python = folder / "bin" / "python"
        if made.returncode == 0:
            command = [uv, "pip", "install", "--quiet", "--python", str(python), *PEERS[name].split()]
            made = subprocess.run(command, check=False)
        if made.returncode:
            raise SystemExit(f"error: {PEERS[name]} cannot be installed here; run without --peer")
        (folder / "installed").touch()
    return folder / "bin"


@contextmanager
def serving(name: str, folder: Path) -> Iterator[Peer]:
    """A peer that listens on a free port and keeps its data below `folder`."""
    binaries = install(name)
    port, data = free_port(), folder / name
    data.mkdir()
    settings = {
        "PHOENIX_PORT": str(port),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_GRPC_PORT": str(free_port()),
        "PHOENIX_WORKING_DIR": str(data),
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    with (folder / f"{name}.log").open("wb") as log:
        command = [str(binaries / "phoenix"), "serve"]
        process = subprocess.Popen(command, env={**os.environ, **settings}, stdout=log, stderr=log)
        try:
            _until_up(process, data / "phoenix.db", port)
            yield Peer(port, process.pid, lambda: _count(data / "phoenix.db"))
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()


def _count(database: Path) -> int:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)) as connection:
        return int(connection.execute("SELECT count(*) FROM spans").fetchone()[0])


def _until_up(process: subprocess.Popen[bytes], database: Path, port: int) -> None:
    limit = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < limit and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with suppress(OSError, sqlite3.Error), closing(connection):
            connection.request("GET", "/healthz")
            if connection.getresponse().status == 200:
                _count(database)
                return
        time.sleep(0.5)
    raise SystemExit("error: the peer did not start")
