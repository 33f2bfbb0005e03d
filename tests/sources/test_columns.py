"""Whole columns of text to numbers, times and tags: the quick way and the exact way agree."""

from __future__ import annotations

from datetime import UTC
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.core.money import nano_of
from outlay.sources.columns import amounts_nano, counts, numbers_ns, tags_of, times_ns, translated
from outlay.sources.moments import moment_of_text, zone_of

AMOUNTS = st.decimals(0, 10**9, places=15).map(str) | st.sampled_from(["0", "1e-9", "5e-10", "1.5e-9", "$3", "1,000.5"])


@given(texts=st.lists(st.none() | AMOUNTS, max_size=20))
def test_amounts_are_those_of_the_one_rounding_place(texts: list[str | None]) -> None:
    nano, bad = amounts_nano(pa.array(texts, pa.string()))
    assert nano.to_pylist() == [None if text is None else nano_of(text) for text in texts]
    assert not bad.any()


def test_amounts_that_cannot_be_are_marked() -> None:
    nano, bad = amounts_nano(pa.array(["1", "x", "-1", "1e40", None, "inf"]))
    assert bad.tolist() == [False, True, True, True, False, True]
    assert nano.to_pylist()[0] == 10**9


def test_counts_may_have_a_point_but_no_fraction() -> None:
    numbers, bad = counts(pa.array(["7", "7.0", " 7 ", "-7", "7.5", "", None, "1e3"]))
    assert numbers.to_pylist() == [7, 7, 7, None, None, None, None, 1000]
    assert bad.tolist() == [False, False, False, True, True, True, False, False]


TIMES = ["2023-11-16 18:15:46.6805900", "2026-01-01T10:00:00Z", "2026-07-01T10:00:00+05:30", "2024-05-01", None]


@pytest.mark.parametrize("texts", [TIMES, TIMES[:1] + TIMES[3:], TIMES[1:3]])
@pytest.mark.parametrize("zone", [None, "Asia/Kolkata", "America/New_York"])
def test_times_are_those_of_the_slow_way(texts: list[str | None], zone: str | None) -> None:
    ns, bad, assumed = times_ns(pa.array(texts, pa.string()), zone_of(zone))
    slow = [None if text is None else moment_of_text(text, zone_of(zone)) for text in texts]
    assert ns.to_pylist() == [None if moment is None else moment.ns for moment in slow]
    assert [flag for flag, moment in zip(assumed, slow, strict=True) if moment] == [m.zone_assumed for m in slow if m]
    assert not bad.any()


@pytest.mark.parametrize("text", ["2026-03-29 02:30:00", "2026-10-25 02:30:00"])
def test_hours_that_a_change_of_clocks_skips_or_repeats_agree(text: str) -> None:
    ns, _, _ = times_ns(pa.array([text]), ZoneInfo("Europe/Berlin"))
    assert ns.to_pylist() == [moment_of_text(text, ZoneInfo("Europe/Berlin")).ns]


def test_a_time_that_is_none_is_marked() -> None:
    ns, bad, _ = times_ns(pa.array(["2026-01-01", "soon", "2026-02-30", "9999-01-01"]), UTC)
    assert bad.tolist() == [False, True, True, True]
    assert ns.to_pylist()[1:] == [None] * 3


def test_numbers_count_from_an_anchor() -> None:
    ns, bad = numbers_ns(pa.array(["0", "1.5", None, "x"]), 10**6, 1000)
    assert ns.to_pylist() == [1000, 1_501_000, None, None]
    assert bad.tolist() == [False, False, False, True]
    assert numbers_ns(pa.array(["2", "3"]), 10**9)[0].to_pylist() == [2 * 10**9, 3 * 10**9]


def test_words_are_translated_in_any_case_of_letters() -> None:
    column = pa.array(["Yes", "no", "maybe", None])
    assert translated(column, {"yes": "done", "No": "failed"}, "unknown").to_pylist() == [
        *("done", "failed", "unknown", "unknown"),
    ]


def test_tags_leave_out_what_is_not_said() -> None:
    tags = tags_of({"a": pa.array(["1", None, None]), "b": pa.array(["2", "3", None])}, 3)
    assert tags.to_pylist() == [[("a", "1"), ("b", "2")], [("b", "3")], []]
    assert tags_of({}, 2).to_pylist() == [None, None]
