"""What counts, whose it is, which attempt replaced which: the roll-up rule line by line, inheritance, and order."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import otlp_wire
from normalizing import NOON_NS, SECOND_NS, clean, facts, key, relation_rows, resolved
from outlay.core.envelope import UNTAGGED
from outlay.normalize.clean import normalise
from outlay.normalize.relations import INHERITED_BIT, RESOLVED, ROWS, resolve
from outlay.normalize.spans import facts_of_spans
from outlay.sources.otlp import decode
from strategies import related_facts

ANSWER = "chatcmpl-BqX0aZ81kLmN"
OTHER = "chatcmpl-CCCCaZ81kLmN"
CALL = {"input_tokens": 100, "output_tokens": 10}


def counted(*rows: dict[str, Any]) -> set[str]:
    """The facts that count."""
    return {name for name, answer in resolved(*rows).items() if answer["counted"]}


def span(name: str, parent: str | None = None, operation: str = "chat", **words: Any) -> dict[str, Any]:
    """A fact of one trace; a chat bears tokens unless told otherwise."""
    return {"fact_id": name, "parent_id": parent, "tree_id": "trace", "operation": operation, **words}


class TestRollUpRule:
    def test_every_line_of_the_reference_is_a_case(self, shared: Path) -> None:
        text = (shared / "spec" / "telemetry.md").read_text(encoding="utf-8")
        section = text.partition("## 6. Roll-up rule")[2].partition("## 7.")[0]
        lines = set(re.findall(r"^(\d+)\. ", section, re.MULTILINE))
        cases = {name.split("_")[1] for name in dir(self) if name.startswith("test_")}
        assert len(lines) == 5
        assert lines <= cases

    def test_1_what_bears_cost_counts(self) -> None:
        rows = [
            span("run", operation="agent"),
            span("llm", "run", **CALL),
            span("embedding", "run", operation="embedding", input_tokens=5),
            span("rerank", "run", operation="rerank", units=[{"meter": "searches", "quantity": 1}]),
            span("guardrail", "run", operation="guardrail", units=[{"meter": "policy_units", "quantity": 1}]),
            span("tool", "run", operation="tool", cost_nano=5),
        ]
        assert counted(*rows) == {"run", "llm", "embedding", "rerank", "guardrail", "tool"}
        assert clean(*rows).usages["bears"].to_pylist() == [False, True, True, True, True, True]

    @pytest.mark.parametrize("operation", ["agent", "workflow", "step"])
    def test_2_a_sum_above_its_parts_does_not_count(self, operation: str) -> None:
        found = resolved(
            span("run", operation=operation, **CALL), span("turn", "run", "step"), span("llm", "turn", **CALL)
        )
        assert (found["run"]["counted"], found["run"]["why_not_counted"]) == (False, "repeats what is below it")
        assert found["llm"]["counted"]

    def test_2_a_sum_without_parts_counts_and_says_so(self) -> None:
        found = resolved(span("run", operation="agent", **CALL), span("tool", "run", "tool"))["run"]
        assert (found["counted"], found["reason"], found["centre"]) == (True, "agent aggregate", "inference")

    def test_2_the_innermost_sum_counts(self) -> None:
        assert counted(span("run", operation="agent", **CALL), span("sub", "run", "agent", **CALL)) == {"sub"}

    def test_2_a_priced_tool_below_repeats_no_tokens(self) -> None:
        rows = [span("run", operation="agent", **CALL), span("tool", "run", "tool", cost_nano=5)]
        assert counted(*rows) == {"run", "tool"}

    def test_2_a_sum_of_money_is_repeated_by_any_part(self) -> None:
        rows = [span("run", operation="agent", cost_nano=9), span("tool", "run", "tool", cost_nano=5)]
        assert counted(*rows) == {"tool"}

    def test_2_steps_that_were_not_exported_make_no_difference(self) -> None:
        rows = [span("run", operation="agent", **CALL), span("llm", "a step nobody sent", **CALL)]
        assert counted(*rows) == {"llm"}

    def test_3_the_deepest_of_nested_calls_counts(self) -> None:
        rows = [span("framework", **CALL), span("client", "framework", **CALL), span("sdk", "client", **CALL)]
        found = resolved(*rows)
        assert {name for name, answer in found.items() if answer["counted"]} == {"sdk"}
        assert found["framework"]["why_not_counted"] == "outer span of the same call"

    def test_3_one_answer_in_two_spans_counts_once(self) -> None:
        rows = [span("framework", **CALL, response_id=ANSWER), span("sdk", "framework", **CALL, response_id=ANSWER)]
        assert len(counted(*rows)) == 1

    def test_3_structure_between_them_makes_no_difference(self) -> None:
        rows = [
            span("engine", **CALL),
            span("turn", "engine", "agent"),
            span("step", "turn", "step"),
            span("llm", "step", **CALL),
        ]
        assert counted(*rows) == {"turn", "step", "llm"}

    def test_3_an_empty_call_between_them_makes_no_difference(self) -> None:
        assert counted(span("outer", **CALL), span("empty", "outer"), span("llm", "empty", **CALL)) == {"empty", "llm"}

    def test_3_an_agent_inside_a_tool_is_work_of_its_own(self) -> None:
        rows = [span("outer", **CALL), span("tool", "outer", "tool"), span("sub", "tool", **CALL)]
        assert counted(*rows) == {"outer", "tool", "sub"}

    def test_3_an_embedding_inside_a_chat_is_another_call(self) -> None:
        assert counted(span("outer", **CALL), span("inner", "outer", "embedding", input_tokens=5)) == {"outer", "inner"}

    def test_3_failed_attempts_inside_do_not_take_the_place_of_the_success(self) -> None:
        lost = {"failed": True, "input_tokens": 100}
        assert counted(span("outer", **CALL), span("one", "outer", **lost), span("two", "outer", **lost)) == {
            "outer",
            "one",
            "two",
        }

    def test_3_attempts_inside_of_which_one_succeeds_replace_the_outer_span(self) -> None:
        rows = [
            span("outer", **CALL),
            span("lost", "outer", failed=True, input_tokens=100),
            span("won", "outer", **CALL),
        ]
        assert counted(*rows) == {"lost", "won"}

    def test_3_a_failed_outer_span_is_replaced_by_its_failed_attempts(self) -> None:
        rows = [span("outer", failed=True, input_tokens=200), span("lost", "outer", failed=True, input_tokens=100)]
        assert counted(*rows) == {"lost"}

    def test_4_fetching_an_answer_again_never_counts(self) -> None:
        told = {"gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 10, "gen_ai.response.id": ANSWER}
        calls = [
            otlp_wire.span(1, {**told, "gen_ai.operation.name": "chat"}),
            otlp_wire.span(2, {**told, "gen_ai.operation.name": "fetch_response"}, parent=1),
        ]
        spans = decode([otlp_wire.request(calls).SerializeToString()], "protobuf").spans
        usages = normalise(facts_of_spans(spans).facts, otlp_wire.START_NS).usages
        assert usages["bears"].to_pylist() == [True, False]
        assert resolve(relation_rows(usages))["counted"].to_pylist() == [True, True]

    def test_5_what_a_sampler_dropped_is_still_measured_by_the_metric(self) -> None:
        metric = {"fact_id": "metric", "signal": "metric", "session_id": "run", **CALL}
        assert counted(metric) == {"metric"}


class TestOneAnswer:
    def test_a_log_is_preferred_to_a_span_a_metric_and_a_file(self) -> None:
        names = ["file", "metric", "span", "log"]
        rows = [{"fact_id": name, "signal": name, "response_id": ANSWER, **CALL} for name in names]
        found = resolved(*rows)
        assert {name for name in names if found[name]["counted"]} == {"log"}
        assert found["span"]["why_not_counted"] == f"same answer as {key('log').hex()[:8]}"
        assert counted(*rows[:3]) == {"span"}

    def test_the_fuller_of_two_reports_is_kept(self) -> None:
        rows = [
            {"fact_id": str(out), "response_id": ANSWER, "input_tokens": 10, "output_tokens": out}
            for out in (3, 997, 40)
        ]
        assert counted(*rows) == {"997"}

    def test_an_empty_report_takes_nobodys_place(self) -> None:
        assert counted(
            {"fact_id": "log", "signal": "log", "response_id": ANSWER},
            {"fact_id": "span", "response_id": ANSWER, **CALL},
        ) == {"span"}

    def test_an_outer_span_is_not_kept_for_an_answer_counted_further_in(self) -> None:
        rows = [
            span("outer", **CALL, response_id=ANSWER),
            span("inner", "outer", **CALL, response_id=OTHER),
            span("again", None, **CALL, response_id=OTHER, signal="log"),
        ]
        assert counted(*rows) == {"again"}

    def test_the_same_report_twice_with_a_growing_answer(self) -> None:
        first = clean({"fact_id": "a", **CALL}).usages
        later = clean({"fact_id": "a", "input_tokens": 100, "output_tokens": 900}).usages
        found = resolve(relation_rows(pa.concat_tables([first, later])))
        assert found["counted"].to_pylist() == [False, True]


class TestOneSignal:
    def test_metrics_of_a_session_are_not_added_to_its_calls(self) -> None:
        rows = [
            {"fact_id": "metric", "signal": "metric", "session_id": "run", **CALL},
            {"fact_id": "log", "signal": "log", "session_id": "run", **CALL},
            {"fact_id": "elsewhere", "signal": "metric", "session_id": "other", **CALL},
            {"fact_id": "nowhere", "signal": "metric", "origin": "another service", **CALL},
        ]
        assert counted(*rows) == {"log", "elsewhere", "nowhere"}

    def test_metrics_without_a_session_are_not_added_to_the_calls_of_their_service(self) -> None:
        hour = 3_600 * SECOND_NS
        metric: dict[str, Any] = {"signal": "metric", "origin": "shop", "start_ns": NOON_NS, "end_ns": NOON_NS + hour}
        rows: list[dict[str, Any]] = [
            {"fact_id": "of the hour", **metric, **CALL},
            {
                "fact_id": "of another hour",
                **metric,
                "start_ns": NOON_NS - 9 * hour,
                "end_ns": NOON_NS - 8 * hour,
                **CALL,
            },
            {"fact_id": "of another service", **metric, "origin": "desk", **CALL},
            {"fact_id": "of this user", **metric, "user": "ana", **CALL},
            {"fact_id": "of another user", **metric, "user": "bo", **CALL},
            {"fact_id": "call", "origin": "shop", "user": "ana", "start_ns": NOON_NS + 60 * SECOND_NS, **CALL},
        ]
        assert set(resolved(*rows)) - counted(*rows) == {"of the hour", "of this user"}
        assert counted(*rows[:5]) == {row["fact_id"] for row in rows[:5]}

    def test_spans_of_a_session_are_not_added_to_its_logs(self) -> None:
        told: dict[str, Any] = {"session_id": "run", "origin": "claude-code", "model_served": "claude-opus-5", **CALL}
        rows: list[dict[str, Any]] = [
            {"fact_id": "log", "signal": "log", **told, "model_served": "claude-opus-5[1m]"},
            {"fact_id": "span", **told},
            {"fact_id": "failed", **told, "failed": True, "input_tokens": None, "output_tokens": None},
            {"fact_id": "another model", **told, "model_served": "claude-haiku-4-5"},
            {"fact_id": "another service", **told, "origin": "tests"},
            {"fact_id": "another session", **told, "session_id": "other"},
            {"fact_id": "a tool", **told, "operation": "tool", "cost_nano": 5},
        ]
        assert set(resolved(*rows)) - counted(*rows) == {"span"}
        assert resolved(*rows)["span"]["why_not_counted"] == "span of a session that is counted by its logs"
        failure = rows[2] | {"fact_id": "log of it", "signal": "log"}
        assert set(resolved(*rows, failure)) - counted(*rows, failure) == {"span", "failed"}

    def test_answers_with_ids_are_paired_one_by_one(self) -> None:
        told: dict[str, Any] = {"session_id": "run", "origin": "claude-code", "model_served": "claude-opus-5", **CALL}
        rows: list[dict[str, Any]] = [
            {"fact_id": "log", "signal": "log", "response_id": ANSWER, **told},
            {"fact_id": "span", "response_id": ANSWER, **told},
            {"fact_id": "its log was lost", "response_id": OTHER, **told},
            {"fact_id": "nameless", **told},
        ]
        assert counted(*rows) == {"log", "its log was lost"}

    def test_an_event_beside_the_report_of_its_call_is_not_added(self) -> None:
        told: dict[str, Any] = {"session_id": "run", "origin": "gemini", "model_served": "gemini-2.5-pro", **CALL}
        event = {"signal": "event", **told}
        inside = [span("outer", **CALL), span("event", "outer", signal="event", **CALL)]
        assert counted(*inside) == {"outer"}
        assert counted({"fact_id": "event", **event}, {"fact_id": "log", "signal": "log", **told}) == {"log"}
        assert counted({"fact_id": "event", **event}, {"fact_id": "span", **told, "response_id": ANSWER}) == {"span"}
        assert counted({"fact_id": "event", **event, "response_id": ANSWER}) == {"event"}

    def test_a_span_that_names_no_model_is_not_added_to_the_logs_of_its_session(self) -> None:
        told: dict[str, Any] = {"session_id": "s", "origin": "codex", **CALL}
        rows: list[dict[str, Any]] = [
            {"fact_id": "span", **told},
            {"fact_id": "of a model", "model_served": "m", **told},
        ]
        log = {"fact_id": "log", "signal": "log", "model_served": "gpt-5-codex", **told}
        assert counted(log, *rows) == {"log", "of a model"}

    def test_spans_without_a_session_are_not_added_to_the_logs_of_their_service(self) -> None:
        log: dict[str, Any] = {"fact_id": "log", "signal": "log", "origin": "codex", "session_id": "s", **CALL}
        rows: list[dict[str, Any]] = [
            {"fact_id": "span", "tree_id": "trace", "origin": "codex", **CALL},
            {"fact_id": "of another service", "tree_id": "other", "origin": "shop", **CALL},
            {"fact_id": "later", "tree_id": "late", "origin": "codex", "start_ns": NOON_NS + 3_000 * SECOND_NS, **CALL},
        ]
        assert counted(log, *rows) == {"log", "of another service", "later"}
        assert counted(*rows) == {row["fact_id"] for row in rows}

    def test_a_record_inside_a_call_is_that_call(self) -> None:
        rows: list[dict[str, Any]] = [
            span("outer", **CALL),
            span("record", "outer", signal="log", **CALL),
            span("another call", **CALL),
        ]
        assert counted(*rows) == {"record", "another call"}

    def test_calls_without_tokens_do_not_silence_the_metric(self) -> None:
        rows = [
            {"fact_id": "metric", "signal": "metric", "session_id": "run", **CALL},
            {"fact_id": "span", "session_id": "run"},
            {"fact_id": "tool", "session_id": "run", "operation": "tool", "cost_nano": 5},
        ]
        assert counted(*rows) == {"metric", "span", "tool"}


class TestInheritance:
    def team(self, *rows: dict[str, Any]) -> dict[str, str]:
        return {name: answer["team"] for name, answer in resolved(*rows).items()}

    def test_the_nearest_ancestor_gives(self) -> None:
        rows = [
            span("run", operation="agent", team="a"),
            span("sub", "run", "agent", team="b"),
            span("step", "sub", "step"),
            span("llm", "step"),
        ]
        assert self.team(*rows) == {"run": "a", "sub": "b", "step": "b", "llm": "b"}

    def test_a_tag_set_late_reaches_the_parent_through_the_tree(self) -> None:
        rows = [
            span("run", operation="agent"),
            span("two", "run", team="later", start_ns=NOON_NS + 9),
            span("one", "run", team="first", start_ns=NOON_NS + 5),
        ]
        assert self.team(*rows)["run"] == "first"

    def test_a_tag_reaches_other_traces_of_the_session(self) -> None:
        rows = [
            {"fact_id": "a", "tree_id": "t1", "session_id": "run", "team": "search"},
            {"fact_id": "b", "tree_id": "t2", "session_id": "run"},
            {"fact_id": "c", "tree_id": "t3"},
        ]
        assert self.team(*rows) == {"a": "search", "b": "search", "c": UNTAGGED}

    def test_two_sessions_of_one_trace_keep_their_words_apart(self) -> None:
        rows = [
            span("job", operation="step"),
            span("a", "job", session_id="one", team="search"),
            span("b", "job", session_id="two"),
            span("b2", "job", session_id="two", team="support"),
            span("c", "job", session_id="three"),
        ]
        assert self.team(*rows) == {"job": "search", "a": "search", "b": "support", "b2": "support", "c": "search"}

    def test_another_report_of_the_same_answer_gives_before_the_session_does(self) -> None:
        rows = [
            {"fact_id": "early", "session_id": "run", "team": "other", **CALL},
            {"fact_id": "log", "signal": "log", "session_id": "run", "response_id": ANSWER, **CALL},
            span("sdk", "run", session_id="run", response_id=ANSWER, **CALL),
            span("run", operation="agent", team="search"),
        ]
        assert self.team(*rows)["log"] == "search"

    def test_the_session_is_inherited_in_the_trace_and_its_parent_in_the_session(self) -> None:
        rows = [
            span("run", operation="agent", session_id="child", parent_session_id="root"),
            span("llm", "run"),
            {"fact_id": "other", "tree_id": "t2", "session_id": "child"},
        ]
        found = resolved(*rows)
        assert {(row["session_id"], row["parent_session_id"]) for row in found.values()} == {("child", "root")}

    def test_no_session_is_its_own_parent(self) -> None:
        assert resolved(span("run", session_id="a", parent_session_id="a"))["run"]["parent_session_id"] == ""

    def test_a_trace_nobody_named_keeps_its_own_name(self) -> None:
        found = resolved(span("run"), {"fact_id": "lone"})
        assert (found["run"]["session_id"], found["lone"]["session_id"]) == (
            f"trace:{key('trace').hex()}",
            "(no session)",
        )
        assert found["run"]["inherited"] == 0

    def test_each_inherited_value_has_its_bit(self) -> None:
        words = {"session_id": "s", "team": "t", "customer": "c", "user": "u"}
        found = resolved(span("run", operation="agent", **words), span("llm", "run", team="own"))
        assert {name: found["llm"][name] for name in words} == {**words, "team": "own"}
        assert found["llm"]["inherited"] == sum(INHERITED_BIT[name] for name in ("session_id", "customer", "user"))
        assert found["run"]["inherited"] == 0

    def test_what_was_inherited_before_is_asked_again(self) -> None:
        assert INHERITED_BIT["team"] == 1
        assert (INHERITED_BIT["session_id"], INHERITED_BIT["parent_session_id"], INHERITED_BIT["user"]) == (
            256,
            512,
            1024,
        )


class TestAttempts:
    def reasons(self, *rows: dict[str, Any]) -> dict[str, tuple[str, str]]:
        return {name: (answer["reason"], answer["centre"]) for name, answer in resolved(*rows).items()}

    def test_a_later_attempt_supersedes(self) -> None:
        rows = [span(str(number), "call", attempt=number, **CALL) for number in range(3)]
        assert self.reasons(*rows) == {
            "0": ("superseded by attempt 2", "retries"),
            "1": ("superseded by attempt 2", "retries"),
            "2": ("", "inference"),
        }

    def test_a_failure_keeps_its_own_reason(self) -> None:
        rows = [span("0", "call", failed=True, error_type="timeout"), span("1", "call", attempt=1, **CALL)]
        assert self.reasons(*rows)["0"] == ("failed: timeout", "retries")

    def test_calls_of_one_agent_are_not_attempts_of_one_another(self) -> None:
        rows = [
            span("plan", "run", **CALL),
            span("lost", "run", failed=True),
            span("won", "run", attempt=1, **CALL),
            span("answer", "run", **CALL),
        ]
        assert {name for name, (reason, _) in self.reasons(*rows).items() if reason} == {"lost"}

    def test_a_failure_that_knows_only_the_name_asked_for_belongs_to_its_call(self) -> None:
        asked = {"model_requested": "gpt-4.1-mini"}
        served = {**asked, "model_served": "gpt-4.1-mini-2025-04-14", **CALL}
        rows = [
            span("plan", "run", **served),
            span("lost", "run", failed=True, **asked),
            span("won", "run", attempt=1, **served),
        ]
        assert {name for name, (reason, _) in self.reasons(*rows).items() if reason} == {"lost"}

    @pytest.mark.parametrize("other", [{"model_served": "large"}, {"operation": "embedding"}, {"parent_id": "another"}])
    def test_only_attempts_of_one_call_compare(self, other: dict[str, str]) -> None:
        rows = [span("0", "call", **CALL), {**span("1", "call", attempt=1, **CALL), **other}]
        assert self.reasons(*rows)["0"][0] == ""

    def test_derived_reasons_are_derived_anew(self) -> None:
        rows = relation_rows(clean(span("0", "call", **CALL)).usages)
        place = rows.column_names.index("reason")
        told = rows.set_column(place, "reason", pa.array(["superseded by attempt 1"]))
        assert resolve(told)["reason"].to_pylist() == [""]


class TestLinks:
    def test_loops_of_parents_end(self) -> None:
        rows = [
            span("a", "c", "agent", **CALL),
            span("b", "a", "step", team="t"),
            span("c", "b", "step"),
            span("self", "self", **CALL),
            span("below", "b", **CALL),
        ]
        found = resolved(*rows)
        assert {answer["team"] for answer in found.values()} == {"t"}
        assert found["below"]["counted"]

    def test_a_chain_of_ten_thousand_is_followed_to_its_end(self) -> None:
        rows = [span(str(place), str(place - 1) if place else None, "step") for place in range(10_000)]
        rows[0] |= {"team": "top", **CALL}
        rows[-1] |= {"operation": "chat", **CALL}
        found = resolved(*rows)
        assert found["9999"]["team"] == "top"
        assert found["0"]["why_not_counted"] == "repeats what is below it"

    def test_no_rows(self) -> None:
        assert resolve(ROWS.empty_table()).schema == RESOLVED


@given(rows=related_facts(), data=st.data())
def test_no_order_of_the_reports_changes_what_is_said_of_any(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(rows))
    assert resolved(*rows) == resolved(*shuffled)


@given(rows=related_facts())
def test_every_answer_counts_somewhere(rows: list[dict[str, Any]]) -> None:
    usages = clean(*rows).usages.to_pylist()
    found = list(resolved(*rows).values())
    for row, answer in zip(usages, found, strict=True):
        assert answer["counted"] == (answer["why_not_counted"] == "")
        if answer["why_not_counted"].startswith("same answer"):
            assert any(other["usage_key"] == row["usage_key"] and other is not row for other in usages)
    if any(row["bears"] for row in usages):
        assert any(answer["counted"] for row, answer in zip(usages, found, strict=True) if row["bears"])


def test_a_hundred_thousand_usages_take_less_than_a_second() -> None:
    count = 100_000
    calls = np.arange(count) % 16 > 0
    keys = np.arange(count, dtype=">u8").repeat(2).tobytes()
    kind = pa.binary(16)
    own = pa.FixedSizeBinaryArray.from_buffers(kind, count, [None, pa.py_buffer(keys)])
    top = own.take(pa.array(np.arange(count) // 16 * 16))
    small = facts(span("x", **CALL))
    told = pa.table(
        {
            **{
                name: small[name].combine_chunks().take(pa.array(np.zeros(count, np.int64)))
                for name in small.column_names
            },
            "fact_key": own,
            "tree_key": top,
            "parent_key": pa.array(
                [key if call else None for key, call in zip(top.to_pylist(), calls, strict=True)], kind
            ),
            "operation": pa.array(np.where(calls, "chat", "agent")),
            "team": pa.array([f"team {place % 7}" if place % 16 == 0 else None for place in range(count)]),
        }
    )
    rows = relation_rows(normalise(told, NOON_NS + SECOND_NS).usages)
    began = time.process_time()
    found = resolve(rows)
    assert time.process_time() - began < 2  # twice the goal: the machine may be busy
    assert found["counted"].to_pylist() == calls.tolist()
    assert UNTAGGED not in found["team"].to_pylist()
