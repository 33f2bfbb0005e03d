"""Sessions, agents, steps, usage and completion: what an application says is what the books get to hear."""

from __future__ import annotations

import logging
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

import outlay
from outlay.core.envelope import UNTAGGED
from outlay.sdk import tags as tag_rules
from sdk_facts import Fact, outcomes_in

Recorded = Callable[[], list[Fact]]


@pytest.fixture(autouse=True)
def everything_is_said_again() -> None:
    tag_rules._said.clear()


def by_name(facts: list[Fact]) -> dict[str, Fact]:
    return {fact["name"]: fact for fact in facts}


def test_a_session_tags_everything_inside(recorded: Recorded) -> None:
    words = {
        "team": "search",
        "feature": "answers",
        "agent": "answerer",
        "product_line": "web",
        "environment": "prod",
        "customer": "c1",
        "cost_code": "4711",
    }
    with outlay.session(**words, tier="pro", id="s1", task="t1", user="u1", own="tag") as session:  # type: ignore[arg-type]
        with outlay.step("lookup", kind="tool") as step:
            step.units["searches"] = 2
        assert session.id == session.root_id == "s1"
        assert outlay.current_envelope().team == "search"
    assert outlay.current_envelope().team == UNTAGGED
    facts = recorded()
    said = words | {"user_tier": "pro", "session_id": "s1", "task_id": "t1", "user": "u1", "tags": {"own": "tag"}}
    for fact in facts:
        assert {key: fact[key] for key in said} == said
    named = by_name(facts)
    assert named["answerer"]["operation"] == "agent"
    assert named["lookup"]["parent_key"] == named["answerer"]["fact_key"]
    assert named["lookup"]["units"] == {"searches": 2}
    assert named["answerer"]["start_ns"] <= named["lookup"]["start_ns"] <= named["lookup"]["end_ns"]
    assert named["lookup"]["end_ns"] <= named["answerer"]["end_ns"]


def test_a_sub_agent_is_a_child_with_parent_and_root(recorded: Recorded) -> None:
    with outlay.session(team="a", task="t") as outer, outlay.agent("planner") as planner:
        with outlay.agent("writer", feature="f") as writer:
            assert (writer.parent_id, writer.root_id, writer.task_id) == (planner.id, outer.id, "t")
            assert (writer.envelope.team, writer.envelope.agent, writer.envelope.feature) == ("a", "writer", "f")
        assert planner.envelope.feature == UNTAGGED
    named = by_name(recorded())
    assert named["planner"]["parent_session_id"] == outer.id
    assert named["writer"]["parent_session_id"] == planner.id
    assert named["writer"]["parent_key"] == named["planner"]["fact_key"]
    assert len({fact["tree_key"] for fact in named.values()}) == 1


def test_an_agent_outside_any_session_is_one(recorded: Recorded) -> None:
    with outlay.agent("alone") as alone:
        assert alone.parent_id == ""
        assert alone.root_id == alone.id
    (fact,) = recorded()
    assert (fact["operation"], fact["agent"], fact["parent_session_id"]) == ("agent", "alone", None)


def test_an_error_marks_what_it_leaves_and_goes_on(recorded: Recorded) -> None:
    class RateLimitError(Exception):
        pass

    with pytest.raises(RateLimitError), outlay.session(team="a"), outlay.step("call", kind="chat", model="gpt-4.1"):
        raise RateLimitError
    facts = recorded()
    assert [fact["failed"] for fact in facts] == [True, True]
    assert {fact["error_type"].rpartition(".")[2] for fact in facts} == {"RateLimitError"}


def test_usage_of_anything(recorded: Recorded) -> None:
    with outlay.session(team="a"):
        outlay.usage(
            "private model",
            provider="ours",
            model="m-1",
            input_tokens=10,
            output_tokens=5,
            cache_read_tokens=4,
            tokens={"reasoning_tokens": 2},
            duration_s=1.5,
            shard="7",
        )
        outlay.usage("ocr", "tool", units={"pages": 3}, cost="0.30", currency="eur")
    named = by_name(recorded())
    chat, tool = named["private model"], named["ocr"]
    assert (chat["operation"], chat["input_tokens"], chat["reasoning_tokens"], chat["team"]) == ("chat", 10, 2, "a")
    assert chat["end_ns"] - chat["start_ns"] == 1_500_000_000
    assert chat["tags"] == {"shard": "7"}
    assert chat["cost_nano"] is None
    assert (tool["units"], tool["cost_nano"], tool["currency"]) == ({"pages": 3}, 300_000_000, "EUR")


