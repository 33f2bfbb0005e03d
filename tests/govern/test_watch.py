"""The watch on both stores: each thing once, however often and by however many it is looked for."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import update

from outlay.control import budgets as stored
from outlay.control import outbox, overrides
from outlay.control.alerts import AlertRow, list_alerts
from outlay.control.channels import set_channel
from outlay.control.leases import Leases
from outlay.control.policies import set_policy
from outlay.control.store import ControlStore
from outlay.core.budget import Budget
from outlay.core.calendar import Calendar
from outlay.core.lease import Ask
from outlay.core.money import NANO
from outlay.core.period import ns_of
from outlay.govern.alert_rules import POLICY
from outlay.govern.budgets import true_up_all
from outlay.govern.channels import read_channel
from outlay.govern.overrides import POLICY as OVERRIDES
from outlay.govern.watch import watch
from outlay.metrics.answer import Answer
from outlay.metrics.query import Query

NOW = ns_of(datetime(2026, 11, 26, 12, tzinfo=UTC))
MINUTE = 60 * 10**9
HOUR, DAY = 60 * MINUTE, 24 * 60 * MINUTE


def put(store: ControlStore, name: str = "a", amount: int = 100, now: int = NOW, **more: Any) -> Budget:
    scope = more.pop("scope", {"team": name})
    wanted = Budget(0, name, scope, more.pop("calendar", Calendar()), more.pop("mode", "observe"), **more)
    stored.set_budget(store, stored.Wanted(wanted, amount * NANO), "me", now_ns=now)
    return next(budget for budget in stored.list_budgets(store) if budget.name == name)


def spend(store: ControlStore, amount: int, now: int, **envelope: str) -> bool:
    desk = Leases(store)
    given = desk.decide(Ask(envelope or {"team": "a"}, amount * NANO), now)
    return bool(given.lease) and desk.settle(given.lease, amount * NANO, now)


def told(store: ControlStore) -> list[tuple[str, str]]:
    return [(row.kind, row.key.rpartition(":")[2]) for row in reversed(list_alerts(store))]


def ops(store: ControlStore, name: str = "ops") -> None:
    set_channel(store, read_channel({"name": name, "kind": "slack", "secret": "https://hooks.slack.com/x"}), "me")


def only(store: ControlStore, **rule: Any) -> None:
    set_policy(store, POLICY, {"rules": [{"forecast": None, **rule}]}, "me")


def test_each_threshold_is_told_once_and_not_once_a_request_complaint_22(control: ControlStore) -> None:
    put(control)
    ops(control)
    only(control)
    for number in range(1, 13):
        spend(control, 10, NOW + number * MINUTE)
        for _ in range(3):
            watch(control, None, NOW + number * MINUTE)
    assert told(control) == [("actual", "70"), ("actual", "90"), ("over", "100"), ("over", "110"), ("over", "120")]
    assert len(outbox.messages(control)) == 5


def test_a_jump_over_several_thresholds_is_one_alert(control: ControlStore) -> None:
    put(control)
    only(control)
    spend(control, 95, NOW)
    assert watch(control, None, NOW) == 1
    assert told(control) == [("actual", "90")]
    assert list_alerts(control)[0].title == "a has used 95 % of 100 USD for 2026-11, past 90 %"


def test_two_servers_that_look_at_the_same_moment_tell_once(control: ControlStore) -> None:
    put(control)
    ops(control)
    only(control)
    spend(control, 72, NOW)
    news: list[int] = []
    gate = threading.Barrier(4)

    def look() -> None:
        gate.wait()
        news.append(watch(control, None, NOW + MINUTE))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(news) == [0, 0, 0, 1]
    assert len(outbox.messages(control)) == 1


def test_a_raised_budget_is_armed_again_and_a_restart_is_not(control: ControlStore, control_url: str) -> None:
    put(control)
    only(control)
    spend(control, 72, NOW)
    watch(control, None, NOW)
    with ControlStore(control_url) as again:
        assert watch(again, None, NOW + MINUTE) == 0
    put(control, amount=200, now=NOW + 2 * MINUTE)
    assert watch(control, None, NOW + 2 * MINUTE) == 0, "36 % of the new limit"
    spend(control, 70, NOW + 3 * MINUTE)
    assert watch(control, None, NOW + 3 * MINUTE) == 1
    assert told(control) == [("actual", "70"), ("actual", "70")]


def test_an_exception_arms_again_and_its_end_does_not(control: ControlStore) -> None:
    budget = put(control)
    only(control)
    spend(control, 72, NOW)
    watch(control, None, NOW)
    given = stored.grant(control, "a", "override", 100 * NANO, actor="me", reason="x", ends_ns=2**62)
    with control.writing() as connection:  # as granted at the test's moment, which may be long ago
        stored.touch(connection)
        moments = {"starts_ns": NOW, "ends_ns": NOW + HOUR}
        connection.execute(update(stored.grants).where(stored.grants.c.id == given.id).values(moments))
    spend(control, 70, NOW + MINUTE)
    watch(control, None, NOW + MINUTE)
    assert told(control) == [("actual", "70"), ("actual", "70")]
    assert watch(control, None, NOW + 2 * HOUR) == 0
    (standing,) = stored.standings(control, budget, NOW + 2 * HOUR)
    assert (standing.limit_nano, standing.spent_nano) == (200 * NANO, 142 * NANO), "what was spent of it stays"


def test_a_new_window_tells_anew_and_late_spend_of_the_old_one_is_still_told(control: ControlStore) -> None:
    calendar = Calendar("day", "Europe/Berlin")
    budget = put(control, calendar=calendar)
    only(control)
    start, end = calendar.window(NOW)
    spend(control, 50, NOW)
    watch(control, None, NOW)
    spend(control, 25, end - 1)  # after the last look of the window
    assert watch(control, None, end + MINUTE) == 1
    spend(control, 75, end + HOUR)
    watch(control, None, end + HOUR)
    rows = list_alerts(control)
    assert [(row.kind, row.start_ns) for row in rows] == [("actual", end), ("actual", start)]
    assert budget.id


def test_a_server_that_was_down_over_the_end_of_a_window_tells_when_it_is_back(control: ControlStore) -> None:
    calendar = Calendar("day")
    put(control, calendar=calendar)
    only(control)
    watch(control, None, NOW)
    spend(control, 75, NOW + HOUR)
    assert watch(control, None, calendar.window(NOW)[1] + 5 * HOUR) == 1


def test_each_balance_of_a_budget_for_each_of_something_is_told_apart(control: ControlStore) -> None:
    put(control, "customers", scope={"customer": "*"})
    only(control)
    for customer, amount in (("acme", 75), ("beta", 10), ("gamma", 95)):
        spend(control, amount, NOW, customer=customer)
    watch(control, None, NOW)
    assert sorted(row.title.split(" has")[0] for row in list_alerts(control)) == [
        "customers (acme)",
        "customers (gamma)",
    ]


def test_of_budgets_for_each_session_only_refusals_are_told_unless_a_rule_says_more(control: ControlStore) -> None:
    scope, life = {"session": "*"}, Calendar("life")
    put(control, "each run", scope=scope, calendar=life, mode="hard", caps={"steps": 3}, owner="ann")
    for session in ("one", "two", "three"):
        for _ in range(2):
            assert spend(control, 46, NOW, session=session)
    assert watch(control, None, NOW) == 0
    assert spend(control, 1, NOW, session="two")
    assert not spend(control, 1, NOW + MINUTE, session="two"), "a loop comes to its cap"
    assert watch(control, None, NOW + MINUTE) == 1
    assert watch(control, None, NOW + 2 * MINUTE) == 0
    assert list_alerts(control)[0].title == "each run (two) refused 1 call: its 3 steps are used up"
    only(control, actual=[90])
    spend(control, 1, NOW + 3 * MINUTE, session="three")
    assert watch(control, None, NOW + 3 * MINUTE) == 1
    assert list_alerts(control)[0].title.startswith("each run (three) has used 93 %")


def test_what_is_refused_for_want_of_money_or_of_a_price_says_which(control: ControlStore) -> None:
    put(control, "money", mode="hard", scope={"team": "m"})
    put(control, "price", mode="hard", scope={"team": "p"})
    only(control, actual=[])
    assert not spend(control, 101, NOW, team="m")
    refused = Leases(control).decide(Ask({"team": "p"}, None), NOW).refusal
    assert refused is not None
    watch(control, None, NOW)
    assert {row.title for row in list_alerts(control)} == {
        "money refused 1 call: its 100 USD for 2026-11 is used up",
        "price refused 1 call: what they cost is not known",
    }


def test_a_flood_is_one_message_and_each_of_it_is_written_down(control: ControlStore) -> None:
    put(control, "customers", scope={"customer": "*"})
    ops(control)
    only(control)
    for number in range(8):
        spend(control, 71 + number * 4, NOW, customer=f"c{number}")
    assert watch(control, None, NOW) == 9
    assert watch(control, None, NOW + MINUTE) == 0
    (message,) = outbox.messages(control)
    assert message.payload["title"].startswith("customers: 8 balances at once, c0, c1, c2, c3, c4 and others.")
    assert len(message.payload["balances"]) == 8
    assert [row.note for row in list_alerts(control)].count("told together with others") == 8
    spend(control, 30, NOW + 2 * MINUTE, customer="c0")
    assert watch(control, None, NOW + 2 * MINUTE) == 1
    assert len(outbox.messages(control)) == 2


def test_a_request_that_waits_is_told_once_with_who_may_decide(control: ControlStore) -> None:
    put(control, owner="ann")
    ops(control)
    only(control)
    set_policy(control, OVERRIDES, {"rules": [{"budget": "*", "approvers": ["owner"]}]}, "me")
    overrides.request(control, "a", 50 * NANO, reason="backlog", until_ns=NOW + DAY, actor="key:agent", now_ns=NOW)
    assert [watch(control, None, NOW + number * MINUTE) for number in range(3)] == [1, 0, 0]
    (message,) = outbox.messages(control)
    assert message.payload["title"] == "key:agent asks for 50 USD more for a until 2026-11-27: backlog"
    assert message.payload["approvers"] == ["ann"]


class Shares:
    """Books in which a share of the calls has no price, and of the cost no team."""

    def __init__(self, unpriced: int, untagged: str) -> None:
        self.said = {"usages": 100, "unpriced_usages": unpriced, "untagged_cost": {"team": untagged}}

    def __call__(self, query: Query) -> Answer:
        return Answer({}, [], {"cost": "1000"}, self.said)


@pytest.mark.parametrize("company", [True, False])
def test_shares_nobody_can_place_are_told_of_the_whole_account(control: ControlStore, company: bool) -> None:
    put(control, "a", amount=10**6)
    if company:
        put(control, "company", amount=10**7, scope={})
    name = "company" if company else "account"
    assert watch(control, Shares(4, "99"), NOW) == 0
    assert watch(control, Shares(6, "120.5"), NOW) == 2
    assert watch(control, Shares(60, "900"), NOW) == 0
    titles = {row.title for row in list_alerts(control)}
    assert titles == {
        f"{name} has 6 % of its calls without a price (6 of 100): no sum holds them",
        f"{name} has 12 % of its cost without a team (120.50 USD)",
    }


def test_the_books_of_a_window_that_just_ended_are_still_trued_up(control: ControlStore) -> None:
    calendar = Calendar("day")
    put(control, calendar=calendar)
    only(control)
    end = calendar.window(NOW)[1]
    books = {calendar.window(NOW)[0]: "75", end: "1"}

    def ask(query: Query) -> Answer:
        cost = books[calendar.window(query.period.start_ns)[0]] if query.period.end_ns > end - DAY else "0"
        return Answer({}, [], {"cost": cost, "currency": "USD"}, {})

    true_up_all(control, lambda query: Answer({}, [], {"cost": "10"}, {}), NOW)
    true_up_all(control, ask, end + 20 * MINUTE)
    watch(control, None, end + 20 * MINUTE)
    assert [row.start_ns for row in list_alerts(control)] == [end - DAY]


def test_what_goes_elsewhere_says_so_in_the_message(control: ControlStore) -> None:
    put(control, owner="bob@example.com")
    ops(control)
    ops(control, "bob")
    rules = {
        "rules": [{"forecast": None}],
        "routes": [{"owner": "bob@*", "channels": ["bob"]}],
        "fallback": ["ops"],
        "left": ["bob@example.com"],
    }
    set_policy(control, POLICY, rules, "me")
    spend(control, 71, NOW)
    watch(control, None, NOW)
    (row,) = list_alerts(control)
    (message,) = outbox.messages(control)
    assert isinstance(row, AlertRow)
    assert message.channel == "ops"
    assert message.payload["note"] == row.note == "its owner bob@example.com left; told to ops instead"
