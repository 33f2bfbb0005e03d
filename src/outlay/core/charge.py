"""Charge: one quantity of one Usage at one dated rate, and how that amount was obtained."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

UNPRICED = "(unpriced)"
"""What stands where an amount is not known. Never 0."""


class Provenance(StrEnum):
    """How an amount was obtained."""

    RECORDED = "recorded"
    PRICED = "priced"
    ESTIMATED = "estimated"
    UNPRICED = "unpriced"


PROVENANCES: tuple[Provenance, ...] = tuple(Provenance)
PROVENANCE_CODE: dict[str, int] = {name.value: code for code, name in enumerate(PROVENANCES)}
"""The code a provenance is stored under; append only, never reorder."""


class CostSource(StrEnum):
    """Who stated a figure. Only `BILLED` is a bill."""

    PROVIDER = "provider"
    EMITTER = "emitter"
    OUTLAY = "outlay"
    BILLED = "billed"


@dataclass(frozen=True, slots=True)
class Charge:
    """One cost line.

    `amount_nano` is None where the rate is not known; `price` names the rate's row in the price book and
    `variant_applied` the variant (tier, batch, region) that was in force; `corrects` names the line it replaces.
    """

    usage_id: str
    meter: str
    quantity: int
    rate_pico: int | None
    amount_nano: int | None
    currency: str
    provenance: Provenance
    price: str = ""
    variant_applied: str = ""
    corrects: str = ""
