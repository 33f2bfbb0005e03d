"""Log records as facts: coding agents' events, their identity, and what says nothing."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from normalizing import meters
from otlp_wire import START_NS, TRACE, json_of, log, logs_request, request, span
from outlay.normalize.clean import normalise
from outlay.normalize.logs import facts_of_logs, telling
from outlay.normalize.spans import facts_of_spans
from outlay.sources.otlp import decode, joined
from outlay.sources.otlp_logs import decode_logs
from strategies import otlp_logs_requests

CALL = {
    "session.id": "s-1",
    "model": "claude-sonnet-5",
    "input_tokens": 2,
    "output_tokens": 300,
    "cache_read_tokens": 84_562,
    "cache_creation_tokens": 7_096,
    "cache_creation_5m_tokens": 96,
    "cache_creation_1h_tokens": 7_000,
    "cost_usd": 0.0731,
    "duration_ms": 2_500,
    "request_id": "req_011CUpXy7abcdefgh",
    "query_source": "subagent",
    "agent.name": "reviewer",
    "skill.name": "tidy",
    "user.email": "ana@example.com",
    "organization.id": "org-1",
}
CODEX = {
    "event.name": "codex.sse_event",
    "conversation.id": "c-1",
    "model": "gpt-5-codex",
    "event.kind": "response.completed",
    "input_token_count": "1000",
    "output_token_count": "50",
    "cached_token_count": "600",
    "reasoning_token_count": "20",
    "tool_token_count": "1050",
}
GEMINI = {
    "event.name": "gemini_cli.api_response",
    "session.id": "g-1",
    "model": "gemini-2.5-pro",
    "input_token_count": 1000,
    "output_token_count": 50,
    "cached_content_token_count": 600,
    "thoughts_token_count": 20,
    "total_token_count": 1070,
    "duration_ms": 10,
}


def rows_of(*records: Any, scope: str = "com.anthropic.claude_code.events", **resource: object) -> pa.Table:
    made = logs_request(records, {key.replace("__", "."): value for key, value in resource.items()}, (scope, ""))
    return telling(decode_logs([made.SerializeToString()], "protobuf").rows)


def facts(*records: Any, scope: str = "com.anthropic.claude_code.events", **resource: object) -> list[dict[str, Any]]:
    return facts_of_logs(rows_of(*records, scope=scope, **resource)).facts.to_pylist()


def test_a_call_of_claude_code_is_a_fact_with_its_whole_envelope() -> None:
    record = log("claude_code.api_request", CALL)
    found = facts(record, service__name="claude-code", team__id="risk", cost_center="K7")[0]
    assert (found["signal"], found["source"], found["operation"]) == ("log", "otlp", "chat")
    assert (found["provider"], found["model_served"]) == ("anthropic", "claude-sonnet-5")
    assert (found["start_ns"], found["end_ns"]) == (START_NS + 10**9 - 2_500_000_000, START_NS + 10**9)
    assert (found["cost_nano"], found["cost_source"]) == (73_100_000, "emitter")
    assert (found["team"], found["cost_code"], found["agent"]) == ("risk", "K7", "reviewer")
    assert (found["user"], found["session_id"]) == ("ana@example.com", "s-1")
    assert dict(found["tags"]) == {"query_source": "subagent", "skill": "tidy", "organization": "org-1"}
    usage = normalise(facts_of_logs(rows_of(record)).facts, START_NS).usages.to_pylist()[0]
    assert meters(usage) == {
        "in_uncached": 2,
        "in_cache_read": 84_562,
        "in_cache_write_5m": 96,
        "in_cache_write_1h": 7_000,
        "out_text": 300,
    }


@pytest.mark.parametrize("scope", ["codex_cli_rs", "another name for it"])
def test_codex_counts_the_cache_as_input_and_reasoning_as_output(scope: str) -> None:
    batch = facts_of_logs(rows_of(log("", CODEX), scope=scope))
    usage = normalise(batch.facts, START_NS).usages.to_pylist()[0]
    assert meters(usage) == {"in_uncached": 400, "in_cache_read": 600, "out_text": 30, "out_reasoning": 20}
    assert (usage["provider"], usage["session_id"], usage["basis"]) == ("openai", "c-1", "inclusive")


@pytest.mark.parametrize("scope", ["gemini-cli", "another name for it"])
def test_gemini_counts_the_cache_as_input_and_thoughts_beside_the_output(scope: str) -> None:
    batch = facts_of_logs(rows_of(log("", GEMINI), scope=scope))
    usage = normalise(batch.facts, START_NS).usages.to_pylist()[0]
    assert meters(usage) == {"in_uncached": 400, "in_cache_read": 600, "out_text": 50, "out_reasoning": 20}
    assert (usage["provider"], usage["session_id"], usage["basis"]) == ("gcp.gemini", "g-1", "inclusive")


@pytest.mark.parametrize(
    ("model", "provider"),
    [("claude-opus-5[1m]", "anthropic"), ("us.anthropic.claude-opus-5-v1:0", None), ("claude-opus-5@20261001", None)],
)
def test_a_model_that_somebody_else_serves_is_not_said_to_be_its_makers(model: str, provider: str | None) -> None:
    assert facts(log("claude_code.api_request", CALL | {"model": model}))[0]["provider"] == provider


def test_what_failed_says_so() -> None:
    records = [
        log("claude_code.api_error", {"session.id": "s", "status_code": "529", "attempt": 3, "model": "claude-opus-5"}),
        log("claude_code.tool_result", {"tool_name": "Bash", "success": "false", "tool_use_id": "t"}),
        log("claude_code.tool_result", {"tool_name": "Bash", "success": "true", "tool_use_id": "u"}),
        log("", {"event.name": "gemini_cli.tool_call", "function_name": "read", "success": False}),
    ]
    found = facts(*records)
    found, earlier = found[:4], found[4:]
    assert [(row["failed"], row["attempt"]) for row in earlier] == [(True, 0), (True, 1)]
    assert [row["failed"] for row in found] == [True, True, False, True]
    assert [row["operation"] for row in found] == ["chat", "tool", "tool", "tool"]
    assert (found[0]["error_type"], found[0]["attempt"]) == ("529", 2)
    assert [row["name"] for row in found[1:]] == ["Bash", "Bash", "read"]


def test_records_that_say_nothing_are_no_facts() -> None:
    records = [
        log("", CODEX | {"event.kind": "response.output_item.done"} | dict.fromkeys(list(CODEX)[4:])),
        log("", {"event.name": "codex.api_request", "http.response.status_code": 200}),
        log("", {"event.name": "codex.api_request", "http.response.status_code": 429}),
        log("", {"event.name": "codex.api_request"}),
        log("", {"event.name": "gemini_cli.api_request", "model": "gemini-2.5-pro"}),
        log("", CODEX),
    ]
    assert [row["failed"] for row in facts(*records)] == [True, True, False]


def test_a_record_inside_a_span_is_its_child() -> None:
    spans = facts_of_spans(decode([request([span(7)]).SerializeToString()], "protobuf").rows).facts.to_pylist()
    inside = log("claude_code.api_request", CALL, trace_id=TRACE, span_id=(7).to_bytes(8, "big"))
    found = facts(inside, log("claude_code.api_request", CALL, trace_id=TRACE), log("claude_code.api_request", CALL))
    assert [row["parent_key"] for row in found] == [spans[0]["fact_key"], None, None]
    assert [row["tree_key"] for row in found] == [spans[0]["tree_key"], spans[0]["tree_key"], None]


@given(otlp_logs_requests())
def test_a_record_has_one_key_however_it_came(made: Any) -> None:
    whole = telling(decode_logs([made.SerializeToString()], "protobuf").rows)
    keys = facts_of_logs(whole).facts["fact_key"].to_pylist()
    told = telling(decode_logs([json_of(made)], "json").rows)
    assert facts_of_logs(told).facts["fact_key"].to_pylist() == keys
    for row in range(whole.num_rows):
        alone = facts_of_logs(whole.slice(row, 1)).facts["fact_key"].to_pylist()
        assert alone == keys[row : row + 1]


@given(st.sampled_from(sorted(CALL)), st.integers(0, 10**6))
def test_numbers_in_text_are_the_same_numbers_and_others_another_record(key: str, number: int) -> None:
    first, text, whole = (
        facts(log("claude_code.api_request", CALL | {"input_tokens": said}))[0]["fact_key"]
        for said in (number, str(number), float(number))
    )
    assert first == text == whole
    assert facts(log("claude_code.api_request", CALL | {"input_tokens": number + 1}))[0]["fact_key"] != first
    later = log("claude_code.api_request", CALL | {"input_tokens": number}, time_unix_nano=START_NS)
    assert facts(later)[0]["fact_key"] != first


def test_batches_whose_types_disagree_are_joined() -> None:
    parts = [rows_of(log("claude_code.api_request", CALL | {"input_tokens": said})) for said in (5, "5", 5.0)]
    assert len(set(facts_of_logs(joined(parts)).facts["fact_key"].to_pylist())) == 1


def test_an_evaluation_is_an_outcome_beside_its_step() -> None:
    said = {"gen_ai.evaluation.name": "task_completion", "gen_ai.evaluation.score.label": "pass", "session.id": "s-9"}
    record = log("", said, event_name="gen_ai.evaluation.result", trace_id=TRACE, span_id=(7).to_bytes(8, "big"))
    batch = facts_of_logs(rows_of(record))
    assert (batch.facts.num_rows, batch.facts["operation"].to_pylist()) == (1, ["evaluation"])
    outcome = batch.outcomes.to_pylist()[0]
    assert (outcome["status"], outcome["session_ids"]) == ("done", ["s-9"])
