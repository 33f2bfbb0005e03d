"""Langfuse trace exports against the figures of the files, and what a trace may also hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from outlay.core.money import nano_of
from outlay.normalize.evaluations import judged
from outlay.normalize.outcome_rules import DEFAULT_RULES, parse_rules
from outlay.sources.facts import EVALUATED, OUTCOMES
from reading import one_per_fact, reading, sum_of


def _file(shared_data: Path, name: str) -> Path:
    return next((shared_data / "langfuse_traces").glob(f"{name}*.json"))


def test_generations_tokens_and_costs_are_those_of_the_files(shared_data: Path, figures: dict[str, Any]) -> None:
    for row in figures["langfuse"]["Traces"]:
        whole = reading(_file(shared_data, row["file"]))
        calls = whole.where(operation="chat")
        assert len(whole.facts) == row["observations"]
        assert len(calls) == row["generations"]
        assert (sum_of(calls, "input_tokens"), sum_of(calls, "output_tokens")) == (row["in"], row["out"])
        assert sum_of(calls, "cost_nano") == nano_of(row["recorded cost"])


def test_a_generation_inside_another_knows_its_parent(shared_data: Path, figures: dict[str, Any]) -> None:
    calls = reading(_file(shared_data, "agno")).where(operation="chat")
    outer = {row["fact_key"]: row for row in calls}
    inside = [row for row in calls if row["parent_key"] in outer]
    assert [outer[row["parent_key"]]["name"] for row in inside] == ["OpenAIChat.invoke"] * 2
    layers = figures["langfuse"]["Calls reported twice (agno)"]
    assert sum_of(inside, "input_tokens") == sum(row["in"] for row in layers if row["inside"] != "—") == 826


def test_a_trace_in_two_files_is_one_trace(shared_data: Path) -> None:
    rows = reading(_file(shared_data, "pydantic-ai-2"), _file(shared_data, "pydantic-ai-tools")).facts
    assert len(rows) == 6
    once = one_per_fact(rows).values()
    assert len(once) == 3
    assert sum_of(once, "cost_nano") == 1_037_500


def test_steps_and_agents_are_recognised(shared_data: Path) -> None:
    adk = reading(_file(shared_data, "google-adk"))
    assert sorted(row["operation"] for row in adk.facts) == ["agent", "chat", "chat", "step", "tool"]
    assert {row["agent"] for row in adk.where(operation="chat")} == {"agent_run [hello_agent]"}
    assert {(row["session_id"], row["user"], row["environment"]) for row in adk.facts} == {
        ("demo-session", "demo-user", "default")
    }
    assert {row["scope_name"] for row in adk.where(operation="chat")} == {"openinference.instrumentation.google_adk"}


def _trace(folder: Path, scores: list[dict[str, Any]] = [], **observation: Any) -> Path:  # noqa: B006 - read only
    item = {"id": "o1", "type": "GENERATION", "startTime": "2026-01-01T00:00:00Z", "model": "m", **observation}
    trace = {"id": "t1", "name": "run", "timestamp": "2026-01-01T00:00:00Z", "scores": scores, "tags": ["a"]}
    path = folder / "trace.json"
    path.write_text(json.dumps({"trace": trace, "observations": [item]}), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ({"input": 10, "output": 5, "total": 15, "input_cached_tokens": 8}, ("inclusive", 8, None)),
        ({"input": 2, "output": 5, "total": 15, "input_cached_tokens": 8}, ("exclusive", 8, None)),
        ({"input": 2, "output": 5, "input_cache_read": 8}, (None, 8, None)),
        ({"input": 9, "output": 5, "input_cache_creation_5m": 3, "input_cache_creation_1h": 4}, (None, None, 7)),
    ],
)
def test_the_stated_total_decides_what_contains_the_cache(
    tmp_path: Path, details: dict[str, int], expected: tuple[Any, ...]
) -> None:
    row = reading(_trace(tmp_path, usageDetails=details)).facts[0]
    assert (row["basis"], row["cache_read_tokens"], row["cache_write_tokens"]) == expected


def test_parts_of_a_cost_make_a_total_and_zero_beside_tokens_is_unknown(tmp_path: Path) -> None:
    details = {"input": 1, "output": 1}
    parts = reading(_trace(tmp_path, usageDetails=details, costDetails={"input": 1e-05, "output": 0.1}))
    assert parts.facts[0]["cost_nano"] == 100_010_000
    zero = reading(_trace(tmp_path, usageDetails=details, costDetails={"total": 0}))
    assert zero.facts[0]["cost_nano"] is None


@pytest.mark.parametrize(
    ("score", "status"),
    [
        ({"name": "task_success", "dataType": "BOOLEAN", "value": 1}, "done"),
        ({"name": "Success", "dataType": "BOOLEAN", "value": 0}, "failed"),
        ({"name": "Success", "value": "incorrect"}, "failed"),
        ({"name": "outcome", "dataType": "CATEGORICAL", "stringValue": "abandoned"}, "abandoned"),
        ({"name": "resolved", "dataType": "CATEGORICAL", "stringValue": "maybe", "value": 1}, None),
        ({"name": "success", "dataType": "NUMERIC", "value": 0.7}, None),
        ({"name": "toxicity", "dataType": "BOOLEAN", "value": 1}, None),
        ({"name": "toxicity", "stringValue": "a long comment " * 9}, None),
        ({"value": 1}, None),
    ],
)
def test_a_score_says_how_the_task_ended_if_the_rules_say_so(
    tmp_path: Path, score: dict[str, Any], status: str | None
) -> None:
    whole = reading(_trace(tmp_path, [{"id": "s1", **score}]))
    assert set(whole.statuses()) <= {EVALUATED}, "what it means is not decided by the reader of a file"
    table, silent = judged(pa.Table.from_pylist(whole.outcomes, OUTCOMES), DEFAULT_RULES)
    assert table["status"].to_pylist() == ([status] if status else [])
    assert silent == len(whole.outcomes) - table.num_rows


def test_rules_of_the_home_hold_for_scores_too(tmp_path: Path) -> None:
    scores = [{"id": "s1", "name": "Answer correctness (LLM)", "dataType": "NUMERIC", "value": 0.9}]
    scores += [{"id": "s2", "name": "success", "dataType": "BOOLEAN", "value": 1}]
    found = pa.Table.from_pylist(reading(_trace(tmp_path, scores)).outcomes, OUTCOMES)
    own = {"name": "answer correctness*", "done_from": 0.8, "failed_below": 0.5}
    rules = parse_rules({"evaluation": [own, {"name": "success", "ignore": True}]})
    assert judged(found, rules)[0]["status"].to_pylist() == ["done"]
    assert dict(judged(found, rules)[0]["tags"].to_pylist()[0]) == {
        "trace_tags": "a",
        "evaluation": "Answer correctness (LLM)",
        "evaluation_score": "0.9",
    }


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    for odd in ({"startTime": "soon"}, {"usageDetails": {"input": -1}}, {"id": None}, {"costDetails": {"total": -1}}):
        whole = reading(_trace(tmp_path, **odd))
        assert (whole.refused, len(whole.facts), len(whole.problems)) == (1, 0, 1)


def test_lines_of_traces_are_read_too(tmp_path: Path) -> None:
    line = _trace(tmp_path).read_text(encoding="utf-8")
    path = tmp_path / "traces.jsonl"
    path.write_text(f"{line}\n{line.replace('t1', 't2')}\n{{broken\n", encoding="utf-8")
    whole = reading(path)
    assert len(whole.facts) == 2
    assert whole.refused == 1
