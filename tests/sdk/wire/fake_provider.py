"""A provider of our own on a real socket that behaves as badly as told, and keeps the bill.

The address says what happens: `/<run>/<plan>/v1/chat/completions`, where a plan is a list of turns, joined by a dot,
taken one for each request: `429.500.ok` turns two requests away and answers the third. Later ones get the last turn.

    ok     the answer, streamed if the request asks for a stream     zip    the same, packed with gzip
    429    that status, with a retry-after of no time                slow   the answer, after patience has run out
    drop   half a stream, then the connection is gone                wait   half a stream, then nothing for a long while
"""

from __future__ import annotations

import gzip
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from provider_answers import JSON, PACKETS, SSE, converse, openai_chunks, sse

SLOW_SECONDS = 0.6
WAIT_SECONDS = 20
ADDRESS = re.compile(r"^/(?P<run>[^/]+)/(?P<plan>[^/]+)(?P<rest>/.*)$")


@dataclass
class Line:
    """One line of the bill: what this request cost, and whether the provider got to say so."""

    run: str
    turn: str
    stream: bool
    input_tokens: int
    output_tokens: int
    told: bool
    include_usage: bool = False


@dataclass
class FakeProvider:
    """Its port, its bill and how many requests each plan has seen."""

    port: int = 0
    bill: list[Line] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, run: str) -> list[Line]:
        """The lines of one run."""
        return [line for line in self.bill if line.run == run]


@dataclass
class Answer:
    """What a request gets: whole or, if it asks for a stream, as its bytes; and what it is billed."""

    whole: dict[str, Any]
    stream: bytes
    streams: bool
    input_tokens: int
    output_tokens: int
    kind: str = SSE


