"""Several changes of budgets at once: all of them or none, on both engines."""

from __future__ import annotations

import pytest

from outlay.control import audit, budgets
from outlay.control.leases import Leases
from outlay.control.store import ControlStore
from outlay.core.budget import Budget
from outlay.core.calendar import Calendar
from outlay.core.errors import InputError
from outlay.core.lease import Ask
from outlay.faces.budgets import BALANCES_SHOWN, history_reply, list_reply, show_reply


def wanted(name: str, amount: int = 100) -> budgets.Wanted:
    return budgets.Wanted(Budget(0, name, {"team": name}, reserve_percent=0), amount)


def lines(store: ControlStore) -> int:
    with store.reading() as connection:
        return len(list(audit.lines(connection)))


def test_a_file_of_budgets_is_in_force_whole_or_not_at_all(control: ControlStore) -> None:
    budgets.set_budgets(control, [wanted("a"), wanted("b")], [], "me")
    before = lines(control)
    with pytest.raises(InputError, match="no budget is called"):
        budgets.set_budgets(control, [wanted("a", 5), wanted("c")], ["b", "nobody"], "me")
    assert [budget.name for budget in budgets.list_budgets(control)] == ["a", "b"]
    assert budgets.wanted_of(control, budgets.list_budgets(control)[0]).amount_nano == 100
    assert lines(control) == before


def test_money_that_is_moved_is_in_one_place(control: ControlStore) -> None:
    budgets.set_budgets(control, [wanted("a"), wanted("b")], [], "me")
    before = lines(control)
    with pytest.raises(InputError, match="no budget is called"):
        budgets.transfer(control, "a", "nobody", 30, actor="me", reason="")
    assert lines(control) == before
    budgets.transfer(control, "a", "b", 30, actor="me", reason="launch")
    limits = [budgets.standings(control, budget)[0].limit_nano for budget in budgets.list_budgets(control)]
    assert limits == [70, 130]


def test_a_budget_with_a_balance_a_session_shows_the_fullest_and_says_how_many_it_left_out(
    control: ControlStore,
) -> None:
    """One run an hour for years is a balance an hour: nobody reads them all, and no page may carry them."""
    each = Budget(0, "each run", {"session": "*"}, Calendar("life"), reserve_percent=0)
    budgets.set_budget(control, budgets.Wanted(each, 10**9), "me")
    leases, more = Leases(control), 7
    for number in range(BALANCES_SHOWN + more):
        ask = Ask({"session": f"run-{number}"}, 1_000 + number)
        leases.settle(leases.decide(ask).lease, 1_000 + number)
    listed = list_reply(control)
    assert len(listed["rows"]) == BALANCES_SHOWN
    assert listed["total"] == {"budgets": 1, "balances_left_out": more}
    assert f"run-{BALANCES_SHOWN + more - 1}" in {row["part"] for row in listed["rows"]}
    assert "run-0" not in {row["part"] for row in listed["rows"]}
    shown = show_reply(control, "each run")
    assert (len(shown["rows"]), shown["total"]["balances_left_out"]) == (BALANCES_SHOWN, more)
    assert len(history_reply(control, "each run")["rows"]) == BALANCES_SHOWN + more
