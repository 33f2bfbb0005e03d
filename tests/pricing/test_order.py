"""The order of resolution (P27), contracts, discounts, the family fallback, and what the book tells about it."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from charging import NOVEMBER, amounts, charge, charges, usage
from outlay.core.errors import PriceError
from outlay.pricing.book import PriceBook

FINE_TUNE = "ft:gpt-4.1-2025-04-14:acme::x"


def input_rate(book: PriceBook, provider: str, model: str, **said: object) -> tuple[int | None, str]:
    found = charge(book, usage(provider, model, in_uncached=1_000, **said), "in_uncached")
    return found["rate_pico"], found["price"]


def test_p27_each_source_yields_to_the_one_before(tmp_path: Path) -> None:
    book = PriceBook.load(tmp_path)
    lite = {"house-model": {"litellm_provider": "openai", "input_cost_per_token": 9e-06}}
    lite["gpt-4.1"] = {"litellm_provider": "openai", "input_cost_per_token": 9e-06}
    assert input_rate(book, "openai", "house-model") == (None, "(unpriced)")
    book.import_litellm(json.dumps(lite).encode(), date(2026, 11, 20))
    assert input_rate(book, "openai", "house-model") == (9_000_000, "LiteLLM map of 2026-11-20: house-model")
    assert input_rate(book, "openai", "gpt-4.1") == (2_000_000, "genai-prices 0.2.3 openai/gpt-4.1")
    book.add_override({"provider": "openai", "model": "gpt-4.1", "source": "ours", "input": "1.5 per 1M"})
    assert input_rate(book, "openai", "gpt-4.1") == (1_500_000, "override: ours")
    book.add_contract({"name": "deal", "provider": "openai", "model": "gpt-4.1", "input": "1 per 1M"})
    assert input_rate(book, "openai", "gpt-4.1") == (1_000_000, "contract: deal")
    found = [
        (price.source.split(" ")[0], price.priority)
        for price in book.find("gpt-4.1", "openai", NOVEMBER)
        if price.meter == "in_uncached"
    ]
    assert found == [("contract:", 60), ("override:", 50), ("genai-prices", 40), ("LiteLLM", 20), ("family", 10)]


def test_the_family_fallback_is_off_until_asked_for_and_always_flagged(tmp_path: Path) -> None:
    row = usage("openai", FINE_TUNE, in_uncached=1_000, out_text=1_000)
    assert {each["provenance"] for each in charges(PriceBook.load(tmp_path), row)} == {"unpriced"}
    (tmp_path / "overrides.toml").write_text("family_fallback = true\n")
    book = PriceBook.load(tmp_path)
    found = charges(book, row)
    assert [(each["provenance"], each["rate_pico"], each["price"]) for each in found] == [
        ("estimated", 2_000_000, "family gpt-4.1"),
        ("estimated", 8_000_000, "family gpt-4.1"),
    ]
    (sums,) = amounts(book, row)
    assert (sums["estimated_nano"], sums["priced_nano"], sums["unpriced_meters"]) == (10_000_000, 0, 0)


def test_a_discount_is_taken_off_what_the_book_says_from_its_first_day(tmp_path: Path) -> None:
    book = PriceBook.load(tmp_path)
    book.add_contract(
        {
            "name": "deal",
            "provider": "openai",
            "from": date(2026, 11, 1),
            "to": date(2027, 1, 1),
            "discount_percent": "12.5",
        }
    )
    assert input_rate(book, "openai", "gpt-4.1", time=datetime(2026, 10, 31, 23, tzinfo=UTC))[0] == 2_000_000
    assert input_rate(book, "openai", "gpt-4.1", time=datetime(2027, 1, 1, tzinfo=UTC))[0] == 2_000_000
    row = usage("openai", "gpt-5.4", in_uncached=300_000, time=datetime(2026, 11, 1, tzinfo=UTC))
    found = charge(book, row, "in_uncached")
    assert found["rate_pico"] == 4_375_000
    assert found["price"] == "contract: deal, on genai-prices 0.2.3 openai/gpt-5.4"
    assert found["variant_applied"] == "standard; −12.5 %; input > 272000"


def test_an_agreed_price_stands_beside_a_discount_on_the_rest(tmp_path: Path) -> None:
    book = PriceBook.load(tmp_path)
    book.add_contract(
        {"name": "deal", "provider": "openai", "model": "gpt-4.1", "discount_percent": "50", "output": "7 per 1M"}
    )
    rates = {
        each["meter"]: each["rate_pico"]
        for each in charges(book, usage("openai", "gpt-4.1", in_uncached=1, out_text=1))
    }
    assert rates == {"in_uncached": 1_000_000, "out_text": 7_000_000}


def test_conditions_and_dates_narrow_an_override(tmp_path: Path) -> None:
    book = PriceBook.load(tmp_path)
    book.add_override(
        {
            "provider": "azure",
            "model": "gpt-4o*",
            "region": "eu*",
            "service_tier": "priority",
            "source": "ours",
            "input": "9 per 1M",
        }
    )
    assert input_rate(book, "azure", "gpt-4o", region="eu-west-1", service_tier="priority")[0] == 9_000_000
    assert input_rate(book, "azure", "gpt-4o", region="us", service_tier="priority")[0] == 2_500_000
    assert input_rate(book, "azure", "gpt-4o", region="eu-west-1")[0] == 2_500_000


def test_a_catalogue_cache_price_is_closer_than_an_override_on_input(tmp_path: Path) -> None:
    book = PriceBook.load(tmp_path)
    book.add_override({"provider": "openai", "model": "gpt-4.1", "source": "ours", "input": "1 per 1M"})
    rates = {
        each["meter"]: each["rate_pico"]
        for each in charges(book, usage("openai", "gpt-4.1", in_uncached=1, in_cache_read=1))
    }
    assert rates == {"in_uncached": 1_000_000, "in_cache_read": 500_000}


def test_long_context_of_one_s_own(tmp_path: Path) -> None:
    book = PriceBook.load(tmp_path)
    place = {"provider": "vllm", "model": "qwen*", "source": "ours"}
    book.add_override(place | {"input": "1 per 1M"})
    book.add_override(place | {"input": "2 per 1M", "above": 100_000})
    rows = [usage("vllm", "qwen3", in_uncached=count) for count in (100_000, 100_001)]
    assert [each["rate_pico"] for each in charges(book, *rows)] == [1_000_000, 2_000_000]


def test_history_tells_when_a_price_moved() -> None:
    rows = [price for price in PriceBook.load(None).history("o3", "openai") if price.meter == "in_uncached"]
    assert [price.rate_pico for price in rows] == [10_000_000, 2_000_000]
    assert rows[0].valid_to_ns == rows[1].valid_from_ns
    assert rows[1].valid_to_ns is None


def test_an_unknown_model_has_no_prices() -> None:
    book = PriceBook.load(None)
    assert book.find("nobody-knows-me", "nobody", NOVEMBER) == []
    assert book.applied("nobody-knows-me", "nobody", NOVEMBER) == []
    assert {price.meter for price in book.find("nobody-knows-me", "openai", NOVEMBER)} == {
        "web_searches",
        "code_executions",
    }


def test_a_price_lent_by_the_maker_says_so_and_takes_no_variants() -> None:
    found = charge(
        PriceBook.load(None), usage("azure", "gpt-4o", service_tier="priority", in_uncached=1_000), "in_uncached"
    )
    assert found["rate_pico"] == 2_500_000
    assert found["variant_applied"] == "standard (asked: priority); no price of azure itself: the maker's"


def test_applied_is_what_is_charged(tmp_path: Path) -> None:
    book = PriceBook.load(tmp_path)
    book.add_contract({"name": "deal", "provider": "openai", "discount_percent": "10"})
    said = {
        price.meter: price.rate_pico for price in book.applied("gpt-4.1", "openai", NOVEMBER, service_tier="priority")
    }
    assert said["in_uncached"] == input_rate(book, "openai", "gpt-4.1", service_tier="priority")[0] == 3_150_000


def test_a_book_without_a_folder_cannot_be_written() -> None:
    with pytest.raises(PriceError, match="no folder"):
        PriceBook.load(None).add_contract({"name": "deal", "discount_percent": "10"})
