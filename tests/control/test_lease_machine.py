"""The lease tree under any sequence of orders, on both engines: no money is made or lost, and no cap is passed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete, select

from outlay.control import budgets as stored
from outlay.control.leases import Leases
from outlay.control.stops import Stops
from outlay.control.store import ControlStore
from outlay.control.tables import balances, budgets, grants, leases, samples, stops
from outlay.control.teller import Teller, Work
from outlay.core.budget import Budget
from outlay.core.calendar import Calendar
from outlay.core.errors import LeaseError
from outlay.core.lease import Ask, Grant
from outlay.core.period import ns_of

START = ns_of(datetime(2026, 11, 30, 23, 59, tzinfo=UTC))  # a month ends within a minute
SECOND = 10**9
TTL_NS = 60 * SECOND

FLAG = st.booleans()
AMOUNTS = st.integers(0, 40)
TEAMS = st.sampled_from(["a", "a", "b", "c"])
SESSIONS = st.sampled_from(["s", "t"])
MONEY = ("held_nano", "spent_nano", "presumed_nano", "beyond_nano", "steps")


class LeaseMachine(RuleBasedStateMachine):
    """Orders in any order; what must hold is checked after each."""

    held = Bundle("held")
    orders = Bundle("orders")

    def __init__(self, store: ControlStore) -> None:
        super().__init__()
        self.store, self.leases, self.teller = store, Leases(store), Teller(store)
        self.now = START
        self.limits: dict[str, int] = {}
        with store.writing() as connection:
            for table in (balances, leases, samples, grants, budgets, stops):
                connection.execute(delete(table))
            stored.touch(connection)
        self.put("company", 100, {})
        self.put("a", 50, {"team": "a"}, reserve_percent=10)
        self.put("b", 40, {"team": "b"}, mode="soft")
        self.put("run", 60, {"session": "*"}, calendar=Calendar("life"))
        self.put("helper", 15, {"agent": "helper"}, calendar=Calendar("hour"))

    def teardown(self) -> None:
        self.teller.close()

    def put(self, name: str, amount: int, scope: dict[str, str], **more: Any) -> None:
        more.setdefault("reserve_percent", 0)
        stored.set_budget(self.store, stored.Wanted(Budget(0, name, scope, **more), amount), "me", now_ns=self.now)

    def decide(self, ask: Ask, together: bool) -> Grant:
        if not together:
            self.leases.sweep(self.now)
            return self.leases.decide(ask, self.now)
        works: list[Work] = [lambda book, force, now_ns: book.decide(force, ask, now_ns)]
        first, second = self.teller.answer(works * 2 if ask.id else [*works, _nothing], self.now)
        if isinstance(first, LeaseError):
            raise first
        assert not ask.id or first.refusal is not None or second.lease == first.lease
        return first

    def rows(self, table: Any, *columns: str) -> list[Any]:
        with self.store.reading() as connection:
            chosen = [table.c[name] for name in columns] if columns else [table]
            return list(connection.execute(select(*chosen)))

    def money(self) -> list[Any]:
        return sorted(tuple(row) for row in self.rows(balances, "key", *MONEY) if any(row[1:])), sorted(
            tuple(row) for row in self.rows(leases, "id", "state", "held_nano", "lent_nano", "settled_nano")
        )

    @rule(
        target=held,
        team=TEAMS,
        session=SESSIONS,
        amount=AMOUNTS,
        least=AMOUNTS,
        final=st.booleans(),
        together=st.booleans(),
    )
    def open(self, team: str, session: str, amount: int, least: int, *, final: bool, together: bool) -> Any:
        before = self.money()
        ask = Ask({"team": team, "session": session}, amount, least, final=final, ttl_ns=TTL_NS)
        given = self.decide(ask, together)
        if given.refusal is not None:
            if together:  # no sweep went before
                assert self.money() == before, "a refusal moves no money"
            return multiple()
        assert given.amount_nano <= amount
        return given.lease

    @initialize(target=held, asked=st.lists(st.tuples(TEAMS, SESSIONS, AMOUNTS), min_size=3, max_size=6))
    def begin(self, asked: list[tuple[str, str, int]]) -> Any:
        """Some work is at hand already."""
        asks = [Ask({"team": team, "session": session}, amount, 1, ttl_ns=TTL_NS) for team, session, amount in asked]
        return multiple(
            *(given.lease for given in map(self.leases.decide, asks, [self.now] * len(asks)) if given.lease)
        )

    @rule(target=held, parent=held, amount=AMOUNTS, helper=st.booleans(), together=st.booleans())
    def lend(self, parent: str, amount: int, *, helper: bool, together: bool) -> Any:
        envelope = {"team": "a", "agent": "helper" if helper else "other"}
        given = self.decide(Ask(envelope, amount, amount // 2, parent=parent, ttl_ns=TTL_NS), together)
        return multiple() if given.refusal is not None else given.lease

    @rule(number=st.integers(0, 3), amount=AMOUNTS, together=st.booleans())
    def ask_again(self, number: int, amount: int, *, together: bool) -> None:
        ask = Ask({"team": "c"}, amount, id=f"call {number}", ttl_ns=TTL_NS)
        first = self.decide(ask, together)
        if first.refusal is None:
            before = self.money()
            assert self.decide(ask, together=True).lease == first.lease
            assert self.money() == before

    @rule(lease=held, amount=AMOUNTS, together=st.booleans())
    def settle(self, lease: str, amount: int, *, together: bool) -> None:
        def order() -> Any:
            if together:
                return self.teller.answer([lambda book, _, now_ns: book.settle(lease, amount, now_ns)], self.now)[0]
            return self.leases.settle(lease, amount, self.now)

        row, sums = self.lease_row(lease), self.sums()
        if order():
            free = row.held_nano - row.lent_nano if row.state == "live" else row.presumed_nano
            for key in json.loads(row.balances):
                spent, beyond = (after - before for after, before in zip(self.sums()[key], sums[key], strict=True))
                assert (spent, beyond) == (amount, max(0, amount - free))
        before = self.money()
        assert order() is False, "settled twice counts once"
        assert self.money() == before

    @rule(lease=consumes(held))
    def give_back(self, lease: str) -> None:
        self.leases.give_back(lease, self.now)
        assert not self.leases.give_back(lease, self.now)

    @rule(lease=held, amount=AMOUNTS)
    def spend(self, lease: str, amount: int) -> None:
        try:
            self.leases.spend(lease, amount, TTL_NS, self.now)
        except LeaseError:
            assert self.state_of(lease) != "live"

    @rule(lease=held, amount=st.integers(1, 60))
    def draw(self, lease: str, amount: int) -> None:
        before = self.money()
        try:
            given = self.leases.draw(lease, amount, self.now)
        except LeaseError:
            assert self.money() == before
            return
        if given.refusal is not None:
            assert self.money() == before

    @rule(lease=held)
    def renew(self, lease: str) -> None:
        try:
            self.leases.renew(lease, TTL_NS, self.now)
        except LeaseError:
            assert self.state_of(lease) != "live"

    @rule(seconds=st.sampled_from([1, 30, 61, 3700, -1, -61, -3700]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * SECOND

    @rule()
    def sweep(self) -> None:
        self.leases.sweep(self.now)
        assert not [row for row in self.rows(leases, "state", "expires_ns") if row[0] == "live" and row[1] <= self.now]

    @rule(name=st.sampled_from(["company", "a"]), amount=st.integers(0, 300))
    def change(self, name: str, amount: int) -> None:
        self.put(name, amount, {} if name == "company" else {"team": name}, reserve_percent=0)

    @rule(target=orders, team=TEAMS, level=st.sampled_from(["warn", "no_agents", "stop"]))
    def stop(self, team: str, level: str) -> int:
        stop = Stops(self.store).set({"team": team}, level, "boss", now_ns=self.now)
        if level == "stop":
            assert self.decide(Ask({"team": team}, 1), together=True).refusal is not None
        return stop.id

    @rule(number=consumes(orders))
    def lift(self, number: int) -> None:
        Stops(self.store).lift(number, "boss", now_ns=self.now)

    @invariant()
    def no_money_is_made_or_lost(self) -> None:
        hard = {row[0] for row in self.rows(budgets, "id", "mode") if row[1] == "hard"}
        held_by_key: dict[str, int] = {}
        lent: dict[str, int] = {}
        rows = self.rows(leases, "id", "parent", "state", "own", "held_nano", "lent_nano", "settled_nano")
        for _, parent, state, own, held, lends, settled in rows:
            assert held >= lends >= 0
            assert settled >= 0
            assert state == "live" or held == lends, "what is over holds only what it has lent"
            lent[parent] = lent.get(parent, 0) + held
            for key in json.loads(own):
                held_by_key[key] = held_by_key.get(key, 0) + held
        for name, _, _, _, _, lends, _ in rows:
            assert lends == lent.get(name, 0), "a lease has lent what its sub-agents hold"
        for row in self.rows(balances):
            assert min(row.spent_nano, row.held_nano, row.presumed_nano, row.beyond_nano) >= 0
            assert row.held_nano == held_by_key.get(row.key, 0), "a balance holds what its leases hold"
            self.limits[row.key] = most = max(self.limits.get(row.key, 0), row.limit_nano)
            if row.budget_id in hard:
                assert row.spent_nano + row.held_nano + row.presumed_nano <= most + row.beyond_nano

    def lease_row(self, lease: str) -> Any:
        return next(row for row in self.rows(leases) if row.id == lease)

    def state_of(self, lease: str) -> str:
        return self.lease_row(lease).state

    def sums(self) -> dict[str, tuple[int, int]]:
        return {row[0]: (row[1], row[2]) for row in self.rows(balances, "key", "spent_nano", "beyond_nano")}


def _nothing(*_: object) -> None:
    return None


def test_any_sequence_of_orders_keeps_the_books_of_leases(control: ControlStore) -> None:
    quick = settings(
        settings(),
        max_examples=max(15, settings().max_examples // 3),
        stateful_step_count=30,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    run_state_machine_as_test(lambda: LeaseMachine(control), settings=quick)
