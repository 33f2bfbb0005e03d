"""From the wire to facts: what was metered, recorded and spooled is what the product reads out of the spool."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fake_provider import FakeProvider

import outlay
from conftest import BODY, CHAT, STREAM
from normalizing import meters
from outlay.normalize.clean import normalise
from outlay.sdk import wire
from outlay.sdk.wire.attempts import failures
from sdk_facts import Fact, batch_of, bodies_in


@pytest.fixture
def metered() -> Iterator[None]:
    """The wire installed for a test; what it writes goes to the recorder as in any agent."""
    failures.forget()
    wire.install(hosts={"127.0.0.1": "openai"})
    yield
    wire.uninstall()
    wire.settings.configure()


def picked(fact: Fact, *names: str) -> dict[str, Any]:
    return {name: fact[name] for name in names}


def test_a_retried_call_is_two_facts_and_only_the_first_is_waste(
    provider: FakeProvider, recorded: Callable[[], list[Fact]], metered: None
) -> None:
    for _ in range(2):
        httpx2.post(f"http://127.0.0.1:{provider.port}/facts/429.ok{CHAT}", json={**BODY, "service_tier": "flex"})
    refused, answered = recorded()
    assert picked(refused, "failed", "error_type", "attempt", "retry_reason") == {
        "failed": True,
        "error_type": "429",
        "attempt": None,
        "retry_reason": None,
    }
    (line,) = [line for line in provider.of("facts") if line.turn == "ok"]
    expected = {"input_tokens": line.input_tokens, "output_tokens": line.output_tokens, "cache_read_tokens": 5}
    assert picked(answered, *expected) == expected
    assert picked(answered, "failed", "attempt", "retry_reason", "provider", "model_requested", "model_served") == {
        "failed": False,
        "attempt": 1,
        "retry_reason": None,
        "provider": "openai",
        "model_requested": "gpt-4o",
        "model_served": "gpt-4o-2024-08-06",
    }
    assert answered["service_tier"] == "flex"
    assert answered["finish_reason"] == "stop"
    assert answered["response_id"].startswith("chatcmpl-")


def test_a_stream_is_the_same_fact(provider: FakeProvider, recorded: Callable[[], list[Fact]], metered: None) -> None:
    httpx2.post(f"http://127.0.0.1:{provider.port}/whole/ok{CHAT}", json=BODY)
    with httpx2.stream("POST", f"http://127.0.0.1:{provider.port}/streamed/ok{CHAT}", json=STREAM) as response:
        response.read()
    whole, streamed = recorded()
    differ = {name for name in whole if whole[name] != streamed[name]}
    own = {"fact_key", "tree_key", "response_id", "start_ns", "end_ns", "input_tokens", "output_tokens", "service_tier"}
    assert differ <= own
    assert streamed["output_tokens"] - whole["output_tokens"] == 1, "the provider bills one more for each next call"


def test_other_units_and_a_stated_cost_arrive(recorded: Callable[[], list[Fact]], metered: None) -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 1, "num_search_queries": 3, "cost": {"total_cost": 0.006}}
    transport = httpx2.MockTransport(
        lambda request: httpx2.Response(200, json={"id": "p", "model": "sonar", "usage": usage})
    )
    with httpx2.Client(transport=transport) as client:
        client.post("https://api.perplexity.ai/chat/completions", json={"model": "sonar"})
    (fact,) = recorded()
    assert picked(fact, "units", "cost_nano", "cost_source", "provider") == {
        "units": {"web_searches": 3},
        "cost_nano": 6_000_000,
        "cost_source": "provider",
        "provider": "perplexity",
    }


def test_caches_of_both_lives_and_guardrails_arrive(
    recorded: Callable[[], list[Fact]], spool: Path, metered: None
) -> None:
    details = [{"ttl": "5m", "inputTokens": 15}, {"ttl": "1h", "inputTokens": 5}]
    usage = {
        "inputTokens": 12,
        "outputTokens": 34,
        "cacheReadInputTokens": 10,
        "cacheWriteInputTokens": 20,
        "cacheDetails": details,
    }
    trace = {"guardrail": {"inputAssessment": {"gr": {"invocationMetrics": {"usage": {"topicPolicyUnits": 2}}}}}}
    answer = {"usage": usage, "trace": trace, "stopReason": "end_turn"}
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, json=answer))
    with httpx2.Client(transport=transport) as client:
        client.post(
            "https://bedrock-runtime.eu-west-1.amazonaws.com/model/amazon.nova-pro-v1%3A0/converse", content=b"{}"
        )
    call, check = sorted(recorded(), key=lambda fact: fact["operation"])
    tokens = {
        "input_tokens": 42,
        "cache_read_tokens": 10,
        "cache_write_tokens": 20,
        "cache_write_5m_tokens": 15,
        "cache_write_1h_tokens": 5,
    }
    assert picked(call, *tokens) == tokens
    assert picked(call, "region", "model_requested") == {
        "region": "eu-west-1",
        "model_requested": "amazon.nova-pro-v1:0",
    }
    assert picked(check, "operation", "units", "provider") == {
        "operation": "guardrail",
        "units": {"policy_units": 2},
        "provider": "aws.bedrock",
    }
    usages = normalise(batch_of(bodies_in(spool)).facts, call["start_ns"]).usages.to_pylist()
    assert [meters(row) for row in usages if row["operation"] == "chat"] == [
        {"in_uncached": 12, "in_cache_read": 10, "in_cache_write_5m": 15, "in_cache_write_1h": 5, "out_text": 34}
    ]


def test_a_cut_stream_says_so_in_a_tag(
    provider: FakeProvider, recorded: Callable[[], list[Fact]], metered: None
) -> None:
    with httpx2.stream("POST", f"http://127.0.0.1:{provider.port}/cut/wait{CHAT}", json=STREAM) as response:
        next(response.iter_raw())
    (fact,) = recorded()
    body = len(response.request.content)
    assert fact["tags"] == {
        "usage_gap": "cut",
        "usage_estimate": "output: characters / 4; input: bytes of the request / 4",
    }
    assert picked(fact, "failed", "error_type", "input_tokens", "basis") == {
        "failed": True,
        "error_type": "closed_early",
        "input_tokens": -(-body // 4),
        "basis": "estimated",
    }
    assert 1 <= fact["output_tokens"] <= -(-6 * len("hello ") // 4), "of the six pieces some had come"


def test_of_a_cut_stream_only_what_was_not_stated_is_estimated(
    provider: FakeProvider, spool: Path, recorded: Callable[[], list[Fact]], metered: None
) -> None:
    body = {"model": "claude-opus-5", "stream": True, "max_tokens": 9, "messages": BODY["messages"]}
    with httpx2.stream("POST", f"http://127.0.0.1:{provider.port}/half/wait/v1/messages", json=body) as response:
        next(response.iter_raw())
    (fact,) = recorded()
    (line,) = provider.of("half")
    assert fact["tags"] == {"usage_gap": "cut", "usage_estimate": "output: characters / 4"}
    assert picked(fact, "input_tokens", "basis") == {"input_tokens": line.input_tokens, "basis": "estimated output"}
    (usage,) = normalise(batch_of(bodies_in(spool)).facts, fact["start_ns"]).usages.to_pylist()
    assert usage["basis"] == "estimated output"
    assert usage["out_text"] == fact["output_tokens"] > 1


def test_a_stream_whose_usage_nobody_asked_for_is_estimated_from_its_text(
    provider: FakeProvider, recorded: Callable[[], list[Fact]], metered: None
) -> None:
    unasked = {**BODY, "stream": True}
    httpx2.post(f"http://127.0.0.1:{provider.port}/unasked/ok{CHAT}", json=unasked)
    (fact,) = recorded()
    assert (fact["failed"], fact["tags"]["usage_gap"], fact["basis"]) == (False, "not asked for", "estimated")
    assert fact["output_tokens"] == -(-6 * len("hello ") // 4)


def test_a_call_whose_answer_never_began_is_estimated_by_what_was_sent(
    provider: FakeProvider, recorded: Callable[[], list[Fact]], metered: None
) -> None:
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.post(f"http://127.0.0.1:{provider.port}/late/slow{CHAT}", json=BODY, timeout=0.2)
    with pytest.raises(httpx2.ConnectError):
        httpx2.post(f"http://127.0.0.1:1{CHAT}", json=BODY, timeout=0.2)
    late, never = recorded()
    assert picked(late, "error_type", "basis", "output_tokens") == {
        "error_type": "timeout",
        "basis": "estimated input",
        "output_tokens": None,
    }
    assert late["input_tokens"] > 0
    assert picked(never, "error_type", "basis", "input_tokens", "tags") == {
        "error_type": "connection",
        "basis": None,
        "input_tokens": None,
        "tags": {},
    }


def test_a_model_that_is_asked_within_a_check_is_part_of_the_check(
    provider: FakeProvider, recorded: Callable[[], list[Fact]], metered: None
) -> None:
    def ask() -> None:
        httpx2.post(f"http://127.0.0.1:{provider.port}/facts/ok{CHAT}", json=BODY)

    with outlay.step("tone", kind="guardrail"), outlay.session(agent="judge"):
        ask()
    with outlay.step("draft"):
        ask()
    asked = [fact["operation"] for fact in recorded() if fact["input_tokens"]]
    assert sorted(asked) == ["chat", "guardrail"]
