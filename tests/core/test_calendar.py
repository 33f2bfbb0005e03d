"""Windows of budgets: no moment in none or in two, over clocks that change and years that begin in April."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.core.calendar import PERIODS, Calendar
from outlay.core.period import ns_of

HOUR = 3600 * 10**9


def ns(*parts: int) -> int:
    return ns_of(datetime(*parts, tzinfo=UTC))  # type: ignore[misc]


calendars = st.builds(
    Calendar,
    st.sampled_from(PERIODS),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Auckland", "Africa/Cairo"]),
    st.integers(1, 12),
    st.integers(1, 28),
    st.integers(0, 6),
)
moments = st.integers(ns(2001, 1, 1), ns(2090, 1, 1))


@given(calendars, moments)
def test_every_moment_is_in_one_window_and_windows_touch(calendar: Calendar, at: int) -> None:
    start, end = calendar.window(at)
    assert start <= at < end
    assert calendar.window(start) == calendar.window(end - 1) == (start, end)
    if calendar.period != "life":
        assert calendar.window(end)[0] == end
        assert calendar.before(start) == calendar.window(start - 1)
        assert calendar.window(start - 1)[1] == start


@given(calendars, moments)
def test_windows_have_names_that_differ(calendar: Calendar, at: int) -> None:
    start, end = calendar.window(at)
    if calendar.period not in {"life", "hour"}:  # an hour that comes twice has one name
        assert calendar.label(start) != calendar.label(calendar.window(end)[0])


def test_days_on_which_clocks_change_are_shorter_or_longer() -> None:
    berlin = Calendar("day", "Europe/Berlin")
    lengths = [end - start for start, end in map(berlin.window, (ns(2026, 3, 29, 12), ns(2026, 10, 25, 12)))]
    assert lengths == [23 * HOUR, 25 * HOUR]
    twice = [Calendar("hour", "Europe/Berlin").window(ns(2026, 10, 25, hour, 30)) for hour in (0, 1)]
    assert twice[0][1] == twice[1][0], "the hour that comes twice is two windows"


def test_a_month_begins_at_midnight_where_the_budget_lives() -> None:
    start, end = Calendar("month", "America/New_York").window(ns(2026, 11, 1, 3))
    assert (start, end) == (ns(2026, 10, 1, 4), ns(2026, 11, 1, 4)), "in New York it is still October"


@pytest.mark.parametrize(
    ("calendar", "at", "label", "start"),
    [
        (Calendar("year", start_month=4), ns(2027, 2, 3), "2026", ns(2026, 4, 1)),
        (Calendar("quarter", start_month=2), ns(2027, 1, 31), "2026-Q4", ns(2026, 11, 1)),
        (Calendar("quarter"), ns(2026, 11, 26), "2026-Q4", ns(2026, 10, 1)),
        (Calendar("month", start_day=15), ns(2026, 11, 3), "2026-10", ns(2026, 10, 15)),
        (Calendar("week", week_start=6), ns(2026, 11, 26), "2026-11-22", ns(2026, 11, 22)),
        (Calendar("day"), ns(2026, 11, 26, 8), "2026-11-26", ns(2026, 11, 26)),
        (Calendar("hour"), ns(2026, 11, 26, 8, 59), "2026-11-26T08", ns(2026, 11, 26, 8)),
    ],
)
def test_fiscal_calendars_and_anchors(calendar: Calendar, at: int, label: str, start: int) -> None:
    assert calendar.window(at)[0] == start
    assert calendar.label(start) == label


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"period": "fortnight"}, "fortnight"),
        ({"zone": "Europe/Atlantis"}, "Atlantis"),
        ({"zone": "../etc/passwd"}, "time zone"),
        ({"start_month": 13}, "start_month"),
        ({"start_day": 31}, "start_day"),
        ({"week_start": 7}, "week_start"),
    ],
)
def test_what_cannot_be_a_calendar_says_so(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Calendar(**changes)  # type: ignore[arg-type]
