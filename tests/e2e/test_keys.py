"""Keys over real HTTP: what a key may not write is refused and counted, what it may is in the books."""

from __future__ import annotations

import json
from pathlib import Path

import httpx2
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from e2e.processes import PROTOBUF, chat, integrity, outlay, settled, told, up
from otlp_wire import json_of, request, span


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
