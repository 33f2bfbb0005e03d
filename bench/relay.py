"""A gateway as somebody builds it around the SDK: it passes calls on to a provider, and the SDK asks for the money.

    OUTLAY_HOME=/tmp/home python bench/relay.py --upstream http://127.0.0.1:9100

Nothing here knows of budgets: `outlay.init()` meters the client below, holds money before a request is sent, answers
402 in the provider's place where there is none, and settles what was billed. `x-team` and `x-feature` name the session.
A caller that hangs up changes nothing: its answer is read to the end, so that what it was billed is known.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import httpx2
import uvicorn

import outlay

CONNECTIONS_MAX = 1_024
TIMEOUT_S = 60.0
OF_THIS_HOP = {b"host", b"connection", b"content-length", b"transfer-encoding", b"x-team", b"x-feature"}

Send = Callable[[dict[str, Any]], Awaitable[None]]


class Relay:
    """The ASGI application."""

    def __init__(self, upstream: str) -> None:
        limits = httpx2.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX)
        self._client = httpx2.AsyncClient(base_url=upstream, limits=limits, timeout=TIMEOUT_S)

    async def __call__(self, scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Send) -> None:
        """Passes one request on."""
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        said = dict(scope["headers"])
        words = {
            name: said[b"x-" + name.encode()].decode() for name in ("team", "feature") if b"x-" + name.encode() in said
        }
        headers = [(name, value) for name, value in scope["headers"] if name not in OF_THIS_HOP]
        try:
            with outlay.session(**words):
                await self._passed_on(scope, headers, body, send)
        except httpx2.HTTPError:
            await send({"type": "http.response.start", "status": 502, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})

    async def _passed_on(self, scope: dict[str, Any], headers: list[Any], body: bytes, send: Send) -> None:
        asked = self._client.stream(scope["method"], scope["path"], headers=headers, content=body)
        async with asked as answer:
            told = [(name, value) for name, value in answer.headers.raw if name.lower() not in OF_THIS_HOP]
            await send({"type": "http.response.start", "status": answer.status_code, "headers": told})
            async for piece in answer.aiter_raw():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


class Announcing(uvicorn.Server):
    """Prints its address once it answers, and gives back what nobody spent before uvicorn ends the process."""

    async def startup(self, sockets: Any = None) -> None:
        """See uvicorn."""
        await super().startup(sockets)
        port = self.servers[0].sockets[0].getsockname()[1]
        print(f"relay on http://127.0.0.1:{port}", flush=True)

    async def shutdown(self, sockets: Any = None) -> None:
        """See uvicorn: once this is over it sends itself the signal that it was ended by."""
        await super().shutdown(sockets)
        outlay.shutdown()


def main() -> int:
    """Serves until it is told to stop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upstream", required=True, help="the provider: http://127.0.0.1:9100")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one and prints it (0)")
    options = parser.parse_args()
    outlay.init(runtime=False, hosts={urlsplit(options.upstream).hostname or "": "openai"})
    config = uvicorn.Config(
        Relay(options.upstream), port=options.port, lifespan="off", log_level="warning", backlog=2048
    )
    Announcing(config).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
