"""Judge summaries: one evaluation per judged session, whose own log is elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from outlay.core.money import nano_of
from reading import reading, sum_of


def test_every_judgement_is_an_evaluation_of_its_session(shared_data: Path, figures: dict[str, Any]) -> None:
    row = figures["judges"]["Judge calls by session"][0]
    whole = reading(next((shared_data / "tau2_judged").glob("*.json.gz")))
    assert len(whole.facts) == row["sessions judged"] == len({fact["session_id"] for fact in whole.facts})
    assert {(fact["operation"], fact["provider"], fact["model_requested"]) for fact in whole.facts} == {
        ("evaluation", "azure", row["judge model"])
    }
    assert sum_of(whole.facts, "input_tokens") == row["tokens in"]
    assert sum_of(whole.facts, "output_tokens") == row["tokens out"]
    assert sum_of(whole.facts, "cost_nano") == nano_of(row["cost, summed"]) == nano_of(row["cost, stated"])
    assert whole.statuses().count("done") == row["sessions done"]


def test_entries_without_a_time_take_that_of_the_file_and_say_so(shared_data: Path) -> None:
    path = next((shared_data / "tau2_judged").glob("*.json.gz"))
    whole = reading(path)
    assert {fact["start_ns"] for fact in whole.facts} == {path.stat().st_mtime_ns}
    assert [problem.what for problem in whole.problems] == ["judge entries carry no time"]


def test_a_judgement_of_nothing_is_refused(tmp_path: Path) -> None:
    good = {"simulation_id": "s", "judge_model": "m", "judge_cost_usd": 0.5, "tau2_success": None}
    path = tmp_path / "judged.json"
    entries = [good, {"judge_model": "m"}, {**good, "simulation_id": "t", "judge_prompt_tokens": 1.5}]
    path.write_text(json.dumps({"entries": entries}), encoding="utf-8")
    whole = reading(path)
    assert [fact["cost_nano"] for fact in whole.facts] == [500_000_000]
    assert whole.statuses() == ["unknown"]
    assert whole.refused == 2
