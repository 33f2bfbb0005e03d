"""Attempts that an emitter does not tell one by one, and agents it does not name: what Claude Code's signals leave out.

The records are those of version 2.1.197 in a run of which the first request of the main agent was refused once, and
which started a sub-agent.
"""

from __future__ import annotations

from typing import Any, ClassVar

from normalizing import meters, relation_rows
from otlp_wire import START_NS, log, logs_request, request, span
from outlay.normalize.clean import normalise
from outlay.normalize.logs import facts_of_logs, telling
from outlay.normalize.relations import resolve
from outlay.normalize.spans import facts_of_spans
from outlay.sources.otlp import decode, joined
from outlay.sources.otlp_logs import decode_logs

SPANS, LOGS = ("com.anthropic.claude_code.tracing", "2.1.197"), ("com.anthropic.claude_code.events", "2.1.197")
TRACE = b"c" * 16


def call(number: int, attempt: int, **said: object) -> Any:
    """A span of a call, in the shape of the run."""
    attributes = {"span.type": "llm_request", "gen_ai.system": "anthropic", "model": "claude-opus-4-8[1m]"}
    attributes |= {"session.id": "s", "input_tokens": 13, "output_tokens": 23, "success": True, "attempt": attempt}
    attributes |= {"request_id": f"req_011Fake{number:012d}"}
    return span(number, attributes | said, name="claude_code.llm_request", trace_id=TRACE, parent=99)


def told(number: int, **said: object) -> Any:
    """The log of the same call; it knows neither attempt nor id of an agent, but the name of a sub-agent."""
    attributes: dict[str, object] = {"session.id": "s", "model": "claude-opus-4-8", "input_tokens": 13}
    attributes |= {"output_tokens": 23, "request_id": f"req_011Fake{number:012d}", "cost_usd": 0.001}
    place = {"trace_id": TRACE, "span_id": (99).to_bytes(8, "big")}
    return log("claude_code.api_request", attributes | said, time_unix_nano=START_NS + number * 10**9, **place)


def spans_of(*spans: Any) -> Any:
    return facts_of_spans(decode([request(spans, scope=SPANS).SerializeToString()], "protobuf").rows).facts


def logs_of(*records: Any) -> Any:
    return facts_of_logs(
        telling(decode_logs([logs_request(records, scope=LOGS).SerializeToString()], "protobuf").rows)
    ).facts


def test_the_attempts_before_the_last_one_are_failed_facts_that_cost_nothing() -> None:
    rows = spans_of(call(3, 3), call(4, 1)).to_pylist()
    assert [(row["attempt"], row["failed"], row["input_tokens"], row["response_id"]) for row in rows] == [
        *((attempt, False, 13, f"req_011Fake{number:012d}") for number, attempt in ((3, 2), (4, 0))),
        *((attempt, True, None, None) for attempt in (0, 1)),
    ]
    assert len({row["fact_key"] for row in rows}) == 4
    assert {row["session_id"] for row in rows} == {"s"}
    assert rows == spans_of(call(3, 3), call(4, 1)).to_pylist(), "the same when it is sent again"


def test_an_error_after_ten_repetitions_is_eleven_attempts() -> None:
    record = log("claude_code.api_error", {"session.id": "s", "model": "m", "status_code": "529", "attempt": 11})
    rows = logs_of(record).to_pylist()
    assert sorted(row["attempt"] for row in rows) == list(range(11))
    assert all(row["failed"] for row in rows)


def test_no_number_of_an_attempt_fills_the_books() -> None:
    assert spans_of(call(3, 10**9)).num_rows == 1


def test_other_emitters_tell_each_attempt_themselves() -> None:
    made = span(1, {"gen_ai.operation.name": "chat", "outlay.retry.attempt": 2, "gen_ai.usage.input_tokens": 5})
    assert facts_of_spans(decode([request([made]).SerializeToString()], "protobuf").rows).facts.num_rows == 1


def test_with_logs_and_spans_the_calls_count_once_and_the_failed_attempt_beside_them() -> None:
    spans = spans_of(call(3, 2), call(4, 1, agent_id="a98130a567077a0d6"), call(5, 1))
    logs = logs_of(told(3), told(4, **{"agent.name": "general-purpose"}), told(5))
    usages = normalise(joined([spans, logs])).usages
    rows = zip(usages.to_pylist(), resolve(relation_rows(usages)).to_pylist(), strict=True)
    counted = sorted(
        (row["signal"], found["agent"], found["centre"], row["failed"]) for row, found in rows if found["counted"]
    )
    assert counted == [
        ("log", "claude-code", "inference", False),
        ("log", "claude-code", "inference", False),
        ("log", "general-purpose", "inference", False),
        ("span", "claude-code", "retries", True),
    ]


def test_the_main_agent_does_not_take_the_name_of_its_sub_agent() -> None:
    assert [row["agent"] for row in logs_of(told(3), told(4, **{"agent.name": "reviewer"})).to_pylist()] == [
        "claude-code",
        "reviewer",
    ]
    (row,) = spans_of(call(3, 1, agent_id="a98", parent_agent_id="a97")).to_pylist()
    assert {"agent_id": "a98", "parent_agent": "a97"}.items() <= dict(row["tags"]).items()
    own = {"outlay.agent": "concierge"}
    assert logs_of(told(3, **own)).to_pylist()[0]["agent"] == "concierge", "the application's own word stands"


class TestSpansOfVersion332:
    """They state the GenAI attributes beside their own: other counts, and the sub-agent as the conversation."""

    SAID: ClassVar[dict[str, object]] = {
        "input_tokens": 60,
        "output_tokens": 70,
        "cache_read_tokens": 100,
        "cache_creation_tokens": 7,
        "gen_ai.usage.input_tokens": 167,
        "gen_ai.usage.output_tokens": 70,
        "gen_ai.operation.name": "chat",
        "gen_ai.usage.cache_read.input_tokens": 100,
        "gen_ai.usage.cache_write.input_tokens": 7,
        "session.id": "s",
        "gen_ai.conversation.id": "a15c3bbab206bf99a",
        "agent_id": "a15c3bbab206bf99a",
    }

    def test_the_cache_is_counted_once(self) -> None:
        (usage,) = normalise(spans_of(call(3, 1, **self.SAID))).usages.to_pylist()
        assert meters(usage) == {"in_uncached": 60, "in_cache_read": 100, "in_cache_write_unspec": 7, "out_text": 70}
        assert usage["basis"] == "exclusive"

    def test_a_sub_agent_works_in_the_session_its_logs_name(self) -> None:
        (usage,) = normalise(spans_of(call(3, 1, **self.SAID))).usages.to_pylist()
        assert (usage["session_id"], usage["agent"]) == ("s", "a15c3bbab206bf99a")

    def test_tools_that_one_answer_asked_for_are_several(self) -> None:
        said = {"session.id": "s", "tool_name": "Read", "request_id": "req_011Fake000000000050"}
        logs = [log("claude_code.tool_result", said | {"tool_use_id": f"toolu_01Fake{n:016d}"}) for n in (1, 2)]
        made = span(
            9, {"session.id": "s", "span.type": "tool", "tool_use_id": f"toolu_01Fake{1:016d}"}, name="claude_code.tool"
        )
        usages = normalise(joined([logs_of(*logs), spans_of(made)])).usages
        counted = [row["counted"] for row in resolve(relation_rows(usages)).to_pylist()]
        assert counted == [True, True, False]
