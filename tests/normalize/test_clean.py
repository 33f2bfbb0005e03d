"""Facts become usages: meters, refusals, identity, cost, text defaults, sessions, units, and the shape itself."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from normalizing import NOON_NS, SECOND_NS, clean, facts, key, meters, usage
from outlay.core.envelope import ENVELOPE_KEYS, UNTAGGED
from outlay.normalize.clean import normalise
from outlay.normalize.usages import USAGES
from outlay.sources.facts import FACTS

HOUR_NS = 3_600 * SECOND_NS
CHAT = {"input_tokens": 100, "output_tokens": 10}


def plain(schema: pa.Schema) -> dict[str, pa.DataType]:
    """Column types with the dictionary encoding taken off."""
    return {item.name: item.type.value_type if pa.types.is_dictionary(item.type) else item.type for item in schema}


class TestShape:
    def test_no_facts_are_no_usages(self) -> None:
        done = normalise(FACTS.empty_table())
        assert (done.usages.schema, done.usages.num_rows, done.problems, done.refused) == (USAGES, 0, [], 0)

    def test_columns_are_those_of_usages_in_their_order(self) -> None:
        done = clean(CHAT, {"operation": "tool", "name": "search"})
        assert plain(done.usages.schema) == plain(USAGES)
        assert done.usages.column_names == USAGES.names
        done.usages.validate(full=True)

    def test_no_text_is_null(self) -> None:
        row = usage()
        assert [name for name, kind in plain(USAGES).items() if kind == pa.string() and row[name] is None] == []
        assert {row[name] for name in ENVELOPE_KEYS} == {UNTAGGED}
        assert (row["session_id"], row["tags"], row["user"], row["model"]) == ("(no session)", "", "", "")

    def test_encoded_and_plain_text_give_the_same_usages(self) -> None:
        rows = [
            {**CHAT, "team": team, "session_id": "s", "tags": [("a", "b")], "model_served": "m"}
            for team in ("x", None, "x")
        ]
        told = facts(*rows)
        encoded = pa.table(
            [column.dictionary_encode() if column.type == pa.string() else column for column in told.columns],
            names=told.column_names,
        )
        assert (
            normalise(told, NOON_NS + HOUR_NS).usages.to_pylist()
            == normalise(encoded, NOON_NS + HOUR_NS).usages.to_pylist()
        )

    def test_chunks_and_slices_give_the_same_usages(self) -> None:
        rows = [
            {
                **CHAT,
                "team": f"t{place % 2}",
                "tags": [("n", str(place))],
                "units": [{"meter": "pages", "quantity": place}],
                "response_id": f"resp_{place:012}",
            }
            for place in range(6)
        ]
        whole = facts(*rows)
        parts = pa.concat_tables([whole.slice(0, 2), whole.slice(2, 3), whole.slice(5)])
        expected = normalise(whole, NOON_NS + HOUR_NS).usages.to_pylist()
        assert normalise(parts, NOON_NS + HOUR_NS).usages.to_pylist() == expected
        assert normalise(whole.slice(2, 3), NOON_NS + HOUR_NS).usages.to_pylist() == expected[2:5]


class TestDisjointMeters:
    def test_every_meter_of_an_inclusive_call(self) -> None:
        row = usage(
            basis="inclusive",
            input_tokens=1_000,
            cache_read_tokens=400,
            cache_write_tokens=300,
            cache_write_5m_tokens=100,
            cache_write_1h_tokens=50,
            input_audio_tokens=60,
            input_image_tokens=40,
            output_tokens=200,
            reasoning_tokens=80,
            output_audio_tokens=20,
            output_image_tokens=10,
        )
        assert meters(row) == {
            "in_uncached": 200,
            "in_cache_read": 400,
            "in_cache_write_5m": 100,
            "in_cache_write_1h": 50,
            "in_cache_write_unspec": 150,
            "in_audio": 60,
            "in_image": 40,
            "out_text": 90,
            "out_reasoning": 80,
            "out_audio": 20,
            "out_image": 10,
        }

    def test_writes_known_only_by_lifetime(self) -> None:
        row = usage(
            source="claude_code", input_tokens=2, cache_write_5m_tokens=70, cache_write_1h_tokens=30, output_tokens=1
        )
        assert meters(row) == {"in_uncached": 2, "in_cache_write_5m": 70, "in_cache_write_1h": 30, "out_text": 1}

    def test_audio_that_a_cache_served_is_not_counted_twice(self) -> None:
        row = usage(
            basis="inclusive", input_tokens=1_000, cache_read_tokens=900, input_audio_tokens=500, output_tokens=1
        )
        assert meters(row) == {"in_cache_read": 900, "in_audio": 100, "out_text": 1}

    def test_a_side_is_taken_from_the_total(self) -> None:
        assert meters(usage(input_tokens=40, total_tokens=68)) == {"in_uncached": 40, "out_text": 28}
        assert meters(usage(output_tokens=28, total_tokens=68)) == {"in_uncached": 40, "out_text": 28}

    def test_a_bare_total_is_input_and_says_so(self) -> None:
        done = clean({"total_tokens": 68})
        assert meters(done.usages.to_pylist()[0]) == {"in_uncached": 68}
        assert "only a total" in done.problems[0].what

    def test_no_tokens_no_basis(self) -> None:
        assert usage(operation="tool")["basis"] == ""


IMPOSSIBLE: dict[str, tuple[dict[str, Any], str]] = {
    "negative": ({"input_tokens": -1}, "input_tokens is -1"),
    "beyond any counter": ({"output_tokens": 10**13}, "output_tokens is 10,000,000,000,000"),
    "cache above inclusive input": (
        {"basis": "inclusive", "input_tokens": 1_000, "cache_read_tokens": 8_000},
        "cache tokens 8,000 exceed input_tokens 1,000",
    ),
    "lifetimes above writes": (
        {"basis": "exclusive", "input_tokens": 9, "cache_write_tokens": 5, "cache_write_1h_tokens": 6},
        "cache writes by lifetime add up to 6, cache_write_tokens is 5",
    ),
    "reasoning above output": (
        {**CHAT, "output_excludes_reasoning": False, "reasoning_tokens": 11},
        "reasoning_tokens 11 exceed output_tokens 10",
    ),
    "audio above input": ({**CHAT, "input_audio_tokens": 101}, "audio and image input 101 exceed input_tokens 100"),
    "image above output": ({**CHAT, "output_image_tokens": 11}, "audio and image output 11 exceed output_tokens 10"),
    "negative cost": ({**CHAT, "cost_nano": -5}, "recorded cost is -5 nano-units"),
    "negative duration": ({**CHAT, "start_ns": NOON_NS, "end_ns": NOON_NS - 7}, "ends 7 ns before it starts"),
    "clock never set": ({**CHAT, "start_ns": 5}, "clock: starts at 5 ns"),
    "clock far ahead": ({**CHAT, "start_ns": NOON_NS + 50 * 24 * HOUR_NS}, "clock: starts at"),
    "end far ahead": ({**CHAT, "start_ns": NOON_NS, "end_ns": NOON_NS + 50 * 24 * HOUR_NS}, "clock: starts at"),
    "negative attempt": ({**CHAT, "attempt": -1}, "attempt is -1"),
    "unknown operation": ({**CHAT, "operation": "fetch_response"}, 'unknown operation "fetch_response"'),
}


@pytest.mark.parametrize(("wrong", "what"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_what_cannot_be_true_is_refused_and_the_rest_goes_on(wrong: dict[str, Any], what: str) -> None:
    done = clean({**CHAT, "fact_id": "good"}, {"origin": "run.json", **wrong}, {**CHAT, "fact_id": "good too"})
    assert done.usages["fact_key"].to_pylist() == [key("good"), key("good too")]
    assert done.refused == 1
    assert [problem.where for problem in done.problems] == ["run.json row 1"]
    assert what in done.problems[0].what
    assert done.problems[0].hint


def test_one_row_is_refused_once_however_wrong_it_is() -> None:
    done = clean({"input_tokens": -1, "output_tokens": -1, "cost_nano": -1, "start_ns": 0})
    assert (done.refused, len(done.problems), done.usages.num_rows) == (1, 1, 0)


class TestIdentity:
    ANSWER = "chatcmpl-BqX0aZ81kLmN"

    def keys(self, *rows: dict[str, Any]) -> list[bytes]:
        return clean(*rows).usages["usage_key"].to_pylist()

    def test_two_signals_and_two_providers_of_one_answer_share_their_key(self) -> None:
        one, two, three = self.keys(
            {"response_id": self.ANSWER, "signal": "log"},
            {"response_id": self.ANSWER, "provider": "azure.ai.openai"},
            {"response_id": "chatcmpl-BqX0aZ81kLmO"},
        )
        assert one == two != three

    @pytest.mark.parametrize("vague", ["", "chatcmpl-local", "chatcmpl-123", "0", "a-b-c-d-e-f-g-h", None])
    def test_an_id_that_names_nothing_is_not_an_identity(self, vague: str | None) -> None:
        rows = [{"response_id": vague, "fact_id": "a"}, {"response_id": vague, "fact_id": "b"}]
        assert self.keys(*rows) == [key("a"), key("b")]

    def test_a_failed_attempt_is_not_the_answer(self) -> None:
        lost, won = self.keys(
            {"response_id": self.ANSWER, "failed": True, "fact_id": "lost"}, {"response_id": self.ANSWER}
        )
        assert lost == key("lost") != won

    def test_only_answers_have_one(self) -> None:
        assert self.keys({"response_id": self.ANSWER, "operation": "agent", "fact_id": "a"}) == [key("a")]

    def test_a_resend_has_the_same_keys(self) -> None:
        rows = [{"response_id": self.ANSWER}, {"operation": "tool"}]
        assert self.keys(*rows) == self.keys(*rows)


class TestRecordedCost:
    def cost(self, **fact: Any) -> tuple[int | None, str, str, bool]:
        row = usage(**fact)
        return row["cost_nano"], row["currency"], row["cost_source"], row["bears"]

    def test_is_kept_with_its_words(self) -> None:
        assert self.cost(**CHAT, cost_nano=5, currency="eur ", cost_source="billed") == (5, "EUR", "billed", True)

    def test_has_defaults(self) -> None:
        assert self.cost(cost_nano=5) == (5, "USD", "emitter", True)

    def test_zero_with_tokens_is_unknown(self) -> None:
        assert self.cost(**CHAT, cost_nano=0) == (None, "", "", True)

    def test_zero_without_tokens_is_not_a_call(self) -> None:
        assert self.cost(cost_nano=0) == (None, "", "", False)

    def test_zero_for_a_tool_is_free(self) -> None:
        assert self.cost(operation="tool", cost_nano=0) == (0, "USD", "emitter", True)

    def test_an_unknown_currency_makes_it_unknown(self) -> None:
        done = clean({**CHAT, "cost_nano": 5, "currency": "credits"})
        assert done.usages["cost_nano"].to_pylist() == [None]
        assert "currency" in done.problems[0].what


class TestLabels:
    @pytest.mark.parametrize("bad", ["x" * 257, "two\nlines", "bell\x07", "\x1b[31mred"])
    def test_what_is_no_label_is_refused_and_the_usage_stays(self, bad: str) -> None:
        done = clean({**CHAT, "team": bad}, {**CHAT, "team": "search"})
        assert done.usages["team"].to_pylist() == [UNTAGGED, "search"]
        assert done.refused == 0
        assert "team refused" in done.problems[0].what
        assert bad not in done.problems[0].what

    def test_blanks_around_a_value_make_no_other_value(self) -> None:
        done = clean({"team": " search"}, {"team": "search "}, {"team": "  "}, {"team": ""})
        assert done.usages["team"].to_pylist() == ["search", "search", UNTAGGED, UNTAGGED]

    def test_the_longest_value_is_kept(self) -> None:
        assert usage(feature="é" * 256)["feature"] == "é" * 256

    def test_tags_are_json_with_sorted_keys(self) -> None:
        done = clean(
            {"tags": [("b", 'quote "'), ("a", "1")]}, {"tags": [("a", "1"), ("b", 'quote "')]}, {"tags": []}, {}
        )
        texts = done.usages["tags"].to_pylist()
        assert texts[0] == texts[1] == '{"a":"1","b":"quote \\""}'
        assert json.loads(texts[0]) == {"a": "1", "b": 'quote "'}
        assert texts[2:] == ["", ""]

    def test_a_tag_that_is_no_label_is_refused_alone(self) -> None:
        done = clean({"tags": [("note", "x" * 300), ("plan", "pro"), ("none", None)]})
        assert done.usages["tags"].to_pylist() == ['{"plan":"pro"}']
        assert len(done.problems) == 1


class TestTextAndTimes:
    def test_the_served_model_is_the_model(self) -> None:
        done = clean(
            {"model_served": "gpt-5-2025-08-07", "model_requested": "gpt-5"},
            {"model_requested": "gpt-5"},
            {"model_served": ""},
            {},
        )
        assert done.usages["model"].to_pylist() == ["gpt-5-2025-08-07", "gpt-5", "", ""]

    def test_a_session_is_named_by_its_trace_where_nobody_names_it(self) -> None:
        done = clean({"session_id": "run", "tree_id": "t"}, {"tree_id": "t"}, {"session_id": "", "tree_id": "t"}, {})
        assert done.usages["session_id"].to_pylist() == [
            "run",
            f"trace:{key('t').hex()}",
            f"trace:{key('t').hex()}",
            "(no session)",
        ]

    def test_time_and_duration(self) -> None:
        row = usage(start_ns=NOON_NS + 1_999, end_ns=NOON_NS + 2_500_001_999, zone_assumed=True)
        assert (row["time"].isoformat(), row["duration_ms"], row["zone_assumed"]) == (
            "2026-09-01T12:00:00.000001",
            2_500,
            True,
        )
        assert usage()["duration_ms"] is None

    def test_a_rebuild_asks_the_clock_of_the_first_receipt(self) -> None:
        told = {**CHAT, "start_ns": NOON_NS}
        assert clean(told, now_ns=NOON_NS - 49 * HOUR_NS).refused == 1
        assert clean(told, now_ns=NOON_NS - 47 * HOUR_NS).refused == 0


class TestUnits:
    def units(self, **fact: Any) -> tuple[dict[str, int], bool]:
        row = usage(**fact)
        return {item["meter"]: item["quantity"] for item in row["units"] or ()}, row["bears"]

    def test_pass_through(self) -> None:
        units = [{"meter": "policy_units", "quantity": 8}, {"meter": "free_policy_units", "quantity": 1}]
        assert self.units(operation="guardrail", units=units) == ({"policy_units": 8, "free_policy_units": 1}, True)

    def test_an_unknown_or_impossible_one_is_dropped_and_noted(self) -> None:
        units = [
            {"meter": "page", "quantity": 8},
            {"meter": "pages", "quantity": -1},
            {"meter": "searches", "quantity": 2},
        ]
        done = clean({"operation": "tool", "units": units})
        assert done.usages["units"].to_pylist() == [[{"meter": "searches", "quantity": 2}]]
        assert [problem.what for problem in done.problems] == [
            'unknown meter "page" dropped',
            "impossible quantity dropped",
        ]
        assert "pages" in done.problems[0].hint

    def test_a_token_meter_is_no_unit(self) -> None:
        done = clean({"units": [{"meter": "in_audio", "quantity": 8}]})
        assert (done.usages["units"].to_pylist(), len(done.problems)) == ([None], 1)

    def test_a_root_agent_is_alive_for_its_duration(self) -> None:
        span = {"start_ns": NOON_NS, "end_ns": NOON_NS + 90 * SECOND_NS}
        assert self.units(operation="agent", **span) == ({"runtime_ms": 90_000}, False)
        assert self.units(operation="runtime", **span) == ({"runtime_ms": 90_000}, False)
        assert self.units(operation="agent", parent_id="outer", **span) == ({}, False)
        assert self.units(operation="step", **span) == ({}, False)

    def test_stated_runtime_is_not_added_to(self) -> None:
        told = [{"meter": "runtime_ms", "quantity": 5}]
        assert self.units(operation="runtime", start_ns=NOON_NS, end_ns=NOON_NS + SECOND_NS, units=told) == (
            {"runtime_ms": 5},
            False,
        )

    def test_rows_keep_their_own(self) -> None:
        span = {"start_ns": NOON_NS, "end_ns": NOON_NS + SECOND_NS}
        done = clean(
            {"operation": "tool", "units": [{"meter": "searches", "quantity": 1}]},
            {"operation": "agent", **span},
            CHAT,
            {"operation": "workflow", "units": [{"meter": "pages", "quantity": 3}], **span},
        )
        found = [[(item["meter"], item["quantity"]) for item in row or ()] for row in done.usages["units"].to_pylist()]
        assert found == [[("searches", 1)], [("runtime_ms", 1_000)], [], [("pages", 3), ("runtime_ms", 1_000)]]
        assert done.usages["aggregate"].to_pylist() == [False, False, False, True]
