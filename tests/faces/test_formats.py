"""Number formats: the table of the design, and that nothing is ever shown as nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.core.money import decimal_text
from outlay.faces import formats


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("9.8412", "$9.84"),
        ("0.58", "$0.58"),
        ("0.0701", "$0.070"),
        ("30400.2", "$30,400"),
        ("99.999", "$100"),
        ("100", "$100"),
        ("0", "$0.00"),
        ("0.0000004", "<$0.001"),
        ("-0.0000004", "−<$0.001"),
        ("-22.5", "−$22.50"),
        ("0.0999", "$0.100"),
        ("1234567.5", "$1,234,568"),
    ],
)
def test_money(text: str, shown: str) -> None:
    assert formats.money(text) == shown


def test_money_of_other_currencies() -> None:
    assert formats.money("9.84", "EUR") == "€9.84"
    assert formats.money("9.84", "CHF") == "9.84 CHF"


@given(st.integers(-(10**15), 10**15).filter(bool))
def test_what_is_not_zero_never_reads_zero(nano: int) -> None:
    assert any(digit in formats.money(decimal_text(nano)) for digit in "123456789")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("0.0981", "9.8 %"),
        ("1", "100.0 %"),
        ("0", "0.0 %"),
        ("0.0001", "<0.1 %"),
        ("0.99999", ">99.9 %"),
        ("-0.22", "−22.0 %"),
    ],
)
def test_shares(text: str, shown: str) -> None:
    assert formats.share(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [("4.2", "4.2 s"), ("59.94", "59.9 s"), ("190", "3 m 10 s"), ("7500", "2 h 05 m"), ("0", "0.0 s")],
)
def test_durations(text: str, shown: str) -> None:
    assert formats.duration(text) == shown


def test_counts_and_multiples() -> None:
    assert formats.count(1_234_567) == "1,234,567"
    assert formats.count(-5) == "−5"
    assert formats.multiple("1.914") == "1.91×"
