"""What is usual for an hour."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from outlay.govern.baseline import DAYS, DAYS_MIN, added, bands, today_by_now, usual_by_now

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def days(*values: int) -> dict[datetime, int]:
    """The same hour on the days before NOON, the latest day first."""
    return {NOON - timedelta(days=place + 1): value for place, value in enumerate(values)}


def test_the_band_is_that_of_the_same_hour_and_never_of_the_hour_itself() -> None:
    (band,) = bands({**days(10, 20, 30, 40, 50), NOON: 10_000}, [NOON])
    assert band is not None
    assert (band.middle, band.days) == (30, 5)
    assert 10 <= band.low < 30 < band.high <= 50
    other_hours = {hour + timedelta(hours=3): 9_999 for hour in days(1, 1, 1, 1)}
    assert bands({**days(10, 20, 30, 40, 50), **other_hours}, [NOON])[0] == band


def test_too_few_days_are_no_habit() -> None:
    assert bands(days(*[5] * (DAYS_MIN - 1)), [NOON]) == [None]
    assert bands({}, [NOON]) == [None]
    assert usual_by_now({NOON: 3}, NOON) is None


def test_an_hour_without_a_value_was_quiet_once_the_series_began() -> None:
    (band,) = bands({NOON - timedelta(days=4): 8}, [NOON])
    assert band is not None
    assert (band.middle, band.days) == (0, 4)


def test_only_the_last_four_weeks_count() -> None:
    (band,) = bands(days(*[7] * DAYS, *[1_000_000] * 10), [NOON])
    assert band is not None
    assert (band.low, band.middle, band.high) == (7, 7, 7)


def test_the_usual_by_now_adds_the_full_hours_of_each_day() -> None:
    midnight = NOON.replace(hour=0)
    series = {midnight - timedelta(days=day) + timedelta(hours=hour): 10 for day in range(1, 6) for hour in range(24)}
    assert usual_by_now(series, NOON.replace(minute=40)) == 120
    assert usual_by_now(series, midnight.replace(minute=5)) == 0
    today = {midnight: 3, midnight + timedelta(hours=11): 4, NOON: 100, midnight - timedelta(hours=1): 50}
    assert today_by_now(today, NOON.replace(minute=40)) == 7


def test_series_add_up_hour_by_hour() -> None:
    assert added([{NOON: 1}, {NOON: 2, NOON - timedelta(hours=1): 5}]) == {NOON: 3, NOON - timedelta(hours=1): 5}


@given(st.lists(st.integers(0, 2**60), min_size=DAYS_MIN, max_size=40))
def test_the_edges_hold_the_middle_and_lie_within_what_was(values: list[int]) -> None:
    (band,) = bands(days(*values), [NOON])
    assert band is not None
    near = values[:DAYS]
    assert min(near) <= band.low <= band.middle <= band.high <= max(near)
