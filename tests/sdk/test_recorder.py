"""What is recorded arrives as it was said, whoever records it and however fast."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

import outlay
from outlay.core.envelope import Envelope
from outlay.sdk.context import Context, Run, attached
from outlay.sdk.recorder import record, recorder
from outlay.sdk.step import Step
from sdk_facts import Fact

Recorded = Callable[[], list[Fact]]

TOKENS = {
    "input_tokens": 1000,
    "output_tokens": 200,
    "total_tokens": 1200,
    "cache_read_tokens": 300,
    "cache_write_tokens": 150,
    "cache_write_5m_tokens": 100,
    "cache_write_1h_tokens": 50,
    "reasoning_tokens": 80,
    "input_audio_tokens": 7,
    "output_audio_tokens": 6,
    "input_image_tokens": 5,
    "output_image_tokens": 4,
}


def test_every_word_of_a_step_is_a_fact(recorded: Recorded) -> None:
    run = Run(Envelope(team="a", feature="f", tags={"x": "y"}), "s1", "s0", "s0", "t1", user="u")
    words = {
        "operation": "chat",
        "provider": "anthropic",
        "model_requested": "claude-sonnet-4-5",
        "model_served": "claude-sonnet-4-5-20250929",
        "response_id": "msg_0123456789abcdef",
        "service_tier": "priority",
        "processing": "batch",
        "speed": "fast",
        "region": "eu-central-1",
        "finish_reason": "end_turn",
        "attempt": 2,
        "retry_reason": "rate limited",
    }
    step = Step(
        name="messages.create",
        start_ns=1_795_000_000_000_000_000,
        end_ns=1_795_000_001_000_000_000,
        tokens=TOKENS,
        units={"web_searches": 3},
        cost=Decimal("0.0123"),
        currency="EUR",
        cost_source="provider",
        tags={"own": "tag"},
        trace_id=bytes(range(16)),
        span_id=bytes(range(8)),
        parent_span_id=bytes(range(8, 16)),
        context=Context(run),
        **words,  # type: ignore[arg-type]
    )
    record(step)
    (fact,) = recorded()
    said = (
        words | TOKENS | {"team": "a", "feature": "f", "session_id": "s1", "parent_session_id": "s0", "task_id": "t1"}
    )
    said |= {"start_ns": step.start_ns, "end_ns": step.end_ns, "cost_nano": 12_300_000, "currency": "EUR"}
    said |= {"cost_source": "provider", "user": "u", "units": {"web_searches": 3}, "tags": {"x": "y", "own": "tag"}}
    assert {key: fact[key] for key in said} == said
    assert fact["failed"] is False
    assert fact["tree_key"] == bytes(range(16))
    assert fact["scope_name"] == "outlay"


def test_a_failure_is_one(recorded: Recorded) -> None:
    record(Step(operation="chat", name="a", http_status=429, error_type="rate_limit"))
    record(Step(operation="chat", name="b", http_status=200))
    assert {fact["name"]: (fact["failed"], fact["error_type"]) for fact in recorded()} == {
        "a": (True, "rate_limit"),
        "b": (False, None),
    }


def test_what_is_left_out_is_filled_in(recorded: Recorded) -> None:
    with attached(Context(Run(Envelope(team="a"), "s1"), b"t" * 16, b"s" * 8)):
        record(Step(name="inside"))
    record(Step(name="outside"))
    inside, outside = recorded()
    assert (inside["team"], inside["session_id"], inside["tree_key"]) == ("a", "s1", b"t" * 16)
    assert inside["parent_key"] is not None
    assert (outside["team"], outside["session_id"], outside["parent_key"]) == (None, None, None)
    assert outside["start_ns"] == outside["end_ns"] > inside["start_ns"] - 1


def test_a_step_that_cannot_be_written_takes_no_other_with_it(recorded: Recorded) -> None:
    record(Step(name="before"))
    record(Step(name="broken", trace_id="text"))  # type: ignore[arg-type]
    record(Step(name="after", tokens={"input_tokens": 3, "no such tokens": 4}))
    assert [fact["name"] for fact in recorded()] == ["before", "after"]
    assert recorder().status().dropped == 1


def test_a_burst_is_kept_whole(recorded: Recorded) -> None:
    for number in range(50_000):
        record(Step(name="burst", operation="tool", start_ns=1_795_000_000_000_000_000 + number))
    facts = recorded()
    assert len({fact["fact_key"] for fact in facts}) == 50_000
    status = recorder().status()
    assert (status.recorded, status.dropped, status.waiting) == (50_000, 0, 0)


def test_a_step_says_what_it_said_when_it_was_recorded(recorded: Recorded) -> None:
    step = Step(operation="chat", name="kept", tokens={"input_tokens": 3})
    record(step)
    step.name, step.tokens["input_tokens"] = "changed", 4
    (fact,) = recorded()
    assert (fact["name"], fact["input_tokens"]) == ("kept", 3)


def test_beyond_what_can_be_kept_the_oldest_are_lost_and_counted(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = recorder()
    monkeypatch.setattr("outlay.sdk.recorder.HURRY_AT", 1)
    monkeypatch.setattr("outlay.sdk.recorder.WAITING_MAX", 5)
    monkeypatch.setattr("outlay.sdk.recorder.LOOK_EVERY", 1)
    with held._desk:  # whoever writes is held up, as by a disk that hangs
        for number in range(12):
            record(Step(name=f"{number}", start_ns=1_795_000_000_000_000_000 + number))
        status = held.status()
    assert status.recorded == 12
    assert status.waiting + status.dropped == 12
    assert status.dropped >= 6
    assert [fact["name"] for fact in recorded()][-5:] == [f"{number}" for number in range(7, 12)]


def test_a_block_that_is_entered_twice_is_two_steps(recorded: Recorded) -> None:
    block = outlay.step("again", kind="tool", shelf="three")
    with block as first:
        first.name = "changed"
    with block as outer, block as inner:
        inner.units = {"pages": 2}
        outer.units = {"pages": 1}
    facts = recorded()
    assert [fact["name"] for fact in facts] == ["changed", "again", "again"]
    assert [fact["units"].get("pages") for fact in facts] == [None, 1, 2]
    assert {fact["tags"]["shelf"] for fact in facts} == {"three"}
    assert facts[2]["parent_key"] == facts[1]["fact_key"]
