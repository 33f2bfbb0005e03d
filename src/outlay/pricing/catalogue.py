"""Catalogue: genai-prices as data. What it says about one model at one moment, meter by meter.

The package's own calculator answers some fifteen thousand calls a second; here each model is asked once per stretch of
time in which nothing changes, and the answer is kept as integers. `genai_prices` takes 0.2 s to import, so it is
imported on the first question.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING

from outlay.core.money import pico_of
from outlay.core.period import NS_PER_US, ns_of
from outlay.pricing.names import Named
from outlay.pricing.rates import STANDARD, Rate

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, ModelPrice, PriceVariant, Provider

PRICE_KEYS: Mapping[str, tuple[str, ...]] = {
    "in_uncached": ("input_mtok",),
    "in_cache_read": ("cache_read_mtok",),
    "in_cache_write_5m": ("cache_write_5m_mtok",),
    "in_cache_write_1h": ("cache_write_1h_mtok",),
    "in_cache_write_unspec": ("cache_write_mtok",),
    "in_audio": ("input_audio_mtok",),
    "in_image": ("input_image_mtok",),
    "out_text": ("output_mtok",),
    "out_reasoning": ("output_reasoning_mtok",),
    "out_audio": ("output_audio_mtok",),
    "out_image": ("output_image_mtok",),
    "requests": ("requests_kcount",),
    "searches": ("rerank_searches_kcount", "storage_searches_kcount"),
    "web_searches": ("web_searches_kcount",),
    "code_executions": ("code_executions_kcount",),
    "pages": ("input_document_kpages",),
    "characters": ("input_mchars",),
    "audio_ms": ("input_audio_hours", "audio_hours"),
}
"""Which price of the catalogue a meter is charged at; the first one that the model has."""

MS_PER_SECOND = 1_000

_GEOGRAPHY = re.compile(r"^(?:global|us|us-gov|eu|apac|jp|au|ca|in|sa|mx)\.")

# What a provider calls its ordinary service. "default" is also a variant of the catalogue (one without other prices).
ORDINARY = frozenset({"", "default", "standard", "auto", "on_demand", "on-demand", "normal", "online", "realtime"})

Context = Mapping[str, str]
"""What was asked for, by `service_tier`, `processing` and `speed`; ordinary values are left out."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A model of the catalogue as one provider sells it. `own` is False where another provider's price stands in."""

    provider: Provider
    model: ModelInfo
    own: bool
    notes: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The catalogue's name of the model, without the word that only tells Bedrock's price zones apart."""
        return self.model.id.removeprefix("regional.").removeprefix("global.")


@cache
def snapshot() -> DataSnapshot:
    """The price data that came with the installed package; nothing is fetched."""
    from genai_prices.data_snapshot import get_snapshot

    return get_snapshot()


def source_name() -> str:
    """The catalogue with its version, as it is named on charges."""
    return f"genai-prices {version('genai-prices')}"


def find(name: Named) -> Entry | None:
    """The model under this name at this provider, or None. Without a provider nothing is found."""
    if not name.provider or not name.model:
        return None
    for candidate, note in _candidates(name):
        entry = _find(name.provider, candidate)
        if entry is not None:
            lent = "" if entry.own else f"no price of {name.provider} itself: the maker's"
            return replace(entry, notes=tuple(each for each in (note, lent) if each))
    return None


def _candidates(name: Named) -> list[tuple[str, str]]:
    """Names to try in turn. A Bedrock id without a geography is not silently the regional price, 10 % dearer."""
    if name.provider != "aws":
        return [(name.model, "")]
    model = name.model.removeprefix("regional.")
    if model != name.model or _GEOGRAPHY.match(model) or name.region not in {"", "global"}:
        return [(model, "")]
    note = "" if name.region else "region not stated"
    at_global = f"{note}: global rate" if note else ""
    return [(f"global.{model}", at_global), (f"global.anthropic.{model}", at_global), (model, note)]


@cache
def _providers() -> dict[str, Provider]:
    return {provider.id: provider for provider in snapshot().providers}


def _find(provider_id: str, model: str) -> Entry | None:
    # By the exact id: genai-prices matches spellings loosely, and "azure.ai.openai" would become OpenAI itself.
    provider = _providers().get(provider_id)
    found = provider.find_model(model, all_providers=snapshot().providers) if provider else None
    if provider is None or found is None:
        return None
    return Entry(provider, found, any(found is own for own in provider.models))


def starts_ns(entry: Entry) -> list[int]:
    """The moments (UTC epoch nanoseconds) at which a dated price or variant of this model begins."""
    from genai_prices.types import StartDateConstraint

    moments: set[int] = set()
    for constraint in _constraints(entry):
        if isinstance(constraint, StartDateConstraint):
            day = constraint.start_date
            moments.add(ns_of(datetime(day.year, day.month, day.day, tzinfo=UTC)))
    return sorted(moments)


def hours_us(entry: Entry) -> list[int]:
    """Times of day (microseconds after midnight UTC) at which a price by the hour of the day changes."""
    from genai_prices.types import TimeOfDateConstraint

    found: set[int] = set()
    for constraint in _constraints(entry):
        if isinstance(constraint, TimeOfDateConstraint):
            for edge in (constraint.start_time, constraint.end_time):
                whole = datetime.combine(datetime(1970, 1, 2, tzinfo=UTC), edge)  # a day with room for offsets
                moment = whole if whole.tzinfo else whole.replace(tzinfo=UTC)
                found.add(ns_of(moment) // NS_PER_US % 86_400_000_000)
    return sorted(found)


def _constraints(entry: Entry) -> Sequence[object]:
    prices = entry.model.prices if isinstance(entry.model.prices, list) else []
    return [each.constraint for each in prices] + [each.constraint for each in entry.model.price_variants or []]


@cache
def edges() -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Every day (epoch nanoseconds) and time of day (microseconds) at which any price of the catalogue changes."""
    entries = [Entry(provider, model, own=True) for provider in snapshot().providers for model in provider.models]
    days = {moment for entry in entries for moment in starts_ns(entry)}
    return tuple(sorted(days)), tuple(sorted({edge for entry in entries for edge in hours_us(entry)}))


