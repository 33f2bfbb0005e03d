"""Inspect AI: samples, epochs, tokens that lie inside others, the grader's share, and a log that states only totals."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from asking import Books

OTHER_NAMES = {"log_streaming.eval": "Meta-Llama-3-405B-Instruct"}
"""What answered where the log names a deployment."""
SUMS = "usages,input_tokens,output_tokens,cache_read_tokens,reasoning_tokens,total_tokens"


@pytest.fixture(scope="module")
def imported(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Books, dict[str, Any]]:
    """The nine logs, and what the import said."""
    filled = Books(tmp_path_factory.mktemp("inspect"))
    return filled, filled.load(shared_data / "inspect_logs")


@pytest.fixture(scope="module")
def books(imported: tuple[Books, dict[str, Any]]) -> Books:
    """The nine logs."""
    return imported[0]


def _is(origin: str, name: str) -> bool:
    """Whether a file is the one that the figures name with its middle left out."""
    first, _, last = name.partition("…")
    return origin.startswith(first) and origin.endswith(last)


def _of(table: dict[tuple[str, ...], dict[str, Any]], name: str) -> dict[str, Any]:
    (found,) = [row for (origin, *_), row in table.items() if _is(origin, name)]
    return found


def test_samples_and_how_they_ended(books: Books, figures: dict[str, Any]) -> None:
    found = books.table("sessions,tasks,tasks_completed,tasks_failed", by="origin")
    for row in figures["inspect"]["Logs"]:
        ours = _of(found, row["file"])
        assert ours["sessions"] == ours["tasks"] == row["samples"]
        assert ours["tasks_completed"] == row["correct"]
    assert len(found) == len(figures["inspect"]["Logs"])


def test_a_sample_of_another_epoch_is_another_session(books: Books, figures: dict[str, Any]) -> None:
    pairs = [(row["origin"], row["session"]) for row in books.rows("usages", by="origin,session")]
    for row in figures["inspect"]["Logs"]:
        sessions = [session.rsplit("/", 1) for origin, session in pairs if _is(origin, row["file"])]
        assert len({epoch for _, epoch in sessions}) == row["epochs"]
        assert len({sample for sample, _ in sessions}) == row["samples"] // row["epochs"]


def test_tokens_and_those_inside_them(books: Books, figures: dict[str, Any]) -> None:
    found = books.table(SUMS, by="origin")
    for row in figures["inspect"]["Logs"]:
        ours = _of(found, row["file"])
        assert (ours["input_tokens"], ours["output_tokens"]) == (row["in"], row["out"])
        assert ours["cache_read_tokens"] == row["of these cache read"]
        assert ours["reasoning_tokens"] == row["reasoning"]
        assert ours["total_tokens"] == row["total stated"]


def test_models_and_times_are_those_of_the_log(books: Books, figures: dict[str, Any]) -> None:
    models = books.table("usages", "--where", "operation:chat", by="origin,model_raw")
    for row in figures["inspect"]["Logs"]:
        (origin, model), *others = [key for key in models if _is(key[0], row["file"])]
        assert not others
        # the name that answered, which is the one asked for with its date, or another one where a deployment was asked
        asked = row["model"].partition("/")[2]
        assert model == OTHER_NAMES.get(row["file"]) or model == row["model"] or model.startswith(asked)
        began = books.command("spend", "--where", f"origin:{origin}")["coverage"]["from"]
        gap = datetime.fromisoformat(began) - datetime.fromisoformat(row["started"])
        assert timedelta(0) <= gap < timedelta(minutes=1)


def test_what_the_graders_used(books: Books, figures: dict[str, Any]) -> None:
    found = books.table("total_tokens", by="origin,centre")
    for row in figures["inspect"]["Logs"]:
        graders = [
            ours for (origin, centre), ours in found.items() if _is(origin, row["file"]) and centre == "guardrails"
        ]
        assert sum(ours["total_tokens"] for ours in graders) == row["by graders"]


def test_a_log_that_states_only_totals_says_so(imported: tuple[Books, dict[str, Any]], figures: dict[str, Any]) -> None:
    row = next(row for row in figures["inspect"]["Logs"] if not row["total by samples"])
    books, said = imported
    assert any(
        row["file"] in problem["where"] and "roll-up" in problem["hint"] for problem in said["coverage"]["problems"]
    )
    found = books.table(SUMS, "--where", f"origin:{row['file']}", by="name")
    rolled = {name: ours for (name,), ours in found.items() if ours["usages"]}
    assert [name.startswith("roll-up") for name in rolled] == [True]
    assert sum(ours["total_tokens"] for ours in rolled.values()) == row["total stated"]
