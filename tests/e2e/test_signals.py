"""Logs and metrics through the doors of a real server, HTTP and gRPC, with `kill -9` after each acknowledgement."""

from __future__ import annotations

from pathlib import Path

import grpc

from e2e.processes import Server, await_up, grpc_address, integrity, settled, spawn, told
from otlp_wire import START_NS, counter, log, logs_request, metrics_request
from outlay.faces.otlp_grpc import METHODS
from outlay.house import House

RESOURCE = {"service.name": "claude-code", "team.id": "risk"}
CALLS = 12


def logs_of(number: int) -> bytes:
    said = {"session.id": "told", "model": "claude-opus-5", "input_tokens": 10, "output_tokens": number}
    record = log(
        "claude_code.api_request", said | {"request_id": f"req_{number:016x}"}, time_unix_nano=START_NS + number
    )
    return logs_request([record], RESOURCE).SerializeToString()


def metrics_of(number: int, session: str) -> bytes:
    said: dict[str, object] = {"session.id": session, "model": "claude-opus-5", "type": "output"}
    made = counter("claude_code.token.usage", (5 * number, said), cumulative=True, at_ns=START_NS + number * 60 * 10**9)
    return metrics_request([made], RESOURCE).SerializeToString()


def export(server: Server, signal: str, body: bytes) -> None:
    """One body over gRPC, acknowledged."""
    method = next(method for method, each in METHODS.items() if each == signal)
    with grpc.insecure_channel(grpc_address(server)) as channel:
        assert channel.unary_unary(method)(body, timeout=30) == b""


def test_acknowledged_logs_and_metrics_survive_kill_9_and_are_counted_once(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for number in range(1, CALLS + 1):
        if number % 4 == 1:
            server = await_up(spawn(home))
        if number % 2:
            assert server.send(logs_of(number), path="/v1/logs")[0] == 200
            assert server.send(metrics_of(number, "told"), path="/v1/metrics")[0] == 200
            export(server, "metrics", metrics_of(number, "metered"))
        else:
            export(server, "logs", logs_of(number))
            export(server, "metrics", metrics_of(number, "told"))
            assert server.send(metrics_of(number, "metered"), path="/v1/metrics")[0] == 200
        if number % 4 == 0:
            server.kill()
    server = await_up(spawn(home))
    for number in range(1, CALLS + 1):  # a sender that heard no answer sends again
        assert server.send(logs_of(number), path="/v1/logs")[0] == 200
        export(server, "metrics", metrics_of(number, "metered"))
    settled(server)
    assert server.stop() == 0, server.lines
    with House.open(home) as house:
        house.intake.settle()
        rows = house.books.rows(
            "SELECT session_id, signal, count(*) AS usages, sum(out_text)::BIGINT AS output FROM usages WHERE counted"
            " GROUP BY ALL ORDER BY session_id"
        ).to_pylist()
    assert rows == [
        {"session_id": "metered", "signal": "metric", "usages": 1, "output": 5 * CALLS},
        {"session_id": "told", "signal": "log", "usages": CALLS, "output": sum(range(1, CALLS + 1))},
    ]
    assert all(integrity(home).values()), integrity(home)
    assert told(home, "rebuild")["total"]["matches"]
