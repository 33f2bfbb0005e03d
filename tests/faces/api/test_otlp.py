"""The OTLP door: what it takes, what it refuses, and that 200 means durable."""

from __future__ import annotations

import asyncio
import gzip
import json
from concurrent.futures import Future
from typing import Any

import httpx2
import pytest
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as otlp

from faces.double import FakeHouse, FakeIntake, Receipt
from outlay.core.errors import FormatError, Problem, StoreBusyError, StoreFullError
from outlay.faces.api import otlp as door
from outlay.faces.api.app import build_app
from outlay.normalize.writers import Sender

PROTOBUF = {"content-type": "application/x-protobuf"}
JSON = {"content-type": "application/json; charset=utf-8"}
BODY = b"\x0a\x00"
REJECTED = {"traces": "rejectedSpans", "logs": "rejectedLogRecords", "metrics": "rejectedDataPoints"}
RESPONSES: dict[str, Any] = {
    "traces": otlp.ExportTraceServiceResponse,
    "logs": logs_service_pb2.ExportLogsServiceResponse,
    "metrics": metrics_service_pb2.ExportMetricsServiceResponse,
}


def send(
    house: FakeHouse,
    body: bytes = BODY,
    headers: dict[str, str] | None = None,
    method: str = "POST",
    path: str = "/v1/traces",
) -> Any:
    async def run() -> Any:
        transport = httpx2.ASGITransport(build_app(house))
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:4318") as client:
            return await client.request(method, path, content=body, headers=headers or PROTOBUF)

    return asyncio.run(run())


def is_problem(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    said = answer.json()
    assert {"type", "title", "status", "detail", "instance", "errors", "request_id"} <= set(said)
    assert said["status"] == status
    assert said["request_id"] == answer.headers["x-request-id"]
    return said


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("encoding", ["protobuf", "json"])
def test_a_body_reaches_the_intake_as_it_was_sent(encoding: str, zipped: bool) -> None:
    house = FakeHouse()
    body = BODY if encoding == "protobuf" else b'{"resourceSpans": []}'
    headers = dict(PROTOBUF if encoding == "protobuf" else JSON)
    sent = body
    if zipped:
        sent, headers["content-encoding"] = gzip.compress(body), "gzip"
    answer = send(house, sent, headers)
    assert answer.status_code == 200
    assert house.intake.bodies == [(body, encoding)]
    assert answer.content == (b"" if encoding == "protobuf" else b"{}")
    assert answer.headers["content-type"] == (
        "application/x-protobuf" if encoding == "protobuf" else "application/json"
    )


@pytest.mark.parametrize(("path", "signal"), door.PATHS.items())
def test_each_signal_has_its_door_and_its_answer(path: str, signal: str) -> None:
    house = FakeHouse(intake=FakeIntake(Receipt(9, 2, (Problem("row 1", "no time"),))))
    said = json.loads(send(house, b"{}", JSON, path=path).content)["partialSuccess"]
    assert said == {REJECTED[signal]: "2", "errorMessage": "row 1: no time"}
    assert (
        RESPONSES[signal].FromString(send(house, path=path).content).partial_success.error_message == "row 1: no time"
    )
    assert house.intake.signals == [signal, signal]
    is_problem(send(house, b"{}", {"content-type": "text/plain"}, path=path), 415)
    is_problem(send(house, method="GET", path=path), 405)


def test_two_gzip_members_are_one_body() -> None:
    house = FakeHouse()
    send(house, gzip.compress(b"ab") + gzip.compress(b"cd"), {**PROTOBUF, "content-encoding": "gzip"})
    assert house.intake.bodies == [(b"abcd", "protobuf")]


def test_a_refused_span_is_told_in_the_encoding_of_the_request() -> None:
    problems = tuple(Problem(f"span {number}", "negative duration") for number in range(7))
    house = FakeHouse(intake=FakeIntake(Receipt(9, 7, problems)))
    response = otlp.ExportTraceServiceResponse.FromString(send(house).content)
    assert response.partial_success.rejected_spans == 7
    assert "span 0: negative duration" in response.partial_success.error_message
    assert "and 2 more" in response.partial_success.error_message
    said = json.loads(send(house, b"{}", JSON).content)
    assert said["partialSuccess"]["rejectedSpans"] == "7"


@pytest.mark.parametrize("headers", [PROTOBUF, JSON, {**PROTOBUF, "content-encoding": "gzip"}])
def test_an_empty_body_is_an_empty_export(headers: dict[str, str]) -> None:
    house = FakeHouse()
    assert send(house, b"", headers).status_code == 200
    assert house.intake.bodies == []


def test_a_wrong_content_type_is_415_and_says_which_are_right() -> None:
    said = is_problem(send(FakeHouse(), BODY, {"content-type": "text/plain"}), 415)
    assert "text/plain" in said["detail"]
    assert "application/x-protobuf" in said["hint"]


def test_no_content_type_is_415() -> None:
    is_problem(send(FakeHouse(), BODY, {"accept": "*/*"}), 415)


def test_an_unknown_content_encoding_is_415() -> None:
    said = is_problem(send(FakeHouse(), BODY, {**PROTOBUF, "content-encoding": "br"}), 415)
    assert said["hint"] == "valid: gzip, identity"


@pytest.mark.parametrize("cut", [-1, -9, 5])
def test_truncated_gzip_is_400(cut: int) -> None:
    house = FakeHouse()
    said = is_problem(send(house, gzip.compress(BODY * 50)[:cut], {**PROTOBUF, "content-encoding": "gzip"}), 400)
    assert "truncated gzip" in said["detail"]
    assert house.intake.bodies == []


def test_what_is_not_gzip_is_400() -> None:
    is_problem(send(FakeHouse(), b"not gzip at all", {**PROTOBUF, "content-encoding": "gzip"}), 400)


def test_a_body_over_the_limit_is_413_with_the_limit_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "BODY_BYTES_MAX", 1024 * 1024)
    said = is_problem(send(FakeHouse(), bytes(1024 * 1024 + 1)), 413)
    assert "1 MiB" in said["detail"]
    assert "memory" in said["errors"][0]["detail"]
    assert send(FakeHouse(), bytes(1024 * 1024)).status_code == 200


