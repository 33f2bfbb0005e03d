"""All sets in one home: none takes anything from another, and a second import adds nothing."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from asking import Books, exact_money

SUMS = "cost,cost_recorded,usages,operations,tasks,tasks_completed,cost_per_completed_task"
FOLDERS = (
    *("aider_analytics", "azure_llm_2023", "claude_code_sessions", "inspect_logs", "langfuse_traces"),
    *("mooncake_conversation", "openhands_runs", "tau2_gym", "tau2_judged", "tau2_other"),
)


def _paths(shared_data: Path) -> list[Path]:
    index = sorted((shared_data / "openhands_index").rglob("instance_results"))
    return [*(shared_data / folder for folder in FOLDERS), *index]


@pytest.fixture(scope="module")
def imported(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Books, dict[str, Any]]:
    """Every set but the recorded HTTP exchanges, and what the import said."""
    filled = Books(tmp_path_factory.mktemp("together"))
    return filled, filled.load(*_paths(shared_data))


@pytest.fixture(scope="module")
def sources(imported: tuple[Books, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The figures by source."""
    return {source: row for (source,), row in imported[0].table(SUMS, by="source").items()}


def test_every_row_of_every_file_has_one_fate(imported: tuple[Books, dict[str, Any]]) -> None:
    for row in (*imported[1]["rows"], imported[1]["total"]):
        assert row["received"] == row["posted"] + row["duplicates"] + row["refused"]
    assert (imported[1]["total"]["refused"], imported[1]["total"]["unreadable"]) == (0, 0)


def test_each_source_keeps_its_own_figures(sources: dict[str, dict[str, Any]], figures: dict[str, Any]) -> None:
    (judges,) = figures["judges"]["Judge calls by session"]
    facts = {row["figure"]: row["value"] for row in figures["aider"]["Messages"]}
    index = figures["openhands_index"]["Tasks by benchmark"]
    tau2 = figures["tau2"]["Outcomes and recorded cost (done = reward 1)"]
    messages = figures["tau2"]["Calls, tokens and the cost written on each message"]
    said = [Decimal(row[f"{payer} message cost"]) for row in messages for payer in ("agent", "user")]
    assert exact_money(sources["tau2"]["cost"], sum(said, Decimal(0)))
    assert sources["tau2"]["tasks_completed"] == sum(row["done"] for row in tau2)
    assert exact_money(sources["tau2_judges"]["cost"], judges["cost, summed"])
    assert sources["tau2_judges"]["tasks"] == judges["sessions judged"]
    assert exact_money(sources["table:aider_analytics"]["cost_recorded"], facts["cost"])
    assert sources["table:aider_analytics"]["usages"] == facts["messages"]
    assert exact_money(
        sources["table:openhands_index"]["cost"], sum((Decimal(row["cost"]) for row in index), Decimal(0))
    )
    assert sources["table:openhands_index"]["tasks_completed"] == sum(row["resolved"] for row in index)
    assert sources["inspect"]["tasks_completed"] == sum(row["correct"] for row in figures["inspect"]["Logs"])


@pytest.mark.parametrize("source", ["table:azure_llm_2023", "table:mooncake", "table:openhands_runs"])
def test_what_nobody_prices_never_costs_zero(sources: dict[str, dict[str, Any]], source: str) -> None:
    ours = sources[source]
    assert (ours["cost"], ours["cost_per_completed_task"]) == (None, None)
    assert ours["usages"] or ours["tasks"]


def test_the_list_of_sessions_adds_up_to_the_same_cost(imported: tuple[Books, dict[str, Any]]) -> None:
    reply = imported[0].command("sessions", "--top", "10000")
    whole = imported[0].total("cost,usages,input_tokens,output_tokens")
    assert sum(Decimal(row["cost"] or 0) for row in reply["rows"]) == Decimal(whole["cost"])
    for name in ("usages", "input_tokens", "output_tokens"):
        assert sum(row[name] for row in reply["rows"]) == whole[name]


def test_a_second_import_changes_nothing_and_the_books_are_sound(
    imported: tuple[Books, dict[str, Any]], shared_data: Path
) -> None:
    books, first = imported
    before = books.command("spend", "--by", "source,origin", "--measures", SUMS)
    again = books.load(*_paths(shared_data))["total"]
    assert (again["posted"], again["duplicates"]) == (0, first["total"]["received"])
    assert books.command("spend", "--by", "source,origin", "--measures", SUMS) == before
    # files of strangers name no team, and much in them has no price: the doctor says so, and finds nothing else
    checks = books.command("doctor", code=1)["rows"]
    assert {check["name"] for check in checks if not check["ok"]} == {"prices known", "attributed"}
