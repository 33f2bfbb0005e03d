"""Real runs: what the book says must be what the figures of the data say, to the last digit."""

from __future__ import annotations

import importlib.util
from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from charging import NOVEMBER, amounts, usage
from outlay.core.money import NANO, nano_of
from outlay.pricing.book import PriceBook

BOOK = PriceBook.load(None)


@pytest.fixture(scope="module")
def figures(shared: Path) -> ModuleType:
    """The tool that prints the figures, as a module."""
    spec = importlib.util.spec_from_file_location("figures", shared / "tools" / "figures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def near(nano: int, recorded: Decimal) -> bool:
    """Recorded costs carry binary noise, which is rounded away once at the door."""
    return abs(Decimal(nano) / NANO - recorded) < Decimal("0.000000001")


def priced(rows: list[dict[str, Any]]) -> Decimal:
    found = amounts(BOOK, *rows)
    assert sum(row["unpriced_meters"] for row in found) == 0
    return Decimal(sum(row["amount_nano"] for row in found)) / NANO


def test_claude_code_sessions(figures: ModuleType) -> None:
    files = sorted((figures.DATA / "claude_code_sessions").rglob("*.gz"))
    everything = [each for path in files for each in figures.claude_usages(path)]
    single = figures.one_per_response([each for each in everything if each["place"] in ("main", "own log")])
    sessions: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for each in single:
        sessions[each["session"][:8], each["place"], each["model"]].append(claude(each))
    assert {key: str(priced(rows)) for key, rows in sessions.items()} == {
        ("258c7280", "main", "claude-opus-4-6"): "11.8539235",
        ("258c7280", "own log", "claude-opus-4-6"): "0.108414",
        ("258c7280", "own log", "claude-sonnet-4-5-20250929"): "0.2633937",
        ("491e126e", "main", "claude-opus-4-6"): "0.519593",
        ("55604662", "main", "claude-opus-4-6"): "0.1444475",
        ("d6e0bada", "main", "claude-opus-4-6"): "0.2266455",
    }
    assert priced([row for rows in sessions.values() for row in rows]) == Decimal("13.1164172")


def claude(each: dict[str, Any]) -> dict[str, Any]:
    said = each["usage"]
    return usage(
        "anthropic",
        each["model"],
        time=datetime(2026, 2, 11, tzinfo=UTC),
        in_uncached=said["input_tokens"],
        in_cache_read=said["cache_read_input_tokens"],
        in_cache_write_1h=said["cache_creation_input_tokens"],
        out_text=said["output_tokens"],
    )


def test_tau2_list_prices_stand_beside_the_recorded_cost(figures: ModuleType) -> None:
    compared = 0
    for path, run in figures.tau2_files():
        for role, side in (("assistant", "agent_info"), ("user", "user_info")):
            model = run["info"][side]["llm"]
            if model not in figures.OPENAI_PRICES:
                continue
            expected = figures.tau2_reprice_row(path, run, role, model)
            rows = amounts(BOOK, *tau2(run, role, model))
            assert len(rows) == expected["calls"]
            assert near(sum(row["recorded_nano"] for row in rows), expected["recorded"])
            assert Decimal(sum(row["list_nano"] for row in rows)) / NANO == expected["list without cache"]
            assert sum(row["priced_nano"] for row in rows) == 0
            compared += 1
    assert compared == 11


def tau2(run: dict[str, Any], role: str, model: str) -> list[dict[str, Any]]:
    calls = [
        each
        for session in run["simulations"]
        for each in session["messages"]
        if each["role"] == role and each.get("cost")
    ]
    return [
        usage(
            "",
            model,
            time=datetime(2026, 3, 14, tzinfo=UTC),
            in_uncached=each["usage"]["prompt_tokens"],
            out_text=each["usage"]["completion_tokens"],
            cost_nano=nano_of(each["cost"]),
            cost_source="emitter",
        )
        for each in calls
    ]


def test_the_fine_tune_of_tau2_is_unpriced_not_free(figures: ModuleType) -> None:
    (run,) = [run for path, run in figures.tau2_files() if path.name.startswith("ft-gpt-4.1")]
    model = run["info"]["agent_info"]["llm"]
    messages = [each for session in run["simulations"] for each in session["messages"]]
    said = [each["usage"] for each in messages if each["role"] == "assistant" and each.get("usage")]
    rows = amounts(
        BOOK,
        *(
            usage("openai", model, in_uncached=each["prompt_tokens"], out_text=each["completion_tokens"], cost_nano=0)
            for each in said
        ),
    )
    assert sum(row["amount_nano"] for row in rows) == 0
    assert sum(row["unpriced_tokens"] for row in rows) == 1_277_560 + 16_829
    assert {row["list_nano"] for row in rows} == {None}
    assert all(0 < row["band_low_nano"] < row["band_high_nano"] for row in rows)


def test_langfuse_traces_keep_their_recorded_cost_and_show_the_list_price(figures: ModuleType) -> None:
    listed = {row["file"]: row for row in figures.langfuse()["Traces"]}
    for path in sorted((figures.DATA / "langfuse_traces").glob("*.json")):
        trace = figures.parse(figures.text(path))
        generations = [each for each in trace["observations"] if each["type"] == "GENERATION"]
        rows = amounts(BOOK, *(langfuse(each) for each in generations))
        expected = listed[figures.brief(path)]
        assert near(sum(row["recorded_nano"] for row in rows), expected["recorded cost"])
        assert Decimal(sum(row["list_nano"] for row in rows)) / NANO == expected["list price"]


def langfuse(each: dict[str, Any]) -> dict[str, Any]:
    return usage(
        "",
        each["model"],
        time=datetime(2025, 8, 28, tzinfo=UTC),
        in_uncached=each["usageDetails"]["input"],
        out_text=each["usageDetails"]["output"],
        cost_nano=nano_of(each["costDetails"]["total"]),
        cost_source="emitter",
    )


@pytest.mark.parametrize(
    ("provider", "model", "picos"),
    [
        ("openai", "gpt-4.1", (2_000_000, 500_000, 8_000_000)),
        ("openai", "gpt-4.1-mini", (400_000, 100_000, 1_600_000)),
        ("openai", "gpt-4o", (2_500_000, 1_250_000, 10_000_000)),
        ("openai", "gpt-4o-mini", (150_000, 75_000, 600_000)),
        ("anthropic", "claude-haiku-4-5-20251001", (1_000_000, 100_000, 5_000_000)),
    ],
)
def test_list_prices_of_the_recorded_runs(provider: str, model: str, picos: tuple[int, int, int]) -> None:
    said = {price.meter: price.rate_pico for price in BOOK.applied(model, provider, NOVEMBER)}
    assert (said["in_uncached"], said["in_cache_read"], said["out_text"]) == picos
