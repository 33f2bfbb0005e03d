"""What follows when money runs short, on both stores: once, with or without somebody's word, and over by itself."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from outlay.control import actions as stored
from outlay.control import audit, budgets
from outlay.control.alerts import list_alerts
from outlay.control.keys import make_key, revoke_key
from outlay.control.leases import Leases
from outlay.control.policies import set_policy
from outlay.control.stops import Stops
from outlay.control.store import ControlStore
from outlay.core.budget import Budget
from outlay.core.calendar import Calendar
from outlay.core.errors import InputError
from outlay.core.lease import Ask, Grant
from outlay.core.money import NANO
from outlay.core.period import ns_of
from outlay.faces.stops import StopsDesk
from outlay.govern.alert_rules import POLICY
from outlay.govern.overrides import POLICY as OVERRIDES
from outlay.govern.overrides import policy_in_force, rules_for, why_not_decide
from outlay.govern.watch import watch

NOW = ns_of(datetime(2026, 11, 26, 12, tzinfo=UTC))
MINUTE = 60 * 10**9
LADDER = [
    {"at": 80, "do": "warn"},
    {"at": 85, "do": "cheaper"},
    {"at": 90, "do": "no_agents"},
    {"at": 95, "do": "no_sessions"},
    {"at": 100, "do": "stop"},
]


def put(store: ControlStore, amount: int = 100, now: int = NOW, **more: Any) -> Budget:
    wanted = Budget(0, "a", more.pop("scope", {"team": "a"}), Calendar("day"), "observe", **more)
    budgets.set_budget(store, budgets.Wanted(wanted, amount * NANO), "me", now_ns=now)
    return budgets.list_budgets(store)[0]


def ladder(store: ControlStore, *steps: dict[str, Any], **more: Any) -> None:
    rule = {"actual": [], "every": None, "forecast": None, "actions": list(steps or LADDER)}
    set_policy(store, POLICY, {"rules": [rule], **more}, "me")


def ask(store: ControlStore, now: int, *, session: str = "s", width: int = 0) -> Grant:
    envelope = {"team": "a", "session": session}
    return Leases(store).decide(Ask(envelope, NANO, counts={"steps": 1, "width": width}), now)


def spend(store: ControlStore, amount: int, now: int) -> None:
    desk = Leases(store)
    desk.settle(desk.decide(Ask({"team": "a"}, amount * NANO), now).lease, amount * NANO, now)


def states(store: ControlStore) -> dict[str, str]:
    return {row.level: row.state for row in stored.list_actions(store)}


def test_each_step_of_the_ladder_takes_effect_at_its_part_of_the_limit(control: ControlStore) -> None:
    put(control)
    ladder(control)
    assert ask(control, NOW - MINUTE, session="old").lease
    seen: list[tuple[int, str, bool, bool, bool]] = []
    for number, amount in enumerate((79, 2, 5, 5, 5, 5)):
        now = NOW + number * MINUTE
        spend(control, amount, now)
        watch(control, None, now)
        level = given.stop.level if (given := ask(control, now + 1, session="old")).stop else ""
        agent, fresh = ask(control, now + 1, session="old", width=1), ask(control, now + 1, session=f"new {number}")
        for grant in (given, agent, fresh):
            if grant.lease:
                Leases(control).give_back(grant.lease, now + 2)
        seen.append((79 if not number else 0, level, bool(given.lease), bool(agent.lease), bool(fresh.lease)))
    assert [item[1:] for item in seen] == [
        ("", True, True, True),
        ("warn", True, True, True),
        ("cheaper", True, True, True),
        ("no_agents", True, False, True),
        ("no_sessions", True, False, False),
        ("stop", False, False, False),
    ]
    assert set(states(control).values()) == {"in force"}
    titles = [row.title for row in reversed(list_alerts(control))]
    assert titles[0] == "a has used 81 % of its limit: every answer says that money runs short"
    assert titles[-1] == "a has used 101 % of its limit: work is stopped"
    assert [row.severity for row in reversed(list_alerts(control))] == ["warning"] * 3 + ["critical"] * 2


def test_an_action_ends_with_its_window(control: ControlStore) -> None:
    budget = put(control)
    ladder(control)
    spend(control, 100, NOW)
    watch(control, None, NOW)
    end = budget.calendar.window(NOW)[1]
    assert not ask(control, end - 1).lease
    assert ask(control, end).lease, "at once, whether anybody looked or not"
    watch(control, None, end + MINUTE)
    assert set(states(control).values()) == {"reversed"}
    assert {row.reversed_by for row in stored.list_actions(control)} == {"calendar"}


def test_an_action_ends_when_the_budget_is_given_more_and_comes_again(control: ControlStore) -> None:
    put(control)
    ladder(control, {"at": 90, "do": "stop"})
    spend(control, 95, NOW)
    watch(control, None, NOW)
    assert not ask(control, NOW + 1).lease
    put(control, amount=105, now=NOW + MINUTE)
    watch(control, None, NOW + MINUTE)
    assert not ask(control, NOW + MINUTE + 1).lease, "95 of 105 are still 90 %"
    put(control, amount=200, now=NOW + 2 * MINUTE)
    watch(control, None, NOW + 2 * MINUTE)
    assert ask(control, NOW + 2 * MINUTE + 1).lease
    assert list_alerts(control)[0].title == "a goes on as usual (work is stopped no longer): the budget was given more"
    spend(control, 90, NOW + 3 * MINUTE)
    watch(control, None, NOW + 3 * MINUTE)
    assert not ask(control, NOW + 3 * MINUTE + 1).lease
    assert [row.state for row in stored.list_actions(control)] == ["in force", "reversed"]


def test_an_action_that_needs_approval_waits_for_it(control: ControlStore) -> None:
    put(control)
    ladder(control, {"at": 90, "do": "no_sessions", "approval": True}, {"at": 95, "do": "stop", "approval": True})
    spend(control, 96, NOW)
    assert watch(control, None, NOW) == 2
    assert watch(control, None, NOW + MINUTE) == 0
    assert ask(control, NOW + 1).lease
    sessions, stop = reversed(stored.list_actions(control, state="pending"))
    assert "somebody has to agree" in list_alerts(control)[0].title
    stored.decide(control, sessions.id, approve=True, actor="cli:ann", note="go", now_ns=NOW + MINUTE)
    assert not ask(control, NOW + 2 * MINUTE, session="fresh").lease
    stored.decide(control, stop.id, approve=False, actor="cli:ann", now_ns=NOW + MINUTE)
    for number in (sessions.id, stop.id):
        with pytest.raises(InputError, match="does not wait"):
            stored.decide(control, number, approve=True, actor="cli:bob", now_ns=NOW + MINUTE)
    assert watch(control, None, NOW + 2 * MINUTE) == 0, "what was denied does not come again"
    assert states(control) == {"no_sessions": "in force", "stop": "denied"}
    with control.reading() as connection:
        trail = [(line.actor, line.action) for line in audit.lines(connection, subject=stored.subject_of(sessions.id))]
        assert audit.verify(connection).ok
    assert trail == [("policy", "action.propose"), ("cli:ann", "action.execute")]


def test_what_nobody_decided_expires_with_its_window(control: ControlStore) -> None:
    budget = put(control)
    ladder(control, {"at": 90, "do": "stop", "approval": True})
    spend(control, 96, NOW)
    watch(control, None, NOW)
    end = budget.calendar.window(NOW)[1]
    (row,) = stored.list_actions(control)
    with pytest.raises(InputError, match="does not wait"):
        stored.decide(control, row.id, approve=True, actor="cli:ann", now_ns=end)
    watch(control, None, end)
    assert states(control) == {"stop": "expired"}


def test_what_somebody_lifted_by_hand_stays_lifted(control: ControlStore) -> None:
    put(control)
    ladder(control, {"at": 90, "do": "stop"})
    spend(control, 95, NOW)
    watch(control, None, NOW)
    (row,) = stored.list_actions(control)
    Stops(control).lift(row.stop_id or 0, "cli:ann", now_ns=NOW + MINUTE)
    for number in range(2, 5):
        watch(control, None, NOW + number * MINUTE)
    assert ask(control, NOW + 5 * MINUTE).lease
    (row,) = stored.list_actions(control)
    assert (row.state, row.reversed_by) == ("reversed", "cli:ann")


def test_a_budget_that_is_taken_away_takes_its_actions_along(control: ControlStore) -> None:
    put(control)
    ladder(control, {"at": 90, "do": "stop"})
    spend(control, 95, NOW)
    watch(control, None, NOW)
    budgets.remove_budget(control, "a", "me")
    watch(control, None, NOW + MINUTE)
    assert ask(control, NOW + 2 * MINUTE).lease
    assert states(control) == {"stop": "reversed"}


def test_an_action_of_one_balance_of_many_holds_for_that_one(control: ControlStore) -> None:
    put(control, scope={"customer": "*"})
    ladder(control, {"at": 90, "do": "stop"})
    desk = Leases(control)
    for customer, amount in (("acme", 95), ("beta", 10)):
        desk.settle(desk.decide(Ask({"customer": customer}, amount * NANO), NOW).lease, amount * NANO, NOW)
    watch(control, None, NOW)
    refused = desk.decide(Ask({"customer": "acme"}, 1), NOW + 1).refusal
    assert refused is not None
    assert (refused.reason, refused.said) == ("stopped", "a (acme) has used 95 % of its limit")
    assert desk.decide(Ask({"customer": "beta"}, 1), NOW + 1).lease


def test_several_servers_begin_and_end_an_action_once(control: ControlStore) -> None:
    put(control)
    ladder(control, {"at": 90, "do": "stop"})
    spend(control, 95, NOW)

    def together(now: int) -> list[BaseException]:
        failures: list[BaseException] = []
        gate = threading.Barrier(4)

        def look() -> None:
            gate.wait()
            try:
                watch(control, None, now)
            except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
                failures.append(error)

        threads = [threading.Thread(target=look) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return failures

    assert not together(NOW + 1)
    assert len(Stops(control).live(NOW + 2)) == 1
    put(control, amount=1000, now=NOW + MINUTE)
    assert not together(NOW + MINUTE)
    assert Stops(control).live(NOW + MINUTE + 1) == ()
    with control.reading() as connection:
        done = [line.action for line in audit.lines(connection) if line.action.startswith(("action", "stop"))]
    assert sorted(done) == ["action.execute", "action.propose", "action.reverse", "stop.lift", "stop.set"]


def test_only_whom_the_policy_names_may_decide_unless_they_all_left(control: ControlStore) -> None:
    budget = put(control, owner="bob@example.com")
    ladder(control, {"at": 90, "do": "stop", "approval": True})
    set_policy(control, OVERRIDES, {"rules": [{"budget": "*", "approvers": ["owner", "key:boss"]}]}, "me")
    make_key(control, "boss", permissions=("approve",), actor="me")
    spend(control, 95, NOW)
    watch(control, None, NOW)
    assert StopsDesk(control, "cli:eve").actions()["rows"][0]["approvers"] == ["bob@example.com", "key:boss"]
    with pytest.raises(InputError, match="not among those who decide") as refused:
        StopsDesk(control, "cli:eve").decide("1", "approve", {})
    assert refused.value.status == 403
    ladder(control, {"at": 90, "do": "stop", "approval": True}, left=["bob@example.com"])
    assert why_not_decide(policy_in_force(control), "cli:eve", budget), "key:boss is still here"
    revoke_key(control, "boss", actor="me")
    assert rules_for(policy_in_force(control), budget) == []
    assert StopsDesk(control, "cli:eve").actions()["rows"][0]["approvers"] == ["whoever may approve"]
    assert why_not_decide(policy_in_force(control), "cli:eve", budget) == ""


def test_the_kill_switch_reaches_leases_that_live(control: ControlStore) -> None:
    put(control)
    given = ask(control, NOW, session="run-7")
    other = ask(control, NOW, session="run-8")
    StopsDesk(control, "cli:ann").stop({"session": "run-7", "reason": "loops"})
    desk = Leases(control)
    stopped = desk.renew(given.lease, now_ns=NOW + 1)
    assert stopped is not None
    assert (stopped.level, stopped.reason, stopped.set_by) == ("stop", "loops", "cli:ann")
    assert desk.renew(other.lease, now_ns=NOW + 1) is None
    refused = ask(control, NOW + 1, session="run-7").refusal
    assert refused is not None
    assert (refused.reason, refused.said) == ("stopped", "loops")
    assert desk.settle(given.lease, 5, NOW + 2), "what was spent is settled all the same"
