"""Several changes of budgets at once: all of them or none, on both engines."""

from __future__ import annotations

import pytest

from outlay.control import audit, budgets
from outlay.control.store import ControlStore
from outlay.core.budget import Budget
from outlay.core.errors import InputError


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
