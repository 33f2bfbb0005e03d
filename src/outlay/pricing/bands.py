"""Bands: between what and what would an unpriced call cost, by the prices of its family? A hint beside a total.

The family is the longest run of leading words of the model's name that other models of the provider begin with:
`ft:gpt-4.1-2025-04-14:acme` belongs to `gpt-4.1`, with gpt-4.1, -mini and -nano in it.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from outlay.core.meters import METER_CODE, METER_NAMES, TOKEN_METERS
from outlay.pricing.catalogue import Entry, rates, snapshot
from outlay.pricing.names import Named
from outlay.pricing.rates import UNKNOWN_RATE, Rate, choose


def family_of(name: Named) -> tuple[str, tuple[Entry, ...]]:
    """The family's name and its models at this provider; an empty tuple where nothing is akin."""
    provider = next((each for each in snapshot().providers if each.id == name.provider), None)
    if provider is None:
        return "", ()
    model = name.model.lower().removeprefix("ft:").partition(":")[0]
    words = model.split("-")
    for count in range(len(words), 0, -1):
        stem = "-".join(words[:count])
        akin = tuple(
            Entry(provider, each, own=True)
            for each in provider.models
            if each.id == stem or each.id.startswith((f"{stem}-", f"{stem}.", f"{stem}:"))
        )
        if akin and any(letter.isalpha() for letter in stem):
            return stem, akin
    return "", ()


@lru_cache(maxsize=2_048)
def _members(name: Named, at: datetime) -> tuple[str, tuple[dict[str, Rate], ...]]:
    stem, akin = family_of(name)
    said = (choose([rates(entry, at, {})]) for entry in akin)
    return stem, tuple(each for each in said if "in_uncached" in each)


def band(name: Named, at: datetime) -> NDArray[np.int64] | None:
    """Lowest and highest rate per token meter, shape (2, meters); None if the model has no known family."""
    _, members = _members(name, at)
    if not members:
        return None
    edges = np.full((2, len(METER_NAMES)), UNKNOWN_RATE, np.int64)
    for meter in TOKEN_METERS:
        picos = [each[meter].pico for each in members if meter in each]
        if picos:
            edges[:, METER_CODE[meter]] = min(picos), max(picos)
    return edges


def fallback(name: Named, at: datetime) -> dict[str, Rate]:
    """The family's dearest rate per token meter, flagged as an estimate; empty where there is no family.

    The dearest, because an estimate that understates hides a cost. For a fine-tune it is the family's full-size model.
    """
    stem, members = _members(name, at)
    found: dict[str, Rate] = {}
    for meter in TOKEN_METERS:
        picos = [each[meter].pico for each in members if meter in each]
        if picos:
            found[meter] = Rate(max(picos), f"family {stem}", f"estimated at the dearest of {stem}", estimated=True)
    return found
