"""Quantity × rate over whole columns, rounded exactly as `core.money.amount_nano` rounds a single charge."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from outlay.core.money import AMOUNT_NANO_MAX, PICO_PER_NANO, amount_nano

CHARGE_NANO_MAX = AMOUNT_NANO_MAX // 128
"""The largest single charge (72 million dollars): a usage has fewer charges than 128, so no sum can overflow."""

OUT_OF_RANGE = -1
"""Stands for an amount beyond CHARGE_NANO_MAX; such a charge is not known rather than wrong."""


def amounts_nano(quantity: NDArray[np.int64], rate_pico: NDArray[np.int64]) -> NDArray[np.int64]:
    """Nano-units of each quantity at its rate, half to even; OUT_OF_RANGE beyond CHARGE_NANO_MAX.

    Both are of one shape and not negative. Products that do not fit 64 bits are computed one by one in exact integers.
    """
    if quantity.size == 0:
        return np.zeros(quantity.shape, np.int64)
    if int(quantity.max()) * int(rate_pico.max()) <= CHARGE_NANO_MAX:
        return _half_even(quantity * rate_pico)
    fits = quantity <= AMOUNT_NANO_MAX // np.maximum(rate_pico, 1)
    amounts = _half_even(np.where(fits, quantity, 0) * np.where(fits, rate_pico, 0))
    for place in zip(*np.nonzero(~fits), strict=True):
        amounts[place] = min(amount_nano(int(quantity[place]), int(rate_pico[place])), AMOUNT_NANO_MAX)
    amounts[amounts > CHARGE_NANO_MAX] = OUT_OF_RANGE
    return amounts


def _half_even(product_pico: NDArray[np.int64]) -> NDArray[np.int64]:
    whole = product_pico // PICO_PER_NANO
    rest = product_pico - whole * PICO_PER_NANO
    half = PICO_PER_NANO // 2
    whole += (rest > half) | ((rest == half) & ((whole & 1) == 1))
    return whole