def anthropic(asked: Mapping[str, Any], number: int, fresh: int, made: int) -> Answer:
    usage = {"input_tokens": fresh - 7, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 2}
    usage |= {"output_tokens": made}
    whole: dict[str, Any] = {"id": f"msg_{number}", "type": "message", "role": "assistant", "model": "claude-opus-5"}
    whole |= {"stop_reason": "end_turn", "stop_sequence": None}
    whole |= {"content": [{"type": "text", "text": "hello"}], "usage": usage}
    start = {**whole, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": start}]
    events.append({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
    delta = {"type": "text_delta", "text": "hello "}
    events += [{"type": "content_block_delta", "index": 0, "delta": delta} for _ in range(6)]
    events.append({"type": "content_block_stop", "index": 0})
    ended = {"stop_reason": "end_turn", "stop_sequence": None}
    events += [{"type": "message_delta", "delta": ended, "usage": {"output_tokens": made}}, {"type": "message_stop"}]
    return Answer(whole, sse(*events, named=True), bool(asked.get("stream")), fresh, made)


def google(streams: bool, number: int, fresh: int, made: int) -> Answer:
    usage = {"promptTokenCount": fresh, "candidatesTokenCount": made - 3, "thoughtsTokenCount": 3}
    usage |= {"totalTokenCount": fresh + made}
    head = {"modelVersion": "gemini-2.5-pro", "responseId": f"g{number}"}
    piece = {"content": {"parts": [{"text": "hello "}], "role": "model"}, "index": 0}
    whole = {**head, "candidates": [{**piece, "finishReason": "STOP"}], "usageMetadata": usage}
    return Answer(whole, sse(*[{**head, "candidates": [piece]}] * 6, whole), streams, fresh, made)


def bedrock(streams: bool, fresh: int, made: int) -> Answer:
    usage = {"inputTokens": fresh, "outputTokens": made, "totalTokens": fresh + made}
    message = {"message": {"role": "assistant", "content": [{"text": "hello"}]}}
    metrics = {"latencyMs": 3}
    whole = {"output": message, "stopReason": "end_turn", "usage": usage, "metrics": metrics}
    text = ("contentBlockDelta", {"delta": {"text": "hello "}, "contentBlockIndex": 0})
    ends = [("messageStop", {"stopReason": "end_turn"}), ("metadata", {"usage": usage, "metrics": metrics})]
    stream = converse(("messageStart", {"role": "assistant"}), *[text] * 6, *ends)
    return Answer(whole, stream, streams, fresh, made, PACKETS)


def embeddings(fresh: int) -> Answer:
    vectors = [{"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}]
    usage = {"prompt_tokens": fresh, "total_tokens": fresh}
    whole = {"object": "list", "data": vectors, "model": "text-embedding-3-small", "usage": usage}
    return Answer(whole, b"", False, fresh, 0)


def openai(asked: Mapping[str, Any], number: int, fresh: int, made: int) -> Answer:
    usage: dict[str, Any] = {"prompt_tokens": fresh, "completion_tokens": made, "total_tokens": fresh + made}
    usage |= {"prompt_tokens_details": {"cached_tokens": 5}}
    choice = {"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}
    whole = {"id": f"chatcmpl-{number}", "object": "chat.completion", "created": 1, "model": "gpt-4o-2024-08-06"}
    wants = (asked.get("stream_options") or {}).get("include_usage")
    stream = openai_chunks(["hello "] * 6, usage if wants else None, id=f"chatcmpl-{number}", created=1)
    return Answer({**whole, "choices": [choice], "usage": usage}, stream, bool(asked.get("stream")), fresh, made)


def answer_to(path: str, asked: Mapping[str, Any], number: int) -> Answer:
    """The answer to one request, by the provider whose address it is; no two requests are billed the same."""
    fresh, made = 100 + number, 10 + number
    if path.endswith("/messages"):
        return anthropic(asked, number, fresh, made)
    if "enerateContent" in path:
        return google("streamGenerate" in path, number, fresh, made)
    if "/converse" in path:
        return bedrock(path.endswith("-stream"), fresh, made)
    if "rerank" in path:
        return Answer({"results": [{"index": 0, "relevanceScore": 0.9}]}, b"", False, 0, 0)
    if path.endswith("/embeddings"):
        return embeddings(fresh)
    return openai(asked, number, fresh, made)


class Door(BaseHTTPRequestHandler):
    """One connection; `provider` is set on the class a server is made with."""

    protocol_version = "HTTP/1.1"
    provider: FakeProvider

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        address = ADDRESS.match(self.path.partition("?")[0])
        assert address is not None, self.path
        asked = json.loads(body)
        with self.provider.lock:
            turns = address["plan"].split(".")
            turn = turns[min(self.provider.seen[address["run"]], len(turns) - 1)]
            self.provider.seen[address["run"]] += 1
            answer = answer_to(address["rest"], asked, len(self.provider.bill) + 1)
            line = Line(address["run"], turn, answer.streams, answer.input_tokens, answer.output_tokens, told=True)
            line.include_usage = bool((asked.get("stream_options") or {}).get("include_usage"))
            if turn.isdecimal():
                line.input_tokens = line.output_tokens = 0
            self.provider.bill.append(line)
        with suppress(OSError):
            self.act(turn, answer, line)

    def act(self, turn: str, answer: Answer, line: Line) -> None:
        if turn.isdecimal():
            kind = "rate_limit_error" if turn == "429" else "api_error"
            said = json.dumps({"type": "error", "error": {"type": kind, "message": "no"}}).encode()
            self.head(int(turn), JSON, len(said))
            self.wfile.write(said)
            return
        content, kind = (answer.stream, answer.kind) if answer.streams else (json.dumps(answer.whole).encode(), JSON)
        if turn == "slow":
            line.told = False
            time.sleep(SLOW_SECONDS)
        if turn in {"drop", "wait"}:
            line.told = False
            self.head(200, kind, None)
            self.chunk(content[: len(content) // 2])
            if turn == "wait":
                time.sleep(WAIT_SECONDS)
            self.close_connection = True
            self.connection.close()
            return
        packed = {"Content-Encoding": "gzip"} if turn == "zip" else {}
        content = gzip.compress(content) if turn == "zip" else content
        if not answer.streams:
            self.head(200, kind, len(content), packed)
            self.wfile.write(content)
            return
        self.head(200, kind, None, packed)
        for at in range(0, len(content), 300):
            self.chunk(content[at : at + 300])
        self.wfile.write(b"0\r\n\r\n")

    def head(self, status: int, kind: str, size: int | None, more: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        fields = {"Content-Type": kind, "x-request-id": "req-1", **(more or {})}
        fields |= {"Transfer-Encoding": "chunked"} if size is None else {"Content-Length": str(size)}
        if status >= 400:
            fields |= {"retry-after-ms": "1", "Retry-After": "0"}
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()

    def chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def log_message(self, *_: object) -> None:
        """Silence."""


class Quiet(ThreadingHTTPServer):
    """A server that takes a client's hanging up for what it is."""

    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        """Silence."""


@contextmanager
def fake_provider() -> Iterator[FakeProvider]:
    """A server for as long as the block runs."""
    provider = FakeProvider()
    door = Quiet(("127.0.0.1", 0), type("ThisDoor", (Door,), {"provider": provider}))
    provider.port = door.server_address[1]
    thread = threading.Thread(target=door.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        door.shutdown()
        door.server_close()
        thread.join()
