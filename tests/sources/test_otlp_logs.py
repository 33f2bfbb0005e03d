"""The door of OTLP logs: what comes in, what is passed over, and that three decoders agree."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from otlp_wire import START_NS, TRACE, json_of, log, logs_request, value_of
from outlay.sources import otlp_protobuf
from outlay.sources.otlp_logs import decode_logs
from outlay.sources.otlp_records import Decoded
from strategies import otlp_logs_requests

CANARY = "the words of a conversation"
CALL = {"session.id": "s", "model": "claude-sonnet-5", "input_tokens": 2, "output_tokens": 30}


@pytest.fixture(scope="module", autouse=True)
def by_columns() -> Iterator[None]:
    """Few attributes are read one by one, and what is tried is how many are read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(otlp_protobuf, "FEW_PAIRS_MAX", 0)
        yield


def rows(decoded: Decoded) -> dict[str, list[object]]:
    """Columns as plain values; a number that is none equals itself here."""
    plain = {name: decoded.rows[name].to_pylist() for name in sorted(decoded.rows.column_names)}
    return {
        name: ["nan" if isinstance(v, float) and math.isnan(v) else v for v in values] for name, values in plain.items()
    }


def by_reference(bodies: Sequence[bytes]) -> Decoded:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(__import__("sys").modules, "outlay.sources.otlp_logs_protobuf", None)
        return decode_logs(bodies, "protobuf")


@given(st.lists(otlp_logs_requests(), max_size=3))
def test_three_decoders_agree(requests: list[ExportLogsServiceRequest]) -> None:
    bodies = [made.SerializeToString() for made in requests]
    columnar, reference = decode_logs(bodies, "protobuf"), by_reference(bodies)
    told = decode_logs([json_of(made) for made in requests], "json")
    assert rows(columnar) == rows(reference) == rows(told)
    assert columnar.bodies == reference.bodies == told.bodies


@given(otlp_logs_requests())
def test_what_is_received_is_kept_or_refused_and_said_why(made: ExportLogsServiceRequest) -> None:
    decoded = decode_logs([made.SerializeToString()], "protobuf")
    report = decoded.bodies[0]
    assert report.received == decoded.rows.num_rows + report.refused
    assert bool(report.refused) == any("refused" in problem.what for problem in report.problems)


@given(otlp_logs_requests(), st.binary(min_size=1, max_size=20))
def test_a_malformed_body_refuses_only_itself(made: ExportLogsServiceRequest, noise: bytes) -> None:
    good = made.SerializeToString()
    decoded = decode_logs([good, b"\x0a\xff\xff" + noise, good], "protobuf")
    assert [report.malformed for report in decoded.bodies] == [False, True, False]
    kept = decode_logs([good], "protobuf").rows.num_rows
    assert decoded.rows["body"].to_pylist() == [0] * kept + [2] * kept


@pytest.mark.parametrize("encoding", ["protobuf", "json"])
def test_no_content_comes_in(encoding: str) -> None:
    said = CALL | {
        "prompt": CANARY,
        "error": CANARY,
        "tool_parameters": CANARY,
        "response_text": CANARY,
        "arguments": CANARY,
        "gen_ai.input.messages": [{"role": "user", "content": CANARY}],
    }
    records = [
        log("claude_code.api_request", said),
        log("claude_code.user_prompt", said, body=value_of(CANARY)),
        log("gen_ai.client.inference.operation.details", said, body=value_of({"input": [CANARY]})),
        log("an application says something", {"message": CANARY}, body=value_of(CANARY)),
    ]
    made = logs_request(records, {"service.name": "claude-code", "host.name": CANARY})
    decoded = decode_logs([made.SerializeToString() if encoding == "protobuf" else json_of(made)], encoding)
    assert decoded.rows.num_rows == 3
    assert CANARY not in repr(decoded.rows.to_pydict())


@pytest.mark.parametrize(
    ("record", "scope", "name"),
    [
        (log("claude_code.api_request"), "anything", "claude_code.api_request"),
        (log("", {"event.name": "codex.sse_event"}), "codex", "codex.sse_event"),
        (log("", {"event.name": "gemini_cli.api_response"}), "gemini-cli", "gemini_cli.api_response"),
        (log("", {"event.name": "api_request"}), "com.anthropic.claude_code.events", "claude_code.api_request"),
        (log("x", {"event.name": 5}, event_name="gen_ai.evaluation.result"), "", "gen_ai.evaluation.result"),
        (log("", {"event.name": "api_request"}), "somebody else", None),
        (log("GET /healthz 200"), "uvicorn", None),
        (log("claude_code.an_event_of_tomorrow"), "com.anthropic.claude_code.events", None),
    ],
)
def test_an_event_is_known_by_attribute_field_body_and_scope(record: object, scope: str, name: str | None) -> None:
    decoded = decode_logs([logs_request([record], scope=(scope, "")).SerializeToString()], "protobuf")  # type: ignore[list-item]
    assert decoded.rows["name"].to_pylist() == ([] if name is None else [name])
    assert decoded.bodies[0].received == (name is not None)


def test_a_record_without_a_time_is_taken_when_it_was_seen_and_refused_if_nobody_saw_it() -> None:
    records = [
        log("claude_code.api_request", CALL, time_unix_nano=0, observed_time_unix_nano=START_NS),
        log("claude_code.api_request", CALL, time_unix_nano=0),
        log("claude_code.api_request", CALL, time_unix_nano=2**63),
        log("nobody's business", time_unix_nano=0),
    ]
    decoded = decode_logs([logs_request(records).SerializeToString()], "protobuf")
    assert decoded.rows["at_ns"].to_pylist() == [START_NS]
    report = decoded.bodies[0]
    assert (report.received, report.refused) == (3, 2)
    assert "claude_code.api_request number 2" in report.problems[0].where


def test_ids_of_the_span_come_along_and_wrong_ones_are_none() -> None:
    span_id = bytes(range(8))
    records = [
        log("claude_code.api_request", CALL, trace_id=TRACE, span_id=span_id),
        log("claude_code.api_request", CALL, trace_id=bytes(16), span_id=b"short"),
    ]
    decoded = decode_logs([logs_request(records).SerializeToString()], "protobuf")
    assert decoded.rows["trace_id"].to_pylist() == [TRACE, None]
    assert decoded.rows["parent_span_id"].to_pylist() == [span_id, None]


def test_an_evaluation_comes_with_its_name_score_and_label() -> None:
    said = {
        "gen_ai.evaluation.name": "Task Completion",
        "gen_ai.evaluation.score.value": 1,
        "gen_ai.evaluation.score.label": "pass",
        "gen_ai.evaluation.explanation": CANARY,
        "gen_ai.response.id": "chatcmpl-0123456789ab",
    }
    records = [log("", said, event_name="gen_ai.evaluation.result"), log("claude_code.api_request", said)]
    made = logs_request(records)
    for decoded in (decode_logs([made.SerializeToString()], "protobuf"), decode_logs([json_of(made)], "json")):
        assert decoded.rows["evaluations"].to_pylist() == [
            [{"name": "Task Completion", "label": "pass", "score": 1.0}],
            None,
        ]
        assert CANARY not in repr(decoded.rows.to_pydict())


@pytest.mark.parametrize("body", [b"", b"{}"])
def test_nothing_is_nothing(body: bytes) -> None:
    assert decode_logs([body], "json" if body else "protobuf").rows.num_rows == 0
    assert decode_logs([], "protobuf").rows.num_rows == 0
