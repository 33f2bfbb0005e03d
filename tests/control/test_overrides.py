"""Exceptions on both engines: asked for, decided once, spent, returned by themselves, with a trail."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.control import audit, budgets, overrides
from outlay.control.leases import Leases
from outlay.control.overrides import OverrideRow
from outlay.control.policies import policy_of, set_policy
from outlay.control.store import ControlStore
from outlay.core.budget import Budget
from outlay.core.errors import InputError
from outlay.core.lease import Ask
from outlay.core.money import NANO
from outlay.core.period import ns_of
from outlay.govern.overrides import DENY_AFTER_HOURS, Policy, judge_of, read_policy, sweep

NOW = ns_of(datetime(2026, 11, 26, 12, tzinfo=UTC))
HOUR = 3600 * 10**9
DAY = 24 * HOUR


def put(store: ControlStore, amount: int = 100, owner: str = "") -> Budget:
    wanted = Budget(0, "team-a", {"team": "a"}, reserve_percent=0, owner=owner)
    budgets.set_budget(store, budgets.Wanted(wanted, amount), "me", now_ns=NOW)
    (budget,) = budgets.list_budgets(store)
    return budget


def asked(store: ControlStore, amount: int = 50, days: int = 2) -> OverrideRow:
    return overrides.request(
        store, "team-a", amount, reason="backlog", until_ns=NOW + days * DAY, actor="key:agent", now_ns=NOW
    )


def limit(store: ControlStore, budget: Budget, now_ns: int) -> int:
    (standing,) = budgets.standings(store, budget, now_ns)
    return standing.limit_nano


def anyone(_row: OverrideRow, _budget: Budget) -> str:
    return ""


def test_an_approved_exception_counts_at_once_and_goes_back_by_itself(control: ControlStore) -> None:
    budget = put(control)
    row = asked(control)
    assert limit(control, budget, NOW) == 100
    overrides.approve(control, row.id, actor="cli:boss", judge=anyone, amount_nano=30, note="half", now_ns=NOW)
    assert limit(control, budget, NOW + 1) == 130
    assert limit(control, budget, NOW + 2 * DAY + 1) == 100
    assert sweep(control, NOW + 2 * DAY + 1) == 1
    assert overrides.find_override(control, row.id).state == "ended"
    assert sweep(control, NOW + 2 * DAY + 1) == 0


def test_what_was_spent_of_it_stays_spent_and_is_spent_first(control: ControlStore) -> None:
    budget, desk = put(control), Leases(control)
    row = asked(control)
    overrides.approve(control, row.id, actor="cli:boss", judge=anyone, now_ns=NOW)
    given = desk.decide(Ask({"team": "a"}, 120), NOW + 1)
    desk.settle(given.lease, 120, NOW + 2)
    (standing,) = budgets.standings(control, budget, NOW + 2 * DAY + 1)
    assert (standing.spent_nano, standing.left_nano) == (120, 30), "fifty of the exception went first, seventy after it"


def test_it_is_decided_once_however_many_try_at_once(control: ControlStore) -> None:
    budget = put(control)
    row = asked(control)
    ends: list[str] = []

    def decide(number: int) -> None:
        try:
            if number % 2:
                overrides.approve(control, row.id, actor=f"cli:{number}", judge=anyone, now_ns=NOW)
            else:
                overrides.deny(control, row.id, actor=f"cli:{number}", judge=anyone, now_ns=NOW)
            ends.append("decided")
        except InputError as error:
            ends.append("late" if "already" in error.message else error.message)

    threads = [threading.Thread(target=decide, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ends) == ["decided"] + ["late"] * 7
    state = overrides.find_override(control, row.id).state
    assert limit(control, budget, NOW + 1) == (150 if state == "approved" else 100)


def test_nobody_decides_about_their_own_request(control: ControlStore) -> None:
    put(control)
    row = asked(control)
    with pytest.raises(InputError, match="somebody else") as refused:
        overrides.approve(control, row.id, actor="key:agent", judge=judge_of(Policy(), "key:agent"), now_ns=NOW)
    assert refused.value.status == 403
    with pytest.raises(InputError, match="only key:agent"):
        overrides.withdraw(control, row.id, actor="cli:boss", now_ns=NOW)
    assert overrides.withdraw(control, row.id, actor="key:agent", now_ns=NOW).state == "withdrawn"


def test_the_policy_names_who_and_how_much(control: ControlStore) -> None:
    budget = put(control, owner="ann")
    rule = {"budget": "team-*", "approvers": ["owner", "key:finance-*"], "up_to": 5}
    policy = read_policy({"rules": [rule, {"budget": "*", "approvers": ["cli:cfo"]}]})
    row = asked(control, 6 * NANO)
    for actor, amount, allowed in (
        ("cli:ann", 5 * NANO, True),
        ("cli:ann", 6 * NANO, False),
        ("key:finance-eu", 1, True),
        ("cli:cfo", 6 * NANO, True),
        ("cli:bob", 1, False),
        ("key:agent", 1, False),
    ):
        assert (judge_of(policy, actor, amount)(row, budget) == "") is allowed, actor


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ([], "object"),
        ({"hours": 1}, "no field"),
        ({"deny_after_hours": 0}, "deny_after_hours"),
        ({"deny_after_hours": True}, "deny_after_hours"),
        ({"rules": {}}, "list"),
        ({"rules": [{"budget": "*"}]}, "no approvers"),
        ({"rules": [{"approvers": ["x"], "up_to": "much"}]}, "rule 1"),
        ({"rules": [{"approvers": ["x"], "limit": 1}]}, "no field"),
    ],
)
def test_a_policy_that_cannot_be_is_refused_whole(said: object, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_policy(said)


def test_what_nobody_decides_is_denied_and_what_is_too_late_expires(control: ControlStore) -> None:
    put(control)
    slow, short = asked(control, days=30), asked(control, days=1)
    assert sweep(control, NOW + DAY - 1) == 0
    assert sweep(control, NOW + DAY) == 1
    assert overrides.find_override(control, short.id).state == "expired"
    late = NOW + DENY_AFTER_HOURS * HOUR
    with pytest.raises(InputError, match="expired"):
        overrides.approve(control, short.id, actor="cli:boss", judge=anyone, now_ns=late)
    assert sweep(control, late) == 1
    denied = overrides.find_override(control, slow.id)
    assert (denied.state, denied.decided_by) == ("denied", "policy")


def test_an_exception_can_be_ended_and_what_was_spent_stays_spent(control: ControlStore) -> None:
    budget, desk = put(control), Leases(control)
    row = asked(control)
    overrides.approve(control, row.id, actor="cli:boss", judge=anyone, now_ns=NOW)
    given = desk.decide(Ask({"team": "a"}, 140), NOW + 1)
    assert given.lease
    desk.settle(given.lease, 140, NOW + 2)
    overrides.end(control, row.id, actor="cli:boss", note="enough", now_ns=NOW + 3)
    (standing,) = budgets.standings(control, budget, NOW + 4)
    assert (standing.spent_nano, standing.left_nano) == (140, 10)
    with pytest.raises(InputError, match="ended"):
        overrides.end(control, row.id, actor="cli:boss", now_ns=NOW + 5)


def test_every_step_is_a_line_of_a_chain_that_holds(control: ControlStore) -> None:
    put(control)
    row = asked(control)
    overrides.approve(control, row.id, actor="cli:boss", judge=anyone, note="go on", now_ns=NOW)
    overrides.end(control, row.id, actor="cli:boss", now_ns=NOW + 1)
    with control.reading() as connection:
        trail = list(audit.lines(connection, subject=overrides.subject_of(row.id)))
        assert audit.verify(connection).ok
    assert [(line.actor, line.action) for line in trail] == [
        ("key:agent", "override.request"),
        ("cli:boss", "override.approve"),
        ("cli:boss", "override.end"),
    ]
    assert trail[1].after["note"] == "go on"


def test_bad_requests_change_nothing(control: ControlStore) -> None:
    put(control)
    with pytest.raises(InputError, match="no budget is called"):
        overrides.request(control, "team-b", 1, reason="x", until_ns=NOW + DAY, actor="me", now_ns=NOW)
    with pytest.raises(InputError, match="before it begins"):
        overrides.request(control, "team-a", 1, reason="x", until_ns=NOW, actor="me", now_ns=NOW)
    row = asked(control)
    for amount in (0, 51):
        with pytest.raises(InputError, match="at most what was asked"):
            overrides.approve(control, row.id, actor="b", judge=anyone, amount_nano=amount, now_ns=NOW)
    with pytest.raises(InputError) as missing:
        overrides.find_override(control, 999)
    assert missing.value.status == 404
    assert [item.state for item in overrides.list_overrides(control)] == ["pending"]


def test_a_policy_is_kept_and_its_change_is_a_line(control: ControlStore) -> None:
    assert policy_of(control, "overrides") is None
    assert set_policy(control, "overrides", {"deny_after_hours": 24}, "cli:ann")
    assert not set_policy(control, "overrides", {"deny_after_hours": 24}, "cli:ann")
    assert policy_of(control, "overrides") == {"deny_after_hours": 24}
    assert set_policy(control, "overrides", None, "cli:ann")
    assert policy_of(control, "overrides") is None
    with control.reading() as connection:
        assert [line.action for line in audit.lines(connection, subject="policy:overrides")] == ["policy.set"] * 2


@given(st.lists(st.tuples(st.integers(1, 10**12), st.booleans(), st.integers(1, 40)), max_size=6))
def test_the_limit_is_the_allocation_and_what_is_in_force(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, bool, int]]
) -> None:
    place = tmp_path_factory.mktemp("control") / "control.sqlite"
    with ControlStore(f"sqlite:///{place}") as store:
        budget = put(store, 100)
        given_nano = {}
        for amount, approved, hours in steps:
            row = overrides.request(
                store, "team-a", amount, reason="x", until_ns=NOW + hours * HOUR, actor="a", now_ns=NOW
            )
            if approved:
                overrides.approve(store, row.id, actor="b", judge=anyone, now_ns=NOW)
                given_nano[row.id] = amount, NOW + hours * HOUR
        for at in (NOW + 1, NOW + 20 * HOUR, NOW + 41 * HOUR):
            live = sum(amount for amount, until in given_nano.values() if until > at)
            assert limit(store, budget, at) == 100 + live
