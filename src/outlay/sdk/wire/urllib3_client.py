"""urllib3, and so requests, botocore and everything above it: each of urllib3's own retries is an attempt.

`HTTPConnectionPool._make_request` sends exactly once. Its answer keeps its type and every method; only the two places
where it takes bytes from the socket are read along.
"""

from __future__ import annotations

import functools
import inspect
import io
import sys
import weakref
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from outlay.sdk.gate import RefusedError
from outlay.sdk.wire.exchange import Exchange, wanted
from outlay.sdk.wire.layers import begin, outer
from outlay.sdk.wire.patching import patch


class Headers(Mapping[str, str]):
    """A request's headers, looked up without case, whatever mapping they came in."""

    def __init__(self, fields: Mapping[Any, Any] | None) -> None:
        self._fields = {_text(name).lower(): _text(value) for name, value in (fields or {}).items()}

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower()]

    def __iter__(self) -> Any:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _bytes_of(body: object) -> bytes | None:
    if isinstance(body, bytes | bytearray):
        return bytes(body)
    if isinstance(body, str):
        return body.encode()
    return None


def _begin(pool: Any, method: str, url: str, body: object, headers: Mapping[Any, Any] | None) -> Exchange | None:
    parts = urlsplit(url)
    host, port, path = pool.host, pool.port, parts.path
    if parts.hostname:  # through a proxy that is told the whole address
        host, port = parts.hostname, parts.port
    return begin(method, host.strip("[]"), port, path, lambda: _bytes_of(body), Headers(headers))


def _around(response_class: type) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def around(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def make_request(
            self: Any, conn: Any, method: str, url: str, body: Any = None, headers: Any = None, *rest: Any, **more: Any
        ) -> Any:
            exchange = _begin(self, method, url, body, headers)
            if exchange is None:
                return original(self, conn, method, url, body, headers, *rest, **more)
            try:
                exchange.ask()
            except RefusedError as error:
                status, fields, said = error.as_answer()
                return response_class(
                    io.BytesIO(said), headers=fields, status=status, preload_content=False, request_url=url
                )
            plain = _bytes_of(body)
            changed = exchange.change(plain) if plain else None
            if changed is not None:
                body = changed
                headers = {
                    name: value for name, value in (headers or {}).items() if _text(name).lower() != "content-length"
                }
                headers["Content-Length"] = str(len(changed))
            token = outer.set(exchange)
            try:
                response = original(self, conn, method, url, body, headers, *rest, **more)
            except BaseException as error:
                exchange.failed(error)
                raise
            finally:
                outer.reset(token)
            try:
                if not exchange.superseded:
                    _meter(response, exchange)
            except Exception:  # noqa: BLE001 - metering never breaks the agent's call
                exchange.closed()
            return response

        return make_request

    return around


def _meter(response: Any, exchange: Exchange) -> None:
    fields = wanted(response.headers.items())
    held = getattr(response, "_body", None)
    if held is not None:  # read while the answer was made, and unpacked if that was asked for
        if getattr(response, "decode_content", False):
            fields.pop("content-encoding", None)
        exchange.answered(response.status, fields)
        exchange.feed(held)
        exchange.ended()
        return
    exchange.answered(response.status, fields)
    _Along(response, exchange).put_in()


class _Along:
    """What stands between an answer and its socket: the places where bytes are taken, and where it is closed.

    It knows the answer weakly, so that an answer nobody holds any more is freed, and its socket with it, as ever.
    """

    def __init__(self, response: Any, exchange: Exchange) -> None:
        self._response = weakref.ref(response)
        self._exchange = exchange
        self._measuring = False  # urllib3 closes a broken answer before it says what is wrong

    def put_in(self) -> None:
        """Takes the places of the answer's own methods, on this one answer only."""
        response = self._response()
        for name, around in (
            ("_fp_read", self._taking),
            ("_handle_chunk", self._taking),
            ("_update_chunk_length", self._measured),
            ("close", self._closing),
            ("release_conn", self._closing),
        ):
            method = getattr(type(response), name, None)
            if method is not None:
                setattr(response, name, around(method))

    def _taking(self, take: Callable[..., bytes]) -> Callable[..., bytes]:
        exchange = self._exchange

        @functools.wraps(take)
        def taking(*args: Any, **more: Any) -> bytes:
            response: Any = self._response()
            try:
                data = take(response, *args, **more)
            except BaseException as error:
                exchange.failed(error)
                raise
            if data and not exchange.feed(data):
                raise RefusedError(
                    "the stream was cut: its budget is used up", hint="what had arrived by then is settled"
                )
            is_closed = getattr(response._fp, "isclosed", None)  # noqa: SLF001 - http.client closes with the last byte
            if is_closed is not None and is_closed() and not response.chunked:
                exchange.ended()
            return data

        return taking

    def _measured(self, measure: Callable[[Any], None]) -> Callable[[], None]:
        @functools.wraps(measure)
        def measuring() -> None:
            response: Any = self._response()
            self._measuring = True
            try:
                measure(response)
            except BaseException as error:
                self._exchange.failed(error)
                raise
            finally:
                self._measuring = False
            if response.chunk_left == 0:
                self._exchange.ended()

        return measuring

    def _closing(self, close: Callable[[Any], None]) -> Callable[[], None]:
        @functools.wraps(close)
        def closing() -> None:
            response: Any = self._response()
            if response.length_remaining == 0:
                self._exchange.ended()
            elif not self._measuring:
                self._exchange.closed()
            close(response)

        return closing


def patch_library(pool: ModuleType) -> None:
    """Patches urllib3 2, given as its connectionpool module. Version 1 answers with another type and is left alone."""
    made = pool.HTTPConnectionPool._make_request  # noqa: SLF001 - the one place that sends exactly once
    if "response_conn" in inspect.signature(made).parameters:
        patch(pool.HTTPConnectionPool, "_make_request", _around(sys.modules["urllib3.response"].HTTPResponse))
