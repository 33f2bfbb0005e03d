"""Leases on both engines: all or none, nothing lost, nothing leaked, whatever the order."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import func, select

from outlay.control import audit, budgets
from outlay.control.leases import Leases
from outlay.control.store import ControlStore
from outlay.control.tables import balances, leases
from outlay.control.truing import Metered, true_up
from outlay.core.budget import Budget
from outlay.core.calendar import Calendar
from outlay.core.errors import InputError, LeaseError
from outlay.core.lease import Ask, refusal_text
from outlay.core.money import NANO
from outlay.core.period import ns_of

NOW = ns_of(datetime(2026, 11, 26, 12, tzinfo=UTC))
SECOND = 10**9
LIFE = Calendar("life")


def put(store: ControlStore, name: str, amount: int, scope: Mapping[str, str] | None = None, **more: Any) -> Budget:
    calendar = more.pop("calendar", Calendar())
    more.setdefault("reserve_percent", 0)
    plans = more.pop("plans", {})
    wanted = Budget(0, name, scope or {}, calendar, **more)
    budgets.set_budget(store, budgets.Wanted(wanted, amount, plans), "me", now_ns=NOW)
    return next(item for item in budgets.list_budgets(store) if item.name == name)


def ask(amount: int | None, least: int | None = None, **more: Any) -> Ask:
    envelope = {key: more.pop(key) for key in ("team", "feature", "session") if key in more}
    return Ask(envelope, amount, least, **more)


def figures(store: ControlStore, budget: Budget, now_ns: int = NOW) -> tuple[int, int, int, int]:
    """limit, spent, held, presumed of the only balance."""
    (standing,) = budgets.standings(store, budget, now_ns)
    return standing.limit_nano, standing.spent_nano, standing.held_nano, standing.presumed_nano


def test_a_lease_is_held_then_settled_for_what_it_cost(control: ControlStore) -> None:
    budget, desk = put(control, "all", 100), Leases(control)
    given = desk.decide(ask(40), NOW)
    assert (given.amount_nano, given.refusal) == (40, None)
    assert figures(control, budget) == (100, 0, 40, 0)
    assert desk.settle(given.lease, 25, NOW)
    assert figures(control, budget) == (100, 25, 0, 0)
    assert not desk.settle(given.lease, 25, NOW), "settled twice counts once"
    assert not desk.give_back(given.lease, NOW)
    assert figures(control, budget) == (100, 25, 0, 0)


def test_every_budget_must_agree_or_none_is_touched(control: ControlStore) -> None:
    company = put(control, "company", 1000)
    team = put(control, "search", 50, {"team": "search"})
    put(control, "billing", 1, {"team": "billing"})
    desk = Leases(control)
    assert desk.decide(ask(40, team="search"), NOW).lease
    refused = desk.decide(ask(40, team="search"), NOW)
    assert refused.refusal is not None
    assert (refused.refusal.budget, refused.refusal.left, refused.refusal.held) == ("search", 10, 40)
    assert refused.refusal.retryable
    assert figures(control, company)[2] == 40
    assert figures(control, team)[2] == 40
    assert desk.decide(ask(40, team="other"), NOW).bound.budget.name == "company"  # type: ignore[union-attr]


def test_less_is_given_where_less_would_do(control: ControlStore) -> None:
    put(control, "all", 100)
    desk = Leases(control)
    assert desk.decide(ask(70), NOW).amount_nano == 70
    assert desk.decide(ask(70, 10), NOW).amount_nano == 30
    assert desk.decide(ask(70, 10), NOW).refusal is not None


def test_a_reserve_is_kept_for_a_last_step(control: ControlStore) -> None:
    put(control, "all", 100, reserve_percent=5)
    desk = Leases(control)
    assert desk.decide(ask(95), NOW).lease
    assert desk.decide(ask(1), NOW).refusal is not None
    assert desk.decide(ask(5, final=True), NOW).lease


def test_a_failed_call_gives_all_back_and_an_expensive_one_shows(control: ControlStore) -> None:
    budget, desk = put(control, "all", 100), Leases(control)
    desk.give_back(desk.decide(ask(60), NOW).lease, NOW)
    assert figures(control, budget) == (100, 0, 0, 0)
    desk.settle(desk.decide(ask(60), NOW).lease, 130, NOW)
    assert figures(control, budget) == (100, 130, 0, 0)
    refused = desk.decide(ask(1), NOW).refusal
    assert refused is not None
    assert refused.left == -30
    assert not refused.retryable


def test_a_dead_owner_is_presumed_to_have_spent_it_until_the_books_know(control: ControlStore) -> None:
    budget, desk = put(control, "all", 100), Leases(control)
    lost = desk.decide(ask(60, ttl_ns=SECOND), NOW)
    later = NOW + 2 * SECOND
    assert desk.decide(ask(50), later).refusal is not None
    assert figures(control, budget, later) == (100, 0, 0, 60)
    window = budget.calendar.window(NOW)
    assert true_up(control, [Metered(budget, "", *window, 20, 0)], later + SECOND) == 20
    assert figures(control, budget, later) == (100, 20, 0, 0)
    assert desk.decide(ask(50), later).lease
    desk.settle(lost.lease, 30, later)
    assert figures(control, budget, later)[3] == 0


def test_balances_are_trued_up_together_by_what_was_closed_since_long_and_just_now(control: ControlStore) -> None:
    """What is read before the transaction and within it is counted once, of each balance that a lease held money of."""
    company, team = (
        put(control, "company", 1_000, calendar=LIFE),
        put(control, "team", 500, {"team": "a"}, calendar=LIFE),
    )
    desk, now = Leases(control), time.time_ns()
    for team_name, amount, closed_ns in (("a", 7, now - 60 * SECOND), ("b", 11, now - 60 * SECOND), ("a", 13, now)):
        desk.settle(desk.decide(Ask({"team": team_name}, 50), closed_ns).lease, amount, closed_ns)
    desk.settle(desk.decide(Ask({"team": "a"}, 50), now - 600 * SECOND).lease, 100, now - 600 * SECOND)
    whole, part = company.calendar.window(now), team.calendar.window(now)
    metered = [Metered(team, "", *part, 90, 4), Metered(company, "", *whole, 90, 40)]
    assert true_up(control, metered, now - 120 * SECOND) == (90 + 20 - 120) + (90 + 40 - 131)
    assert [figures(control, budget, now)[1] for budget in (company, team)] == [90 + 40, 90 + 20]


def test_an_owner_that_renews_is_alive(control: ControlStore) -> None:
    desk = Leases(control)
    budget = put(control, "all", 100)
    held = desk.decide(ask(60, ttl_ns=SECOND), NOW)
    desk.renew(held.lease, 10 * SECOND, NOW)
    assert desk.sweep(NOW + 2 * SECOND) == 0
    desk.spend(held.lease, 10, 10 * SECOND, NOW)
    assert figures(control, budget) == (100, 10, 50, 0)
    assert desk.sweep(NOW + 20 * SECOND) == 1
    with pytest.raises(LeaseError, match="expired"):
        desk.renew(held.lease, 1, NOW)


def test_a_lease_that_never_was_is_named(control: ControlStore) -> None:
    with pytest.raises(LeaseError, match="nothing"):
        Leases(control).settle("nothing", 1, NOW)


def test_sub_agents_draw_from_the_lease_above(control: ControlStore) -> None:
    budget, desk = put(control, "all", 100), Leases(control)
    top = desk.decide(ask(80), NOW)
    middle = desk.decide(ask(50, parent=top.lease), NOW)
    low = desk.decide(ask(30, parent=middle.lease), NOW)
    assert figures(control, budget) == (100, 0, 80, 0), "nothing new is taken from the budget"
    assert desk.decide(ask(31, parent=top.lease), NOW).refusal is not None
    assert desk.decide(ask(40, 5, parent=top.lease), NOW).amount_nano == 30
    desk.settle(low.lease, 10, NOW)
    assert figures(control, budget) == (100, 10, 70, 0)
    desk.settle(middle.lease, 5, NOW)
    assert figures(control, budget) == (100, 15, 65, 0), "what is left returns to the lease above"
    desk.settle(top.lease, 1, NOW)
    assert figures(control, budget) == (100, 16, 30, 0), "the child still holds its 30"
    with control.reading() as connection:
        child = connection.execute(select(leases.c.id).where(leases.c.state == "live")).scalar_one()
    desk.give_back(child, NOW)
    assert figures(control, budget) == (100, 16, 0, 0)


def test_a_cap_on_each_session_counts_by_itself(control: ControlStore) -> None:
    put(control, "run", 100, {"session": "*"}, calendar=Calendar("life"), caps={"steps": 2, "seconds": 60, "depth": 1})
    desk = Leases(control)
    for session in ("a", "b"):
        assert desk.decide(ask(60, session=session), NOW).lease
        assert desk.decide(ask(60, session=session), NOW).refusal.what == "usd"  # type: ignore[union-attr]
        assert desk.decide(ask(1, session=session), NOW).lease
        assert desk.decide(ask(1, session=session), NOW).refusal.what == "steps"  # type: ignore[union-attr]
    assert desk.decide(ask(10**6), NOW).lease, "what has no session is under no session's cap"
    assert desk.decide(ask(1, session="c", depth=2), NOW).refusal.what == "depth"  # type: ignore[union-attr]
    assert desk.decide(ask(1, session="c"), NOW).lease
    late = desk.decide(ask(1, session="c"), NOW + 61 * SECOND).refusal
    assert late is not None
    assert late.what == "seconds"
    assert "60 seconds" in refusal_text(late)


def test_observe_and_soft_never_refuse(control: ControlStore) -> None:
    put(control, "seen", 10, mode="observe")
    put(control, "warned", 10, mode="soft")
    given = Leases(control).decide(ask(20), NOW)
    assert given.lease
    assert given.over == ("seen", "warned")


def test_what_nobody_knows_the_price_of_is_refused_unless_allowed(control: ControlStore) -> None:
    put(control, "all", 100)
    desk = Leases(control)
    assert desk.decide(ask(None), NOW).refusal.reason == "unpriced"  # type: ignore[union-attr]
    assert desk.decide(ask(0), NOW).lease, "free is a price"
    put(control, "all", 100, unpriced="allow")
    assert desk.decide(ask(None), NOW).lease


def test_free_calls_pass_when_the_money_is_gone(control: ControlStore) -> None:
    put(control, "all", 0)
    desk = Leases(control)
    assert desk.decide(ask(1), NOW).refusal is not None
    assert desk.decide(ask(0), NOW).lease


def test_an_override_ends_by_itself_and_only_its_rest_returns(control: ControlStore) -> None:
    budget, desk = put(control, "all", 100), Leases(control)
    until = NOW + 3600 * SECOND
    budgets.grant(control, "all", "override", 50, actor="boss", reason="launch", starts_ns=NOW, ends_ns=until)
    desk.settle(desk.decide(ask(120), NOW).lease, 120, NOW)
    assert figures(control, budget) == (150, 120, 0, 0)
    assert figures(control, budget, until) == (150, 120, 0, 0), "all of it was burned, and first"
    late = put(control, "late", 100, {"team": "late"})
    put(control, "all", 10**6)
    budgets.grant(control, "late", "override", 50, actor="boss", reason="launch", starts_ns=NOW, ends_ns=until)
    desk.settle(desk.decide(ask(20, team="late"), NOW).lease, 20, NOW)
    assert figures(control, late)[:2] == (150, 20)
    assert figures(control, late, until)[:2] == (120, 20), "the base is whole, the unspent 30 are gone"


def test_a_new_window_starts_anew_and_may_carry_over(control: ControlStore) -> None:
    keeps = put(control, "keeps", 100, rollover_percent=20, carry_overage=True)
    fresh = put(control, "fresh", 1000)
    desk = Leases(control)
    desk.settle(desk.decide(ask(30), NOW).lease, 30, NOW)
    december, january = (ns_of(datetime(y, m, 2, tzinfo=UTC)) for y, m in ((2026, 12), (2027, 1)))
    assert figures(control, keeps, december)[:2] == (120, 0), "at most a fifth"
    assert figures(control, fresh, december)[:2] == (1000, 0)
    desk.settle(desk.decide(ask(120), december).lease, 150, december)
    assert figures(control, keeps, january)[:2] == (70, 0), "what was too much is carried too"


def test_a_planned_month_has_its_own_amount(control: ControlStore) -> None:
    december = ns_of(datetime(2026, 12, 2, tzinfo=UTC))
    budget = put(control, "all", 100, plans={Calendar().window(december): 500})
    assert figures(control, budget)[0] == 100
    assert figures(control, budget, december)[0] == 500


def test_a_changed_amount_counts_at_once_and_its_history_stays(control: ControlStore) -> None:
    budget, desk = put(control, "all", 100), Leases(control)
    desk.settle(desk.decide(ask(90), NOW).lease, 90, NOW)
    assert desk.decide(ask(90), NOW).refusal is not None
    put(control, "all", 200)
    assert desk.decide(ask(90), NOW).lease
    assert [row.amount_nano for row in budgets.grants_of(control, budget)] == [100, 200]
    budgets.remove_budget(control, "all", "me")
    assert desk.decide(ask(10**9), NOW).lease
    with pytest.raises(InputError, match="no budget"):
        budgets.remove_budget(control, "all", "me")
    with control.reading() as connection:
        assert [line.action for line in audit.lines(connection)] == ["budget.set", "budget.set", "budget.remove"]


def test_the_same_again_changes_nothing(control: ControlStore) -> None:
    wanted = budgets.Wanted(Budget(0, "all", {"team": "x"}), 5)
    assert budgets.set_budget(control, wanted, "me")
    assert not budgets.set_budget(control, wanted, "me")


@pytest.mark.parametrize("callers", [8])
def test_many_at_once_never_pass_the_cap_and_nothing_leaks(control: ControlStore, callers: int) -> None:
    cap, call = 1000 * NANO, 7 * NANO
    team = put(control, "team", cap, {"team": "x"})
    put(control, "company", 10 * cap)
    desk, given, failures = Leases(control), [], []

    def work() -> None:
        try:
            for number in range(40):
                grant = desk.decide(ask(call, team="x" if number % 4 else "y"), NOW)
                if grant.lease:
                    given.append(grant)
                    desk.settle(grant.lease, call, NOW) if number % 3 else desk.give_back(grant.lease, NOW)
        except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    limit, spent, held, presumed = figures(control, team)
    assert spent <= limit
    assert (held, presumed) == (0, 0)
    with control.reading() as connection:
        assert connection.execute(select(func.sum(balances.c.held_nano))).scalar_one() == 0
