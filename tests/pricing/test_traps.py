"""The traps of the price reference, P1 to P27. Those decided before pricing are tested here in terms of prices:
given the meters that normalize hands over, the money must be this."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

import charging
from charging import amounts, charge, charges, usage
from outlay.pricing.book import PriceBook

BOOK = PriceBook.load(None)
NANO = 1_000_000_000


def dollars(text: str) -> int:
    whole, _, part = text.partition(".")
    return int(whole) * NANO + int(part.ljust(9, "0"))


def total(book: PriceBook, *rows: dict[str, object]) -> int:
    return sum(each["amount_nano"] for each in amounts(book, *rows))


def test_p1_an_unknown_context_value_is_visible() -> None:
    found = charge(BOOK, usage("openai", "gpt-4.1", processing="bogus", in_uncached=1_000), "in_uncached")
    assert found["variant_applied"] == "standard (asked: bogus)"
    assert found["rate_pico"] == 2_000_000


@pytest.mark.parametrize(
    ("at", "nano", "variant"),
    [
        (
            datetime(2026, 10, 11, 23, 59, 59, tzinfo=UTC),
            dollars("0.0325"),
            "standard (asked: priority, known from 2026-10-12)",
        ),
        (datetime(2026, 10, 12, tzinfo=UTC), dollars("0.065"), "service_tier=priority"),
    ],
)
def test_p2_priority_before_and_from_its_first_day(at: datetime, nano: int, variant: str) -> None:
    row = usage("openai", "gpt-5.4", service_tier="priority", in_uncached=10_000, out_text=500, time=at)
    assert total(BOOK, row) == nano
    assert {each["variant_applied"] for each in charges(BOOK, row)} == {variant}


def test_p3_a_bedrock_id_without_geography_is_not_silently_regional() -> None:
    model = "anthropic.claude-sonnet-4-5-20250929-v1:0"
    spellings = {"": 3_000_000, "global.": 3_000_000, "regional.": 3_300_000, "us.": 3_300_000, "eu.": 3_300_000}
    for prefix, pico in spellings.items():
        found = charge(BOOK, usage("aws", prefix + model, in_uncached=1_000), "in_uncached")
        assert found["rate_pico"] == pico, prefix
        assert ("region not stated" in found["variant_applied"]) == (prefix == "")
    stated = charge(BOOK, usage("aws", model, region="us-east-1", in_uncached=1_000), "in_uncached")
    assert (stated["rate_pico"], stated["variant_applied"]) == (3_300_000, "standard")


@pytest.mark.parametrize(
    ("model", "provider", "pico"),
    [
        ("text-embedding-3-small", "openai", 20_000),
        ("amazon.titan-embed-text-v2:0", "aws", 20_000),
        ("ft:gpt-4o-2024-08-06:acme::x", "openai", 3_750_000),
    ],
)
def test_p4_the_provider_is_supplied_where_none_was_given(model: str, provider: str, pico: int) -> None:
    found = charge(BOOK, usage("", model, in_uncached=1_000), "in_uncached")
    assert found["rate_pico"] == pico
    assert f"provider {provider} assumed" in found["variant_applied"]


@pytest.mark.parametrize(
    ("provider", "model", "source"),
    [
        ("anthropic", "claude-opus-5[1m]", "genai-prices"),
        ("google", "models/gemini-2.5-pro", "genai-prices"),
        ("aws", "arn:aws:bedrock:us-east-1:1:application-inference-profile/a1b2", None),
        ("azure", "my-gpt5-prod", None),
        ("openai", "ft:gpt-4.1-mini-2025-04-14:acme::x", None),
        ("aws", "cohere.embed-english-v3", "own"),
        ("together", "meta-llama/Llama-Guard-4-12B", "own"),
        ("voyageai", "rerank-2.5", "own"),
        ("ollama", "llama3.3:70b", None),
        ("vllm", "Qwen/Qwen3-32B", None),
    ],
)
def test_p5_ids_the_catalogue_does_not_know(provider: str, model: str, source: str | None) -> None:
    (found,) = charges(BOOK, usage(provider, model, in_uncached=1_000))
    if source is None:
        assert (found["provenance"], found["amount_nano"], found["price"]) == ("unpriced", None, "(unpriced)")
    else:
        assert found["provenance"] == "priced"
        assert found["amount_nano"] > 0
        assert found["price"].startswith(source)


def test_p5_rerank_is_priced_by_the_search() -> None:
    found = charge(BOOK, usage("cohere", "rerank-v3.5", searches=3), "searches")
    assert (found["amount_nano"], found["price"]) == (dollars("0.006"), "own: Cohere, pricing page")


def test_p5_aliases_and_overrides_fill_what_only_the_company_knows(tmp_path: Path) -> None:
    book = PriceBook.load(tmp_path)
    book.add_alias({"model": "my-gpt5-prod", "provider": "azure", "to": "gpt-5"})
    book.add_alias(
        {
            "model": "arn:aws:bedrock:*:application-inference-profile/a1b2",
            "to": "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        }
    )
    book.add_override({"provider": "ollama", "model": "*", "source": "our own machine", "input": "0", "output": "0"})
    deployed = charge(book, usage("azure", "my-gpt5-prod", in_uncached=1_000), "in_uncached")
    assert deployed["rate_pico"] == 1_250_000
    assert deployed["variant_applied"] == "standard; alias of gpt-5; no price of azure itself: the maker's"
    profile = usage("aws", "arn:aws:bedrock:us-east-1:1:application-inference-profile/a1b2", in_uncached=1_000)
    assert charge(book, profile, "in_uncached")["rate_pico"] == 3_300_000
    (local,) = charges(book, usage("ollama", "llama3.3:70b", out_text=1_000))
    assert (local["provenance"], local["amount_nano"], local["price"]) == ("priced", 0, "override: our own machine")


def test_p6_p8_exclusive_input_is_three_meters_at_three_rates() -> None:
    row = usage("anthropic", "claude-opus-4-6", in_uncached=2, in_cache_read=84_562, in_cache_write_1h=7_096)
    found = {each["meter"]: (each["rate_pico"], each["amount_nano"]) for each in charges(BOOK, row)}
    assert found == {
        "in_uncached": (5_000_000, 10_000),
        "in_cache_read": (500_000, 42_281_000),
        "in_cache_write_1h": (10_000_000, 70_960_000),
    }


def test_p6_a_cache_read_larger_than_uncached_input_is_not_refused() -> None:
    row = usage("anthropic", "claude-sonnet-4-5", in_uncached=1_000, in_cache_read=8_000)
    assert total(BOOK, row) == 3_000_000 + 2_400_000


def test_p7_a_small_cache_beside_a_big_prompt_is_never_subtracted() -> None:
    row = usage("anthropic", "claude-sonnet-4-5", in_uncached=50_000, in_cache_read=1_000)
    assert total(BOOK, row) == 150_000_000 + 300_000


def test_p9_cache_reads_cost_the_cache_rate() -> None:
    calls = [usage("anthropic", "claude-sonnet-4-5", in_uncached=1_000, in_cache_read=20_000) for _ in range(46)]
    at_cache_rate = 46 * (1_000 * 3_000 + 20_000 * 300)
    assert total(BOOK, *calls) == at_cache_rate
    assert at_cache_rate * 5 < 46 * 21_000 * 3_000 * 1  # the full rate would be more than five times as much


def test_p10_p11_disjoint_meters_cost_no_token_twice() -> None:
    inclusive_as_stated = 130_213
    row = usage("anthropic", "claude-opus-4-6", in_uncached=5, in_cache_read=130_208)
    assert sum(each["quantity"] for each in charges(BOOK, row)) == inclusive_as_stated
    routed = usage("openrouter", "openai/gpt-4.1", in_uncached=86, in_cache_read=17_817)
    assert sum(each["quantity"] for each in charges(BOOK, routed)) == 17_903


def test_p12_three_lifetimes_of_a_cache_write() -> None:
    row = usage(
        "anthropic", "claude-opus-4-6", in_cache_write_5m=1_000, in_cache_write_1h=1_000, in_cache_write_unspec=1_000
    )
    rates = {each["meter"]: each["rate_pico"] for each in charges(BOOK, row)}
    # A write whose lifetime is not said costs the five-minute rate, the provider's default.
    expected = {"in_cache_write_5m": 6_250_000, "in_cache_write_1h": 10_000_000, "in_cache_write_unspec": 6_250_000}
    assert rates == expected


def test_p13_the_price_of_the_day_of_the_call() -> None:
    before = usage("openai", "o3", in_uncached=1_000, time=datetime(2025, 6, 1, tzinfo=UTC))
    after = usage("openai", "o3", in_uncached=1_000, time=datetime(2025, 7, 1, tzinfo=UTC))
    first = [each["rate_pico"] for each in charges(BOOK, before, after)]
    assert first == [10_000_000, 2_000_000]
    assert [each["rate_pico"] for each in charges(PriceBook.load(None), before, after)] == first


def test_p14_long_context_raises_every_meter_of_the_call() -> None:
    at = usage("google", "gemini-2.5-pro", in_uncached=190_000, in_cache_read=10_000, out_text=1_000)
    above = usage("google", "gemini-2.5-pro", in_uncached=190_001, in_cache_read=10_000, out_text=1_000)
    assert [each["rate_pico"] for each in charges(BOOK, at)] == [1_250_000, 125_000, 10_000_000]
    found = charges(BOOK, above)
    assert [each["rate_pico"] for each in found] == [2_500_000, 250_000, 15_000_000]
    assert {each["variant_applied"] for each in found} == {"standard; input > 200000"}


def test_p15_one_model_with_and_without_the_window_in_its_name() -> None:
    rows = amounts(
        BOOK,
        usage("anthropic", "claude-opus-5", in_uncached=1_000),
        usage("anthropic", "claude-opus-5[1m]", in_uncached=1_000),
    )
    assert {row["model_id"] for row in rows} == {"claude-opus-5"}
    assert len({row["amount_nano"] for row in rows}) == 1


def test_p16_each_call_at_its_own_model() -> None:
    opus = usage("anthropic", "claude-opus-4-6", in_uncached=100_000, session_id="one")
    haiku = usage("anthropic", "claude-haiku-4-5-20251001", in_uncached=100_000, session_id="one")
    assert [row["amount_nano"] for row in amounts(BOOK, opus, haiku)] == [dollars("0.5"), dollars("0.1")]


def test_p17_an_unknown_model_is_counted_beside_the_total() -> None:
    known = usage("openai", "gpt-4.1", in_uncached=1_000)
    unknown = usage("openai", "ft:gpt-4.1-2025-04-14:sierra:tau2-full-sft:BzrYdMNm", in_uncached=1_000, out_text=100)
    first, second = amounts(BOOK, known, unknown)
    assert (first["amount_nano"], first["unpriced_tokens"]) == (2_000_000, 0)
    assert (second["amount_nano"], second["unpriced_meters"], second["unpriced_tokens"]) == (0, 2, 1_100)
    assert second["list_nano"] is None
    # gpt-4.1-nano to gpt-4.1: 0.10 / 0.40 to 2 / 8 dollars a million
    assert (second["band_low_nano"], second["band_high_nano"]) == (140_000, 2_800_000)


def test_p19_the_served_tier_is_priced() -> None:
    served = usage("openai", "gpt-5.4", service_tier="default", in_uncached=1_000)
    found = charge(BOOK, served, "in_uncached")
    assert (found["rate_pico"], found["variant_applied"]) == (2_500_000, "standard")


@pytest.mark.parametrize(
    ("row", "meter", "nano"),
    [
        (usage("cohere", "rerank-v3.5", searches=1), "searches", 2_000_000),
        (usage("aws", "", policy_units=2), "policy_units", 300_000),
        (usage("aws", "bedrock-guardrails-topic", policy_units=2), "policy_units", 300_000),
        (usage("aws", "bedrock-guardrails-automated-reasoning", policy_units=2), "policy_units", 340_000),
        (usage("aws", "", free_policy_units=2), "free_policy_units", 0),
        (usage("openai", "gpt-4.1", code_executions=1), "code_executions", 30_000_000),
        (usage("openai", "gpt-4.1", web_searches=2), "web_searches", 20_000_000),
        (usage("anthropic", "claude-opus-4-6", web_searches=1), "web_searches", 10_000_000),
        (usage("perplexity", "sonar-pro", in_uncached=1), "requests", 14_000_000),
        (usage("pinecone", "", read_units=1_000), "read_units", 16_000_000),
        (usage("mistral", "mistral-ocr-2505", pages=10), "pages", 10_000_000),
    ],
)
def test_p21_units_that_are_not_tokens(row: dict[str, object], meter: str, nano: int) -> None:
    found = charge(BOOK, row, meter)
    assert (found["provenance"], found["amount_nano"]) == ("priced", nano)


def test_p22_p23_uncached_input_without_a_cache_meter_costs_the_full_rate() -> None:
    assert total(BOOK, usage("openai", "gpt-4.1", in_uncached=1_149)) == 2_298_000


def test_p24_thoughts_are_priced_as_output() -> None:
    rates = [
        each["rate_pico"] for each in charges(BOOK, usage("google", "gemini-2.5-pro", out_text=10, out_reasoning=10))
    ]
    assert rates == [10_000_000, 10_000_000]


def test_p25_a_recorded_cost_is_one_charge_and_never_a_sum() -> None:
    row = usage("openai", "gpt-4o", in_uncached=1_000, cost_nano=1_234, currency="USD", cost_source="emitter")
    (found,) = charges(BOOK, row)
    assert (found["meter"], found["quantity"], found["rate_pico"]) == ("total", 1, None)
    assert (found["provenance"], found["amount_nano"], found["price"]) == ("recorded", 1_234, "recorded: emitter")
    (sums,) = amounts(BOOK, row)
    assert (sums["amount_nano"], sums["recorded_nano"], sums["priced_nano"], sums["list_nano"]) == (
        1_234,
        1_234,
        0,
        2_500_000,
    )


def test_p26_credits_are_not_dollars_until_somebody_says_so(tmp_path: Path) -> None:
    row = usage("github-copilot", "gpt-4.1", credits=1_500)  # one and a half AI credits
    assert charge(BOOK, row, "credits")["provenance"] == "unpriced"
    book = PriceBook.load(tmp_path)
    book.add_override({"provider": "github-copilot", "model": "*", "source": "our plan", "credits": "0.04 per 1k"})
    assert charge(book, row, "credits")["amount_nano"] == 60_000_000


def test_the_fixture_time_is_after_every_variant_of_the_traps() -> None:
    assert datetime(2026, 10, 14, tzinfo=UTC) < charging.NOVEMBER


def test_every_trap_of_the_reference_is_named_by_a_test(shared: Path, root: Path) -> None:
    text = (shared / "spec" / "prices.md").read_text(encoding="utf-8")
    traps = set(re.findall(r"^\| P(\d+) \|", text, re.MULTILINE))
    files = [path.read_text(encoding="utf-8") for path in sorted((root / "tests" / "pricing").glob("test_*.py"))]
    names = [name for file in files for name in re.findall(r"^def test((?:_p\d+)+)_", file, re.MULTILINE)]
    assert traps - {number for name in names for number in re.findall(r"\d+", name)} == set()
    assert len(traps) == 27
