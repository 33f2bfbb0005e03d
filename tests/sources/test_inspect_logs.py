"""Inspect AI logs against the figures of the files, and logs that are not whole."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from outlay.core.errors import FormatError
from outlay.core.period import ns_of
from reading import reading, sum_of


def _logs(shared_data: Path, figures: dict[str, Any]) -> list[tuple[dict[str, Any], Path]]:
    files = [path for path in sorted((shared_data / "inspect_logs").iterdir()) if path.suffix in {".json", ".eval"}]
    return list(zip(figures["inspect"]["Logs"], files, strict=True))


def test_tokens_and_outcomes_are_those_of_the_logs(shared_data: Path, figures: dict[str, Any]) -> None:
    for row, path in _logs(shared_data, figures):
        whole = reading(path)
        assert sum_of(whole.facts, "input_tokens") == row["in"]
        assert sum_of(whole.facts, "output_tokens") == row["out"]
        assert sum_of(whole.facts, "cache_read_tokens") == row["of these cache read"]
        assert sum_of(whole.facts, "reasoning_tokens") == row["reasoning"]
        assert sum_of(whole.facts, "total_tokens") == row["total stated"]
        assert len(whole.outcomes) == row["samples"] == len({outcome["task_id"] for outcome in whole.outcomes})
        assert whole.statuses().count("done") == row["correct"]
        assert sum_of(whole.where(operation="evaluation"), "total_tokens") == row["by graders"]
        assert {fact["zone_assumed"] for fact in whole.facts} == {False}


def test_a_log_without_calls_falls_back_to_its_totals_and_says_so(shared_data: Path) -> None:
    whole = reading(shared_data / "inspect_logs" / "log_formats.json")
    assert [(row["name"], row["total_tokens"]) for row in whole.facts] == [("roll-up of the log", 68)]
    assert whole.facts[0]["session_id"] == whole.outcomes[0]["session_ids"][0]
    assert "totals of the log" in whole.problems[0].hint


def test_reasoning_is_inside_output_and_cache_inside_input_as_the_total_says(shared_data: Path) -> None:
    folder = shared_data / "inspect_logs"
    thinking = reading(next(folder.glob("*L8g2GLGDDfsiXvdJ8LyZNJ.eval")))
    assert {row["output_excludes_reasoning"] for row in thinking.facts} == {False}
    cached = reading(next(folder.glob("*browser.json"))).where(operation="chat")
    assert {row["basis"] for row in cached if row["cache_read_tokens"]} == {"inclusive"}


def test_models_keep_their_names_beside_the_provider(shared_data: Path) -> None:
    rows = reading(next((shared_data / "inspect_logs").glob("*ptzBRo.eval"))).facts
    assert {(row["provider"], row["model_requested"], row["model_served"]) for row in rows} == {
        ("openai", "openai/gpt-4o-mini", "gpt-4o-mini-2024-07-18")
    }


def _usage(**changes: int) -> dict[str, int]:
    return {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15, **changes}


def _model(**changes: Any) -> dict[str, Any]:
    output = {"model": "m", "usage": _usage()}
    return {"event": "model", "timestamp": "2026-01-01T00:00:01Z", "model": "p/m", "output": output, **changes}


def _log(**changes: Any) -> dict[str, Any]:
    sample = {"id": 1, "epoch": 1, "scores": {"match": {"value": "C"}}, "events": [_model()]}
    header = {"eval": {"task": "t", "run_id": "r", "created": "2026-01-01T00:00:00Z"}, "plan": {}, "stats": {}}
    return {**header, "samples": [{**sample, **changes}]}


def _written(folder: Path, log: dict[str, Any]) -> Path:
    path = folder / "log.json"
    path.write_text(json.dumps(log), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, "done"),
        ({"scores": {"match": {"value": 1}}}, "done"),
        ({"scores": {"match": {"value": 0}}}, "failed"),
        ({"error": {"message": "broke"}}, "failed"),
        ({"scores": None, "limit": {"type": "token"}}, "failed"),
        ({"scores": None}, "unknown"),
    ],
)
def test_the_score_decides_the_outcome(tmp_path: Path, changes: dict[str, Any], status: str) -> None:
    assert reading(_written(tmp_path, _log(**changes))).statuses() == [status]


def test_thoughts_beside_the_output_are_told_by_the_total(tmp_path: Path) -> None:
    usage = _usage(reasoning_tokens=7, total_tokens=22)
    log = _log(events=[_model(output={"model": "m", "usage": usage})])
    assert reading(_written(tmp_path, log)).facts[0]["output_excludes_reasoning"] is True


def test_calls_that_failed_or_came_from_a_cache(tmp_path: Path) -> None:
    events = [_model(error="overloaded", output={}), _model(cache="read"), _model()]
    rows = reading(_written(tmp_path, _log(events=events))).facts
    assert [(row["failed"], row["input_tokens"]) for row in rows] == [(True, None), (False, 10)]


def test_a_sample_without_calls_falls_back_to_its_own_totals(tmp_path: Path) -> None:
    log = _log(events=[], model_usage={"p/m": _usage(), "p/n": _usage()})
    rows = reading(_written(tmp_path, log)).facts
    assert [row["model_requested"] for row in rows] == ["p/m", "p/n"]
    assert all(row["name"].startswith("roll-up of sample") for row in rows)


def test_a_grader_in_nested_spans_is_an_evaluation(tmp_path: Path) -> None:
    spans = [
        {"event": "span_begin", "id": "a", "type": "scorers", "name": "scorers"},
        {"event": "span_begin", "id": "b", "parent_id": "a", "type": "scorer", "name": "graded"},
        {"event": "span_begin", "id": "c", "parent_id": "b", "name": "inner"},
    ]
    rows = reading(_written(tmp_path, _log(events=[_model(span_id="z"), *spans, _model(span_id="c")]))).facts
    assert [row["operation"] for row in rows] == ["chat", "evaluation"]


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    events = [_model(timestamp="x"), _model(output={"usage": _usage(input_tokens=-1)}), _model()]
    whole = reading(_written(tmp_path, _log(events=events)))
    assert (len(whole.facts), whole.refused) == (1, 2)
    assert reading(_written(tmp_path, _log(id=None))).refused == 1


def test_of_a_cut_archive_the_samples_before_the_cut_are_read(shared_data: Path, tmp_path: Path) -> None:
    whole_file = next((shared_data / "inspect_logs").glob("*ptzBRo.eval"))
    cut = tmp_path / "cut.eval"
    cut.write_bytes(whole_file.read_bytes()[: whole_file.stat().st_size // 2])
    part, whole = reading(cut), reading(whole_file)
    assert 10 < len(part.outcomes) < 100
    assert any("cut or damaged" in problem.what for problem in part.problems)
    assert {row["fact_key"] for row in part.facts} < {row["fact_key"] for row in whole.facts}


def test_a_damaged_member_costs_only_itself(tmp_path: Path) -> None:
    packed = io.BytesIO()
    log = _log()
    samples = log.pop("samples")
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("samples/1_epoch_1.json", json.dumps(samples[0]))
        archive.writestr("samples/2_epoch_1.json", "{")
        archive.writestr("header.json", json.dumps(log))
    path = tmp_path / "log.eval"
    path.write_bytes(packed.getvalue())
    whole = reading(path)
    assert (len(whole.facts), whole.refused) == (1, 1)


def test_an_archive_of_something_else_is_no_log(tmp_path: Path) -> None:
    path = tmp_path / "other.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme", "hello")
    with pytest.raises(FormatError, match="zip archive of 1 files"):
        reading(path)
    with pytest.raises(FormatError, match="without header"):
        reading(path, format="inspect")


def test_a_log_begins_when_it_says(tmp_path: Path) -> None:
    from datetime import UTC, datetime

    assert reading(_written(tmp_path, _log())).facts[0]["start_ns"] == ns_of(datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC))
