"""The one rounding place, over columns: equal to core.money for every quantity and rate."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from outlay.core.money import amount_nano
from outlay.pricing.rounding import CHARGE_NANO_MAX, OUT_OF_RANGE, amounts_nano
from strategies import quantity_rates


@given(st.lists(quantity_rates(), max_size=20))
def test_columns_round_exactly_like_the_core(pairs: list[tuple[int, int]]) -> None:
    quantity = np.array([each for each, _ in pairs], np.int64)
    rate = np.array([each for _, each in pairs], np.int64)
    exact = [amount_nano(each, pico) for each, pico in pairs]
    assert amounts_nano(quantity, rate).tolist() == [
        each if each <= CHARGE_NANO_MAX else OUT_OF_RANGE for each in exact
    ]


def test_half_goes_to_the_even_neighbour() -> None:
    rate = np.array([500, 1_500, 2_500, 501, 499], np.int64)
    assert amounts_nano(np.ones(5, np.int64), rate).tolist() == [0, 2, 2, 1, 0]


def test_no_rows_no_amounts() -> None:
    assert amounts_nano(np.zeros(0, np.int64), np.zeros(0, np.int64)).tolist() == []
