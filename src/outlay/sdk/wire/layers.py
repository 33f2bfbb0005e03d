"""Layers: one call through stacked clients is one fact.

A call may pass an outer layer (an httpx client with a transport of its own) and an inner one (aiohttp, which sends it).
The innermost layer that sees it meters it, attempt by attempt; the outer one stands back. A transport that repeats by
itself therefore shows each of its attempts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar

from outlay.sdk import context
from outlay.sdk.wire import settings
from outlay.sdk.wire.attempts import Identity, failures
from outlay.sdk.wire.exchange import Exchange, request_of

outer: ContextVar[Exchange | None] = ContextVar("outlay_wire_outer", default=None)
"""The attempt of the layer above, while that layer sends it."""


def begin(
    method: str,
    host: str,
    port: int | None,
    path: str,
    body: Callable[[], bytes | None],
    fields: Mapping[str, str],
) -> Exchange | None:
    """The exchange of a request about to be sent, or None where it is no call that costs anything.

    `body` is asked only for a call that is metered; `fields` are the request's headers, looked up without case. Whoever
    begins asks the gates next (`Exchange.ask`), then changes the body (`Exchange.change`). Raises nothing.
    """
    try:
        route = settings.current().routes.find(method, host, port, path)
        if route is None:
            return None
        content = body()
        asked = request_of(route, content, fields.get("content-type") or "")
        identity = Identity(context.current().session_id, method, f"{host}:{port}{path}", content or b"")
        exchange = Exchange(route, asked, host=host, identity=identity)
        above = outer.get()
        if above is not None and above.host == host and above.route == route and not above.adopted:
            exchange.adopt(above)
            return exchange
        exchange.attempt, exchange.retry_reason = failures.take(identity)
        said = _said_attempt(fields)
        if said > exchange.attempt:
            exchange.attempt, exchange.retry_reason = said, exchange.retry_reason or "retried by the client"
    except Exception:  # noqa: BLE001 - metering never breaks the agent's call
        return None
    return exchange


def _said_attempt(fields: Mapping[str, str]) -> int:
    """The attempt a client states itself: OpenAI's and Anthropic's from 0, Amazon's `attempt=1; max=3` from 1."""
    count = fields.get("x-stainless-retry-count")
    if count and count.isdecimal():
        return int(count)
    said = fields.get("amz-sdk-request") or ""
    first = said.partition(";")[0].partition("=")[2]
    return max(0, int(first) - 1) if first.isdecimal() else 0
