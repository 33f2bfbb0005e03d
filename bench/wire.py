"""What metering a model call costs its caller: processor time in µs a call, against the same client without it.

python bench/wire.py
python bench/wire.py --calls 2000 --rounds 7 --answer-bytes 20000

The client (httpx2, what openai and anthropic send with) talks to a transport that answers from memory, so that neither
sockets nor a server are in the figures. Bare and metered rounds alternate; the median of each is taken, the difference
is the price of metering. Nothing is recorded anywhere: what the recorder costs is measured on its own.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from outlay.sdk import recorder, wire

ADDRESS = "https://api.openai.com/v1/chat/completions"
USAGE = {
    "prompt_tokens": 1149,
    "completion_tokens": 353,
    "total_tokens": 1502,
    "prompt_tokens_details": {"cached_tokens": 1024},
    "completion_tokens_details": {"reasoning_tokens": 64},
}
HEAD = {"id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-4o-2024-08-06", "service_tier": "default"}
WORDS = "hello world "


class Answered(httpx2.SyncByteStream):
    """A body that arrives in pieces."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces


class Memory(httpx2.BaseTransport):
    """A provider that answers every request from memory; a transport of one's own is metered in the client."""

    def __init__(self, answer_bytes: int, events: int) -> None:
        message = {"role": "assistant", "content": WORDS * (answer_bytes // len(WORDS))}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        self.whole = json.dumps({**HEAD, "choices": [choice], "usage": USAGE}).encode()
        chunks: list[dict[str, Any]] = [
            {**HEAD, "choices": [{"index": 0, "delta": {"content": WORDS}, "finish_reason": None}], "usage": None}
        ] * events
        chunks += [{**HEAD, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": None}]
        chunks += [{**HEAD, "choices": [], "usage": USAGE}]
        self.events = [f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks] + [b"data: [DONE]\n\n"]

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """The answer as a stream that has not been read, whichever way it is read."""
        streams = b'"stream":true' in request.content
        kind = "text/event-stream" if streams else "application/json"
        pieces = self.events if streams else [self.whole]
        return httpx2.Response(200, headers={"content-type": kind}, stream=Answered(pieces))


def cpu_us(calls: int, call: Callable[[], None]) -> float:
    """Processor time of one call in µs, over many."""
    begun = time.process_time_ns()
    for _ in range(calls):
        call()
    return (time.process_time_ns() - begun) / calls / 1000


def main() -> int:
    """Measures the two kinds of call and prints what metering adds to each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=400, help="calls a round")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--prompt-bytes", type=int, default=4000)
    parser.add_argument("--answer-bytes", type=int, default=2000)
    parser.add_argument("--events", type=int, default=100, help="events of a stream")
    asked = parser.parse_args()

    recorder.record = lambda _: None
    prompt = {"model": "gpt-4o", "messages": [{"role": "user", "content": WORDS * (asked.prompt_bytes // len(WORDS))}]}
    plain_body = json.dumps(prompt, separators=(",", ":")).encode()
    usage = {"stream": True, "stream_options": {"include_usage": True}}
    stream_body = json.dumps({**prompt, **usage}, separators=(",", ":")).encode()
    client = httpx2.Client(transport=Memory(asked.answer_bytes, asked.events))

    def plain() -> None:
        client.post(ADDRESS, content=plain_body).json()

    def streamed() -> None:
        with client.stream("POST", ADDRESS, content=stream_body) as response:
            for _ in response.iter_lines():
                pass

    print(f"{'call':<10}{'bare µs':>10}{'metered µs':>12}{'added µs':>10}")
    for name, call in (("plain", plain), ("streamed", streamed)):
        bare: list[float] = []
        metered: list[float] = []
        for _ in range(asked.rounds):
            wire.uninstall()
            bare.append(cpu_us(asked.calls, call))
            wire.install()
            metered.append(cpu_us(asked.calls, call))
        before, after = statistics.median(bare), statistics.median(metered)
        print(f"{name:<10}{before:>10.1f}{after:>12.1f}{after - before:>10.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