def rates(entry: Entry, at: datetime, context: Context) -> dict[str, Rate]:
    """What the catalogue says about each meter at that moment (UTC); a meter it does not price is absent."""
    # A model that another provider's catalogue lends takes no variants: genai-prices applies them to own models only.
    price: ModelPrice = entry.model.get_prices(at, dict(context) if entry.own else None)
    name = f"{source_name()} {entry.provider.id}/{entry.model.id}"
    found: dict[str, Rate] = {}
    for meter, keys in PRICE_KEYS.items():
        key = next((key for key in keys if getattr(price, key) is not None), None)
        if key is None:
            continue
        base, tiers = _picos(getattr(price, key), _per(key) * (MS_PER_SECOND if meter == "audio_ms" else 1))
        variant = _applied(entry, key, at, context)
        found[meter] = Rate(base, name, variant, tiers, implicit=meter == "requests")
    return found


def _picos(price: object, per: int) -> tuple[int, tuple[tuple[int, int], ...]]:
    if isinstance(price, Decimal):
        return pico_of(price, per), ()
    from genai_prices.types import TieredPrices

    assert isinstance(price, TieredPrices)
    return pico_of(price.base, per), tuple((tier.start, pico_of(tier.price, per)) for tier in price.tiers)


@cache
def _per(price_key: str) -> int:
    from genai_prices.data_units import unit_data

    return next(int(unit["per"]) for name, unit in unit_data.items() if unit.get("price_key", name) == price_key)


def _applied(entry: Entry, price_key: str, at: datetime, context: Context) -> str:
    """Which of the asked variants set this price, and which were asked in vain."""
    from genai_prices.types import StartDateConstraint

    applied: PriceVariant | None = None
    later: list[str] = []
    for variant in (entry.model.price_variants or []) if entry.own else []:
        if not all(context.get(key) == value for key, value in variant.when.items()):
            continue
        sets_it = getattr(variant.prices, price_key) is not None
        if variant.constraint is not None and not variant.constraint.active(at):
            if sets_it and isinstance(variant.constraint, StartDateConstraint):
                later.append(f"known from {variant.constraint.start_date}")
        elif sets_it and applied is None:
            applied = variant
    words = dict(applied.when) if applied else {}
    return said(words, context, later[0] if later else "")


def said(applied: Context, asked: Context, remark: str = "") -> str:
    """`standard`, `processing=batch`, or `standard (asked: priority, known from 2026-10-12)`."""
    vain = [value for key, value in asked.items() if key not in applied and value not in ORDINARY]
    head = ", ".join(f"{key}={value}" for key, value in applied.items()) or STANDARD
    if not vain:
        return head
    return f"{head} (asked: {', '.join(vain)}{', ' + remark if remark else ''})"
