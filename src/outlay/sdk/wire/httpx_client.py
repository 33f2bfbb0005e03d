"""httpx and httpx2, sync and async: what openai, anthropic, google-genai, mistralai, cohere and most others send with.

The transports are patched, below retries, redirects and authentication. A client with a transport of its own (a mock, a
retrying one, one over aiohttp) is met in the client as well; `layers` sees to it that each attempt is one fact.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any

from outlay.sdk.gate import RefusedError
from outlay.sdk.wire.exchange import Exchange, wanted
from outlay.sdk.wire.layers import begin, outer
from outlay.sdk.wire.patching import patch

ASKED_FIELDS = frozenset({b"content-type", b"x-stainless-retry-count", b"amz-sdk-request"})
"""Headers of a request that say something; one pass over httpx's list costs less than looking each of them up."""


class _Kit:
    """What is needed of one of the two libraries: its streams to wrap, its answer to refuse with."""

    def __init__(self, library: ModuleType) -> None:
        self.library = library
        self.sync_stream = _sync_stream(library.SyncByteStream)
        self.async_stream = _async_stream(library.AsyncByteStream)

    def begin(self, request: Any) -> Exchange | None:
        """The exchange of a request, or None where it is no call that costs anything."""
        url = request.url
        fields = {
            name.decode("latin-1"): value.decode("latin-1")
            for raw, value in request.headers.raw
            if (name := raw.lower()) in ASKED_FIELDS
        }
        return begin(request.method, url.host, url.port, url.path, functools.partial(body_of, request), fields)

    def change(self, request: Any, exchange: Exchange) -> None:
        """Changes the body where a gate or the settings want it so."""
        changed = exchange.change(request.content) if getattr(request, "_content", None) else None
        if changed is not None:
            request.stream = self.library.ByteStream(changed)
            request._content = changed  # noqa: SLF001 - there is no other way to keep request.content true
            request.headers["Content-Length"] = str(len(changed))

    def refused(self, request: Any, error: RefusedError) -> Any:
        """The gate's word as an answer: a client that wraps exceptions and tries again would hide it.

        It is not read yet, as no answer of a transport is: whoever passes answers on takes its raw bytes.
        """
        status, headers, body = error.as_answer()
        headers["content-length"] = str(len(body))
        return self.library.Response(status, headers=headers, stream=self.library.ByteStream(body), request=request)


def body_of(request: Any) -> bytes | None:
    """The bytes of a request that holds them; for a form only its plain fields, which name the model."""
    content = getattr(request, "_content", None)
    if content is not None:
        return content
    fields = getattr(request.stream, "fields", None)
    if fields is None:
        return None
    lines: list[bytes] = []
    for item in fields:
        value = getattr(item, "value", None)
        if isinstance(value, str | bytes):
            plain = value.encode() if isinstance(value, str) else value
            lines.append(b'name="%s"\r\n\r\n%s\r\n' % (str(item.name).encode(), plain))
    return b"".join(lines)


def _sync_stream(base: type) -> type:
    class MeteredStream(base):  # pyright: ignore[reportUntypedBaseClass]
        """The answer's stream as it was, read along."""

        def __init__(self, stream: Any, exchange: Exchange) -> None:
            self._stream = stream
            self._exchange = exchange

        def __iter__(self) -> Any:
            exchange = self._exchange
            try:
                for chunk in self._stream:
                    goes_on = exchange.feed(chunk)
                    given = chunk if exchange.hiding is None else exchange.hiding.pass_on(chunk)
                    if given:
                        yield given
                    if not goes_on:
                        return
                if exchange.hiding is not None and (rest := exchange.hiding.rest()):
                    yield rest
            except BaseException as error:
                exchange.failed(error)
                raise
            exchange.ended()

        def close(self) -> None:
            self._exchange.closed()
            self._stream.close()

    return MeteredStream


def _async_stream(base: type) -> type:
    class MeteredAsyncStream(base):  # pyright: ignore[reportUntypedBaseClass]
        """The answer's stream as it was, read along."""

        def __init__(self, stream: Any, exchange: Exchange) -> None:
            self._stream = stream
            self._exchange = exchange

        async def __aiter__(self) -> Any:
            exchange = self._exchange
            try:
                async for chunk in self._stream:
                    goes_on = exchange.feed(chunk)
                    given = chunk if exchange.hiding is None else exchange.hiding.pass_on(chunk)
                    if given:
                        yield given
                    if not goes_on:
                        return
                if exchange.hiding is not None and (rest := exchange.hiding.rest()):
                    yield rest
            except BaseException as error:
                exchange.failed(error)
                raise
            exchange.ended()

        async def aclose(self) -> None:
            self._exchange.closed()
            await self._stream.aclose()

    return MeteredAsyncStream


def _sends(kit: _Kit) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The patch of a sync method `(self, request) -> response`."""

    def around(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def send(self: Any, request: Any) -> Any:
            if _sends_itself(kit, self, request):
                return original(self, request)
            exchange = kit.begin(request)
            if exchange is None:
                return original(self, request)
            try:
                exchange.ask()
            except RefusedError as error:
                return kit.refused(request, error)
            kit.change(request, exchange)
            token = outer.set(exchange)
            try:
                response = original(self, request)
            except BaseException as error:
                exchange.failed(error)
                raise
            finally:
                outer.reset(token)
            return _metered(response, exchange, kit.sync_stream)

        return send

    return around


def _sends_async(kit: _Kit) -> Callable[[Callable[..., Awaitable[Any]]], Callable[..., Awaitable[Any]]]:
    """The patch of an async method `(self, request) -> response`."""

    def around(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(original)
        async def send(self: Any, request: Any) -> Any:
            if _sends_itself(kit, self, request):
                return await original(self, request)
            exchange = kit.begin(request)
            if exchange is None:
                return await original(self, request)
            try:
                await exchange.ask_async()
            except RefusedError as error:
                return kit.refused(request, error)
            kit.change(request, exchange)
            token = outer.set(exchange)
            try:
                response = await original(self, request)
            except BaseException as error:
                exchange.failed(error)
                raise
            finally:
                outer.reset(token)
            return _metered(response, exchange, kit.async_stream)

        return send

    return around


def _sends_itself(kit: _Kit, sender: Any, request: Any) -> bool:
    """Whether the sender is a client whose plain transport is patched anyway: most are, and one look is enough."""
    choose = getattr(sender, "_transport_for_url", None)
    if choose is None:
        return False
    library = kit.library
    return type(choose(request.url)) in {library.HTTPTransport, library.AsyncHTTPTransport}


def _metered(response: Any, exchange: Exchange, stream: type) -> Any:
    if exchange.superseded:
        return response
    try:
        exchange.answered(response.status_code, wanted(response.headers.raw))
        if getattr(response, "is_stream_consumed", False) and hasattr(response, "_content"):
            exchange.feed(response.content)  # a transport that answered from memory
            exchange.ended()
        else:
            response.stream = stream(response.stream, exchange)
    except Exception:  # noqa: BLE001 - metering never breaks the agent's call
        exchange.closed()
    return response


def patch_library(library: ModuleType) -> None:
    """Patches one of the two libraries, given as its top module."""
    kit = _Kit(library)
    patch(library.HTTPTransport, "handle_request", _sends(kit))
    patch(library.AsyncHTTPTransport, "handle_async_request", _sends_async(kit))
    patch(library.Client, "_send_single_request", _sends(kit))
    patch(library.AsyncClient, "_send_single_request", _sends_async(kit))
