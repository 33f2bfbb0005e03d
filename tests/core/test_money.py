"""Money: whole nano-units, exact texts, and one place that rounds."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies import nanos, rates_pico

from outlay.core.money import AMOUNT_NANO_MAX, Money, amount_nano, decimal_text, nano_of, pico_of


@given(nano=nanos())
def test_a_text_is_read_back_as_the_same_amount(nano: int) -> None:
    assert nano_of(decimal_text(nano)) == nano


@given(quantity=st.integers(-(10**12), 10**12), rate_pico=rates_pico())
def test_a_charge_is_rounded_half_to_even_once(quantity: int, rate_pico: int) -> None:
    exact = Decimal(quantity) * Decimal(rate_pico) / 1000
    assert amount_nano(quantity, rate_pico) == int(exact.quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


@pytest.mark.parametrize(
    ("stated", "nano"),
    [
        ("0.0125", 12_500_000),
        (0.00048679999999999996, 486_800),  # binary noise of a recorded float
        ("$1,234.50", 1_234_500_000_000),
        (3, 3_000_000_000),
        ("0.0000000005", 0),  # half to even
        ("0.0000000015", 2),
        ("-0.25", -250_000_000),
    ],
)
def test_stated_amounts_are_read_exactly(stated: object, nano: int) -> None:
    assert nano_of(stated) == nano


@pytest.mark.parametrize("stated", ["", "free", None, True, "nan", "inf", "1e400", AMOUNT_NANO_MAX, "1e3000000"])
def test_what_is_no_amount_is_refused(stated: object) -> None:
    with pytest.raises(ValueError, match=r"amount|finite|number"):
        nano_of(stated)


def test_prices_per_million_become_whole_pico_units() -> None:
    assert pico_of("2.5", 1_000_000) == 2_500_000
    assert pico_of("0.0375", 1_000_000) == 37_500


def test_currencies_are_never_added() -> None:
    assert Money(1) + Money(2) == Money(3)
    assert str(-Money(1_500_000_000, "EUR")) == "-1.5 EUR"
    with pytest.raises(ValueError, match="cannot add EUR to USD"):
        Money(1) + Money(1, "EUR")
