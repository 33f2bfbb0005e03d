"""aiohttp: google-genai's and LiteLLM's async transport, and many clients of their own.

`ClientSession._request` returns when the head of the answer is there. Its content keeps its class but for one method,
the one every way of reading takes its bytes through.
"""

from __future__ import annotations

import functools
import json
import sys
import weakref
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any

from outlay.sdk.gate import RefusedError
from outlay.sdk.wire.exchange import Exchange, wanted
from outlay.sdk.wire.layers import begin, outer
from outlay.sdk.wire.patching import patch
from outlay.sdk.wire.urllib3_client import Headers

_observed: dict[int, Exchange] = {}
"""Exchange of a content being read, by its id: a StreamReader has no room for an attribute nor for weak references."""


def _metered_reader(base: type) -> type:
    class MeteredReader(base):  # pyright: ignore[reportUntypedBaseClass]
        """A StreamReader that is read along; same layout, so that a reader in use can become one."""

        __slots__ = ()

        def _read_nowait_chunk(self, n: int) -> bytes:
            data = super()._read_nowait_chunk(n)
            exchange = _observed.get(id(self))
            if exchange is not None:
                if not exchange.feed(data):
                    raise RefusedError("the stream was cut: its budget is used up", hint="what had arrived is settled")
                if self._eof and not self._buffer:
                    exchange.ended()
            return data

        def set_exception(self, exc: Any, *rest: Any) -> None:
            exchange = _observed.get(id(self))
            if exchange is not None:
                error = exc if isinstance(exc, BaseException) else exc()
                exchange.failed(error)
            super().set_exception(exc, *rest)

    return MeteredReader


def _body_of(more: dict[str, Any]) -> bytes | None:
    """The bytes that will be sent, as far as they can be seen without using them up."""
    if more.get("json") is not None:
        return json.dumps(more["json"], default=str).encode()
    data = more.get("data")
    if isinstance(data, bytes | bytearray):
        return bytes(data)
    if isinstance(data, str):
        return data.encode()
    lines: list[bytes] = []
    for options, _, value in getattr(data, "_fields", None) or ():
        if isinstance(value, str):
            lines.append(b'name="%s"\r\n\r\n%s\r\n' % (str(options.get("name")).encode(), value.encode()))
    return b"".join(lines) or None


def _around(
    reader: type, plain_reader: type
) -> Callable[[Callable[..., Awaitable[Any]]], Callable[..., Awaitable[Any]]]:
    def around(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(original)
        async def request(self: Any, method: str, str_or_url: Any, **more: Any) -> Any:
            exchange = _begin(self, method, str_or_url, more)
            if exchange is None:
                return await original(self, method, str_or_url, **more)
            await exchange.ask_async()
            _change(exchange, more)
            token = outer.set(exchange)
            try:
                response = await original(self, method, str_or_url, **more)
            except BaseException as error:
                exchange.failed(error)
                raise
            finally:
                outer.reset(token)
            try:
                if not exchange.superseded:
                    unpacks = more.get("auto_decompress")
                    unpacks = self.auto_decompress if unpacks is None else unpacks
                    _meter(response, exchange, reader, plain_reader, unpacks=unpacks)
            except Exception:  # noqa: BLE001 - metering never breaks the agent's call
                exchange.closed()
            return response

        return request

    return around


def _begin(session: Any, method: str, str_or_url: Any, more: dict[str, Any]) -> Exchange | None:
    try:
        url = session._build_url(str_or_url)  # noqa: SLF001 - it knows the session's base address
        host, port, path = url.host or "", url.explicit_port, url.path
        fields = Headers({**dict(session.headers), **dict(more.get("headers") or {})})
    except Exception:  # noqa: BLE001 - the request itself will say what is wrong with it
        return None
    return begin(method, host, port, path, functools.partial(_body_of, more), fields)


def _change(exchange: Exchange, more: dict[str, Any]) -> None:
    """Changes the body where a gate or the settings want it so."""
    body = _body_of(more) if exchange.asked.is_json and exchange.wants_change else None
    changed = exchange.change(body) if body else None
    if changed is not None and more.get("json") is not None:
        more["json"] = json.loads(changed)
    elif changed is not None:
        more["data"] = changed


def _meter(response: Any, exchange: Exchange, reader: type, plain_reader: type, *, unpacks: bool) -> None:
    fields = wanted(response.headers.items())
    if unpacks:
        fields.pop("content-encoding", None)
    exchange.answered(response.status, fields)
    content = response.content
    if type(content) is not plain_reader:  # an empty body has a reader of its own
        exchange.ended()
        return
    content.__class__ = reader
    place = id(content)
    _observed[place] = exchange
    weakref.finalize(response, _forget, place)
    for name in ("close", "release"):
        setattr(response, name, _closing(getattr(type(response), name), weakref.ref(response), exchange))


def _closing(close: Callable[[Any], Any], reference: weakref.ref[Any], exchange: Exchange) -> Callable[[], Any]:
    """The answer is known weakly: one that nobody holds any more is freed as ever."""

    @functools.wraps(close)
    def closing() -> Any:
        response: Any = reference()
        content = response.content
        held = list(content._buffer)  # noqa: SLF001 - it came, though nobody took it
        if held:
            exchange.feed(held[0][content._buffer_offset :])  # noqa: SLF001
            for piece in held[1:]:
                exchange.feed(piece)
        if content._eof:  # noqa: SLF001
            exchange.ended()
        else:
            exchange.closed()
        _observed.pop(id(content), None)
        return close(response)

    return closing


def _forget(place: int) -> None:
    exchange = _observed.pop(place, None)
    if exchange is not None:
        exchange.closed()


def patch_library(client: ModuleType) -> None:
    """Patches aiohttp, given as its client module."""
    reader = sys.modules["aiohttp.streams"].StreamReader
    patch(client.ClientSession, "_request", _around(_metered_reader(reader), reader))
