"""The local desk: what one process keeps in mind between its decisions is never older than what others wrote."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from budgeting import NANO, put, standing, stop, store_of
from outlay.control.leases import Leases
from outlay.core.errors import LeaseError
from outlay.core.gathered import KNOWN_MAX
from outlay.core.lease import Ask
from outlay.core.leasing import Book
from outlay.sdk.desk import SETTLED, Report
from outlay.sdk.desk.local import LocalDesk

CAP = 100
TEAM = {"team": "search"}
ORDERS = st.tuples(
    st.sampled_from(["first", "first", "second", "store"]),
    st.sampled_from(["decide", "decide", "settle", "both", "give up"]),
    st.integers(1, 40),
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    put(tmp_path, "search", CAP / NANO, TEAM)
    return tmp_path


def desk_of(home: Path) -> LocalDesk:
    desk = LocalDesk(home / "control.sqlite")
    assert desk.in_force(None) is not None
    return desk


def ask(amount: int, **more: Any) -> Ask:
    return Ask(TEAM, amount, **more)


@settings(max_examples=25, deadline=None)
@given(st.lists(ORDERS, max_size=24))
def test_whoever_asks_the_money_is_counted_once(orders: list[tuple[str, str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        put(home, "search", CAP / NANO, TEAM)
        with store_of(home) as store:
            first, second, leases = desk_of(home), desk_of(home), Leases(store)
            held: dict[str, int] = {}
            spent = 0
            for who, what, amount in orders:
                desk = {"first": first, "second": second}.get(who)
                reports: list[Report] = []
                if what in {"settle", "both"} and held:
                    lease, had = held.popitem()
                    spent += had // 2
                    if desk is None:
                        leases.settle(lease, had // 2)
                    else:
                        reports = [Report(lease, SETTLED, had // 2)]
                if what == "give up" and desk is not None:
                    with pytest.raises(LeaseError):
                        desk._within(_takes_and_fails)
                elif what in {"decide", "both"}:
                    grant = leases.decide(ask(amount)) if desk is None else desk.decide(ask(amount), reports)
                    free = CAP - spent - sum(held.values())
                    assert (grant.refusal is None) == (amount <= free)
                    if grant.refusal is None:
                        held[grant.lease] = amount
                elif desk is not None:
                    assert desk.report(reports, {}) == []
                found = standing(home, "search")
                assert (found.spent_nano, found.held_nano) == (spent, sum(held.values()))
            first.close()
            second.close()


def _takes_and_fails(book: Book, now_ns: int) -> None:
    assert book.decide(book.in_force(), ask(1), now_ns) is not None
    raise LeaseError("something went wrong after money was taken")


def test_what_somebody_else_changes_counts_for_the_next_decision(home: Path) -> None:
    desk = desk_of(home)
    assert desk.decide(ask(60)).refusal is None
    assert desk.decide(ask(60)).refusal is not None
    put(home, "search", 2 * CAP / NANO, TEAM)
    assert desk.decide(ask(60)).refusal is None, "the limit was raised"
    stop(home, TEAM, "stop")
    refusal = desk.decide(ask(1)).refusal
    assert refusal is not None
    assert refusal.reason == "stopped"
    desk.close()


def test_counts_that_a_cap_knows_nothing_of_are_let_pass(home: Path) -> None:
    put(home, "search", CAP / NANO, TEAM, caps={"steps": 3})
    desk = desk_of(home)
    told = [desk.decide(ask(1, counts={"steps": 1, "songs": 1})).refusal for _ in range(4)]
    assert [refusal is None for refusal in told] == [True, True, True, False]
    desk.close()


def test_more_balances_than_are_kept_in_mind_are_all_right(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outlay.core.gathered.KNOWN_MAX", 2)
    put(home, "each", 10 / NANO, {"session": "*"})
    desk = desk_of(home)
    for _ in range(2):
        for name in "abcde":
            assert desk.decide(Ask({**TEAM, "session": name}, 5)).refusal is None
    assert all(desk.decide(Ask({**TEAM, "session": name}, 5)).refusal is not None for name in "abcde")
    desk.close()


def test_however_many_customers_share_a_budget_little_is_kept_in_mind(home: Path) -> None:
    desk = desk_of(home)
    refused = [desk.decide(Ask({**TEAM, "customer": f"{place}"}, 1)).refusal for place in range(CAP + 5)]
    assert [refusal is None for refusal in refused] == [True] * CAP + [False] * 5
    assert desk._counter is not None
    assert len(desk._counter.balances._seen) <= KNOWN_MAX + 1
    desk.close()


def test_what_was_taken_in_a_transaction_that_failed_was_not_taken(home: Path) -> None:
    desk = desk_of(home)
    for _ in range(3):
        assert desk.decide(ask(10)).refusal is None
        with pytest.raises(LeaseError):
            desk._within(_takes_and_fails)
    assert standing(home, "search").held_nano == 30
    assert desk.decide(ask(CAP - 30)).refusal is None, "all that is left can be had"
    desk.close()
