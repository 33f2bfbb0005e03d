"""A change says its direction, and whether that is good — only where it leaves the noise."""

from __future__ import annotations

import pytest

from outlay.faces.web.changes import change_of, decimal_of, signed_percent


@pytest.mark.parametrize(
    ("now", "before", "good", "text", "words", "tone"),
    [
        ("119", "100", "", "▲ 19 %", "up 19 %", "plain"),
        ("119", "100", "down", "▲ 19 %", "up 19 %", "bad"),
        ("81", "100", "down", "▼ 19 %", "down 19 %", "good"),
        ("81", "100", "up", "▼ 19 %", "down 19 %", "bad"),
        ("101", "100", "down", "▲ 1 %", "up 1 %", "plain"),
        ("100.2", "100", "down", "±0 %", "unchanged", "plain"),
        ("0", "100", "down", "▼ 100 %", "down 100 %", "good"),
        (12, 10, "up", "▲ 20 %", "up 20 %", "good"),
        ("5000", "1", "down", "▲ >1,000 %", "up more than tenfold", "bad"),
    ],
)
def test_changes(now: object, before: object, good: str, text: str, words: str, tone: str) -> None:
    change = change_of(now, before, good)
    assert change is not None
    assert (change.text, change.words, change.tone) == (text, words, tone)


@pytest.mark.parametrize(
    ("now", "before"), [(None, "1"), ("1", None), ("1", "0"), ("(unpriced)", "1"), ("1", "-2"), ("1", "")]
)
def test_what_is_not_known_has_no_change(now: object, before: object) -> None:
    assert change_of(now, before) is None


def test_inside_a_sentence_the_sign_is_a_minus() -> None:
    assert signed_percent("78", "100") == "−22 %"
    assert signed_percent("104", "100") == "+4 %"
    assert signed_percent("1", None) == ""


def test_only_figures_are_figures() -> None:
    assert decimal_of("-1.5") is not None
    assert decimal_of("unknown") is decimal_of(None) is decimal_of("-") is decimal_of("") is None
