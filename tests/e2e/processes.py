"""Outlay as a person runs it: a server of its own process, a command of its own process, requests over real HTTP."""

from __future__ import annotations

import gzip
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

SOURCE = Path(__file__).resolve().parents[2] / "src"
START_SECONDS_MAX = 60
PROTOBUF = "application/x-protobuf"
JSON = "application/json"
INTEGRITY = ("journal", "posted", "settled", "parked", "sums", "lines", "repeats", "counters")
"""The checks of `outlay doctor` that no data and no price may turn red."""


def surroundings(home: Path) -> dict[str, str]:
    """The environment of a command on this home."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("OUTLAY_")}
    return kept | {"PYTHONPATH": str(SOURCE), "OUTLAY_HOME": str(home), "NO_COLOR": "1"}


def command_line(words: Sequence[str], first: str = "") -> list[str]:
    """A command of this interpreter; `first` is Python that runs before, as to make a limit small."""
    return [sys.executable, "-c", f"{first}\nfrom outlay.faces.cli.main import main; main()", *words]


def outlay(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end."""
    return subprocess.run(
        command_line(words), env=surroundings(home), capture_output=True, text=True, check=False, timeout=120
    )


def told(home: Path, *words: str) -> dict[str, Any]:
    """The `--json` reply of a command that succeeds."""
    run = outlay(home, *words, "--json")
    assert run.returncode == 0, f"{words}: {run.stdout}\n{run.stderr}"
    reply: dict[str, Any] = json.loads(run.stdout)
    return reply


def integrity(home: Path) -> dict[str, bool]:
    """What `outlay doctor` finds, check by check, of those that must always be green."""
    run = outlay(home, "doctor", "--json")
    found = {row["name"]: row for row in json.loads(run.stdout)["rows"]}
    return {name: found[name]["ok"] for name in INTEGRITY}


@dataclass
class Server:
    """A running `outlay up`; `lines` is what it has said on stderr."""

    process: subprocess.Popen[str]
    url: str = ""
    lines: list[str] = field(default_factory=list)

    def connect(self, timeout_s: float = 60) -> HTTPConnection:
        """A connection of its own."""
        place = urlsplit(self.url)
        return HTTPConnection(place.hostname or "", place.port, timeout=timeout_s)

    def send(
        self, body: bytes, content_type: str = PROTOBUF, coding: str = "", path: str = "/v1/traces"
    ) -> tuple[int, bytes]:
        """Posts one OTLP body; status and answer."""
        headers = {"content-type": content_type} | ({"content-encoding": coding} if coding else {})
        connection = self.connect()
        try:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def get(self, path: str) -> dict[str, Any]:
        """A question to the API that is answered."""
        connection = self.connect()
        try:
            connection.request("GET", f"/api/v1/{path}")
            answer = connection.getresponse()
            content = answer.read()
            assert answer.status == 200, content
            reply: dict[str, Any] = json.loads(content)
            return reply
        finally:
            connection.close()

    def kill(self) -> None:
        """`kill -9`."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Ends the server as a supervisor does; its exit code."""
        self.process.terminate()
        return self.process.wait(timeout=60)


def spawn(home: Path, first: str = "") -> Server:
    """Starts a server without waiting for it."""
    command = command_line(["up", "--port", "0", "--no-open"], first)
    process = subprocess.Popen(
        command, env=surroundings(home), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    return Server(process)


def await_up(server: Server) -> Server:
    """Waits until the server says where it is, and goes on listening to what it says."""
    said: queue.SimpleQueue[str] = queue.SimpleQueue()

    def listen() -> None:
        assert server.process.stderr is not None
        with server.process.stderr as lines:
            for line in lines:
                server.lines.append(line.rstrip())
                if line.startswith("Outlay is up at "):
                    said.put(line.split()[-1])
        said.put("")

    threading.Thread(target=listen, daemon=True).start()
    server.url = said.get(timeout=START_SECONDS_MAX)
    assert server.url, server.lines
    return server


@contextmanager
def up(home: Path, first: str = "") -> Iterator[Server]:
    """A server for as long as the block runs; it must end well."""
    server = await_up(spawn(home, first))
    try:
        yield server
        assert server.stop() == 0, server.lines
    finally:
        server.kill()


def grpc_address(server: Server) -> str:
    """Where the server says it takes OTLP over gRPC; the line comes after the one that says it is up."""
    for _ in range(200):
        for line in server.lines:
            if "OTLP over gRPC" in line:
                return line.split()[-1]
        time.sleep(0.05)
    raise AssertionError(server.lines)


def settled(server: Server) -> dict[str, Any]:
    """The counters once everything that was acknowledged is in the books."""
    for _ in range(600):
        counters: dict[str, Any] = server.get("counters")["total"]
        if not counters["waiting"] and counters["received"] == sum(
            counters[name] for name in ("posted", "duplicates", "refused")
        ):
            return counters
        time.sleep(0.05)
    raise AssertionError(counters)


def zipped(body: bytes) -> bytes:
    """A body as an exporter with compression sends it."""
    return gzip.compress(body, 1)


def chat(number: int, **changes: object) -> Mapping[str, object]:
    """Attributes of a priced model call whose `response_id` tells it from every other."""
    said: dict[str, object] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4.1",
        "gen_ai.response.model": "gpt-4.1-2025-04-14",
        "gen_ai.response.id": f"answer-{number}",
        "gen_ai.usage.input_tokens": 1000 + number % 7,
        "gen_ai.usage.output_tokens": 100 + number % 5,
    }
    return {key: value for key, value in (said | changes).items() if value is not None}
