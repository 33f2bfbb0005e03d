"""websockets, sync and async: OpenAI's Realtime API and its Responses API over a socket.

What is sent and received is read along; `talk.py` knows what it means. A message that is sent or received in fragments
is passed on unread.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs

from outlay.sdk.bodies.openai_realtime import REALTIME
from outlay.sdk.bodies.openai_responses import RESPONSES
from outlay.sdk.gate import RefusedError
from outlay.sdk.wire import settings
from outlay.sdk.wire.exchange import Exchange
from outlay.sdk.wire.patching import patch
from outlay.sdk.wire.talk import Talk

_PLACE = "_outlay_talk"


def _talk_of(connection: Any) -> Talk | None:
    """What is said over a connection; None where nobody at its other end charges for it, as on a server's own side."""
    held = vars(connection)
    if _PLACE not in held:
        held[_PLACE] = None  # looked at once, whatever comes of it
        try:
            held[_PLACE] = _begun(connection.protocol.uri)
        except Exception:  # noqa: BLE001 - a server has no such address; metering never breaks the agent's call
            return None
    return held[_PLACE]


def _begun(uri: Any) -> Talk | None:
    route = settings.current().routes.find("POST", uri.host, uri.port, uri.path)
    if route is None or route.shape not in {REALTIME, RESPONSES}:
        return None
    said = parse_qs(uri.query or "")
    model = (said.get("model") or said.get("deployment") or [""])[0]
    return Talk(uri.host, uri.port, uri.path, model)


def _bytes_of(message: object) -> bytes | None:
    if isinstance(message, str):
        return message.encode("utf-8", "surrogatepass")
    return bytes(message) if isinstance(message, bytes | bytearray | memoryview) else None


def _asked(talk: Talk | None, message: object) -> Exchange | None:
    plain = _bytes_of(message) if talk is not None else None
    return talk.asked(plain) if talk is not None and plain is not None else None


def _changed(exchange: Exchange, message: Any) -> Any:
    """The message to be sent, of the type that it had."""
    plain = _bytes_of(message)
    changed = exchange.change(plain) if plain is not None else None
    if changed is None:
        return message
    return changed.decode() if isinstance(message, str) else changed


def _heard(talk: Talk, message: Any) -> Any:
    plain = _bytes_of(message)
    if plain is not None and not talk.received(plain):
        raise RefusedError("the stream was cut: its budget is used up", hint="what had arrived by then is settled")
    return message


def _closed(error: BaseException) -> bool:
    return type(error).__name__.startswith("ConnectionClosed")


def _send(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def send(self: Any, message: Any, *rest: Any, **more: Any) -> Any:
        talk = _talk_of(self)
        exchange = _asked(talk, message)
        if talk is None or exchange is None:
            return original(self, message, *rest, **more)
        try:
            exchange.ask()
            return original(self, _changed(exchange, message), *rest, **more)
        except BaseException as error:
            talk.forget(exchange)
            exchange.failed(error)  # one that a gate refused is over already
            raise

    return send


def _send_async(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def send(self: Any, message: Any, *rest: Any, **more: Any) -> Any:
        talk = _talk_of(self)
        exchange = _asked(talk, message)
        if talk is None or exchange is None:
            return await original(self, message, *rest, **more)
        try:
            await exchange.ask_async()
            return await original(self, _changed(exchange, message), *rest, **more)
        except BaseException as error:
            talk.forget(exchange)
            exchange.failed(error)  # one that a gate refused is over already
            raise

    return send


def _receive(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def recv(self: Any, *rest: Any, **more: Any) -> Any:
        talk = _talk_of(self)
        if talk is None:
            return original(self, *rest, **more)
        try:
            message = original(self, *rest, **more)
        except BaseException as error:
            if _closed(error):
                talk.over(error)
            raise
        return _heard(talk, message)

    return recv


def _receive_async(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def recv(self: Any, *rest: Any, **more: Any) -> Any:
        talk = _talk_of(self)
        if talk is None:
            return await original(self, *rest, **more)
        try:
            message = await original(self, *rest, **more)
        except BaseException as error:
            if _closed(error):
                talk.over(error)
            raise
        return _heard(talk, message)

    return recv


def _close(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def close(self: Any, *rest: Any, **more: Any) -> Any:
        if (talk := _talk_of(self)) is not None:
            talk.over(None)
        return original(self, *rest, **more)

    return close


def _close_async(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def close(self: Any, *rest: Any, **more: Any) -> Any:
        if (talk := _talk_of(self)) is not None:
            talk.over(None)
        return await original(self, *rest, **more)

    return close


def patch_sync(module: ModuleType) -> None:
    """Patches the connections of `websockets.sync.connection`."""
    for name, around in (("send", _send), ("recv", _receive), ("close", _close)):
        patch(module.Connection, name, around)


def patch_async(module: ModuleType) -> None:
    """Patches the connections of `websockets.asyncio.connection`."""
    for name, around in (("send", _send_async), ("recv", _receive_async), ("close", _close_async)):
        patch(module.Connection, name, around)
