"""Every Hypothesis strategy of the test-suite, so that one idea of "any usage" serves all rooms.

Each strategy says in its docstring what it promises and what it deliberately includes (edges, ties, hostile spellings).
Simple things first, compositions of them below.
"""

from __future__ import annotations

from hypothesis import strategies as st

from outlay.core.money import AMOUNT_NANO_MAX


def nanos(*, signed: bool = True) -> st.SearchStrategy[int]:
    """Nano-units that fit the store: mostly everyday amounts, also zero, one nano-unit and the largest."""
    everyday = st.integers(0, 1_000_000_000_000)
    edges = st.sampled_from([0, 1, 999, 1_000, 999_999_999, 1_000_000_000, AMOUNT_NANO_MAX])
    amounts = everyday | edges
    return (amounts | amounts.map(lambda nano: -nano)) if signed else amounts


def rates_pico() -> st.SearchStrategy[int]:
    """Pico-units a unit: from a tenth of a nano-unit a token to a dollar a call, ties of the rounding included."""
    return st.integers(0, 1_000_000_000_000) | st.sampled_from([1, 499, 500, 501, 1_500, 2_500_000])


def token_counts() -> st.SearchStrategy[int]:
    """Counts a provider may report for one call, zero and a context of two million included."""
    return st.integers(0, 20_000) | st.sampled_from([0, 1, 200_000, 2_000_000])
