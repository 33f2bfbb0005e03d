"""Complaints about enforcement elsewhere, each a test here; the number is that of the list they were collected in.

14 races · 15 no estimate, no reservation · 16 false refusals · 17 open when the store is down · 18 fallbacks escape ·
19 each replica its own cap · 20 free models blocked · 21 windows. Those that need crowds are in test_races.py, 17 over
HTTP in tests/faces/api/test_leases.py.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from outlay.control import budgets, rates
from outlay.control.leases import Leases, run_on
from outlay.control.store import ControlStore
from outlay.control.teller import Teller
from outlay.core.budget import Budget
from outlay.core.calendar import Calendar
from outlay.core.in_force import InForce, read_in_force
from outlay.core.lease import Ask, refusal_text
from outlay.core.period import ns_of
from outlay.core.quote import Call
from outlay.core.rate import Rate

NOW = ns_of(datetime(2026, 11, 26, 12, tzinfo=UTC))
SECOND = 10**9
HOUR = 3600 * SECOND


def put(store: ControlStore, name: str, amount: int, scope: dict[str, str] | None = None, **more: Any) -> Budget:
    calendar = more.pop("calendar", Calendar())
    more.setdefault("reserve_percent", 0)
    wanted = Budget(0, name, scope or {}, calendar, **more)
    budgets.set_budget(store, budgets.Wanted(wanted, amount), "me", now_ns=0)
    return next(item for item in budgets.list_budgets(store) if item.name == name)


def call(model: str, provider: str = "acme") -> Ask:
    return Ask({"team": "search"}, call=Call(provider, model, input_tokens=10, max_tokens=100))


@pytest.fixture
def priced(control: ControlStore) -> ControlStore:
    listed = [
        ("acme", "dear", False, Rate(2_000_000, 4_000_000, 10_000_000)),
        ("acme", "cheap", False, Rate(1_000_000, 1_000_000, 1_000_000)),
        ("home", "*", True, Rate(0, 0, 0)),
    ]
    rates.fill(control, listed, "test")
    return control


def test_c14_the_first_requests_of_somebody_unknown_are_under_the_cap_too(control: ControlStore) -> None:
    put(control, "each customer", 100, {"customer": "*"})
    desk = Leases(control)
    given = [desk.decide(Ask({"customer": "never seen"}, 40), NOW) for _ in range(3)]
    assert [item.refusal is None for item in given] == [True, True, False]


def test_c16_a_budget_far_too_small_for_a_worst_case_still_lets_work_be_done(priced: ControlStore) -> None:
    """A cap of four worst cases, where a call really costs 90: it is clamped, and twenty later it is known."""
    put(priced, "small", 4_000)
    desk, done = Leases(priced), 0
    while (given := desk.decide(call("dear"), NOW)).lease:
        desk.settle(given.lease, 90, NOW)
        done += 1
    assert done >= 35


def test_c17_what_is_remembered_decides_while_the_store_is_down(control: ControlStore) -> None:
    put(control, "open", 100, {"team": "open"})
    put(control, "closed", 100, {"team": "closed"}, fail="closed")
    put(control, "soft", 100, {"team": "soft"}, fail="closed", mode="soft")
    with control.reading() as connection:
        force: InForce = read_in_force(run_on(connection))
    assert force.unasked({"team": "open"}, NOW) is None
    assert force.unasked({"team": "soft"}, NOW) is None
    refusal = force.unasked({"team": "closed"}, NOW)
    assert refusal is not None
    assert (refusal.reason, refusal.budget, refusal.retryable) == ("unreachable", "closed", True)
    assert "cannot be asked" in refusal_text(refusal)


def test_c18_a_fallback_is_checked_like_a_first_choice(priced: ControlStore) -> None:
    budget = put(priced, "all", 500, ladder={"dear": "cheap"})
    desk = Leases(priced)
    held = [desk.decide(call("dear"), NOW) for _ in range(6)]
    assert [item.model for item in held if item.lease] == ["cheap"] * 4
    assert sum(item.amount_nano for item in held) <= 500
    assert held[-1].refusal is not None
    assert budgets.standings(priced, budget, NOW)[0].held_nano == sum(item.amount_nano for item in held)
    assert desk.decide(call("unheard-of"), NOW).refusal.reason == "unpriced"  # type: ignore[union-attr]


def test_c19_replicas_share_one_cap(control: ControlStore) -> None:
    budget = put(control, "all", 100)
    replicas = [Teller(control), Teller(control), Teller(control)]
    given = [
        replica.answer([lambda book, force, now_ns: book.decide(force, Ask({}, 30), now_ns)], NOW)[0]
        for _ in range(2)
        for replica in replicas
    ]
    assert [item.refusal is None for item in given] == [True] * 3 + [False] * 3
    assert budgets.standings(control, budget, NOW)[0].held_nano == 90
    changed = put(control, "all", 200)
    again = replicas[1].answer([lambda book, force, now_ns: book.decide(force, Ask({}, 100), now_ns)], NOW)[0]
    assert again.lease, "a change reaches every replica with its next decision"
    assert changed.id == budget.id
    for replica in replicas:
        replica.close()


def test_c20_free_and_local_models_pass_when_all_is_gone(priced: ControlStore) -> None:
    put(priced, "all", 0)
    put(priced, "team", 100, {"team": "search"})
    desk = Leases(priced)
    assert desk.decide(call("dear"), NOW).refusal is not None
    free = desk.decide(call("llama3.1:8b", "home"), NOW)
    assert (free.refusal, free.amount_nano) == (None, 0)
    desk.settle(free.lease, 0, NOW)


BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("calendar", "begins", "hours"),
    [
        (Calendar("day", "Europe/Berlin"), datetime(2026, 3, 29, tzinfo=BERLIN), 23),
        (Calendar("day", "Europe/Berlin"), datetime(2026, 10, 25, tzinfo=BERLIN), 25),
        (Calendar("day", "Asia/Kolkata"), datetime(2026, 11, 26, tzinfo=ZoneInfo("Asia/Kolkata")), 24),
        (Calendar("hour"), datetime(2026, 11, 26, 12, tzinfo=UTC), 1),
        (Calendar("week", week_start=6), datetime(2026, 11, 22, tzinfo=UTC), 7 * 24),
        (Calendar("month", "Europe/Berlin"), datetime(2026, 3, 1, tzinfo=BERLIN), 31 * 24 - 1),
        (Calendar("month", start_day=25), datetime(2026, 11, 25, tzinfo=UTC), 30 * 24),
        (Calendar("quarter", start_month=2), datetime(2026, 11, 1, tzinfo=UTC), 92 * 24),
        (Calendar("year", start_month=4), datetime(2026, 4, 1, tzinfo=UTC), 365 * 24),
    ],
)
def test_c21_a_window_ends_when_it_ends_and_neither_an_hour_later_nor_earlier(
    control: ControlStore, calendar: Calendar, begins: datetime, hours: int
) -> None:
    put(control, "all", 100, calendar=calendar)
    desk, start = Leases(control), ns_of(begins.astimezone(UTC))
    end = start + hours * HOUR
    desk.settle(desk.decide(Ask({}, 100), start).lease, 100, start)
    refused = desk.decide(Ask({}, 1), end - SECOND).refusal
    assert refused is not None
    assert refused.resets_ns == end, "the refusal says when"
    assert desk.decide(Ask({}, 100), end).lease
    before = desk.decide(Ask({}, 100), start - SECOND)
    assert before.lease, "the window before is another one"


def test_c21_a_window_of_life_never_begins_anew(control: ControlStore) -> None:
    put(control, "all", 100, calendar=Calendar("life"))
    desk = Leases(control)
    desk.settle(desk.decide(Ask({}, 100), NOW).lease, 100, NOW)
    refused = desk.decide(Ask({}, 1), NOW + 10**6 * HOUR).refusal
    assert refused is not None
    assert refused.resets_ns is None


def test_two_budgets_that_contradict_both_bind_and_the_smaller_says_no(control: ControlStore) -> None:
    put(control, "company", 50)
    put(control, "team", 100, {"team": "search"})
    put(control, "team again", 80, {"team": "search"})
    refused = Leases(control).decide(Ask({"team": "search"}, 60), NOW).refusal
    assert refused is not None
    assert refused.budget == "company"


def test_a_clock_that_goes_backwards_gives_no_money_twice(control: ControlStore) -> None:
    budget = put(control, "all", 100, calendar=Calendar("hour"))
    desk = Leases(control)
    held = desk.decide(Ask({}, 60, ttl_ns=SECOND), NOW)
    assert desk.decide(Ask({}, 60), NOW - HOUR).lease, "the window of that moment has money of its own"
    assert desk.decide(Ask({}, 60), NOW + SECOND // 2).refusal is not None
    assert desk.sweep(NOW - 10) == 0, "nobody is dead before his time"
    assert desk.settle(held.lease, 50, NOW - HOUR), "it is settled where it was taken"
    assert budgets.standings(control, budget, NOW)[0].spent_nano == 50