def test_a_bomb_is_stopped_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "BODY_BYTES_MAX", 1024 * 1024)
    bomb = gzip.compress(bytes(64 * 1024 * 1024))
    assert len(bomb) < 1024 * 1024
    is_problem(send(FakeHouse(), bomb, {**PROTOBUF, "content-encoding": "gzip"}), 413)
    two = gzip.compress(bytes(700 * 1024)) * 2
    is_problem(send(FakeHouse(), two, {**PROTOBUF, "content-encoding": "gzip"}), 413)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_only_post(method: str) -> None:
    answer = send(FakeHouse(), b"", PROTOBUF, method)
    is_problem(answer, 405)
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StoreBusyError("256 MiB wait already"), 503),
        (StoreFullError("no room on the disk"), 507),
        (FormatError("not OTLP"), 400),
        (RuntimeError("a bug"), 500),
    ],
)
def test_what_the_intake_cannot_take_is_said(error: Exception, status: int, at_once: bool) -> None:
    answer = send(FakeHouse(intake=FakeIntake(error=error, at_once=at_once)))
    said = is_problem(answer, status)
    assert ("retry-after" in answer.headers) == (status == 503)
    assert "a bug" not in said["detail"]


def test_200_only_when_durable() -> None:
    class Slow(FakeIntake):
        def submit(
            self, body: bytes, encoding: str, signal: str = "traces", *, sender: Sender | None = None
        ) -> Future[Receipt]:
            self.waiting: Future[Receipt] = Future()
            return self.waiting

    async def run() -> None:
        intake = Slow()
        transport = httpx2.ASGITransport(build_app(FakeHouse(intake=intake)))
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            asked = asyncio.create_task(client.post("/v1/traces", content=BODY, headers=PROTOBUF))
            done, _ = await asyncio.wait({asked}, timeout=0.2)
            assert not done
            intake.waiting.set_result(Receipt())
            assert (await asked).status_code == 200

    asyncio.run(run())


def test_a_sender_that_hangs_up_halfway_acknowledges_nothing() -> None:
    house = FakeHouse()
    sent: list[Any] = []

    async def run() -> None:
        messages = iter(
            [
                {"type": "http.request", "body": b"\x0a", "more_body": True},
                {"type": "http.disconnect"},
            ]
        )

        async def receive() -> Any:
            return next(messages)

        async def answer(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/traces",
            "headers": [(b"content-type", b"application/x-protobuf")],
        }
        await door.OtlpDoor(house.intake)(scope, receive, answer)

    asyncio.run(run())
    assert sent == []
    assert house.intake.bodies == []


def test_an_error_is_a_status_for_exporters_too() -> None:
    said = is_problem(send(FakeHouse(intake=FakeIntake(error=FormatError("not OTLP"))), b"{", JSON), 400)
    assert said["code"] == 3
    assert said["message"] == "not OTLP"
