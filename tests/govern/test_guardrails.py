"""Which verdicts are rejections."""

from __future__ import annotations

from fractions import Fraction

from outlay.govern.guardrails import rejection_rate


def test_the_words_of_many_vendors_are_one_rate() -> None:
    said = [("Block", 1), (" GUARDRAIL_INTERVENED ", 2), ("true", 1), ("pass", 3), ("", 1), ("allow", 0)]
    assert rejection_rate(said) == Fraction(4, 8)
    assert rejection_rate([]) is None
    assert rejection_rate([("pass", 5)]) == 0
