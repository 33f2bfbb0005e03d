"""Real runs: what the book says must be what the figures of the data say, to the last digit."""

from __future__ import annotations

import csv
import importlib.util
import json
from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from charging import NOVEMBER, amounts, usage

from outlay.core.money import NANO
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
        in_uncached=said["input_tokens"],
        in_cache_read=said["cache_read_input_tokens"],
        in_cache_write_1h=said["cache_creation_input_tokens"],
        out_text=said["output_tokens"],
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
