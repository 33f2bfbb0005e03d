"""Reports on tasks as a program or a person writes them, and the commands that ask for tasks."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from outlay.core.errors import InputError
from outlay.faces.cli.main import run
from outlay.faces.outcomes import outcomes_batch

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
GOOD = {"task_id": "t", "status": "done"}


def keys(*rows: dict[str, Any]) -> list[bytes]:
    return outcomes_batch(list(rows), NOW).outcomes["outcome_key"].to_pylist()


def test_the_same_report_is_the_same_and_another_word_is_another() -> None:
    later = datetime(2026, 11, 21, tzinfo=UTC)
    assert keys(GOOD) == outcomes_batch(GOOD, later).outcomes["outcome_key"].to_pylist()
    named = GOOD | {"id": "r1"}
    changes = [{"status": "failed"}, {"value": "1"}, {"session_id": "s"}, {"at": "2026-11-01"}, {"id": "r2"}]
    assert len(set(keys(named, *(named | change for change in changes)))) == 6


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"task_id": None}, "no session_id in its place"),
        ({"currency": "euro"}, "ISO 4217"),
        ({"at": "2026-11-22"}, "lies in the future"),
        ({"reported_at": "2026-12-01"}, "lies in the future"),
        ({"session_ids": "s1"}, "a list of texts"),
        ({"session_ids": [""]}, "a list of texts"),
        ({"session_ids": ["s"] * 1001}, "at most 1000"),
        ({"tags": {str(n): "x" for n in range(65)}}, "at most 64"),
        ({"task_id": "t" * 257}, "at most 256"),
        ({"value": "NaN"}, "finite"),
        ({"value": "1e30"}, "out of range"),
        ({"status": "complete"}, "unknown status"),
    ],
)
def test_what_is_wrong_with_a_report_is_said(change: dict[str, Any], told: str) -> None:
    batch = outcomes_batch([GOOD | change, GOOD], NOW)
    assert (batch.refused, batch.outcomes.num_rows) == (1, 1)
    assert told in batch.problems[0].what


def test_a_session_or_an_answer_may_stand_for_the_task() -> None:
    rows = [{"status": "done", "session_id": "s"}, {"status": "done", "response_id": "answer-1"}]
    found = outcomes_batch(rows, NOW).outcomes.to_pylist()
    assert [(row["task_id"], row["session_ids"], row["response_id"]) for row in found] == [
        (None, ["s"], None),
        (None, [], "answer-1"),
    ]


def test_anything_else_than_objects_is_refused_whole() -> None:
    with pytest.raises(InputError):
        outcomes_batch("done", NOW)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OUTLAY_HOME", str(tmp_path))
    spend = tmp_path / "spend.csv"
    spend.write_text("when,session,usd\n2026-11-01T08:00:00Z,run-9,0.50\n2026-11-01T09:00:00Z,run-10,0.25\n")
    (tmp_path / "spend.toml").write_text(
        'name = "spend"\n[identity]\ncolumns = ["session"]\n[fact]\nstart = "when"\n'
        'operation = { value = "chat" }\nsession_id = "session"\nfeature = { value = "kyc" }\ncost = "usd"\n'
    )
    return tmp_path


def asked(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    capsys.readouterr()
    assert run([*words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_from_a_recorded_outcome_to_its_margin(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked(capsys, "import", str(home / "spend.csv"), "--mapping", str(home / "spend.toml"))
    told = ("outcomes", "record", "t1", "--session", "run-9", "--at", "2026-11-02", "--status")
    assert asked(capsys, *told, "failed", "--id", "1")["total"]["posted"] == 1
    assert asked(capsys, *told, "failed", "--id", "1")["total"]["duplicates"] == 1
    asked(capsys, *told, "done", "--value", "12.50")
    asked(capsys, "outcomes", "record", "--status", "failed", "--session", "run-10", "--at", "2026-11-02")
    rows = {row["task"]: row for row in asked(capsys, "outcomes", "list")["rows"]}
    assert (rows["t1"]["outcome"], rows["t1"]["cost"], rows["t1"]["margin"]) == ("done", "0.5", "12")
    assert rows["run-10"]["margin"] == "-0.25"
    shown = asked(capsys, "outcomes", "show", "t1")
    assert [(row["outcome"], row["current"]) for row in shown["rows"]] == [("done", True), ("failed", False)]
    total = asked(capsys, "outcomes", "--by", "feature")["total"]
    assert (total["cost_per_completed_task"], total["outcome_margin"], total["interval_tasks"]) == ("0.75", "11.75", 2)
    assert run(["outcomes", "show", "nobody"]) == 1
    assert run(["outcomes", "record", "--status", "done"]) == 2
    assert run(["outcomes", "record", "t", "--status", "done", "--currency", "euro"]) == 1


def test_rules_of_the_home_hold_and_a_rebuild_says_the_same(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked(capsys, "import", str(home / "spend.csv"), "--mapping", str(home / "spend.toml"))
    (home / "outcomes.toml").write_text('[timeout.feature]\nkyc = "1h"\n')
    assert asked(capsys, "outcomes", "--measures", "tasks_abandoned")["total"] == {"tasks_abandoned": 2}
    rebuilt = asked(capsys, "rebuild")
    assert (rebuilt["total"]["matches"], rebuilt["total"]["outcomes"]) == (True, 0)
    (home / "outcomes.toml").write_text('[timeout]\ndefault = "soon"\n')
    assert run(["outcomes"]) == 1
    assert 'like "90m"' in capsys.readouterr().err
