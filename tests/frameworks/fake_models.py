"""A model server of our own on a real socket: OpenAI, Anthropic and Gemini, plain and as event streams, with its bill.

It listens on the loopback only. Every exchange is on the bill, refused ones with nothing to pay. `refusals` says which
requests it turns away: the number of the request, counted from 1 over all of them, and the status it gets.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from frameworks import anthropic_shape, gemini_shape, openai_shape
from frameworks.shape import Asked, Reply
from frameworks.tariff import Tokens, amount_nano, tokens_of

SIGNATURE = re.compile(rb"\[(agent|judge) ([a-z ]+)\]")
"""How the agent scripts sign what they send, so that the bill says who asked, whatever the framework made of it."""
PROBES = {"/api/hello"}
"""What the Claude command line asks to see whether anybody is there."""
REASONS = {401: "who are you", 429: "slow down", 500: "an accident", 503: "too busy"}


@dataclass(frozen=True)
class Exchange:
    """One line of the bill."""

    number: int
    path: str
    agent: str
    kind: str
    purpose: str
    model: str
    status: int
    streamed: bool
    answer_id: str
    tool: str
    tokens: Tokens
    amount_nano: int


@dataclass
class FakeModels:
    """The server's address, its bill so far and what it will refuse."""

    url: str = ""
    bill: list[Exchange] = field(default_factory=list)
    refusals: dict[int, int] = field(default_factory=dict)
    used: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def amount_nano(self) -> int:
        """All that it billed."""
        return sum(line.amount_nano for line in self.bill)

    def of_kind(self, kind: str) -> list[Exchange]:
        """The lines of a kind: chat, embedding or guardrail."""
        return [line for line in self.bill if line.kind == kind]

    def answer(self, path: str, asked: Asked) -> tuple[int, Reply]:
        """Answers one request and puts it on the bill."""
        with self.lock:
            number = len(self.bill) + 1
            status = self.refusals.get(number, 200)
            asked = replace(asked, used=(*self.used.get(asked.after, ()), *asked.used))
            tokens = tokens_of(number, asked.kind) if status == 200 else Tokens()
            reply = (
                asked.shape.reply(asked, number, tokens)
                if status == 200
                else asked.shape.refusal(status, REASONS[status])
            )
            self.used[reply.answer_id] = (*asked.used, reply.tool)
            amount = amount_nano(asked.model, tokens)
            self.bill.append(
                Exchange(
                    number,
                    path,
                    asked.agent,
                    asked.kind,
                    asked.purpose,
                    asked.model,
                    status,
                    asked.stream,
                    reply.answer_id,
                    reply.tool,
                    tokens,
                    amount,
                )
            )
        return status, reply


def read(path: str, content: bytes) -> Asked | None:
    """What a request asks for, None for a path that no model server has."""
    body: Mapping[str, Any] = json.loads(content or b"{}")
    signed = SIGNATURE.search(content)
    bare = path.partition("?")[0].removeprefix("/v1beta").removeprefix("/v1")
    for shape in (openai_shape, anthropic_shape, gemini_shape):
        asked = shape.asked(bare, body)
        if asked is not None:
            if signed and signed[1] == b"judge":
                asked = replace(asked, purpose="guardrail")
            return replace(asked, agent=signed[2].decode() if signed else "")
    return None


@contextmanager
def fake_models(refusals: Mapping[int, int] | None = None) -> Iterator[FakeModels]:
    """A server for as long as the block runs."""
    models = FakeModels(refusals=dict(refusals or {}))

    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked = read(self.path, content)
            if asked is None:
                models.unknown.append(f"POST {self.path}")
                return self.send(404, b'{"error": {"message": "no such path"}}', "application/json")
            status, reply = models.answer(self.path, asked)
            if status == 200 and asked.stream:
                return self.send(status, reply.events, "text/event-stream")
            return self.send(status, json.dumps(reply.body).encode(), "application/json")

        def do_GET(self) -> None:
            if self.path == "/bill":
                return self.send(200, json.dumps([asdict(line) for line in models.bill]).encode(), "application/json")
            if self.path in PROBES:
                return self.send(200, b"{}", "application/json")
            models.unknown.append(f"GET {self.path}")
            return self.send(404, b"{}", "application/json")

        def do_HEAD(self) -> None:
            self.do_GET()

        def send(self, status: int, content: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("x-request-id", f"req-{len(models.bill)}")
            if status != 200:
                self.send_header("retry-after-ms", "1")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Silence."""

    door = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    door.daemon_threads = True
    models.url = f"http://127.0.0.1:{door.server_address[1]}"
    thread = threading.Thread(target=door.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield models
    finally:
        door.shutdown()
        door.server_close()
        thread.join()
