"""LiteLLM's public price map as a second source, imported as data: rerankers, regions, fine-tunes.

The map is one JSON object, model key → fields such as `input_cost_per_token`. It has no history, so its rows hold from
the day of the import back to the beginning, and every other source comes before it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from outlay.core.errors import FormatError, Problem
from outlay.core.money import pico_of
from outlay.pricing.catalogue import Context, said
from outlay.pricing.names import Named, clean, provider_of
from outlay.pricing.rates import Rate, Said

MAP_NAME = "litellm.json"

FIELDS: Mapping[str, tuple[str, int]] = {
    "input_cost_per_token": ("in_uncached", 1),
    "cache_read_input_token_cost": ("in_cache_read", 1),
    "cache_creation_input_token_cost": ("in_cache_write_unspec", 1),
    "cache_creation_input_token_cost_above_1hr": ("in_cache_write_1h", 1),
    "input_cost_per_audio_token": ("in_audio", 1),
    "input_cost_per_image_token": ("in_image", 1),
    "output_cost_per_token": ("out_text", 1),
    "output_cost_per_reasoning_token": ("out_reasoning", 1),
    "output_cost_per_audio_token": ("out_audio", 1),
    "output_cost_per_image_token": ("out_image", 1),
    "input_cost_per_query": ("searches", 1),
    "input_cost_per_request": ("requests", 1),
    "code_interpreter_cost_per_session": ("code_executions", 1),
    "ocr_cost_per_page": ("pages", 1),
    "output_cost_per_image": ("images", 1),
    "input_cost_per_character": ("characters", 1),
    "input_cost_per_second": ("audio_ms", 1_000),
    "guardrail_cost_per_unit": ("policy_units", 1),
    "search_context_cost_per_query": ("web_searches", 1),
}
"""Field of the map → meter, and how many units of the meter the field's unit holds."""

VARIANT_SUFFIXES: Mapping[str, tuple[str, str]] = {
    "_batches": ("processing", "batch"),
    "_priority": ("service_tier", "priority"),
    "_flex": ("service_tier", "flex"),
}
_ABOVE = re.compile(r"_above_(\d+)k_tokens")


@dataclass(frozen=True, slots=True)
class ImportedPrice:
    """One model of the map: pico-USD by (meter, context, threshold); context is "" or `processing=batch` …"""

    key: str
    provider: str
    model: str
    region: str
    picos: Mapping[tuple[str, str, int], int]


@dataclass(slots=True)
class ImportedMap:
    """The map as read. `as_of` is the day of its import, empty where none was imported."""

    as_of: str = ""
    by_name: dict[tuple[str, str], list[ImportedPrice]] = field(
        default_factory=dict[tuple[str, str], list[ImportedPrice]]
    )
    problems: list[Problem] = field(default_factory=list[Problem])

    def find(self, name: Named) -> ImportedPrice | None:
        """The row of this model: that of its region if there is one, else the one without region."""
        found = self.by_name.get((name.provider, name.model.lower()), [])
        return next((row for region in (name.region, "") for row in found if row.region == region), None)

    def say(self, name: Named, context: Context) -> Said:
        """What the map says about this model, the asked variant first and the standard price where it has none."""
        row = self.find(name)
        if row is None:
            return {}
        asked = [f"{key}={value}" for key, value in context.items()]
        found: dict[str, Rate] = {}
        for meter in {meter for meter, _, _ in row.picos}:
            applied = next((word for word in (*asked, "") if (meter, word, 0) in row.picos), None)
            if applied is None:
                continue
            tiers = sorted(
                (start, pico)
                for (m, word, start), pico in row.picos.items()
                if m == meter and word == applied and start
            )
            words = dict([applied.split("=", 1)]) if applied else {}
            pico = row.picos[meter, applied, 0]
            found[meter] = Rate(pico, f"LiteLLM map of {self.as_of}: {row.key}", said(words, context), tuple(tiers))
        return found


def read_map(content: bytes, as_of: str) -> ImportedMap:
    """The map from its bytes. Raises FormatError if it is no price map; single bad entries become problems."""
    try:
        data = json.loads(content, parse_float=Decimal)
    except ValueError as error:
        raise FormatError(
            f"the price map is not JSON: {error}", hint="expected model_prices_and_context_window.json"
        ) from error
    if not isinstance(data, dict) or not any(
        isinstance(entry, dict) and "litellm_provider" in entry for entry in data.values()
    ):
        seen = type(data).__name__ if not isinstance(data, dict) else f"an object with {len(data)} keys"
        hint = "expected LiteLLM's model_prices_and_context_window.json"
        raise FormatError(f"no LiteLLM price map: found {seen}, no entry with litellm_provider", hint=hint)
    found = ImportedMap(as_of)
    for key, entry in data.items():
        if not isinstance(entry, dict) or key == "sample_spec":
            continue
        row = _row(key, entry, found.problems)
        if row is not None and row.picos:
            found.by_name.setdefault((row.provider, row.model.lower()), []).append(row)
    return found


def _row(key: str, entry: Mapping[str, Any], problems: list[Problem]) -> ImportedPrice | None:
    provider = str(entry.get("litellm_provider", ""))
    for vendor in ("vertex_ai-", "bedrock", "azure"):  # vertex_ai-language-models, bedrock_converse, azure_text …
        provider = vendor.rstrip("-") if provider.startswith(vendor) else provider
    if not provider:
        return None
    name = clean(provider_of(provider), key)
    model = name.model.removeprefix(f"{provider}/")
    picos: dict[tuple[str, str, int], int] = {}
    for start, fields in _segments(entry):
        for word, value in fields.items():
            target = _target(word)
            if target is None or value is None:
                continue
            meter, context, above, per = target
            try:
                picos[meter, context, above or start] = _rate(value, per)
            except ValueError as error:
                problems.append(Problem(key, f"{word}: {error}"))
    if not any(picos.values()):
        return None  # the map writes 0 where it does not know: a model is not free because of that
    return ImportedPrice(key, provider_of(provider), model, name.region, picos)


def _segments(entry: Mapping[str, Any]) -> list[tuple[int, Mapping[str, Any]]]:
    """The entry itself, and what it says above each threshold of `tiered_pricing` ({"range": [from, to], …})."""
    found: list[tuple[int, Mapping[str, Any]]] = [(0, entry)]
    for segment in entry.get("tiered_pricing") or []:
        if isinstance(segment, Mapping) and isinstance(segment.get("range"), list) and segment["range"]:
            found.append((int(segment["range"][0]), segment))
    return found


def _rate(value: object, per: int) -> int:
    """Pico-USD of a field; of a price by search context the medium one, of prices by policy the dearest."""
    if isinstance(value, Mapping):
        medium = value.get("search_context_size_medium")
        return (
            _rate(medium, per) if medium is not None else max((_rate(each, per) for each in value.values()), default=0)
        )
    pico = pico_of(value, per)
    if pico < 0:
        raise ValueError(f"a price is not negative: {value}")
    return pico


def _target(word: str) -> tuple[str, str, int, int] | None:
    start = 0
    if (above := _ABOVE.search(word)) is not None:
        start = int(above[1]) * 1_000
        word = word.replace(above[0], "")
    context = ""
    for suffix, (name, value) in VARIANT_SUFFIXES.items():
        if word.endswith(suffix):
            word, context = word.removesuffix(suffix), f"{name}={value}"
    if word not in FIELDS:
        return None
    meter, per = FIELDS[word]
    return meter, context, start, per