def test_usage_that_cannot_be_is_left_out_and_said(recorded: Recorded, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "outlay"):
        outlay.usage("a", input_tokens=-1, output_tokens=2.5, tokens={"imput_tokens": 3}, cost="lots")  # type: ignore[arg-type]
        outlay.usage("b", kind="unheard of", units={"page": 3}, attempt="x")  # type: ignore[arg-type]
    (fact,) = recorded()
    assert (fact["input_tokens"], fact["output_tokens"], fact["cost_nano"]) == (None, None, None)
    said = caplog.text
    for word in ('did you mean "input_tokens"?', "input_tokens '-1'", "'2.5'", "cost 'lots'", "usage could not be"):
        assert word in said


def test_completion(recorded: Recorded, spool: Path) -> None:
    with outlay.session(team="a", id="s1", task="t1") as session:
        outlay.complete("failed")
        session.complete("done", value=Decimal("2.50"), currency="EUR", type="ticket")
        outlay.complete("abandoned", task="t2")
    recorded()
    first, second, other = outcomes_in(spool)
    assert (first["task_id"], first["status"], first["session_ids"]) == ("t1", "failed", ["s1"])
    assert (second["task_id"], second["status"], second["value_nano"]) == ("t1", "done", 2_500_000_000)
    assert (second["currency"], second["task_type"], second["team"]) == ("EUR", "ticket", "a")
    assert (other["task_id"], other["status"]) == ("t2", "abandoned")


def test_completion_of_nothing_is_said(recorded: Recorded, spool: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "outlay"):
        outlay.complete()
    assert "outside any session" in caplog.text
    outlay.complete("done", task="t9", value=True)  # type: ignore[arg-type]
    recorded()
    (outcome,) = outcomes_in(spool)
    assert (outcome["task_id"], outcome["value_nano"]) == ("t9", None)


# ---- bad input ---------------------------------------------------------------------------------------------------


def test_a_value_that_is_too_long_is_left_out_and_said_once(
    recorded: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "outlay"):
        for _ in range(3):
            with outlay.session(team="x" * 10_000, feature="f", own="a\nb", number=7, nothing=None):
                pass
    assert len(caplog.records) == 2
    assert "x" * 300 not in caplog.text
    for fact in recorded():
        assert (fact["team"], fact["feature"], fact["tags"]) == (None, "f", {"number": "7"})


def test_a_long_session_id_stays_one_identity(recorded: Recorded) -> None:
    for end in "aab":
        with outlay.session(id="s" * 10_000 + end):
            pass
    ids = [fact["session_id"] for fact in recorded()]
    assert len(set(ids)) == 2
    assert max(map(len, ids)) <= 256


def test_too_many_tags_are_cut(recorded: Recorded) -> None:
    with outlay.session(**{f"tag_{number}": "x" for number in range(200)}):  # type: ignore[arg-type]
        pass
    (fact,) = recorded()
    assert len(fact["tags"]) == tag_rules.TAGS_MAX


def test_contradictory_tags_stay_where_they_were_said(recorded: Recorded, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "outlay"):
        with (
            outlay.session(id="s1", team="a"),
            outlay.step("first"),
            outlay.session(id="s1", team="b"),
            outlay.step("second"),
        ):
            pass
        with outlay.session(id="s1", team="c"), outlay.step("third"):
            pass
    facts = recorded()
    assert {fact["name"]: fact["team"] for fact in facts if fact["name"] != "session"} == {
        "first": "a",
        "second": "b",
        "third": "c",
    }
    assert {fact["session_id"] for fact in facts} == {"s1"}
    assert all(fact["parent_session_id"] is None for fact in facts)
    assert "was of team 'a' and is now of 'b'" in caplog.text


def test_a_session_left_twice_is_written_once(recorded: Recorded) -> None:
    block = outlay.session(team="a")
    with block:
        pass
    block.__exit__(None, None, None)
    assert len(recorded()) == 1


def test_a_carrier_that_makes_no_sense_changes_nothing() -> None:
    for text in ("", "%%%", "trace=zz", "trace=00", "x" * 100_000, "&" * 1000, {"other": "header"}, None):
        with outlay.attached(text):
            assert outlay.current().session_id == ""


def test_switched_off_nothing_is_recorded(spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTLAY_DISABLED", "1")
    outlay.init()
    with outlay.session(team="a") as session, outlay.step("x"):
        outlay.complete()
        assert session.id
    assert outlay.flush()
    assert not spool.exists()


def test_an_address_that_is_none_is_said_where_it_is_written() -> None:
    from outlay.core.errors import InputError

    for address in ("localhost:4318", "ftp://x", "http://", "http://host:99999"):
        with pytest.raises(InputError, match="no address of a server"):
            outlay.init(endpoint=address)
