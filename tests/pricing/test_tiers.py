"""Frontier, mid, efficient: by name, else by price."""

from __future__ import annotations

from pathlib import Path

import pytest

from charging import amounts, usage
from outlay.core.errors import PriceError
from outlay.pricing.book import PriceBook
from outlay.pricing.userfiles import own_tiers


@pytest.mark.parametrize(
    ("model", "tier"),
    [
        ("gpt-5", "frontier"),
        ("gpt-5-mini", "efficient"),
        ("gpt-5.4", "frontier"),
        ("claude-opus-4-6", "frontier"),
        ("claude-sonnet-4-5-20250929", "mid"),
        ("claude-haiku-4-5-20251001", "efficient"),
        ("gemini-2.5-pro", "frontier"),
        ("gemini-2.5-flash", "efficient"),
        ("gpt-4.1", "mid"),
        ("gpt-4o-mini", "efficient"),
        ("text-embedding-3-small", "efficient"),
        ("anthropic/claude-opus-5", "frontier"),
    ],
)
def test_by_name(model: str, tier: str) -> None:
    assert own_tiers().tier_of(model, None) == tier


@pytest.mark.parametrize(
    ("pico", "tier"),
    [(20_000_000, "frontier"), (19_999_999, "mid"), (3_000_000, "mid"), (2_999_999, "efficient"), (None, "(unknown)")],
)
def test_by_price(pico: int | None, tier: str) -> None:
    assert own_tiers().tier_of("a-new-model", pico) == tier


def test_a_company_may_see_it_otherwise(tmp_path: Path) -> None:
    (tmp_path / "tiers.toml").write_text('[[tier]]\nname = "mid"\nmodels = ["claude-opus-4-6"]\n')
    rows = [usage("anthropic", model, in_uncached=1) for model in ("claude-opus-4-6", "claude-opus-5")]
    assert [row["model_tier"] for row in amounts(PriceBook.load(tmp_path), *rows)] == ["mid", "frontier"]


def test_a_tier_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tiers.toml").write_text('[[tier]]\nname = "middle"\nmodels = ["x"]\n')
    with pytest.raises(PriceError) as caught:
        PriceBook.load(tmp_path)
    assert caught.value.detail == ("tiers.toml:1: name is 'middle' (did you mean \"mid\"?)",)
