"""Many decisions in one transaction: each sees what those before it did, although all is written together."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import func, select, text

from outlay.control import budgets
from outlay.control.leases import Leases
from outlay.control.stops import Stops
from outlay.control.store import ControlStore
from outlay.control.tables import leases
from outlay.control.teller import Teller, Work
from outlay.core.budget import Budget, Standing
from outlay.core.lease import Ask
from outlay.core.shelf import BEGAN


@pytest.fixture
def teller(control: ControlStore) -> Iterator[Teller]:
    budgets.set_budget(control, budgets.Wanted(Budget(0, "all", {}, reserve_percent=0), 100), "me")
    teller = Teller(control)
    yield teller
    teller.close()


def decides(amount: int, **more: Any) -> Work:
    ask = Ask({"team": "search"}, amount, **more)
    return lambda book, force, now_ns: book.decide(force, ask, now_ns)


def settles(lease: str, amount: int) -> Work:
    return lambda book, _force, now_ns: book.settle(lease, amount, now_ns)


def standing(control: ControlStore) -> Standing:
    (found,) = budgets.standings(control, budgets.list_budgets(control)[0])
    return found


def test_the_same_id_asked_twice_in_one_crowd_is_one_lease(control: ControlStore, teller: Teller) -> None:
    first, second, other = teller.answer([decides(30, id="a"), decides(30, id="a"), decides(30, id="b")])
    assert first.lease == second.lease != other.lease
    assert standing(control).held_nano == 60


def test_what_is_settled_twice_in_one_crowd_counts_once(control: ControlStore, teller: Teller) -> None:
    (given,) = teller.answer([decides(30)])
    assert teller.answer([settles(given.lease, 10), settles(given.lease, 10)]) == [True, False]
    assert (standing(control).spent_nano, standing(control).held_nano) == (10, 0)


def test_a_child_draws_on_a_parent_of_the_same_crowd(control: ControlStore, teller: Teller) -> None:
    (parent,) = teller.answer([decides(50, id="p")])
    child, short, over = teller.answer(
        [decides(20, parent=parent.lease), decides(40, parent=parent.lease), settles(parent.lease, 25)]
    )
    assert (child.amount_nano, short.refusal is not None, over) == (20, True, True)
    found = standing(control)
    assert (found.spent_nano, found.held_nano) == (25, 20), "what the child holds stays held"
    assert teller.answer([settles(child.lease, 20)]) == [True]
    assert (standing(control).spent_nano, standing(control).held_nano) == (45, 0)


def test_a_session_that_began_in_this_crowd_is_no_new_one(control: ControlStore, teller: Teller) -> None:
    now = time.time_ns()
    Stops(control).set({}, "no_sessions", "boss")
    ask = Ask({"session": "s"}, 1)
    work: Work = lambda book, force, now_ns: book.decide(force, ask, now_ns)  # noqa: E731
    refused = teller.answer([work, work], now + 10**9)
    assert [given.refusal is not None for given in refused] == [True, True]


def test_two_servers_asked_with_the_same_id_at_once_give_one_lease(control: ControlStore) -> None:
    import threading

    budgets.set_budget(control, budgets.Wanted(Budget(0, "all", {}, reserve_percent=0), 10_000), "me")
    tellers = [Teller(control), Teller(control)]
    told: list[str] = []

    def ask(teller: Teller) -> None:
        for number in range(20):
            told.extend(given.lease for given in teller.answer([decides(1, id=f"call {number}")]))

    threads = [threading.Thread(target=ask, args=(teller,)) for teller in tellers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for teller in tellers:
        teller.close()
    assert (len(told), len(set(told))) == (40, 20)
    assert standing(control).held_nano == 20


def test_nothing_that_a_decision_asks_reads_leases_that_are_over(control: ControlStore) -> None:
    """On SQLite the plans are there to be read; a parameter where a partial index wants a text would show here."""
    if not control.is_sqlite:
        pytest.skip("PostgreSQL chooses a plan by the size of the table")
    said: list[str] = []
    asked = [
        "SELECT id FROM leases WHERE state = 'live' AND expires_ns <= 1 ORDER BY expires_ns LIMIT 1",
        BEGAN.replace("?", "'s'", 1).replace("?", "1"),
        "SELECT 1 FROM leases WHERE session = 's' AND session <> ''",
        "SELECT id FROM leases WHERE closed_ns < 1 AND lent_nano = 0 LIMIT 5",
        "SELECT id FROM leases WHERE id = 'a'",
    ]
    with control.reading() as connection:
        for statement in asked:
            said += [row[3] for row in connection.execute(text(f"EXPLAIN QUERY PLAN {statement}"))]
    assert [line.split(" USING ")[1].split(" (")[0].removeprefix("COVERING ") for line in said] == [
        "INDEX leases_by_expiry",
        "INDEX leases_by_session",
        "INDEX leases_by_session",
        "INDEX leases_by_close",
        "INDEX sqlite_autoindex_leases_1",
    ]


def test_the_list_of_living_leases_is_found_by_its_index(control: ControlStore, teller: Teller) -> None:
    given = teller.answer([decides(10), decides(10), decides(10)])
    teller.answer([settles(given[0].lease, 1)])
    assert len(Leases(control).live()) == 2
    with control.reading() as connection:
        assert connection.execute(select(func.count()).select_from(leases)).scalar_one() == 3


def test_the_first_lease_of_a_session_names_it_and_no_later_one(control: ControlStore, teller: Teller) -> None:
    def of(session: str) -> Work:
        ask = Ask({"session": session} if session else {"team": "search"}, 1)
        return lambda book, force, now_ns: book.decide(force, ask, now_ns).lease

    first, again, other, none = teller.answer([of("a"), of("a"), of("b"), of("")])
    (later,) = teller.answer([of("a")])
    with control.reading() as connection:
        rows = connection.execute(select(leases.c.id, leases.c.session))
        named = dict(rows.all())
    # In a crowd they are written in the order of their ids, which chance decides within one moment.
    assert sorted([named[first], named[again]]) == ["", "a"]
    assert (named[other], named[none], named[later]) == ("b", "", "")


def test_a_stop_for_new_sessions_knows_one_by_its_first_lease(control: ControlStore, teller: Teller) -> None:
    ask = {name: Ask({"session": name}, 1) for name in ("old", "new")}
    works: dict[str, Work] = {
        name: lambda book, force, now_ns, ask=each: book.decide(force, ask, now_ns) for name, each in ask.items()
    }
    before = time.time_ns() - 10**9
    teller.answer([works["old"]] * 3, before)
    Stops(control).set({}, "no_sessions", "boss")
    later = time.time_ns() + 10**9
    for _ in range(2):
        old, new = teller.answer([works["old"], works["new"]], later)
        assert (old.refusal is None, new.refusal is None) == (True, False)
