"""LiteLLM's map as a second source, and the findings where it disagrees (P18)."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from charging import NOVEMBER, charge, usage
from outlay.core.errors import FormatError, PriceError
from outlay.pricing.book import PriceBook
from outlay.pricing.litellm import MAP_NAME, read_map

MAP: dict[str, dict[str, Any]] = {
    "sample_spec": {"litellm_provider": "one of …", "input_cost_per_token": 0.0},
    "ft:gpt-4.1-2025-04-14": {
        "litellm_provider": "openai",
        "mode": "chat",
        "input_cost_per_token": 3e-06,
        "output_cost_per_token": 1.2e-05,
        "cache_read_input_token_cost": 7.5e-07,
        "input_cost_per_token_batches": 1.5e-06,
    },
    "gpt-4.1": {
        "litellm_provider": "openai",
        "mode": "chat",
        "input_cost_per_token": 1e-05,
        "output_cost_per_token": 8e-06,
    },
    "azure/us/gpt-4o-2024-11-20": {
        "litellm_provider": "azure",
        "mode": "chat",
        "input_cost_per_token": 2.75e-06,
        "output_cost_per_token": 1.1e-05,
    },
    "azure/gpt-4o-2024-11-20": {
        "litellm_provider": "azure",
        "input_cost_per_token": 2.75e-06,
        "output_cost_per_token": 1.1e-05,
    },
    "bedrock/ap-south-1/meta.llama3-70b-instruct-v1:0": {
        "litellm_provider": "bedrock",
        "input_cost_per_token": 3.18e-06,
        "output_cost_per_token": 4.2e-06,
    },
    "new-long": {
        "litellm_provider": "anthropic",
        "input_cost_per_token": 3e-06,
        "input_cost_per_token_above_200k_tokens": 6e-06,
        "output_cost_per_token": 1.5e-05,
        "cache_creation_input_token_cost_above_1hr": 6e-06,
    },
    "house-rerank": {
        "litellm_provider": "cohere",
        "mode": "rerank",
        "input_cost_per_token": 0.0,
        "input_cost_per_query": 0.001,
    },
    "ollama/llama3.3": {
        "litellm_provider": "ollama",
        "mode": "chat",
        "input_cost_per_token": 0.0,
        "output_cost_per_token": 0.0,
    },
    "broken": {"litellm_provider": "openai", "input_cost_per_token": "cheap", "output_cost_per_token": -1},
    "bedrock/eu-west-1/guardrails": {
        "litellm_provider": "bedrock",
        "guardrail_cost_per_unit": {"contentPolicyUnits": 0.0002, "topicPolicyUnits": 0.00015, "wordPolicyUnits": 0.0},
    },
    "tiered": {
        "litellm_provider": "dashscope",
        "tiered_pricing": [
            {"range": [0, 32000], "input_cost_per_token": 4e-07, "output_cost_per_token": 1e-06},
            {"range": [32000, 128000], "input_cost_per_token": 8e-07, "output_cost_per_token": 2e-06},
        ],
    },
    "searcher": {
        "litellm_provider": "openai",
        "input_cost_per_token": 1e-06,
        "search_context_cost_per_query": {"search_context_size_low": 0.03, "search_context_size_medium": 0.035},
    },
}


@pytest.fixture
def book(tmp_path: Path) -> PriceBook:
    found = PriceBook.load(tmp_path)
    found.import_litellm(json.dumps(MAP).encode(), date(2026, 11, 20))
    return found


def test_a_fine_tune_gets_its_imported_rate(book: PriceBook) -> None:
    found = charge(book, usage("openai", "ft:gpt-4.1-2025-04-14", in_uncached=1_000), "in_uncached")
    assert (found["rate_pico"], found["price"]) == (3_000_000, "LiteLLM map of 2026-11-20: ft:gpt-4.1-2025-04-14")


def test_its_batch_price_is_applied_where_it_has_one(book: PriceBook) -> None:
    row = usage("openai", "ft:gpt-4.1-2025-04-14", processing="batch", in_uncached=1_000, out_text=10)
    assert charge(book, row, "in_uncached")["variant_applied"] == "processing=batch"
    assert charge(book, row, "in_uncached")["rate_pico"] == 1_500_000
    assert charge(book, row, "out_text")["variant_applied"] == "standard (asked: batch)"


def test_long_context_suffixes_become_tiers(book: PriceBook) -> None:
    rows = [usage("anthropic", "new-long", in_uncached=count) for count in (200_000, 200_001)]
    assert [charge(book, row, "in_uncached")["rate_pico"] for row in rows] == [3_000_000, 6_000_000]
    assert (
        charge(book, usage("anthropic", "new-long", in_cache_write_1h=1), "in_cache_write_1h")["rate_pico"] == 6_000_000
    )


def test_searches_are_priced_by_the_query(book: PriceBook) -> None:
    assert charge(book, usage("cohere", "house-rerank", searches=2), "searches")["amount_nano"] == 2_000_000
    assert charge(book, usage("openai", "searcher", web_searches=1), "web_searches")["amount_nano"] == 10_000_000


def test_a_map_that_says_zero_throughout_says_nothing(book: PriceBook) -> None:
    assert charge(book, usage("ollama", "llama3.3", in_uncached=9), "in_uncached")["provenance"] == "unpriced"


def test_p18_disagreement_is_a_finding_and_the_order_decides(book: PriceBook) -> None:
    found = {(each.provider, each.model, each.meter): each for each in book.conflicts(NOVEMBER)}
    azure = found["azure", "azure/us/gpt-4o-2024-11-20", "in_uncached"]
    assert (azure.used_pico, azure.other_pico, azure.percent) == (2_500_000, 2_750_000, 10)
    assert "genai-prices" in azure.used
    assert azure.other == "LiteLLM map of 2026-11-20"
    assert azure.problem().what.startswith("price conflict on in_uncached: 2.5 USD per 1M")
    assert ("openai", "gpt-4.1", "out_text") not in found
    llama = found["aws", "bedrock/ap-south-1/meta.llama3-70b-instruct-v1:0", "in_uncached"]
    assert (llama.used_pico, llama.other_pico) == (2_650_000, 3_180_000)
    assert charge(book, usage("openai", "gpt-4.1", in_uncached=1_000), "in_uncached")["rate_pico"] == 2_000_000


def test_the_report_counts_what_came_in(tmp_path: Path) -> None:
    report = PriceBook.load(tmp_path).import_litellm(json.dumps(MAP).encode())
    assert (report.models, report.new_models) == (10, 6)
    assert {problem.where for problem in report.problems} == {"broken"}
    assert len(report.problems) == 2


def test_it_survives_a_reload_and_comes_from_a_file_too(tmp_path: Path) -> None:
    file = tmp_path / "map.json"
    file.write_text(json.dumps(MAP))
    home = tmp_path / "prices"
    first = PriceBook.load(home)
    before = first.version
    first.import_litellm(file, date(2026, 11, 20))
    assert first.version != before
    again = PriceBook.load(home)
    assert again.version == first.version
    assert again.user.imported.as_of == "2026-11-20"


@pytest.mark.parametrize("content", [b"", b"not json", b"[]", b'{"a": {"b": 1}}'])
def test_something_else_is_refused_and_nothing_is_kept(tmp_path: Path, content: bytes) -> None:
    book = PriceBook.load(tmp_path)
    with pytest.raises(FormatError):
        book.import_litellm(content)
    assert not (tmp_path / MAP_NAME).exists()


def test_a_missing_file_and_plain_http_are_refused(tmp_path: Path) -> None:
    book = PriceBook.load(tmp_path)
    with pytest.raises(PriceError, match="cannot read"):
        book.import_litellm(tmp_path / "none.json")
    with pytest.raises(PriceError, match="plain http"):
        book.import_litellm("http://example.org/map.json")


def test_p20_a_table_that_stopped_moving_is_reported(book: PriceBook) -> None:
    assert book.stale(datetime(2026, 11, 25, tzinfo=UTC)) == []
    found = {problem.where: problem.what for problem in book.stale(datetime(2027, 2, 1, tzinfo=UTC))}
    assert set(found) == {"genai-prices", "Outlay's own rows", "the imported LiteLLM map"}
    assert found["the imported LiteLLM map"] == "its newest price is 73 days old"


def test_shapes_of_the_map_beyond_a_number(book: PriceBook) -> None:
    rows = [usage("dashscope", "tiered", in_uncached=count) for count in (32_000, 32_001)]
    assert [charge(book, row, "in_uncached")["rate_pico"] for row in rows] == [400_000, 800_000]
    (guardrails,) = book.user.imported.by_name["aws", "guardrails"]
    assert (guardrails.region, guardrails.picos) == ("eu-west-1", {("policy_units", "", 0): 200_000_000})


def test_reading_keeps_regions_apart() -> None:
    found = read_map(json.dumps(MAP).encode(), "2026-11-20")
    regions = {row.region for row in found.by_name["azure", "gpt-4o-2024-11-20"]}
    assert regions == {"us", ""}
