"""Course: everything the book knows about one model asked in one way, over all of time.

A course collects the sources in the order of resolution once and makes a Vector for each stretch of time in which
nothing changes, when it is first asked for.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from outlay.core.meters import TOKEN_METERS
from outlay.core.money import pico_of
from outlay.core.period import NS_PER_US, moment_of
from outlay.pricing import bands, catalogue
from outlay.pricing.catalogue import Context, Entry
from outlay.pricing.names import Named, clean
from outlay.pricing.rates import Rate, Said, Vector, choose, vector_of
from outlay.pricing.rows import Row, prices_of, starts_of
from outlay.pricing.tiers import TierRule
from outlay.pricing.userfiles import UserFiles, own_rows

DAY_US = 86_400_000_000
_PICO_DIGITS = 12

CONTRACT, OVERRIDE, OWN = "contract", "override", "own"


@dataclass(frozen=True, slots=True)
class Asked:
    """How usage telemetry asks: the six columns that decide a price, as they stand in a row."""

    provider: str
    model: str
    region: str = ""
    service_tier: str = ""
    processing: str = ""
    speed: str = ""

    def context(self) -> Context:
        """What was asked beyond ordinary service."""
        asked = {"service_tier": self.service_tier, "processing": self.processing, "speed": self.speed}
        words = {key: value.strip().lower() for key, value in asked.items()}
        return {key: value for key, value in words.items() if value not in catalogue.ORDINARY}


@dataclass(slots=True)
class Course:
    """The prices of one `Asked` over time; see `vector_at`."""

    name: Named
    context: Context
    entry: Entry | None
    user: UserFiles
    tiers: TierRule
    _days_us: list[int] = field(default_factory=list[int])
    _hours_us: list[int] = field(default_factory=list[int])
    _vectors: dict[tuple[int, int], Vector] = field(default_factory=dict[tuple[int, int], Vector])

    @classmethod
    def of(cls, asked: Asked, user: UserFiles, tiers: TierRule) -> Course:
        """Cleans the name, finds the model and notes when anything about it changes."""
        name = clean(asked.provider, asked.model, asked.region, user.aliases)
        entry = catalogue.find(name)
        course = cls(name, asked.context(), entry, user, tiers)
        days = starts_of([*user.contracts, *user.overrides, *own_rows()])
        days += catalogue.starts_ns(entry) if entry else []
        course._days_us = sorted({day // NS_PER_US for day in days})
        course._hours_us = catalogue.hours_us(entry) if entry else []
        return course

    @property
    def days_ns(self) -> list[int]:
        """The moments (UTC epoch nanoseconds) at which anything about this course may change."""
        return [day * NS_PER_US for day in self._days_us]

    @property
    def model_id(self) -> str:
        """The book's name of the model, else the cleaned one."""
        return self.entry.id if self.entry else self.name.model

    def vector_at(self, at_us: int) -> Vector:
        """The rates at that moment (UTC epoch microseconds)."""
        slot = bisect_right(self._days_us, at_us), bisect_right(self._hours_us, at_us % DAY_US)
        vector = self._vectors.get(slot)
        if vector is None:
            vector = self._vectors[slot] = self._compile(at_us * NS_PER_US)
        return vector

    def said_at(self, at_ns: int) -> list[tuple[str, Said]]:
        """What each source says at that moment, in the order of resolution."""
        at = moment_of(at_ns)
        listed = catalogue.rates(self.entry, at, self.context) if self.entry else {}
        said: list[tuple[str, Said]] = [
            (CONTRACT, self._rows(self.user.contracts, at_ns, CONTRACT)),
            (OVERRIDE, self._rows(self.user.overrides, at_ns, OVERRIDE)),
            ("genai-prices", listed),
            (OWN, self._rows(own_rows(), at_ns, OWN)),
            ("LiteLLM", self.user.imported.say(self.name, self.context)),
        ]
        return said

    def rates_at(self, at_ns: int) -> dict[str, Rate]:
        """One rate per meter, after contracts and, where it is switched on, the family fallback."""
        said = self.said_at(at_ns)
        chosen = self._discounted(choose([rates for _, rates in said]), said[0][1], at_ns)
        if self.user.family_fallback and not any(meter in chosen for meter in TOKEN_METERS):
            chosen = {**bands.fallback(self.name, moment_of(at_ns)), **chosen}
        return chosen

    def _rows(self, rows: Sequence[Row], at_ns: int, kind: str) -> Said:
        return prices_of(rows, self.name, at_ns, self.context, kind)

    def _discounted(self, chosen: dict[str, Rate], negotiated: Said, at_ns: int) -> dict[str, Rate]:
        """Takes a negotiated percentage off every rate that no contract states outright."""
        rows = [row for row in self.user.contracts if row.discount is not None]
        row = next((row for row in reversed(rows) if row.where.holds(self.name, at_ns, self.context)), None)
        if row is None or row.discount is None:
            return chosen
        share = (Decimal(100) - row.discount) / 100  # exact: Decimal
        return {
            meter: rate if rate in negotiated.values() else _cut(rate, share, f"{CONTRACT}: {row.source}", row.discount)
            for meter, rate in chosen.items()
        }

    def _compile(self, at_ns: int) -> Vector:
        chosen = self.rates_at(at_ns)
        listed = choose([rates for source, rates in self.said_at(at_ns) if source not in {CONTRACT, OVERRIDE}])
        output = listed.get("out_text") or chosen.get("out_text")
        notes = [*self.name.notes, *(self.entry.notes if self.entry else ())]
        return vector_of(
            chosen,
            model_id=self.model_id,
            tier=self.tiers.tier_of(self.model_id, output.pico if output else None),
            note="; ".join(notes),
            why_unknown=self._why_unknown(),
            band=self._band(chosen, at_ns),
        )

    def _why_unknown(self) -> str:
        if not self.name.provider:
            return "no provider given"
        return "no price in the book" if self.entry is None else "the book prices other meters of this model only"

    def _band(self, chosen: dict[str, Rate], at_ns: int) -> NDArray[np.int64] | None:
        if all(meter in chosen for meter in TOKEN_METERS):
            return None
        return bands.band(self.name, moment_of(at_ns))


def _cut(rate: Rate, share: Decimal, price: str, percent: Decimal) -> Rate:
    def cut(pico: int) -> int:
        return pico_of(Decimal(pico).scaleb(-_PICO_DIGITS) * share)

    return replace(
        rate,
        pico=cut(rate.pico),
        price=f"{price}, on {rate.price}",
        variant=f"{rate.variant}; −{percent.normalize():f} %",
        tiers=tuple((start, cut(pico)) for start, pico in rate.tiers),
    )
