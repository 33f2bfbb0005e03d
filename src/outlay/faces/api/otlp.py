"""`POST /v1/traces`, `/v1/logs` and `/v1/metrics`: the doors through which any OpenTelemetry SDK finds Outlay.

Raw ASGI, because every span of a company comes through here. The answer is 200 only when the facts are durable; a row
that cannot be used is refused alone and listed in `partial_success`. A full queue answers 503 with Retry-After, which
exporters obey; a full disk answers 507.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from typing import TYPE_CHECKING

from outlay.core.errors import FormatError, OutlayError, StoreBusyError
from outlay.faces.api.otlp_answers import answer_of
from outlay.faces.api.problems import send_problem
from outlay.faces.callers import caller_of
from outlay.faces.refused import Message, Receive, RefusedError, Scope, Send

if TYPE_CHECKING:
    from outlay.ledger.intake import Intake
    from outlay.ledger.signals import Encoding, Signal
    from outlay.normalize.writers import Sender

try:
    from isal import isal_zlib as gunzip
except ImportError:  # no wheel for this machine: slower, the same answer
    import zlib as gunzip

LANGFUSE_PATH = "/api/public/otel/v1/traces"
"""Where the Langfuse SDK sends its spans, whatever server it is told; they are traces like any other."""

PATHS: dict[str, Signal] = {"/v1/traces": "traces", "/v1/logs": "logs", "/v1/metrics": "metrics"}

BODY_BYTES_MAX = 64 * 1024 * 1024
"""Held in memory whole, and decoded to several times its size: the limit keeps one client from taking the machine."""

RETRY_AFTER_S = 1

_GZIP = 31  # window bits that say: gzip, not raw deflate
_INLINE_BYTES_MAX = 1024 * 1024  # unzipping more than this would hold up every other request
_ENCODINGS: dict[bytes, Encoding] = {b"application/x-protobuf": "protobuf", b"application/json": "json"}
_CONTENT_TYPES: dict[Encoding, bytes] = {"protobuf": b"application/x-protobuf", "json": b"application/json"}

# isal declares its error class as an instance.
_ZIP_ERRORS: tuple[type[Exception], ...] = (zlib.error, gunzip.error)  # pyright: ignore[reportAssignmentType]

log = logging.getLogger("outlay.api")


class OtlpDoor:
    """The ASGI application behind each of `PATHS`, and behind `LANGFUSE_PATH`."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        path = scope["path"]
        try:
            encoding, body = await _read(scope, receive)
            answer = await self._deliver(body, encoding, PATHS.get(path, "traces"), caller_of(scope).sender)
        except _ClientGoneError:
            return
        except OutlayError as error:
            await send_problem(send, _retryable(error), path, head=scope["method"] == "HEAD")
            return
        except Exception:
            log.exception("the OTLP door failed")
            failure = RefusedError(500, "something went wrong inside Outlay", hint="see the server's log")
            await send_problem(send, failure, path)
            return
        headers = [(b"content-type", _CONTENT_TYPES[encoding]), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def _deliver(self, body: bytes, encoding: Encoding, signal: Signal, sender: Sender | None) -> bytes:
        if not body:
            return answer_of(signal, encoding, 0, ())
        receipt = await asyncio.wrap_future(self._intake.submit(body, encoding, signal, sender=sender))
        return answer_of(signal, encoding, receipt.refused, receipt.problems)


class _ClientGoneError(Exception):
    """The client hung up before its request was whole: nothing was acknowledged."""


async def _read(scope: Scope, receive: Receive) -> tuple[Encoding, bytes]:
    if scope["method"] != "POST":
        what = f"{scope['method']} is not possible on {scope['path']}"
        raise RefusedError(405, what, hint="POST", headers=[(b"allow", b"POST")])
    content_type = coding = b""
    length = 0
    for name, value in scope["headers"]:
        if name == b"content-type":
            content_type = value.split(b";", 1)[0].strip().lower()
        elif name == b"content-encoding":
            coding = value.strip().lower()
        elif name == b"content-length":
            length = int(value)
    encoding = _ENCODINGS.get(content_type)
    if encoding is None:
        shown = content_type.decode("latin-1") or "(none)"
        raise RefusedError(
            415, f'content type "{shown}" is not OTLP', hint="valid: application/x-protobuf, application/json"
        )
    if coding not in {b"", b"identity", b"gzip"}:
        shown = coding.decode("latin-1")
        raise RefusedError(
            415,
            f'content encoding "{shown}" is not supported',
            hint="valid: gzip, identity",
            headers=[(b"accept-encoding", b"gzip, identity")],
        )
    if length > BODY_BYTES_MAX:
        raise _too_large(f"{length} bytes")
    body = await _body(receive)
    if coding == b"gzip" and body:
        unzip_apart = len(body) > _INLINE_BYTES_MAX
        body = await asyncio.to_thread(unzipped, body) if unzip_apart else unzipped(body)
    return encoding, body


async def _body(receive: Receive) -> bytes:
    message: Message = await receive()
    first: bytes = message.get("body", b"")
    if message["type"] == "http.request" and not message.get("more_body"):
        return first
    chunks, size = [first], len(first)
    while message["type"] == "http.request" and message.get("more_body"):
        message = await receive()
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > BODY_BYTES_MAX:
            raise _too_large("the body")
        chunks.append(chunk)
    if message["type"] == "http.disconnect":
        raise _ClientGoneError
    return b"".join(chunks)


def unzipped(body: bytes) -> bytes:
    """The bytes inside one or several gzip members, read no further than the limit."""
    parts: list[bytes] = []
    room = BODY_BYTES_MAX
    rest = body
    try:
        while rest:
            member = gunzip.decompressobj(_GZIP)
            part = member.decompress(rest, room + 1)
            room -= len(part)
            if room < 0:
                raise _too_large("the body, unzipped,")
            if not member.eof:
                raise FormatError("truncated gzip: the body ends before its data does", hint="send the request again")
            parts.append(part)
            rest = member.unused_data.lstrip(b"\0")
    except _ZIP_ERRORS as error:
        raise FormatError(f"not gzip: {error}", hint="leave Content-Encoding out, or compress the body") from error
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(what: str) -> RefusedError:
    limit = BODY_BYTES_MAX // (1024 * 1024)
    return RefusedError(
        413,
        f"{what} exceeds the limit of {limit} MiB",
        detail=[f"a body is held in memory and decoded to several times its size, so the limit is {limit} MiB"],
        hint="send smaller batches, for instance OTEL_BSP_MAX_EXPORT_BATCH_SIZE=512",
        headers=[(b"connection", b"close")],
    )


def _retryable(error: OutlayError) -> OutlayError:
    if not isinstance(error, StoreBusyError):
        return error
    retry = [(b"retry-after", str(RETRY_AFTER_S).encode())]
    return RefusedError(503, error.message, detail=error.detail, hint=error.hint, headers=retry)
