"""Spans become facts and outcomes: identity, kinds, failures, costs, and the totals of whole traffic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otlp_wire import START_NS, TRACE, request, span
from outlay.core.centre import Operation
from outlay.core.money import nano_of
from outlay.normalize.amounts import nanos_of
from outlay.normalize.clean import normalise
from outlay.normalize.spans import facts_of_spans
from outlay.sources.facts import FACTS, OUTCOMES, Batch, conform
from outlay.sources.otlp import decode
from strategies import otlp_requests, recorded_numbers


def batch(*spans: object, resource: dict[str, object] | None = None, scope: tuple[str, str] = ("", "")) -> Batch:
    return facts_of_spans(decode([request(spans, resource, scope).SerializeToString()], "protobuf").spans)  # type: ignore[arg-type]


def facts(*spans: object) -> list[dict[str, object]]:
    return batch(*spans).facts.to_pylist()


def outcomes(*spans: object) -> list[dict[str, object]]:
    return batch(*spans).outcomes.to_pylist()


@given(st.lists(otlp_requests(), max_size=2))
def test_any_spans_become_facts_of_the_right_shape(requests: list) -> None:
    spans = decode([made.SerializeToString() for made in requests], "protobuf").rows
    found = facts_of_spans(spans)
    assert conform(found.facts, FACTS).cast(FACTS).schema == FACTS
    assert conform(found.outcomes, OUTCOMES).cast(OUTCOMES).schema == OUTCOMES
    assert found.facts.num_rows == spans.num_rows
    assert found.refused == 0
    found.facts.validate(full=True)
    assert set(found.facts["operation"].to_pylist()) <= set(Operation)
    assert not any(found.facts[name].null_count for name in ("fact_key", "source", "start_ns", "operation"))
    normalise(found.facts)


def test_no_spans_are_no_facts() -> None:
    found = facts_of_spans(decode([], "protobuf").rows)
    assert (found.facts.schema, found.outcomes.schema, found.received) == (FACTS, OUTCOMES, 0)


def test_a_child_points_to_its_parent_and_all_to_their_trace() -> None:
    root, child = facts(span(1), span(2, parent=1))
    assert root["parent_key"] is None
    assert child["parent_key"] == root["fact_key"] != child["fact_key"]
    assert root["tree_key"] == child["tree_key"] == TRACE
    (elsewhere,) = facts(span(1, trace_id=bytes(reversed(TRACE))))
    assert elsewhere["fact_key"] != root["fact_key"]


@given(st.lists(st.integers(1, 2**64 - 1), min_size=1, max_size=50, unique=True))
def test_spans_of_one_trace_have_different_keys_and_a_resend_the_same(numbers: list[int]) -> None:
    first, second = (batch(*map(span, some)).facts["fact_key"].to_pylist() for some in (numbers, numbers[::-1]))
    assert len(set(first)) == len(numbers)
    assert first == second[::-1]


def test_a_call_reads_as_it_was_said() -> None:
    said = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-5",
        "gen_ai.response.model": "gpt-5-2025-08-07",
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 40,
        "gen_ai.response.finish_reasons": ["stop"],
    }
    found = batch(span(1, said), resource={"service.name": "api"}, scope=("openai_v2", "2.3b0")).facts.to_pylist()[0]
    expected = {
        "operation": "chat",
        "name": "span 1",
        "provider": "openai",
        "model_served": "gpt-5-2025-08-07",
        "source": "otlp",
        "signal": "span",
        "origin": "api",
        "scope_name": "openai_v2",
        "scope_version": "2.3b0",
        "input_tokens": 100,
        "cache_read_tokens": 40,
        "output_tokens": 20,
        "finish_reason": "stop",
        "failed": False,
        "start_ns": START_NS,
        "end_ns": START_NS + 10**9,
        "basis": None,
        "cost_nano": None,
        "currency": None,
    }
    assert {key: found[key] for key in expected} == expected


def test_a_guardrail_wins_over_the_call_it_is() -> None:
    chat = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 5}
    kinds = [
        {"outlay.step.kind": "guardrail"},
        {"openinference.span.kind": "GUARDRAIL"},
        {"langfuse.observation.type": "evaluator"},
    ]
    found = facts(
        *(span(number, chat | kind) for number, kind in enumerate(kinds, 1)),
        span(9, chat | {"outlay.step.kind": "nonsense"}),
    )
    assert [fact["operation"] for fact in found] == ["guardrail", "guardrail", "evaluation", "chat"]
    (own,) = facts(span(1, {"outlay.step.kind": "tool", "openinference.span.kind": "GUARDRAIL"}))
    assert own["operation"] == "tool"


def test_without_a_kind_the_figures_tell() -> None:
    found = facts(
        span(1, {"gen_ai.usage.input_tokens": 5}),
        span(2, {"gen_ai.tool.name": "search"}),
        span(3, {"outlay.team": "a"}),
    )
    assert [fact["operation"] for fact in found] == ["chat", "tool", "step"]


def test_fetching_a_response_again_costs_nothing() -> None:
    said = {
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cost": 1.0,
        "outlay.units.requests": 1,
    }
    fetched, called = facts(
        span(1, {"gen_ai.operation.name": "fetch_response", **said}), span(2, {"gen_ai.operation.name": "chat", **said})
    )
    names = ("input_tokens", "output_tokens", "cost_nano", "units")
    assert [fetched[name] for name in names] == [None] * 4
    assert [called[name] for name in names[:3]] == [5, 5, 10**9]


def test_totals_on_an_agent_stay_for_the_roll_up_rule() -> None:
    (agent,) = facts(
        span(1, {"gen_ai.operation.name": "invoke_agent", "gen_ai.usage.input_tokens": 5, "gen_ai.agent.name": "kyc"})
    )
    assert (agent["operation"], agent["input_tokens"], agent["name"]) == ("agent", 5, "kyc")


def test_what_aggregates_under_another_name_is_not_read() -> None:
    (agent,) = facts(span(1, {"gen_ai.operation.name": "invoke_agent", "gen_ai.aggregated_usage.input_tokens": 5}))
    assert agent["input_tokens"] is None


@pytest.mark.parametrize(
    ("said", "changes", "error"),
    [
        ({}, {"failed": True}, None),
        ({"error.type": "timeout"}, {}, "timeout"),
        ({"gen_ai.response.finish_reasons": ["error"]}, {}, None),
        ({"gen_ai.response.finish_reasons": ["stop", "error"]}, {}, None),
        ({"langfuse.observation.level": "ERROR"}, {}, None),
        ({"http.response.status_code": 503}, {}, "503"),
        ({"event.name": "claude_code.api_error"}, {}, None),
        ({}, {"events": [("exception", {"exception.type": "KeyError"})]}, "KeyError"),
    ],
)
def test_failure_has_many_spellings(said: dict[str, object], changes: dict[str, object], error: str | None) -> None:
    (found,) = facts(span(1, said, **changes))
    assert (found["failed"], found["error_type"]) == (True, error)
    (well,) = facts(span(1, {"http.response.status_code": 200, "langfuse.observation.level": "DEFAULT"}))
    assert (well["failed"], well["error_type"]) == (False, None)


def test_langfuse_buckets_never_overlap() -> None:
    langfuse, otel = facts(
        span(1, {"langfuse.observation.usage_details": '{"input": 3, "output": 4, "input_cached_tokens": 5}'}),
        span(2, {"gen_ai.usage.input_tokens": 8, "langfuse.observation.usage_details": '{"input": 3}'}),
    )
    assert (langfuse["basis"], langfuse["output_excludes_reasoning"], langfuse["input_tokens"]) == (
        "exclusive",
        True,
        3,
    )
    assert (otel["basis"], otel["output_excludes_reasoning"], otel["input_tokens"]) == (None, None, 8)


def test_cache_writes_by_lifetime_are_part_of_all_writes() -> None:
    parts, both = facts(
        span(1, {"cache_creation_5m_tokens": 3, "cache_creation_1h_tokens": 4}),
        span(2, {"cache_creation_5m_tokens": 3, "cache_creation_tokens": 9}),
    )
    assert [fact["cache_write_tokens"] for fact in (parts, both)] == [7, 9]


def test_counts_that_are_none_say_nothing() -> None:
    found = facts(
        span(1, {"gen_ai.usage.input_tokens": "12"}),
        span(2, {"gen_ai.usage.input_tokens": 12.0}),
        span(3, {"gen_ai.usage.input_tokens": 12.5}),
        span(4, {"gen_ai.usage.input_tokens": "many"}),
    )
    assert [fact["input_tokens"] for fact in found] == [12, 12, None, None]


def test_the_cost_of_a_tool_is_stated_by_its_emitter() -> None:
    said = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search", "outlay.tool.cost_usd": 0.004213}
    (tool,) = facts(span(1, said))
    assert (tool["cost_nano"], tool["cost_source"], tool["currency"], tool["name"]) == (
        4_213_000,
        "emitter",
        "USD",
        "search",
    )


@given(st.lists(recorded_numbers(), min_size=1, max_size=20))
def test_the_short_way_to_nano_units_is_the_long_way(numbers: list[float]) -> None:
    def exact(number: float) -> int | None:
        try:
            return nano_of(number)
        except ValueError:
            return None

    nanos, known = nanos_of(pa.array(numbers, pa.float64(), from_pandas=False))
    assert [nano if ok else None for nano, ok in zip(nanos.tolist(), known.tolist(), strict=True)] == list(
        map(exact, numbers)
    )


def test_amounts_of_other_types() -> None:
    nanos, known = nanos_of(pa.array(["1.5", None, "free", "nan", "1e400"]))
    assert (nanos.tolist(), known.tolist()) == ([1_500_000_000, 0, 0, 0, 0], [True, False, False, False, False])
    assert nanos_of(pa.array([2, None]))[0].tolist() == [2 * 10**9, 0]
    assert nanos_of(pa.array([True]))[1].tolist() == [False]
    assert nanos_of(pa.array([2_500]), micro=True)[0].tolist() == [2_500_000]
    assert nanos_of(pa.array([0.0005]), micro=True)[0].tolist() == [0]
    assert not nanos_of(pa.array([None, None], pa.float64()))[1].any()


# ------------------------------------------------------------------------------------------------------- outcomes


def test_an_outcome_belongs_to_its_task_and_session() -> None:
    said = {
        "session.id": "s-1",
        "outlay.team": "risk",
        "outlay.task.id": "t-1",
        "outlay.task.type": "ticket",
        "outlay.task.outcome": "Completed",
        "outlay.task.value": 12.5,
        "outlay.task.currency": "EUR",
    }
    (found,) = outcomes(span(1, said), span(2, {"session.id": "s-1", "outlay.task.id": "t-1"}))
    expected = {
        "task_id": "t-1",
        "session_ids": ["s-1"],
        "status": "done",
        "at_ns": START_NS + 10**9,
        "task_type": "ticket",
        "value_nano": 12_500_000_000,
        "currency": "EUR",
        "source": "otlp",
        "team": "risk",
    }
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("success", "done"),
        ("FAILED", "failed"),
        ("cancelled", "abandoned"),
        ("Indeterminate", "unknown"),
        ("purple", "unknown"),
    ],
)
def test_words_for_how_it_ended(word: str, status: str) -> None:
    found = batch(span(1, {"outlay.task.outcome": word}))
    assert found.outcomes["status"].to_pylist() == [status]
    assert len(found.problems) == (word == "purple")


def test_an_outcome_without_task_or_session_says_where_both_are_found() -> None:
    named, bare = outcomes(
        span(1, {"outlay.task.outcome": "done", "session.id": "s"}), span(2, {"outlay.task.outcome": "done"})
    )
    assert (named["task_id"], named["session_ids"]) == (None, ["s"])
    assert (bare["task_id"], bare["session_ids"], bare["tree_key"]) == (None, [], TRACE)
    assert bare["span_key"] == facts(span(2, {"outlay.task.outcome": "done"}))[0]["fact_key"]


@pytest.mark.parametrize(
    ("name", "label", "score", "statuses"),
    [
        ("task_completion", "pass", None, ["done"]),
        ("Task-Completion", "fail", 1.0, ["failed"]),
        ("TaskSuccess", None, 1, ["done"]),
        ("task.success", None, 0, ["failed"]),
        ("task_success", None, 0.7, []),
        ("task_success", "lovely", None, []),
        ("relevance", "pass", 1.0, []),
    ],
)
def test_only_an_evaluation_of_completion_is_an_outcome(
    name: str, label: str | None, score: float | None, statuses: list[str]
) -> None:
    said = {
        "gen_ai.evaluation.name": name,
        "gen_ai.evaluation.score.label": label,
        "gen_ai.evaluation.score.value": score,
    }
    event = ("gen_ai.evaluation.result", {key: value for key, value in said.items() if value is not None})
    found = outcomes(span(1, {"session.id": "s"}, events=[event]))
    assert [outcome["status"] for outcome in found] == statuses


def test_an_outcome_and_an_evaluation_of_one_span_are_two() -> None:
    event = (
        "gen_ai.evaluation.result",
        {"gen_ai.evaluation.name": "task completion", "gen_ai.evaluation.score.value": 1},
    )
    one = span(1, {"outlay.task.outcome": "failed"}, events=[event])
    found, again = outcomes(one), outcomes(one)
    assert len({outcome["outcome_key"] for outcome in found}) == 2
    assert found == again


# -------------------------------------------------------------------------------------------------- whole traffic


def test_traffic_adds_up_to_what_was_sent(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(shared / "bench"))
    import payloads

    traffic, totals = payloads.Traffic(5), payloads.Totals()
    requests = [traffic.request(256) for _ in range(8)]
    for made in requests:
        totals.add(made)
    found = facts_of_spans(decode([made.SerializeToString() for made in requests], "protobuf").rows)
    rows = found.facts.select(
        ["operation", "provider", "model_served", "input_tokens", "cache_read_tokens", "output_tokens"]
    ).to_pylist()
    named = {"embeddings": "embedding", "invoke_agent": "agent", "execute_tool": "tool"}
    counts = np.unique([row["operation"] for row in rows], return_counts=True)
    assert dict(zip(*map(np.ndarray.tolist, counts), strict=True)) == {
        named.get(k, k): v for k, v in totals.operations.items()
    }
    tokens: dict[str, dict[str, int]] = {}
    for row in rows:
        if row["input_tokens"] is not None:
            sums = tokens.setdefault(
                f"{row['provider']}/{row['model_served']}",
                dict.fromkeys(("calls", "input", "input_from_cache", "output"), 0),
            )
            for key, value in (
                ("calls", 1),
                ("input", row["input_tokens"]),
                ("input_from_cache", row["cache_read_tokens"]),
                ("output", row["output_tokens"]),
            ):
                sums[key] += value or 0
    assert tokens == totals.tokens
    assert sum(nano for nano in found.facts["cost_nano"].to_pylist() if nano) == totals.tool_cost_micro_usd * 1000
    ended = np.unique(found.outcomes["status"].to_pylist(), return_counts=True)
    assert dict(zip(*map(np.ndarray.tolist, ended), strict=True)) == {
        "done": totals.outcomes["completed"],
        "failed": totals.outcomes["failed"],
    }
    failed = [
        row
        for row, bad in zip(rows, found.facts["failed"].to_pylist(), strict=True)
        if bad and row["operation"] == "chat"
    ]
    assert len(failed) == totals.failed_attempts
    assert sum(key is None for key in found.facts["parent_key"].to_pylist()) == totals.sessions
