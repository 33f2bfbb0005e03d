"""OTLP over gRPC: a real server and a real channel; what it takes, what it refuses, and with which status."""

from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.unknown_fields import UnknownFieldSet
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from faces.double import FakeIntake, Receipt
from outlay.control.keyring import Keyring
from outlay.control.keys import ApiKey, digest_of, new_secret
from outlay.core.errors import FormatError, Problem, ServerError, StoreBusyError, StoreFullError
from outlay.faces import otlp_grpc
from outlay.normalize.writers import Sender

RESPONSES: dict[str, Any] = {
    "traces": trace_service_pb2.ExportTraceServiceResponse,
    "logs": logs_service_pb2.ExportLogsServiceResponse,
    "metrics": metrics_service_pb2.ExportMetricsServiceResponse,
}
METHOD = next(method for method, signal in otlp_grpc.METHODS.items() if signal == "traces")
BODY = b"\x0a\x00"


def served(intake: Any, use: Callable[[grpc.aio.Channel], Awaitable[Any]], keys: Keyring | None = None) -> Any:
    """What `use` gets from a server for as long as it needs it."""

    async def run() -> Any:
        server = await otlp_grpc.start(intake, keys, "127.0.0.1", 0, key_needed=keys is not None)
        try:
            async with grpc.aio.insecure_channel(server.address, options=[("grpc.max_send_message_length", -1)]) as it:
                return await use(it)
        finally:
            await server.stop()

    return asyncio.run(run())


def send(intake: Any, body: bytes = BODY, method: str = METHOD, **options: Any) -> bytes:
    keys = options.pop("keys", None)

    async def use(channel: grpc.aio.Channel) -> bytes:
        return await channel.unary_unary(method)(body, **options)

    return served(intake, use, keys)


def refused(intake: Any, body: bytes = BODY, method: str = METHOD, **options: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        send(intake, body, method, **options)
    return caught.value


@pytest.mark.parametrize(("method", "signal"), otlp_grpc.METHODS.items())
@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_a_body_reaches_the_intake_as_it_was_sent(method: str, signal: str, compression: grpc.Compression) -> None:
    intake = FakeIntake()
    assert send(intake, BODY * 500, method, compression=compression) == b""
    assert (intake.bodies, intake.signals) == ([(BODY * 500, "protobuf")], [signal])


@pytest.mark.parametrize(("method", "signal"), otlp_grpc.METHODS.items())
def test_what_was_refused_is_told_as_partial_success(method: str, signal: str) -> None:
    intake = FakeIntake(Receipt(9, 2, (Problem("row 1", "no time"),)))
    said = RESPONSES[signal].FromString(send(intake, method=method)).partial_success
    assert said.error_message == "row 1: no time"
    rejected = ("rejected_spans", "rejected_log_records", "rejected_data_points")
    assert 2 in [getattr(said, name, 0) for name in rejected]


def test_an_empty_body_is_an_empty_export() -> None:
    intake = FakeIntake()
    assert send(intake, b"") == b""
    assert not intake.bodies


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (FormatError("not OTLP", hint="send ExportTraceServiceRequest"), grpc.StatusCode.INVALID_ARGUMENT),
        (StoreBusyError("300 MiB wait already", hint="send again"), grpc.StatusCode.UNAVAILABLE),
        (StoreFullError("no room left"), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (ZeroDivisionError("a bug"), grpc.StatusCode.INTERNAL),
    ],
)
def test_what_the_intake_cannot_take_is_said(error: Exception, status: grpc.StatusCode, at_once: bool) -> None:
    answer = refused(FakeIntake(error=error, at_once=at_once))
    assert answer.code() is status
    assert "a bug" not in (answer.details() or "")
    details = dict(answer.trailing_metadata() or ()).get("grpc-status-details-bin")
    assert (details is not None) == (status is grpc.StatusCode.UNAVAILABLE)  # only what may be tried again says when
    if isinstance(details, bytes):
        assert retry_seconds(details) == 1


def retry_seconds(details: bytes) -> int:
    """The delay in the RetryInfo of a google.rpc.Status."""
    fields = {field.field_number: field.data for field in UnknownFieldSet(AnyMessage.FromString(details))}
    info = AnyMessage.FromString(fields[3])
    assert info.type_url == "type.googleapis.com/google.rpc.RetryInfo"
    return Duration.FromString(info.value[2:]).seconds


def test_ok_only_when_durable() -> None:
    class Slow(FakeIntake):
        arrived: asyncio.Event

        def submit(
            self, body: bytes, encoding: str, signal: str = "traces", *, sender: Sender | None = None
        ) -> Future[Receipt]:
            self.waiting: Future[Receipt] = Future()
            self.arrived.set()
            return self.waiting

    intake = Slow()

    async def use(channel: grpc.aio.Channel) -> None:
        intake.arrived = asyncio.Event()
        call = channel.unary_unary(METHOD)(BODY)
        await intake.arrived.wait()
        done, _ = await asyncio.wait({asyncio.ensure_future(call.code())}, timeout=0.2)
        assert not done
        intake.waiting.set_result(Receipt())
        assert await call == b""

    served(intake, use)


def test_a_key_is_asked_for_where_keys_are() -> None:
    secret = new_secret()
    keys, intake = Keyring(None, {digest_of(secret): ApiKey("collector", ("write",), ("search",))}), FakeIntake()
    for metadata in ((), (("authorization", "Bearer wrong"),), (("authorization", secret),)):
        answer = refused(intake, keys=keys, metadata=metadata)
        assert answer.code() is grpc.StatusCode.UNAUTHENTICATED
        assert "outlay keys add" in (answer.details() or "")
    assert not intake.bodies
    assert send(intake, keys=keys, metadata=(("authorization", f"Bearer {secret}"),)) == b""
    assert [sender and sender.teams for sender in intake.senders] == [("search",)]


def test_a_key_that_may_not_write_is_refused() -> None:
    secret = new_secret()
    keys = Keyring(None, {digest_of(secret): ApiKey("grafana", ("read",))})
    answer = refused(FakeIntake(), keys=keys, metadata=(("authorization", f"Bearer {secret}"),))
    assert answer.code() is grpc.StatusCode.PERMISSION_DENIED
    assert "may not write" in (answer.details() or "")


def test_a_body_over_the_limit_is_refused_and_a_bomb_does_not_go_off(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = 64 * 1024
    monkeypatch.setattr(otlp_grpc, "BODY_BYTES_MAX", limit)
    monkeypatch.setattr(otlp_grpc, "_OPTIONS", (("grpc.max_receive_message_length", limit),))
    intake = FakeIntake()
    for options in ({}, {"compression": grpc.Compression.Gzip}):
        answer = refused(intake, bytes(50 * limit), **options)
        assert answer.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert len(gzip.compress(bytes(50 * limit))) < limit
    assert not intake.bodies


def test_a_method_that_is_none_of_ours_is_unimplemented() -> None:
    assert refused(FakeIntake(), method="/grpc.health.v1.Health/Check").code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_taken_port_is_told_with_a_way_out() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()

        async def run() -> None:
            await otlp_grpc.start(FakeIntake(), None, "127.0.0.1", taken.getsockname()[1])  # type: ignore[arg-type]

        with pytest.raises(ServerError) as caught:
            asyncio.run(run())
    assert "taken" in caught.value.message
    assert "--grpc-port" in caught.value.hint
