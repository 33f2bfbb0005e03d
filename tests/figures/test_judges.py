"""Judges of tau2-bench: cost under sessions whose own log is not here, and a list price that hangs on who serves."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from asking import Books, exact_money


@pytest.fixture(scope="module")
def books(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Books:
    """The one summary."""
    filled = Books(tmp_path_factory.mktemp("judges"))
    filled.load(shared_data / "tau2_judged")
    return filled


@pytest.fixture
def row(figures: dict[str, Any]) -> dict[str, Any]:
    """The figures of the summary."""
    (only,) = figures["judges"]["Judge calls by session"]
    return only


def test_cost_tokens_and_verdicts(books: Books, row: dict[str, Any]) -> None:
    measures = "cost,cost_recorded,usages,sessions,sessions_seen,tasks,tasks_completed,input_tokens,output_tokens"
    ours = books.total(measures)
    assert exact_money(ours["cost"], row["cost, summed"])
    assert exact_money(ours["cost_recorded"], row["cost, stated"])
    assert ours["usages"] == ours["sessions"] == ours["tasks"] == row["sessions judged"]
    assert (ours["input_tokens"], ours["output_tokens"]) == (row["tokens in"], row["tokens out"])
    assert ours["tasks_completed"] == row["sessions done"]
    assert ours["sessions_seen"] == row["session log present"]


def test_all_of_it_is_the_cost_centre_of_checks(books: Books, row: dict[str, Any]) -> None:
    (ours,) = books.rows("cost", by="centre,model_raw,origin")
    assert (ours["centre"], ours["model_raw"]) == ("guardrails", row["judge model"])
    assert row["file"] in ours["origin"]
    assert exact_money(ours["cost"], row["cost, summed"])


def test_what_the_judge_passed_though_it_was_not_done(books: Books, row: dict[str, Any]) -> None:
    found = books.table("sessions,tasks", by="outcome,tag.verdict")
    assert found["failed", "pass"]["sessions"] == found["failed", "pass"]["tasks"] == row["judged pass though not done"]


def test_every_call_fits_the_price_of_who_served_it(shared_data: Path, tmp_path: Path, row: dict[str, Any]) -> None:
    """Azure bills 2.75 / 11 in a region and 2.5 / 10 globally: a price of one's own by provider explains all 114."""
    own = Books(tmp_path)
    rates = ("input=2.75 per 1M", "cache_read=1.25 per 1M", "output=11 per 1M")
    own.command("prices", "add", "--provider", "azure", "--model", "gpt-4o-2024-11-20", *rates)
    own.load(shared_data / "tau2_judged")
    found = own.rows("cost_recorded,list_cost", by="session")
    fitting = sum(ours["cost_recorded"] == ours["list_cost"] for ours in found)
    assert fitting == row["equal to list price within 1e-9"] == len(found)


def test_the_price_of_another_provider_is_another_cost(books: Books, row: dict[str, Any]) -> None:
    """The shipped book has Azure's global price, which is OpenAI's own: trap 6 names what it comes to."""
    ours = books.total("list_cost,cost")
    assert (ours["list_cost"], ours["cost"]) == ("1.153095", str(round(Decimal(row["cost, summed"]), 7)))
