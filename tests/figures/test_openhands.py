"""OpenHands: cost per resolved task of an index, what it does not know, and runs that tell no cost at all."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from asking import Books, exact_money, same_money

SUMS = (
    "cost,cost_recorded,usages,unpriced_usages,tasks,tasks_completed,tasks_failed,tasks_unknown,completion_rate,"
    "cost_per_completed_task,cost_per_task"
)


@pytest.fixture(scope="module")
def index(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Books:
    """Five benchmarks of three pairs of agent and model; the published scores beside them are no tables of tasks."""
    filled = Books(tmp_path_factory.mktemp("index"))
    filled.load(*sorted((shared_data / "openhands_index").rglob("instance_results")))
    return filled


@pytest.fixture(scope="module")
def runs(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Books:
    """The evaluation outputs."""
    filled = Books(tmp_path_factory.mktemp("runs"))
    filled.load(shared_data / "openhands_runs")
    return filled


@pytest.fixture(scope="module")
def benchmarks(index: Books) -> dict[tuple[str, ...], dict[str, Any]]:
    """Every figure by model and benchmark."""
    return index.table(SUMS, by="tag.model,task_type")


def _ours(benchmarks: dict[tuple[str, ...], dict[str, Any]], row: dict[str, Any]) -> dict[str, Any]:
    return benchmarks[row["agent/model"].split("/")[1], row["benchmark"]]


def test_tasks_and_results(benchmarks: dict[tuple[str, ...], dict[str, Any]], figures: dict[str, Any]) -> None:
    rows = figures["openhands_index"]["Tasks by benchmark"]
    assert len(benchmarks) == len(rows)
    for row in rows:
        ours = _ours(benchmarks, row)
        assert ours["tasks"] == ours["usages"] == row["tasks"]
        assert (ours["tasks_completed"], ours["tasks_unknown"]) == (row["resolved"], row["unknown result"])
        assert ours["tasks_failed"] == row["tasks"] - row["resolved"] - row["unknown result"]
        assert same_money(str(100 * Decimal(ours["completion_rate"])), row["resolved %"])


def test_cost_and_what_it_divides_by(
    benchmarks: dict[tuple[str, ...], dict[str, Any]], figures: dict[str, Any]
) -> None:
    for row in figures["openhands_index"]["Tasks by benchmark"]:
        ours = _ours(benchmarks, row)
        known = row["with cost"] - row["at cost 0"]
        assert ours["usages"] - ours["unpriced_usages"] == known
        assert exact_money(ours["cost_recorded"], row["cost"])
        assert same_money(ours["cost_per_completed_task"], row["cost / resolved"])
        if known:
            assert exact_money(ours["cost"], row["cost"])
            assert same_money(ours["cost_per_task"], row["mean over all tasks"])


def test_what_the_files_say_of_a_cost(index: Books, figures: dict[str, Any]) -> None:
    found = index.table("usages,cost", by="tag.model,task_type,tag.cost_stated")
    for row in figures["openhands_index"]["Tasks by benchmark"]:
        at = row["agent/model"].split("/")[1], row["benchmark"]
        counts = {said: found.get((*at, said), {}).get("usages", 0) for said in ("yes", "zero", "no")}
        assert counts["zero"] == row["at cost 0"]
        assert counts["yes"] + counts["zero"] == row["with cost"] == row["tasks"] - counts["no"]
        if counts["yes"]:
            mean = Decimal(found[*at, "yes"]["cost"]) / (counts["yes"] + counts["zero"])
            assert same_money(str(mean), row["mean over tasks with cost"])


def test_what_was_published_stands_beside_what_the_tasks_say(
    index: Books, benchmarks: dict[tuple[str, ...], dict[str, Any]], figures: dict[str, Any]
) -> None:
    split = "tag.model,task_type,tag.published_cost_per_task,tag.published_score"
    published = {key[:2]: tuple(map(Decimal, key[2:])) for key in index.table("usages", by=split)}
    gaps = {}
    for row in figures["openhands_index"]["Tasks by benchmark"]:
        at = row["agent/model"].split("/")[1], row["benchmark"]
        mean, score = published[at]
        assert (mean, score) == (Decimal(str(row["published mean"])), Decimal(str(row["published %"])))
        if (cost := benchmarks[at]["cost_per_task"]) is not None:
            gaps[at] = Decimal(cost) / mean - 1
    # the gaps that the traps name: 3.3 % and 9.1 % below what was published
    assert round(gaps["claude-sonnet-4-5", "swe-bench"], 3) == Decimal("-0.033")
    assert round(gaps["DeepSeek-V3.2-Reasoner", "swt-bench"], 3) == Decimal("-0.091")


def test_a_cost_of_zero_throughout_is_unknown(index: Books, figures: dict[str, Any]) -> None:
    rows = [row for row in figures["openhands_index"]["Tasks by benchmark"] if row["with cost"] == row["at cost 0"]]
    assert {row["agent/model"] for row in rows} == {"acp-codex/GPT-5.4"}
    ours = index.total(SUMS, "--where", "tag.model:GPT-5.4")
    assert (ours["cost"], ours["cost_per_completed_task"], ours["cost_per_task"]) == (None, None, None)
    assert ours["unpriced_usages"] == ours["tasks"] == sum(row["tasks"] for row in rows)
    assert ours["tasks_completed"] == sum(row["resolved"] for row in rows)


def test_runs_without_metrics_have_outcomes_and_no_cost(runs: Books, figures: dict[str, Any]) -> None:
    found = runs.table(SUMS, by="origin")
    for row in figures["openhands_runs"]["Runs"]:
        ours = found[(row["file"].removesuffix(".gz"),)]
        assert (ours["tasks"], ours["tasks_completed"]) == (row["runs"], row["succeeded"])
        assert ours["usages"] == row["with metrics"] == 0
        assert [ours[name] for name in ("cost", "cost_per_task", "cost_per_completed_task")] == [row["cost"]] * 3
    errors = runs.table("tasks", by="origin,tag.error,tag.model")
    for row in figures["openhands_runs"]["Runs"]:
        told = {key[1:]: found["tasks"] for key, found in errors.items() if key[0] == row["file"].removesuffix(".gz")}
        assert sum(tasks for (error, _), tasks in told.items() if error == "yes") == row["with an error"]
        # three lines of the second file name no model
        assert {model for _, model in told} - {"(untagged)"} == {row["model"]}


def test_runs_show_unknown_in_every_command(runs: Books, figures: dict[str, Any]) -> None:
    rows = figures["openhands_runs"]["Runs"]
    for command in ("spend", "outcomes"):
        for split in ((), ("--by", "origin"), ("--by", "model"), ("--by", "outcome"), ("--grain", "day")):
            reply = runs.command(command, *split)
            shown = [row[name] for row in (*reply["rows"], reply["total"]) for name in row if name.startswith("cost")]
            assert shown
            assert set(shown) == {None}
            assert reply["total"]["tasks_completed"] == sum(row["succeeded"] for row in rows)
