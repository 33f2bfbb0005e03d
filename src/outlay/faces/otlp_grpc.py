"""OTLP over gRPC, beside HTTP: the same bodies through the same intake, under the same keys.

The handlers are generic and see raw bytes, so nothing is decoded here; compression is undone by gRPC itself. A call is
answered OK only when what it told is durable. grpcio is imported when a server starts, and one that cannot be imported
or a port that is taken costs gRPC only: HTTP goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from outlay.core.errors import FormatError, OutlayError, ServerError, StoreBusyError, StoreFullError
from outlay.faces.api.guard import key_in
from outlay.faces.api.otlp import BODY_BYTES_MAX, RETRY_AFTER_S
from outlay.faces.api.otlp_answers import answer_of
from outlay.faces.callers import Caller

if TYPE_CHECKING:
    import grpc

    from outlay.control.keyring import Keyring
    from outlay.ledger.intake import Intake
    from outlay.ledger.signals import Signal
    from outlay.normalize.writers import Sender

METHODS: dict[str, Signal] = {
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export": "traces",
    "/opentelemetry.proto.collector.logs.v1.LogsService/Export": "logs",
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export": "metrics",
}

_GRACE_S = 5
_OPTIONS = (
    ("grpc.max_receive_message_length", BODY_BYTES_MAX),
    ("grpc.max_send_message_length", BODY_BYTES_MAX),
    ("grpc.so_reuseport", 0),  # a second server on the port is a mistake that must be told
)

log = logging.getLogger("outlay.api")


@dataclass(frozen=True, slots=True)
class GrpcServer:
    """A running server and where it listens."""

    address: str
    port: int
    stop: Callable[[], Awaitable[None]]


async def start(intake: Intake, keys: Keyring | None, host: str, port: int, *, key_needed: bool = False) -> GrpcServer:
    """Serve OTLP over gRPC in the running event loop; port 0 takes a free one. `key_needed` is False on loopback.

    Raises ServerError when the port is taken or grpcio is not there.
    """
    try:
        import grpc
        import grpc.aio
    except ImportError as error:
        raise ServerError(f"no OTLP over gRPC: {error}", hint="send OTLP over HTTP, or install grpcio") from error
    server = grpc.aio.server(options=_OPTIONS)
    server.add_generic_rpc_handlers((_handler(grpc, _Door(intake, keys, key_needed=key_needed)),))
    name = host.strip("[]")
    wanted = f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
    try:
        bound = server.add_insecure_port(wanted)
    except RuntimeError:
        bound = 0
    if not bound:
        raise ServerError(
            f"cannot listen on {wanted} for OTLP over gRPC: the port is taken",
            hint="--grpc-port 0 takes a free one; OTLP over HTTP is up all the same",
        )
    await server.start()

    async def stop() -> None:
        await server.stop(_GRACE_S)

    return GrpcServer(f"{wanted.rsplit(':', 1)[0]}:{bound}", bound, stop)


class _RefusedCallError(Exception):
    """The call ends with this status; `retry_s` says when to try again."""

    def __init__(self, status: str, message: str, retry_s: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_s = retry_s


class _Door:
    def __init__(self, intake: Intake, keys: Keyring | None, *, key_needed: bool) -> None:
        self._intake = intake
        self._keys = keys
        self._key_needed = key_needed

    async def export(self, body: bytes, metadata: Sequence[tuple[str, str | bytes]], signal: Signal) -> bytes:
        """The response to one request."""
        sender = self._sender(next((value for name, value in metadata if name == "authorization"), ""))
        if len(body) > BODY_BYTES_MAX:
            limit = BODY_BYTES_MAX // (1024 * 1024)
            raise _RefusedCallError(
                "RESOURCE_EXHAUSTED", f"the body, unzipped, exceeds the limit of {limit} MiB; try: smaller batches"
            )
        if not body:
            return answer_of(signal, "protobuf", 0, ())
        try:
            receipt = await asyncio.wrap_future(self._intake.submit(body, "protobuf", signal, sender=sender))
        except OutlayError as error:
            raise _refusal(error) from error
        return answer_of(signal, "protobuf", receipt.refused, receipt.problems)

    def _sender(self, authorization: str | bytes) -> Sender | None:
        """Who sends, None without a key. Raises _RefusedCallError."""
        key = key_in(authorization, self._keys) if isinstance(authorization, str) else None
        if key is None and self._key_needed:
            hint = "metadata authorization: Bearer KEY; outlay keys add NAME makes one"
            raise _RefusedCallError("UNAUTHENTICATED", f"this server needs an API key; try: {hint}")
        caller = Caller(key=key)
        refusal = caller.refusal("write")
        if refusal is not None:
            raise _RefusedCallError("PERMISSION_DENIED", f"{refusal.message}; try: {refusal.hint}")
        return caller.sender


def _refusal(error: OutlayError) -> _RefusedCallError:
    """The status that makes an exporter do the right thing: try again, or not."""
    text = f"{error.message}; try: {error.hint}" if error.hint else error.message
    if isinstance(error, FormatError):
        return _RefusedCallError("INVALID_ARGUMENT", text)
    if isinstance(error, StoreBusyError):
        return _RefusedCallError("UNAVAILABLE", text, RETRY_AFTER_S)
    if isinstance(error, StoreFullError):
        return _RefusedCallError("RESOURCE_EXHAUSTED", text)
    return _RefusedCallError("INTERNAL", text)


def _handler(grpc: Any, door: _Door) -> grpc.GenericRpcHandler:
    async def call(request: bytes, context: Any, signal: Signal) -> bytes:
        try:
            return await door.export(request, tuple(context.invocation_metadata() or ()), signal)
        except _RefusedCallError as refused:
            if refused.retry_s is not None:
                context.set_trailing_metadata((("grpc-status-details-bin", _details(grpc, refused)),))
            await context.abort(getattr(grpc.StatusCode, refused.status), str(refused))
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("the gRPC door failed")
            await context.abort(grpc.StatusCode.INTERNAL, "something went wrong inside Outlay; see the server's log")
        raise AssertionError  # abort never returns

    class Generic(grpc.GenericRpcHandler):
        """Finds the handler of a method by its name; bytes come in and go out as they are."""

        def service(self, handler_call_details: Any) -> Any:
            signal = METHODS.get(handler_call_details.method)
            if signal is None:
                return None

            async def export(request: bytes, context: Any) -> bytes:
                return await call(request, context, signal)

            return grpc.unary_unary_rpc_method_handler(export)

    return Generic()


def _details(grpc: Any, refused: _RefusedCallError) -> bytes:
    """A google.rpc.Status with a RetryInfo, as exporters read it."""
    from google.protobuf.any_pb2 import Any as AnyMessage
    from google.protobuf.duration_pb2 import Duration

    delay = Duration(seconds=refused.retry_s).SerializeToString()
    info = AnyMessage(type_url="type.googleapis.com/google.rpc.RetryInfo", value=_field(1, delay))
    code = getattr(grpc.StatusCode, refused.status).value[0]
    return bytes([0x08, code]) + _field(2, str(refused).encode()) + _field(3, info.SerializeToString())


def _field(number: int, data: bytes) -> bytes:
    """A length-delimited field."""
    size, length = bytearray(), len(data)
    while length > 0x7F:
        size.append((length & 0x7F) | 0x80)
        length >>= 7
    return bytes([number << 3 | 2]) + bytes([*size, length]) + data
