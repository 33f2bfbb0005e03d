"""What budgets allowed in a month, now and then, and how an outlook stands against them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from outlay.control import budgets
from outlay.control.budgets import Wanted
from outlay.control.store import ControlStore
from outlay.core.budget import Budget
from outlay.core.calendar import Calendar
from outlay.core.money import NANO
from outlay.core.period import ns_of
from outlay.govern.allotments import COMPANY, Allotment, allotments, allotted, judged
from outlay.govern.outlook import Outlook, month_of, outlooks

from .test_forecast import Days

NOW = datetime(2026, 11, 21, tzinfo=UTC)
WINDOW = month_of(NOW)
MONTHS = [month_of(datetime(2026, month, 5, tzinfo=UTC)) for month in (8, 9, 10, 11)]


def put(store: ControlStore, amount: int, at: datetime, scope: dict[str, str], **said: object) -> None:
    name = scope.get("team", "company") + str(said.get("calendar", ""))
    budget = Budget(0, name, scope, **said)  # type: ignore[arg-type]
    budgets.set_budget(store, Wanted(budget, amount), "me", now_ns=ns_of(at))


def test_a_past_month_has_the_allocation_of_its_end_and_none_before_there_was_a_budget(control: ControlStore) -> None:
    put(control, 100, datetime(2026, 9, 10, tzinfo=UTC), {"team": "a"})
    put(control, 140, datetime(2026, 10, 31, 12, tzinfo=UTC), {"team": "a"})
    put(control, 900, datetime(2026, 10, 1, tzinfo=UTC), {})
    told = allotments(control, MONTHS, NOW)
    assert [None if "a" not in month else month["a"].limit_nano for month in told] == [None, 100, 140, 140]
    assert [COMPANY in month for month in told] == [False, False, True, True]
    assert (told[-1][COMPANY].percents, told[-1]["a"].percents) == ((80,), (70, 90))


def test_plans_exceptions_and_balances_count_in_their_month(control: ControlStore) -> None:
    august = datetime(2026, 8, 1, tzinfo=UTC)
    put(control, 100, august, {"team": "a"})
    spans = [(ns_of(start), ns_of(end)) for start, end in MONTHS]
    held = budgets.list_budgets(control)[0]
    budgets.set_budget(control, Wanted(held, 100, {spans[1]: 70}), "me", now_ns=ns_of(august))
    options = {"actor": "me", "reason": "launch", "starts_ns": spans[2][0], "ends_ns": spans[2][1]}
    budgets.grant(control, "a", "override", 25, **options)  # type: ignore[arg-type]
    told = [month["a"].limit_nano for month in allotments(control, MONTHS[:2], NOW)]
    assert told == [100, 70]
    assert budgets.standings(control, held, spans[0][0] + 1)[0].limit_nano == 100


def test_only_monthly_dollar_budgets_of_a_team_or_everything_are_told_and_the_smaller_binds(
    control: ControlStore,
) -> None:
    at = datetime(2026, 7, 1, tzinfo=UTC)
    put(control, 100, at, {"team": "a"})
    put(control, 1, at, {"team": "a"}, calendar=Calendar("week"))
    put(control, 1, at, {"team": "b"}, currency="EUR")
    put(control, 1, at, {"team": "c", "feature": "x"})
    assert {name: item.limit_nano for name, item in allotments(control, [WINDOW], NOW)[0].items()} == {"a": 100}
    budgets.set_budget(control, Wanted(Budget(0, "cap", {"team": "a"}), 60), "me", now_ns=ns_of(at))
    assert allotments(control, [WINDOW], NOW)[0]["a"] == Allotment("cap", 60, (70, 90))


def test_a_budget_for_each_team_binds_every_team_and_the_smaller_of_two_does(control: ControlStore) -> None:
    at = datetime(2026, 7, 1, tzinfo=UTC)
    put(control, 80, at, {"team": "*"})
    put(control, 50, at, {"team": "a"})
    put(control, 90, at, {"team": "b"})
    for window in (WINDOW, MONTHS[0]):
        (told,) = allotments(control, [window], NOW)
        assert [limit.limit_nano for team in "abc" if (limit := allotted(told, team))] == [50, 80, 80]
        assert allotted(told, COMPANY) is None


def steady(dollars: int = 100, now: datetime = NOW) -> Outlook:
    return outlooks(Days(WINDOW[0] - timedelta(days=70), all=[dollars * NANO] * 90), WINDOW, now).total


def allowed(dollars: int) -> Allotment:
    return Allotment("a", dollars * NANO, (70, 90))


def test_an_outlook_is_over_will_be_or_is_on_its_way() -> None:
    words = {
        dollars: judged(steady(), allowed(dollars), date(2026, 11, 1)).word for dollars in (1900, 2800, 3010, 5000)
    }
    assert words == {1900: "over", 2800: "exceeds", 3010: "tight", 5000: "on track"}
    passed = judged(steady(), allowed(2550), date(2026, 11, 1))
    assert passed.day == date(2026, 11, 26)
    assert judged(steady(), allowed(1950), date(2026, 11, 1)).day == date(2026, 11, 20)
    assert judged(steady(), None, date(2026, 11, 1)).word == "no budget"
    young = outlooks(Days(NOW - timedelta(days=1), all=[NANO]), WINDOW, NOW).total
    assert judged(young, allowed(10), date(2026, 11, 1)).word == "young"
    assert judged(steady(now=WINDOW[1]), allowed(5000), date(2026, 11, 1)).word == "under"
