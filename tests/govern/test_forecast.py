"""The forecast: exact once there is nothing to foresee, the same each time, and as often right as it says."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.core.money import NANO, decimal_text, nano_of
from outlay.core.period import Grain, ns_of
from outlay.demo.company import FEATURES, HISTORY_DAYS, WEEKEND_PERCENT
from outlay.govern.forecast import DAYS_MIN, LEVELS, PRIOR_SPREAD, STEPS_MAX, ahead, chance_within, reach
from outlay.govern.outlook import DAYS_NEEDED, Outlook, month_of, outlooks
from outlay.metrics.answer import Answer
from outlay.metrics.query import Query

MONDAY = date(2026, 6, 1)
amounts = st.lists(st.integers(0, 5_000 * NANO), min_size=1, max_size=70)


def company(seed: int, days: int = 200) -> list[int]:
    """Days of one feature as the demo tells them: growth, weekdays, and how many sessions there happen to be."""
    rng, feature = random.Random(seed), FEATURES[seed % len(FEATURES)]
    told = []
    for place in range(days):
        growth = 100 + (feature.sessions_then - 100) * (days - place) // HISTORY_DAYS
        weekend = WEEKEND_PERCENT[feature.rhythm] if place % 7 >= 5 else 100
        sessions = max(1, feature.sessions * growth * weekend * rng.randint(84, 116) // 1_000_000)
        told.append(sum(NANO * rng.randint(100, 900) // 100 for _ in range(sessions)))
    return told


class Days:
    """Books that hold one cost a day for each team."""

    def __init__(self, first: datetime, **teams: list[int]) -> None:
        self.first, self.teams = first, teams

    def __call__(self, query: Query) -> Answer:
        assert query.grain is Grain.DAY
        rows = []
        for team, days in self.teams.items():
            for place, nano in enumerate(days):
                at = self.first + timedelta(days=place)
                if (query.period.start_ns or 0) <= ns_of(at) < (query.period.end_ns or 0) and nano:
                    label = {"team": team} if query.by else {}
                    rows.append({"time": at.isoformat(), **label, "cost": decimal_text(nano)})
        return Answer({}, rows, {}, {})


def month(day: int, hour: int = 0) -> tuple[tuple[datetime, datetime], datetime]:
    now = datetime(2026, 11, day, hour, tzinfo=UTC)
    return month_of(now), now


def outlook(days: list[int], day: int, hour: int = 0) -> Outlook:
    window, now = month(day, hour)
    first = window[0] + timedelta(days=day - 1 - len(days)) if day else window[0]
    return outlooks(Days(first, all=days), window, now).total


@given(amounts)
def test_a_month_that_is_over_cost_what_it_cost(days: list[int]) -> None:
    window = month_of(datetime(2026, 10, 1, tzinfo=UTC))
    first = window[1] - timedelta(days=len(days))
    total = outlooks(Days(first, all=days), window, window[1] + timedelta(days=3)).total
    spent = sum(days[-31:])
    assert (total.state, total.spent_nano, total.forecast_nano) == ("over", spent, spent)
    assert all(total.ends(percent) == (spent, spent) for percent in LEVELS)
    assert total.chance_within(spent) == 1
    assert not spent or total.chance_within(spent - 1) == 0


@given(amounts, st.integers(1, 40))
def test_it_is_the_same_each_time_grows_by_the_day_and_its_intervals_are_nested(days: list[int], steps: int) -> None:
    (one,), (other,) = ahead([days], MONDAY, steps), ahead([days], MONDAY, steps)
    assert one == other
    assert len(one.middle) == len(one.spread) == steps
    assert list(one.middle) == sorted(one.middle)
    assert all(spread > 0 for spread in one.spread)
    ends = [reach(one.middle[-1], one.spread[-1], percent) for percent in LEVELS]
    lows, highs = [low for low, _ in ends], [high for _, high in ends]
    assert lows == sorted(lows, reverse=True)
    assert highs == sorted(highs)
    assert lows[0] <= one.middle[-1] <= highs[0]


@given(st.integers(0, 40), st.integers(2, 1000))
def test_money_in_another_unit_is_the_same_forecast(seed: int, factor: int) -> None:
    days = company(seed, 90)
    (one,), (other,) = ahead([days], MONDAY, 20), ahead([[day * factor for day in days]], MONDAY, 20)
    assert other.middle[-1] == pytest.approx(one.middle[-1] * factor, rel=1e-6)
    assert other.spread == pytest.approx(one.spread, rel=1e-6)


def test_several_series_at_once_are_each_one_alone() -> None:
    several = [company(seed, 120) for seed in range(4)]
    together = ahead(several, MONDAY, 12)
    for days, found in zip(several, together, strict=True):
        (alone,) = ahead([days], MONDAY, 12)
        assert found.middle == alone.middle
        assert found.spread == pytest.approx(alone.spread)


def test_a_weekly_pattern_is_carried_on_to_the_cent() -> None:
    week = [900, 1000, 1100, 1000, 800, 90, 60]
    (found,) = ahead([[day * NANO for day in week * 10]], MONDAY, 14)
    assert found.middle[6] == pytest.approx(sum(week) * NANO, rel=0.03)
    assert found.middle[13] == pytest.approx(2 * sum(week) * NANO, rel=0.03)
    assert found.middle[5] - found.middle[4] < 0.2 * found.middle[0], "a Saturday is a Saturday"


def test_a_young_series_has_a_prior_and_says_so_and_a_new_one_has_no_forecast() -> None:
    young = outlook([40 * NANO] * DAYS_NEEDED, 10)
    assert (young.state, young.is_prior, young.spread) == ("open", True, PRIOR_SPREAD)
    assert not outlook(company(3), 10).is_prior
    new = outlook([40 * NANO] * (DAYS_NEEDED - 1), 10)
    assert (new.state, new.forecast_nano, new.ends(80), new.chance_within(NANO)) == ("young", None, None, None)
    assert outlook([], 10).state == "young"


def test_the_part_of_today_that_is_gone_is_not_foreseen_again() -> None:
    days = [100 * NANO] * 60
    window, now = month(21, 18)
    first = window[0] + timedelta(days=20 - len(days))
    total = outlooks(Days(first, all=[*days, 75 * NANO]), window, now).total
    assert total.spent_nano == (20 * 100 + 75) * NANO
    assert total.path[0].middle_nano == pytest.approx((2100) * NANO, rel=0.01)
    assert total.forecast_nano == pytest.approx(3000 * NANO, rel=0.02)
    assert len(total.so_far) == 21
    assert [step.day.day for step in total.path] == list(range(21, 31))


def test_the_parts_are_told_by_name_and_the_whole_is_all_of_them() -> None:
    window, now = month(11)
    books = Days(window[0] - timedelta(days=60), a=[10 * NANO] * 70, b=[30 * NANO] * 70)
    found = outlooks(books, window, now, "team")
    assert found.parts["b"].spent_nano == 300 * NANO
    assert found.total.spent_nano == 400 * NANO
    assert found.total.forecast_nano == pytest.approx(1200 * NANO, rel=0.02)


def test_a_dollar_forecast_leaves_other_currencies_out() -> None:
    window, now = month(11)
    dollars = Days(window[0] - timedelta(days=60), a=[10 * NANO] * 70)

    def mixed(query: Query) -> Answer:
        answer = dollars(query)
        rows = [{**row, "currency": "USD"} for row in answer.rows]
        return Answer({}, [*rows, {**rows[-1], "currency": "EUR"}], {}, {})

    assert outlooks(mixed, window, now).total.spent_nano == 100 * NANO


def test_the_interval_holds_as_often_as_it_says_over_the_demo_s_history() -> None:
    held = dict.fromkeys(LEVELS, 0)
    off, asked = [], 0
    for seed in range(24):
        days = company(seed)
        for left in (25, 20, 10):
            (found,) = ahead([days[: 200 - left]], MONDAY, left)
            came = sum(days[200 - left :])
            asked += 1
            off.append(abs(found.middle[-1] - came) / sum(days[170:]))
            for percent in LEVELS:
                low, high = reach(found.middle[-1], found.spread[-1], percent)
                held[percent] += low <= came <= high
    assert 0.40 <= held[50] / asked <= 0.85
    assert 0.70 <= held[80] / asked <= 0.97
    assert held[95] / asked >= 0.90
    assert sum(off) / asked < 0.06


def test_a_chance_is_a_half_at_the_middle_and_certain_far_from_it() -> None:
    assert chance_within(100, 0.1, 100) == pytest.approx(0.5)
    assert chance_within(100, 0.1, 200) > 0.999
    assert chance_within(100, 0.1, 0) == 0
    assert chance_within(0, 0.1, 0) == 1
    low, high = reach(10**12, 0.1, 80)
    assert chance_within(10**12, 0.1, high) - chance_within(10**12, 0.1, low) == pytest.approx(0.8, abs=1e-3)


def test_what_cannot_be_asked_is_refused_and_far_days_are_not_foreseen() -> None:
    with pytest.raises(ValueError, match="at least one day"):
        ahead([], MONDAY, 3)
    with pytest.raises(ValueError, match="negative"):
        ahead([[1]], MONDAY, -1)
    assert len(ahead([[1] * DAYS_MIN], MONDAY, 500)[0].middle) == STEPS_MAX
    assert nano_of(decimal_text(ahead([[0] * 30], MONDAY, 5)[0].middle[-1])) == 0, "nothing leads to nothing"
