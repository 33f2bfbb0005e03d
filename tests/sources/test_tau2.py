"""tau2-bench results against the figures of the files, and files that are not as they should be."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from outlay.core.errors import FormatError
from outlay.core.money import nano_of
from reading import reading, sum_of


def _files(shared_data: Path) -> dict[str, Path]:
    files = sorted((shared_data / "tau2_gym").glob("*.json.gz")) + sorted((shared_data / "tau2_other").glob("*.json"))
    return {path.name.split("_default")[0].split(".json")[0]: path for path in files}


def _rows(figures: dict[str, Any], table: str) -> dict[str, dict[str, Any]]:
    return {row["file"]: row for row in figures["tau2"][table]}


def test_calls_tokens_and_costs_are_those_of_the_files(shared_data: Path, figures: dict[str, Any]) -> None:
    expected = _rows(figures, "Calls, tokens and the cost written on each message")
    for name, path in _files(shared_data).items():
        row = expected[name]
        whole = reading(path)
        agent = whole.where(operation="chat", agent="llm_agent")
        user = whole.where(operation="chat", agent="user_simulator")
        assert (len(agent), len(user)) == (row["agent calls"], row["user calls"])
        assert (sum_of(agent, "input_tokens"), sum_of(agent, "output_tokens")) == (row["agent in"], row["agent out"])
        assert (sum_of(user, "input_tokens"), sum_of(user, "output_tokens")) == (row["user in"], row["user out"])
        tools = whole.where(operation="tool")
        assert (len(tools), sum(fact["failed"] for fact in tools)) == (row["tool results"], row["tool errors"])
        assert sum_of(agent, "cost_nano") == nano_of(row["agent message cost"])
        assert sum_of(user, "cost_nano") == nano_of(row["user message cost"])
        assert whole.received == len(whole.facts) + len(whole.outcomes)


def test_outcomes_are_the_rewards(shared_data: Path, figures: dict[str, Any]) -> None:
    expected = _rows(figures, "Outcomes and recorded cost (done = reward 1)")
    for name, path in _files(shared_data).items():
        whole = reading(path)
        assert len(whole.outcomes) == expected[name]["sessions"]
        assert whole.statuses().count("done") == expected[name]["done"]
        assert {row["agent"] for row in whole.outcomes} == {"llm_agent"}
        assert {row["task_id"] for row in whole.outcomes} == {row["session_ids"][0] for row in whole.outcomes}


def test_a_cost_of_zero_beside_tokens_is_no_price(shared_data: Path) -> None:
    agent = reading(_files(shared_data)["ft-gpt-4.1-BzrYdMNm_airline"]).where(operation="chat", agent="llm_agent")
    assert sum_of(agent, "input_tokens") == 1_277_560
    assert {row["cost_nano"] for row in agent} == {None}


def test_costs_are_read_below_a_session_that_states_none(shared_data: Path) -> None:
    whole = reading(_files(shared_data)["e2e_telecom_adversarial"])
    assert sum_of(whole.where(agent="llm_agent"), "cost_nano") == 12_096_400
    assert sum_of(whole.where(agent="user_simulator"), "cost_nano") == 2_703_200


def test_times_without_a_zone_are_flagged_and_read_in_the_given_one(shared_data: Path) -> None:
    path = _files(shared_data)["e2e_telecom_baseline"]
    utc, india = reading(path), reading(path, zone="Asia/Kolkata")
    assert {row["zone_assumed"] for row in utc.facts} == {True}
    shift = int(Decimal("5.5") * 3600) * 10**9
    assert {a["start_ns"] - b["start_ns"] for a, b in zip(utc.facts, india.facts, strict=True)} == {shift}
    assert [row["fact_key"] for row in utc.facts] == [row["fact_key"] for row in india.facts]


def test_a_session_lasts_from_start_to_end(shared_data: Path, figures: dict[str, Any]) -> None:
    expected = _rows(figures, "Time")
    for name, path in _files(shared_data).items():
        sessions = reading(path).where(operation="agent")
        seconds = Decimal(sum(row["end_ns"] - row["start_ns"] for row in sessions)) / 10**9
        # the files state the duration by another clock, a few milliseconds a session apart
        assert abs(seconds - Decimal(expected[name]["session seconds"])) < Decimal("0.005") * len(sessions)


def _simulation(**changes: Any) -> dict[str, Any]:
    usage = {"prompt_tokens": 10, "completion_tokens": 2}
    call = {"role": "assistant", "cost": 0.001, "usage": usage, "timestamp": "2026-01-01T10:00:02"}
    body = {
        "id": "s1",
        "task_id": "7",
        "start_time": "2026-01-01T10:00:00",
        "end_time": "2026-01-01T10:00:09",
        "reward_info": {"reward": 1.0},
        "messages": [{"role": "assistant", "cost": 0.0, "usage": None, "timestamp": "2026-01-01T10:00:00"}, call],
    }
    return {**body, **changes}


def _written(folder: Path, *simulations: dict[str, Any]) -> Path:
    info = {
        "agent_info": {"implementation": "llm_agent", "llm": "m"},
        "user_info": {"implementation": "user_simulator", "llm": "m"},
        "environment_info": {"domain_name": "airline"},
    }
    path = folder / "results.json"
    path.write_text(json.dumps({"info": info, "tasks": [], "simulations": list(simulations)}), encoding="utf-8")
    return path


def test_what_cannot_be_is_refused_and_the_rest_goes_through(tmp_path: Path) -> None:
    bad = _simulation(id="s2")
    bad["messages"] = [
        {**bad["messages"][1], "usage": {"prompt_tokens": -5}},
        {**bad["messages"][1], "cost": "much"},
        {**bad["messages"][1], "timestamp": "yesterday"},
        bad["messages"][1],
    ]
    whole = reading(_written(tmp_path, bad, _simulation(id=None), _simulation(start_time="noon"), _simulation()))
    assert len(whole.where(operation="chat")) == 2
    assert whole.refused == 5
    said = " | ".join(problem.what for problem in whole.problems)
    for part in ("prompt_tokens cannot be -5", "much", "yesterday", "without an id", "noon"):
        assert part in said


def test_an_end_before_the_start_is_dropped(tmp_path: Path) -> None:
    whole = reading(_written(tmp_path, _simulation(end_time="2026-01-01T09:00:00")))
    assert whole.where(operation="agent")[0]["end_ns"] is None
    assert any("negative duration" in problem.what for problem in whole.problems)
    assert whole.refused == 0


def test_a_reward_that_nobody_gave_is_unknown(tmp_path: Path) -> None:
    assert reading(_written(tmp_path, _simulation(reward_info=None))).statuses() == ["unknown"]


def test_of_a_cut_gzip_everything_before_the_cut_is_read(shared_data: Path, tmp_path: Path) -> None:
    whole_file = _files(shared_data)["gpt-4.1_airline"]
    cut = tmp_path / "cut.json.gz"
    cut.write_bytes(whole_file.read_bytes()[: whole_file.stat().st_size * 9 // 10])
    part, whole = reading(cut), reading(whole_file)
    assert 10 <= len(part.outcomes) < 20
    assert any("cut" in problem.what for problem in part.problems)
    known = {row["fact_key"]: row for row in whole.facts}
    same = [row for row in part.facts if row["operation"] == "chat"]
    assert len(same) > 150
    assert all(known[row["fact_key"]]["cost_nano"] == row["cost_nano"] for row in same)


def test_a_file_without_simulations_says_so(tmp_path: Path) -> None:
    path = tmp_path / "empty.json.gz"
    path.write_bytes(gzip.compress(json.dumps({"info": {}, "tasks": []}).encode()))
    with pytest.raises(FormatError, match="no list of simulations"):
        reading(path, format="tau2")
