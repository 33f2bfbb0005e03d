"""Langfuse: what the traces say, what of it counts once, and whose prices they were."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from asking import Books, exact_money

SUMS = "cost,cost_recorded,list_cost,usages,superseded_usages,input_tokens,output_tokens"
TWIN = "pydantic-ai-tools-2025-06-06"
"""The same trace as pydantic-ai-2025-06-06, in a second file."""


@pytest.fixture(scope="module")
def imported(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Books, dict[str, Any]]:
    """The nine files, and what the import said."""
    filled = Books(tmp_path_factory.mktemp("langfuse"))
    return filled, filled.load(shared_data / "langfuse_traces")


@pytest.fixture(scope="module")
def books(imported: tuple[Books, dict[str, Any]]) -> Books:
    """The nine files."""
    return imported[0]


def _by_file(books: Books, *words: str) -> dict[str, dict[str, Any]]:
    return {origin.split(".", maxsplit=1)[0]: row for (origin,), row in books.table(SUMS, *words, by="origin").items()}


def test_every_report_is_kept(imported: tuple[Books, dict[str, Any]], figures: dict[str, Any]) -> None:
    everything = _by_file(imported[0], "--counted", "all")
    received = {Path(row["file"]).name.split(".")[0]: row["received"] for row in imported[1]["rows"]}
    for row in figures["langfuse"]["Traces"]:
        assert received[row["file"]] == row["observations"]
        if row["file"] == TWIN:
            continue
        ours = everything[row["file"]]
        assert ours["usages"] == row["generations"]
        assert ours["superseded_usages"] == row["of these inside another generation"]
        assert (ours["input_tokens"], ours["output_tokens"]) == (row["in"], row["out"])
        assert exact_money(ours["cost_recorded"], row["recorded cost"])
        assert exact_money(ours["list_cost"], row["list price"])


def test_a_trace_in_two_files_is_one(imported: tuple[Books, dict[str, Any]], figures: dict[str, Any]) -> None:
    row = next(row for row in figures["langfuse"]["Traces"] if row["file"] == TWIN)
    traces = [other["trace id"] for other in figures["langfuse"]["Traces"] if other["file"] != TWIN]
    assert (len(set(traces)), traces.count(row["trace id"])) == (len(traces), 1)
    again = next(reply for reply in imported[1]["rows"] if TWIN in reply["file"])
    assert (again["posted"], again["duplicates"]) == (0, row["observations"])
    found = _by_file(imported[0])
    assert (len(found), TWIN in found) == (len(traces), False)
    assert exact_money(found["pydantic-ai-2025-06-06"]["cost"], row["recorded cost"])


def test_a_generation_inside_a_generation_is_one_call(books: Books, figures: dict[str, Any]) -> None:
    layers = figures["langfuse"]["Calls reported twice (agno)"]
    inner = [row for row in layers if row["inside"] != "—"]
    ours = _by_file(books)["agno-2025-06-11"]
    assert ours["usages"] == len(inner)
    assert ours["input_tokens"] == sum(row["in"] for row in inner)
    assert ours["output_tokens"] == sum(row["out"] for row in inner)
    assert exact_money(ours["cost"], sum((Decimal(row["recorded cost"]) for row in inner), Decimal(0)))


def test_the_session_shows_both_layers_and_which_counts(books: Books, figures: dict[str, Any]) -> None:
    (session,) = [
        row["session"] for row in books.rows("usages", "--where", "origin:agno-2025-06-11.trace.json", by="session")
    ]
    steps = [step for step in books.command("session", session)["rows"] if step["operation"] == "chat"]
    steps.sort(key=lambda step: step["time"])
    layers = figures["langfuse"]["Calls reported twice (agno)"]
    for ours, row in zip(steps, layers, strict=True):
        assert (ours["name"], ours["input_tokens"], ours["output_tokens"]) == (row["generation"], row["in"], row["out"])
        assert datetime.fromisoformat(ours["time"]) == datetime.fromisoformat(row["start"])
        assert exact_money(ours["cost"], row["recorded cost"])
        assert ours["counted"] == (row["inside"] != "—")
        assert bool(ours["why_not_counted"]) != ours["counted"]


def test_everything_counted_once(books: Books, figures: dict[str, Any]) -> None:
    rows = [row for row in figures["langfuse"]["Traces"] if row["file"] not in (TWIN, "agno-2025-06-11")]
    inner = [row for row in figures["langfuse"]["Calls reported twice (agno)"] if row["inside"] != "—"]
    ours = books.total(SUMS)
    assert ours["usages"] == sum(row["generations"] for row in rows) + len(inner)
    assert ours["input_tokens"] == sum(row["in"] for row in (*rows, *inner))
    assert exact_money(ours["cost"], sum((Decimal(row["recorded cost"]) for row in (*rows, *inner)), Decimal(0)))


def test_a_recorded_price_of_ones_own_is_named(books: Books, figures: dict[str, Any]) -> None:
    found = _by_file(books)
    own = {row["file"] for row in figures["langfuse"]["Traces"] if row["recorded cost"] != row["list price"]}
    named = {name for name, ours in found.items() if ours["cost"] != ours["list_cost"]}
    assert own - {TWIN} >= named >= {"langgraph-python-2025-08-22", "autogen-2025-06-06"}
    assert {row["cost_source"] for row in books.rows("cost", by="cost_source") if row["cost"] != "0"} == {"emitter"}
    assert [row["provenance"] for row in books.rows("cost", by="provenance")] == ["recorded"]
