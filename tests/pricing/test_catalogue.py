"""The compiled vectors against the calculator they replace."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from genai_prices.types import Usage
from hypothesis import given
from hypothesis import strategies as st

import charging
from outlay.core.money import NANO
from outlay.pricing import catalogue
from outlay.pricing.book import PriceBook
from outlay.pricing.names import clean
from strategies import token_quantities

BOOK = PriceBook.load(None)
MODELS = [(provider.id, model.id) for provider in catalogue.snapshot().providers for model in provider.models]
MOMENTS = [
    datetime(2024, 6, 1, tzinfo=UTC),
    datetime(2025, 7, 1, 3, 30, tzinfo=UTC),
    datetime(2026, 10, 11, 23, 59, tzinfo=UTC),
]
MOMENTS += [
    datetime(2026, 10, 12, tzinfo=UTC),
    datetime(2026, 11, 20, 2, 0, tzinfo=UTC),
    datetime(2026, 11, 20, 8, 0, tzinfo=UTC),
]
CONTEXTS: list[dict[str, str]] = [{}, {"processing": "batch"}, {"service_tier": "priority"}, {"service_tier": "flex"}]
CONTEXTS += [
    {"service_tier": "fast"},
    {"speed": "fast"},
    {"processing": "bogus"},
    {"service_tier": "flex", "processing": "batch"},
]


def as_their_usage(said: dict[str, int]) -> Usage:
    """Our disjoint meters as the inclusive counts genai-prices takes; overlaps are stated to be empty."""
    writes = {
        meter: said.get(meter, 0) for meter in ("in_cache_write_5m", "in_cache_write_1h", "in_cache_write_unspec")
    }
    return Usage(
        input_tokens=sum(count for meter, count in said.items() if meter.startswith("in_")),
        cache_read_tokens=said.get("in_cache_read", 0),
        cache_write_tokens=sum(writes.values()),
        cache_write_5m_tokens=writes["in_cache_write_5m"],
        cache_write_1h_tokens=writes["in_cache_write_1h"],
        input_audio_tokens=0,
        cache_audio_read_tokens=0,
        input_image_tokens=0,
        cache_image_read_tokens=0,
        input_video_tokens=0,
        output_tokens=sum(count for meter, count in said.items() if meter.startswith("out_")),
        output_reasoning_tokens=said.get("out_reasoning", 0),
        output_audio_tokens=0,
        output_image_tokens=0,
        output_video_tokens=0,
        output_citation_tokens=0,
    )


def priced_by_catalogue(said: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for each in said if each["price"].startswith("genai-prices")]


@pytest.mark.parametrize("seed", range(5))
@given(data=st.data())
def test_compiled_rates_equal_the_calculator(seed: int, data: st.DataObject) -> None:
    provider, model = data.draw(st.sampled_from(MODELS[seed::5]))
    said, at = data.draw(token_quantities()), data.draw(st.sampled_from(MOMENTS))
    context = data.draw(st.sampled_from(CONTEXTS))
    entry = catalogue.find(clean(provider, model))
    if entry is None or entry.provider.id != provider:
        return
    theirs = entry.model.calc_price(
        as_their_usage(said), entry.provider, genai_request_timestamp=at, price_context=context
    ).total_price
    row = charging.usage(provider, model, time=at, **said, **context)
    found = priced_by_catalogue(charging.charges(BOOK, row))
    ours = sum((Decimal(each["amount_nano"]) for each in found), Decimal(0))
    # Each charge is rounded once, half a nano-dollar at most, and a rate is kept to a millionth of a millionth.
    slack = Decimal("0.5") * (len(found) + sum(said.values()) * Decimal("0.001"))
    assert abs(ours - theirs * NANO) <= slack


@pytest.mark.parametrize(
    ("provider", "model"), [("openai", "gpt-4.1"), ("anthropic", "claude-opus-4-6"), ("openai", "gpt-5.4")]
)
@given(said=token_quantities())
def test_everyday_rates_are_exact(provider: str, model: str, said: dict[str, int]) -> None:
    entry = catalogue.find(clean(provider, model))
    assert entry is not None
    theirs = entry.model.calc_price(as_their_usage(said), entry.provider, genai_request_timestamp=charging.NOVEMBER)
    ours = sum(each["amount_nano"] for each in charging.charges(BOOK, charging.usage(provider, model, **said)))
    assert Decimal(ours) == theirs.total_price * NANO


def test_every_model_of_the_catalogue_compiles() -> None:
    for provider in catalogue.snapshot().providers:
        for model in provider.models:
            entry = catalogue.Entry(provider, model, own=True)
            for rate in catalogue.rates(entry, charging.NOVEMBER, {"processing": "batch"}).values():
                assert rate.pico >= 0
                assert list(rate.tiers) == sorted(rate.tiers)


def test_the_price_by_the_hour_of_the_day() -> None:
    rows = [
        charging.usage("deepseek", "deepseek-v4-flash", out_text=1000, time=datetime(2026, 11, 20, hour, tzinfo=UTC))
        for hour in range(24)
    ]
    rates = [each["rate_pico"] for each in charging.charges(BOOK, *rows)]
    entry = catalogue.find(clean("deepseek", "deepseek-v4-flash"))
    assert entry is not None
    said = [catalogue.rates(entry, datetime(2026, 11, 20, hour, tzinfo=UTC), {})["out_text"].pico for hour in range(24)]
    assert rates == said
    assert len(set(rates)) == 2
