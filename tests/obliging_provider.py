"""A provider that keeps to what it is asked: never more tokens than the ceiling, streamed word by word, and a bill.

How long its answers would like to be says the request (`user`: a number), how long it takes the server itself. A token
is four characters of text, as the wire estimates it, so that figures can be compared exactly.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from provider_answers import JSON, SSE, openai_chunks

WORD = "abcd"


@dataclass
class Bill:
    """What one answered request came to; `sent` counts the words of a stream that had left."""

    model: str
    input_tokens: int
    output_tokens: int
    sent: int = 0


@dataclass
class Obliging:
    """Its port, how it behaves, and its bill."""

    port: int = 0
    delay_s: float = 0.0
    pace_s: float = 0.0
    fails: bool = False
    input_tokens: int = 10
    bills: list[Bill] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        """Where chat completions are asked for."""
        return f"http://127.0.0.1:{self.port}/v1/chat/completions"


class _Door(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    provider: Obliging

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        provider = self.provider
        time.sleep(provider.delay_s)
        if provider.fails:
            self._whole(500, {"error": {"type": "api_error", "message": "no"}})
            return
        ceiling = asked.get("max_tokens") or asked.get("max_completion_tokens") or 10**6
        made = min(int(asked.get("user") or 50), ceiling)
        bill = Bill(asked["model"], provider.input_tokens, made)
        with provider.lock:
            provider.bills.append(bill)
        usage = {"prompt_tokens": bill.input_tokens, "completion_tokens": made}
        with suppress(OSError):
            if asked.get("stream"):
                self._stream(asked, bill, usage)
            else:
                choice = {"index": 0, "message": {"role": "assistant", "content": WORD * made}, "finish_reason": "stop"}
                whole = {"id": "c-1", "object": "chat.completion", "created": 1, "model": asked["model"]}
                self._whole(200, {**whole, "choices": [choice], "usage": usage})

    def _whole(self, status: int, said: dict[str, Any]) -> None:
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", JSON)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, asked: dict[str, Any], bill: Bill, usage: dict[str, int]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", SSE)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        wants = (asked.get("stream_options") or {}).get("include_usage")
        stream = openai_chunks([WORD] * bill.output_tokens, usage if wants else None, id="c-1", created=1)
        for event in stream.split(b"\n\n"):
            if event:
                data = event + b"\n\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                self.wfile.flush()
                bill.sent += WORD.encode() in event
                time.sleep(self.provider.pace_s)
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        """Silence."""


class _Many(ThreadingHTTPServer):
    """Takes a burst of connections, and a client's hanging up for what it is."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """Silence."""


@contextmanager
def obliging_provider() -> Iterator[Obliging]:
    """A server for as long as the block runs."""
    provider = Obliging()
    door = _Many(("127.0.0.1", 0), type("ThisDoor", (_Door,), {"provider": provider}))
    provider.port = door.server_address[1]
    thread = threading.Thread(target=door.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        door.shutdown()
        door.server_close()
        thread.join()
