"""Lines: charges while they are still arrays. Parallel columns, one entry a charge, in no particular order."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from outlay.core.charge import UNPRICED
from outlay.core.meters import METER_CODE
from outlay.pricing.rates import UNKNOWN_RATE
from outlay.pricing.recorded import Recorded


def _nowhere() -> NDArray[np.bool_]:
    return np.zeros(0, np.bool_)


@dataclass(frozen=True, slots=True)
class Lines:
    """`amount_nano` is 0 and means nothing where `known` is False; `price` and `variant` point into the texts."""

    row: NDArray[np.int64]
    meter: NDArray[np.int64]
    quantity: NDArray[np.int64]
    rate_pico: NDArray[np.int64]
    amount_nano: NDArray[np.int64]
    known: NDArray[np.bool_]
    estimated: NDArray[np.bool_]
    price: NDArray[np.int64]
    variant: NDArray[np.int64]
    prices: list[str]
    variants: list[str]
    gap: NDArray[np.bool_] = field(default_factory=_nowhere)
    recorded: NDArray[np.bool_] = field(default_factory=_nowhere)
    foreign: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """0 for US dollars, else the number of a foreign currency counted from 1."""

    def __post_init__(self) -> None:
        if len(self.gap) != len(self.row):
            object.__setattr__(self, "gap", np.zeros(len(self.row), np.bool_))
        if len(self.recorded) != len(self.row):
            object.__setattr__(self, "recorded", np.zeros(len(self.row), np.bool_))
        if len(self.foreign) != len(self.row):
            object.__setattr__(self, "foreign", np.zeros(len(self.row), np.int64))

    def keep(self, some: NDArray[np.bool_]) -> Lines:
        """Only the lines that are marked."""
        if len(some) == 0 or some.all():
            return self
        picked = {name: getattr(self, name)[some] for name in _ARRAYS}
        return replace(self, **picked)

    def in_order(self, order: NDArray[np.int64]) -> Lines:
        """The lines rearranged."""
        return replace(self, **{name: getattr(self, name)[order] for name in _ARRAYS})

    def joined(self, *others: Lines) -> Lines:
        """These lines and the others, their texts in one list."""
        parts = [part for part in (self, *others) if len(part.row)]
        if len(parts) < 2:
            return parts[0] if parts else self
        prices: dict[str, int] = {}
        variants: dict[str, int] = {}
        price = [_pooled(part.price, part.prices, prices) for part in parts]
        variant = [_pooled(part.variant, part.variants, variants) for part in parts]
        rest = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _ARRAYS}
        rest |= {"price": np.concatenate(price), "variant": np.concatenate(variant)}
        return replace(self, **rest, prices=list(prices), variants=list(variants))

    def sums(self, height: int, some: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Amounts of the marked lines, added up per usage."""
        total = np.zeros(height, np.int64)
        if some.any():
            np.add.at(total, self.row[some], self.amount_nano[some])
        return total

    def counts(self, height: int, some: NDArray[np.bool_]) -> NDArray[np.int64]:
        """How many of the marked lines each usage has."""
        if not some.any():
            return np.zeros(height, np.int64)
        return np.bincount(self.row[some], minlength=height).astype(np.int64)


_ARRAYS = (
    "row",
    "meter",
    "quantity",
    "rate_pico",
    "amount_nano",
    "known",
    "estimated",
    "price",
    "variant",
    "gap",
    "recorded",
    "foreign",
)


def _pooled(codes: NDArray[np.int64], texts: list[str], pool: dict[str, int]) -> NDArray[np.int64]:
    return np.array([pool.setdefault(text, len(pool)) for text in texts], np.int64)[codes]


def recorded_lines(recorded: Recorded) -> Lines:
    """One charge on the meter `total` for every stated cost; one in a foreign currency is without an amount."""
    rows = np.nonzero(recorded.stated)[0]
    abroad = recorded.foreign[rows]
    prices = [UNPRICED, *(f"recorded: {source}" for source in recorded.sources)]
    variants = ["", *recorded.reasons]
    return Lines(
        row=rows,
        meter=np.full(len(rows), METER_CODE["total"], np.int64),
        quantity=np.ones(len(rows), np.int64),
        rate_pico=np.full(len(rows), UNKNOWN_RATE, np.int64),
        amount_nano=np.where(abroad == 0, recorded.cost_nano[rows], 0),
        known=abroad == 0,
        estimated=np.zeros(len(rows), np.bool_),
        price=np.where(abroad == 0, recorded.source[rows] + 1, 0),
        variant=recorded.reason[rows],
        prices=prices,
        variants=variants,
        recorded=np.ones(len(rows), np.bool_),
        foreign=abroad,
    )
