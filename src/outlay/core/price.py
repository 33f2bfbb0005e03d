"""Price: one dated rate for one meter of one model."""

from __future__ import annotations

from dataclasses import dataclass

ANY = "*"


@dataclass(frozen=True, slots=True)
class Price:
    """A row of the price book: `rate_pico` pico-units of `currency` per unit of `meter`.

    Valid from `valid_from_ns` up to, but not including, `valid_to_ns`; None is open. `tier_from` is the number of
    input tokens from which a long-context rate applies. Where several rows match, the highest `priority` wins.
    """

    provider: str
    model: str
    meter: str
    rate_pico: int
    currency: str = "USD"
    region: str = ANY
    service_tier: str = ANY
    processing: str = ANY
    tier_from: int = 0
    valid_from_ns: int | None = None
    valid_to_ns: int | None = None
    source: str = ""
    priority: int = 0
