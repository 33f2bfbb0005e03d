"""Keys over real HTTP: what a key may not write is refused and counted, what it may is in the books."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import grpc
import httpx2
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from e2e.processes import PROTOBUF, chat, grpc_address, integrity, outlay, settled, told, up
from otlp_wire import counter, json_of, log, logs_request, metrics_request, request, span
from outlay.faces.otlp_grpc import METHODS

RESPONSES: dict[str, Any] = {
    "traces": ExportTraceServiceResponse,
    "logs": ExportLogsServiceResponse,
    "metrics": ExportMetricsServiceResponse,
}


def test_a_key_of_one_team_writes_that_team_only(tmp_path: Path) -> None:
    made = told(tmp_path, "keys", "add", "agents", "--may", "write", "--team", "support", "--expires", "1h")
    secret = made["rows"][0]["key"]
    headers = {"authorization": f"Bearer {secret}", "content-type": PROTOBUF}
    spans = [
        span(n, dict(chat(n)) | team)
        for n, team in enumerate(
            [{"outlay.team": "support"}, {"outlay.team": "billing"}, {}, {"outlay.team": "billing"}], 1
        )
    ]
    with up(tmp_path) as server:
        answer = httpx2.post(f"{server.url}/v1/traces", content=request(spans).SerializeToString(), headers=headers)
        assert answer.status_code == 200
        partial = ExportTraceServiceResponse.FromString(answer.content).partial_success
        assert partial.rejected_spans == 2
        assert 'team "billing": 2 rows refused' in partial.error_message
        other = request([span(9, {"outlay.team": "billing"})])
        answer = httpx2.post(
            f"{server.url}/v1/traces", content=json_of(other), headers=headers | {"content-type": "application/json"}
        )
        assert answer.json()["partialSuccess"]["rejectedSpans"] == "1"
        assert httpx2.get(f"{server.url}/api/v1/spend", headers=headers).status_code == 403
        settled(server)
        counters = server.get("counters")["total"]
        assert (counters["received"], counters["posted"], counters["refused"]) == (5, 2, 3)
        rows = server.get("spend?by=team&measures=usages")["rows"]
        assert [(row["team"], row["usages"]) for row in rows] == [("support", 2)]
    assert all(integrity(tmp_path).values())
    listed = told(tmp_path, "keys", "list")["rows"][0]
    assert listed["used"], "the last use is written down when the server ends"


def test_a_key_of_one_team_completes_work_of_that_team_only(tmp_path: Path) -> None:
    secret = told(tmp_path, "keys", "add", "agents", "--may", "write", "--team", "support")["rows"][0]["key"]
    headers = {"authorization": f"Bearer {secret}"}
    said = [
        {"outlay.team": team, "session.id": f"run-{team}", "outlay.task.id": f"ticket-{team}"}
        | {"gen_ai.response.id": f"chatcmpl-{team:x<16}"}
        for team in ("support", "billing")
    ]
    reports = [
        {"session_id": "run-support", "task_id": "ticket-support", "status": "done"},
        {"session_id": "run-billing", "status": "done"},
        {"task_id": "ticket-billing", "status": "failed"},
        {"response_id": f"chatcmpl-{'billing':x<16}", "status": "failed"},
        {"session_id": "run-nobody-knows", "status": "done"},
        {"session_id": "run-support", "status": "failed", "team": "billing"},
    ]
    with up(tmp_path) as server:
        spans = [span(number, dict(chat(number)) | each) for number, each in enumerate(said, 1)]
        assert server.send(request(spans).SerializeToString())[0] == 200
        settled(server)
        answer = httpx2.post(f"{server.url}/api/v1/outcomes", json=reports, headers=headers)
        assert answer.status_code == 200
        report = answer.json()
        assert [report["total"][name] for name in ("received", "posted", "refused")] == [6, 2, 4]
        problems = {(each["where"], each["what"]) for each in report["coverage"]["problems"]}
        assert problems == {
            ('team "billing"', "1 outcomes refused: the key may not write this team"),
            *((f"outcome of {name}", "refused: the work is another team's") for name in FOREIGN),
        }
        settled(server)
        tasks = {row["task"]: (row["outcome"], row["envelope"]["team"]) for row in server.get("tasks")["rows"]}
    assert tasks == {"ticket-support": ("done", "support"), "run-nobody-knows": ("done", "support")}


FOREIGN = ('session "run-billing"', 'task "ticket-billing"', f'answer "chatcmpl-{"billing":x<16}"')


def test_over_grpc_a_key_has_the_same_rights(tmp_path: Path) -> None:
    secret = told(tmp_path, "keys", "add", "agents", "--may", "write", "--team", "support")["rows"][0]["key"]
    reader = told(tmp_path, "keys", "add", "reader", "--may", "read")["rows"][0]["key"]
    record = log("claude_code.api_request", {"model": "m", "input_tokens": 5, "team": "billing"})
    made = counter("claude_code.token.usage", (5, {"model": "m", "type": "input", "team": "billing"}))
    sent = {
        "traces": request([span(1, dict(chat(1)) | {"outlay.team": "billing"}), span(2, chat(2))]),
        "logs": logs_request([record]),
        "metrics": metrics_request([made]),
    }
    methods = {signal: method for method, signal in METHODS.items()}
    writer = {"metadata": [("authorization", f"Bearer {secret}")], "timeout": 30}
    with up(tmp_path) as server, grpc.insecure_channel(grpc_address(server)) as channel:
        for signal, rejected in (("traces", "rejected_spans"), ("logs", "rejected_log_records")):
            call = channel.unary_unary(methods[signal], response_deserializer=RESPONSES[signal].FromString)
            answer = call(
                sent[signal].SerializeToString(), metadata=[("authorization", f"Bearer {secret}")], timeout=30
            )
            assert getattr(answer.partial_success, rejected) == 1
            assert 'team "billing": 1 rows refused' in answer.partial_success.error_message
        call = channel.unary_unary(methods["metrics"], response_deserializer=RESPONSES["metrics"].FromString)
        answer = call(sent["metrics"].SerializeToString(), **writer)
        assert answer.partial_success.rejected_data_points == 1
        with pytest.raises(grpc.RpcError) as refusal:
            call(sent["metrics"].SerializeToString(), metadata=[("authorization", f"Bearer {reader}")], timeout=30)
        assert refusal.value.code() is grpc.StatusCode.PERMISSION_DENIED
        settled(server)
        rows = server.get("spend?by=team&measures=usages")["rows"]
        assert [(row["team"], row["usages"]) for row in rows] == [("support", 1)]


def test_keys_of_an_earlier_outlay_are_taken_over(tmp_path: Path) -> None:
    line = {"name": "old", "sha256": "ab" * 32, "created": "2026-01-01T00:00:00+00:00"}
    (tmp_path / "keys.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    assert [row["name"] for row in told(tmp_path, "keys", "list")["rows"]] == ["old"]
    assert not (tmp_path / "keys.jsonl").exists()
    assert (tmp_path / "keys.jsonl.moved").exists()
    (tmp_path / "keys.jsonl").write_text("nonsense\n", encoding="utf-8")
    run = outlay(tmp_path, "keys", "list")
    assert run.returncode == 1
    assert "keys.jsonl line 1 is not an API key" in run.stderr


def test_the_audit_log_tells_of_keys_and_prices(tmp_path: Path) -> None:
    told(tmp_path, "keys", "add", "a")
    run = outlay(tmp_path, "prices", "add", "--provider", "me", "--model", "m", "input=1 per 1M")
    assert run.returncode == 0, run.stderr
    run = outlay(tmp_path, "prices", "add", "--provider", "me", "--model", "m", "inptu=1 per 1M")
    assert run.returncode != 0
    lines = told(tmp_path, "audit", "show")["rows"]
    assert [line["action"] for line in lines] == ["key.add", "price.override"], "what was refused is no change"
    assert all(line["actor"].startswith("cli:") for line in lines)
    assert lines[1]["after"]["model"] == "m"
    verdict = told(tmp_path, "audit", "verify")["total"]
    assert told(tmp_path, "audit", "verify", "--expect", verdict["hash"])["total"]["holds"]
    assert outlay(tmp_path, "audit", "verify", "--expect", "f" * 64).returncode == 1
    exported = [json.loads(line) for line in outlay(tmp_path, "audit", "export").stdout.splitlines()]
    assert [line["number"] for line in exported] == [1, 2]
