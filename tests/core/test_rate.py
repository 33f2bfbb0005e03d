"""A worst case is never too small, and an amount pays for no more than it pays for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.core.rate import Rate, spellings

AMOUNT = st.integers(0, 10**14)
TOKENS = st.integers(0, 10**7)
RATES = st.builds(Rate, AMOUNT, AMOUNT, AMOUNT, AMOUNT, st.sampled_from([0, 200_000]), AMOUNT, AMOUNT)


@given(RATES, TOKENS, TOKENS)
def test_the_worst_case_is_rounded_up_by_less_than_one(rate: Rate, into: int, out: int) -> None:
    worst = rate.worst_nano(into, out)
    dear, answer = rate._at(into)
    exact = rate.call_nano * 10**6 + into * dear + out * answer
    assert exact <= worst * 10**6 < exact + 10**6


@given(RATES, TOKENS, st.integers(0, 10**16))
def test_an_amount_pays_for_its_tokens_and_not_for_one_more(rate: Rate, into: int, amount: int) -> None:
    tokens = rate.output_tokens_for(amount, into)
    if tokens is None:
        assert rate.worst_nano(into, 10**9) == rate.worst_nano(into, 0)
        return
    assert tokens == 0 or rate.worst_nano(into, tokens) <= amount
    assert rate.worst_nano(into, tokens + 1) > amount or rate.worst_nano(into, 0) > amount


@pytest.mark.parametrize(
    ("spelled", "last"),
    [
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("Claude-Opus-5[1m]", "claude-opus-5"),
        ("us.anthropic.claude-opus-5", "anthropic.claude-opus-5"),
        ("gpt-4o", "gpt-4o"),
    ],
)
def test_a_name_is_tried_as_spelled_first_and_then_without_what_changes_no_price(spelled: str, last: str) -> None:
    tried = list(spellings(spelled))
    assert tried[0] == spelled.lower()
    assert tried[-1] == last
