"""Rates: what one model costs at one moment, first as sparse facts of each source, then as vectors over all meters.

A `Rate` is what one source says about one meter. A `Vector` is what the whole book says about every meter, ready for
columnar multiplication; -1 stands for "not known" inside a vector and leaves it only as null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outlay.core.charge import UNPRICED
from outlay.core.meters import METER_CODE, METER_NAMES

UNKNOWN_RATE = -1
STANDARD = "standard"

# Where a source has no rate of its own for a meter, the next one of this chain stands in, as every provider bills it:
# cached input costs what input costs unless a cache price is published, reasoning is output, and a cache write whose
# lifetime is not said is a five-minute write, which is the default of the providers that charge for writing.
STANDS_IN: Mapping[str, tuple[str, ...]] = {
    "in_cache_read": ("in_uncached",),
    "in_cache_write_5m": ("in_cache_write_unspec", "in_uncached"),
    "in_cache_write_1h": ("in_cache_write_unspec", "in_cache_write_5m", "in_uncached"),
    "in_cache_write_unspec": ("in_cache_write_5m", "in_uncached"),
    "in_audio": ("in_uncached",),
    "in_image": ("in_uncached",),
    "out_reasoning": ("out_text",),
    "out_audio": ("out_text",),
    "out_image": ("out_text",),
}


@dataclass(frozen=True, slots=True)
class Rate:
    """What one source says: `pico` pico-USD per unit of one meter, above `tiers` thresholds another rate.

    `tiers` are (input tokens of the call, pico) in ascending order: once a call has more input tokens than the
    threshold, all its units of this meter cost that rate. `variant` says what was applied; `price` names the row.
    """

    pico: int
    price: str
    variant: str = STANDARD
    tiers: tuple[tuple[int, int], ...] = ()
    estimated: bool = False
    implicit: bool = False
    """Charged once a call although no usage reports the quantity (a fee per request)."""

    def at(self, input_tokens: int) -> int:
        """The rate for a call with that many input tokens."""
        pico = self.pico
        for threshold, above in self.tiers:
            if input_tokens > threshold:
                pico = above
        return pico


Said = Mapping[str, Rate]
"""What one source says about one model at one moment, by meter."""


def choose(sources: Sequence[Said]) -> dict[str, Rate]:
    """One rate per meter: the most specific one wins, and of equally specific ones that of the earlier source."""
    chosen: dict[str, Rate] = {}
    for meter in METER_NAMES:
        for name in (meter, *STANDS_IN.get(meter, ())):
            said = next((source[name] for source in sources if name in source), None)
            if said is not None:
                chosen[meter] = said
                break
    return chosen


@dataclass(frozen=True, slots=True, eq=False)
class Vector:
    """The rates of one model at one moment over all meters, one row per long-context segment.

    `pico[s, m]` is the rate of meter code m in segment s, UNKNOWN_RATE where no source knows it; segment s holds calls
    with more than `thresholds[s - 1]` input tokens. `prices` and `variants` are the distinct texts that `price_code`
    and `variant_code` point into; where no rate is known they say `(unpriced)` and why.
    """

    model_id: str
    tier: str
    thresholds: NDArray[np.int64]
    pico: NDArray[np.int64]
    price_code: NDArray[np.int32]
    variant_code: NDArray[np.int32]
    estimated: NDArray[np.bool_]
    prices: tuple[str, ...]
    variants: tuple[str, ...]
    implicit_request: bool
    band: NDArray[np.int64] | None
    """Lowest and highest rate of the family, `band[0, m]` and `band[1, m]`; None where every token meter is known."""


def vector_of(
    rates: Mapping[str, Rate],
    *,
    model_id: str,
    tier: str,
    note: str = "",
    why_unknown: str = "",
    band: NDArray[np.int64] | None = None,
) -> Vector:
    """The chosen rates as a vector; `note` ends every variant, `why_unknown` stands where there is none."""
    starts = sorted({start for rate in rates.values() for start, _ in rate.tiers})
    shape = (len(starts) + 1, len(METER_NAMES))
    pico = np.full(shape, UNKNOWN_RATE, np.int64)
    price_code = np.zeros(shape, np.int32)
    variant_code = np.zeros(shape, np.int32)
    estimated = np.zeros(shape, np.bool_)
    prices: dict[str, int] = {UNPRICED: 0}
    variants: dict[str, int] = {why_unknown: 0}
    for meter, rate in rates.items():
        code = METER_CODE[meter]
        for segment in range(shape[0]):
            floor = starts[segment - 1] if segment else 0
            above = max((start for start, _ in rate.tiers if segment and start <= floor), default=None)
            told = [rate.variant, *([f"input > {above}"] if above is not None else []), *([note] if note else [])]
            pico[segment, code] = rate.at(floor + 1) if segment else rate.pico
            price_code[segment, code] = prices.setdefault(rate.price, len(prices))
            variant_code[segment, code] = variants.setdefault("; ".join(told), len(variants))
            estimated[segment, code] = rate.estimated
    requests = rates.get("requests")
    return Vector(
        model_id=model_id,
        tier=tier,
        thresholds=np.array(starts, np.int64),
        pico=pico,
        price_code=price_code,
        variant_code=variant_code,
        estimated=estimated,
        prices=tuple(prices),
        variants=tuple(variants),
        implicit_request=requests is not None and requests.implicit,
        band=band,
    )
