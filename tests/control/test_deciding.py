"""What is decided before a call: how much is held, what is clamped, swapped or refused, on both engines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from outlay.control import budgets, rates
from outlay.control.leases import Leases, book_of
from outlay.control.stops import Stops
from outlay.control.store import ControlStore
from outlay.core.budget import Budget
from outlay.core.calendar import Calendar
from outlay.core.errors import InputError, LeaseError
from outlay.core.estimate import KINDS_MAX, SAMPLES_KEPT, SAMPLES_LEAST, kind_of
from outlay.core.lease import CHUNK_CALLS, Ask, Grant, refusal_text
from outlay.core.period import ns_of
from outlay.core.quote import OUTPUT_TOKENS_LEAST, PLENTY, Call
from outlay.core.rate import Rate

NOW = ns_of(datetime(2026, 11, 26, 12, tzinfo=UTC))
SECOND = 10**9
MTOK = 1_000_000

DEAR = Rate(2_000_000, 4_000_000, 10_000_000)  # 2, 4 and 10 nano a token: small numbers to reckon with
CHEAP = Rate(1_000_000, 1_000_000, 1_000_000)
FREE = Rate(0, 0, 0)


@pytest.fixture
def desk(control: ControlStore) -> Leases:
    listed = [
        ("acme", "dear", False, DEAR),
        ("acme", "cheap", False, CHEAP),
        ("home", "llama*", True, FREE),
    ]
    rates.fill(control, listed, "test")
    return Leases(control)


def put(store: ControlStore, amount: int, scope: Mapping[str, str] | None = None, **more: Any) -> Budget:
    more.setdefault("reserve_percent", 0)
    calendar = more.pop("calendar", Calendar())
    wanted = Budget(0, more.pop("name", "all"), scope or {}, calendar, **more)
    budgets.set_budget(store, budgets.Wanted(wanted, amount), "me", now_ns=NOW)
    return next(item for item in budgets.list_budgets(store) if item.name == wanted.name)


def ask(model: str = "dear", provider: str = "acme", **more: Any) -> Ask:
    envelope = {key: more.pop(key) for key in ("team", "feature", "session", "agent") if key in more}
    outer = {key: more.pop(key) for key in ("amount_nano", "parent", "final", "chunk", "id", "counts") if key in more}
    more.setdefault("input_tokens", 10)
    more.setdefault("max_tokens", 100)
    return Ask(envelope, call=Call(provider, model, **more), **outer)


def learn(desk: Leases, amounts: list[int], **more: Any) -> None:
    asked = ask(**more)
    assert asked.call is not None
    kind = kind_of(asked.envelope, asked.call.model, asked.call.step)
    with desk._store.writing() as connection:
        book_of(connection).learn(kind, amounts, NOW)


def refused(grant: Grant) -> str:
    assert grant.refusal is not None
    assert grant.lease == ""
    return grant.refusal.reason


def test_without_history_the_worst_case_is_held(control: ControlStore, desk: Leases) -> None:
    put(control, MTOK)
    given = desk.decide(ask(), NOW)
    assert given.amount_nano == 10 * 4 + 100 * 10
    assert (given.max_tokens, given.model, given.chunk) == (None, "", False)
    assert desk.decide(ask(max_tokens=None), NOW).amount_nano == 10 * 4 + 8_192 * 10, "no ceiling is no flat sum"
    assert desk.decide(ask(answers=3), NOW).amount_nano == 10 * 4 + 300 * 10


def test_with_history_what_is_usual_is_held_and_settling_teaches(control: ControlStore, desk: Leases) -> None:
    put(control, 10**9)
    for number in range(SAMPLES_LEAST):
        given = desk.decide(ask(metered=True), NOW)
        assert given.amount_nano == 1_040
        desk.settle(given.lease, 100 + number, NOW)
    assert desk.decide(ask(metered=True), NOW).amount_nano == 118, "the 19th of 20"
    assert desk.decide(ask(metered=True, step="other"), NOW).amount_nano == 1_040
    assert desk.decide(ask(metered=True, feature="other"), NOW).amount_nano == 1_040


def test_a_failed_call_teaches_nothing_and_what_is_kept_is_bounded(control: ControlStore, desk: Leases) -> None:
    put(control, 10**9)
    for _ in range(SAMPLES_LEAST + 1):
        desk.give_back(desk.decide(ask(), NOW).lease, NOW)
        desk.settle(desk.decide(ask(), NOW).lease, 0, NOW)
    assert desk.decide(ask(), NOW).amount_nano == 1_040
    learn(desk, list(range(1, 1_000)))
    with control.reading() as connection:
        held = connection.exec_driver_sql("SELECT amounts, kept FROM samples").fetchall()
    assert [(len(json.loads(row[0])), row[1]) for row in held] == [(SAMPLES_KEPT, SAMPLES_KEPT)]
    assert KINDS_MAX > SAMPLES_KEPT


def test_a_call_that_cannot_be_cut_holds_its_worst_case_while_there_is_plenty(
    control: ControlStore, desk: Leases
) -> None:
    put(control, 1_040 * PLENTY)
    learn(desk, [300] * SAMPLES_LEAST)
    rich = desk.decide(ask(), NOW)
    assert (rich.amount_nano, rich.max_tokens) == (1_040, None)
    short = desk.decide(ask(), NOW)
    assert (short.amount_nano, short.max_tokens) == (300, (300 - 40) // 10)
    streamed = desk.decide(ask(metered=True), NOW)
    assert (streamed.amount_nano, streamed.max_tokens) == (300, None)
    fixed = desk.decide(ask(can_clamp=False), NOW)
    assert (fixed.amount_nano, fixed.max_tokens) == (1_040, None), "what cannot be clamped holds what it may cost"


def test_when_short_the_answer_is_clamped_to_what_is_left(control: ControlStore, desk: Leases) -> None:
    least = 40 + OUTPUT_TOKENS_LEAST * 10
    put(control, least + 100)
    given = desk.decide(ask(), NOW)
    assert (given.amount_nano, given.max_tokens) == (least + 100, OUTPUT_TOKENS_LEAST + 10)
    desk.give_back(given.lease, NOW)
    assert refused(desk.decide(ask(can_clamp=False), NOW)) == "budget"
    put(control, least - 1)
    assert refused(desk.decide(ask(), NOW)) == "budget"


def test_hardly_a_call_cost_less_so_less_would_not_do(control: ControlStore, desk: Leases) -> None:
    put(control, 1_000)
    learn(desk, [900] * SAMPLES_LEAST, input_tokens=1)
    assert desk.decide(ask(input_tokens=1, metered=True), NOW).amount_nano == 900
    again = desk.decide(ask(input_tokens=1, metered=True), NOW)
    assert refused(again) == "budget"
    assert again.retry_after_s == 1, "what is held may come back"


def test_a_cheaper_model_takes_the_place_where_the_ladder_has_one(control: ControlStore, desk: Leases) -> None:
    put(control, 500, ladder={"dear": "cheap"})
    given = desk.decide(ask(), NOW)
    assert (given.amount_nano, given.model, given.max_tokens) == (110, "cheap", None)
    assert refused(desk.decide(ask(can_swap=False), NOW)) == "budget"
    desk.settle(given.lease, 500, NOW)
    assert refused(desk.decide(ask(), NOW)) == "budget", "the cheaper one is checked like a first choice"


def test_a_ladder_that_leads_nowhere_or_in_a_circle_helps_nobody(control: ControlStore, desk: Leases) -> None:
    put(control, 500, ladder={"dear": "unheard-of"})
    assert refused(desk.decide(ask(), NOW)) == "budget"
    put(control, 20, ladder={"dear": "cheap", "cheap": "dear"})
    assert refused(desk.decide(ask(), NOW)) == "budget"


def test_what_nobody_knows_the_price_of_is_refused_and_what_is_free_passes(control: ControlStore, desk: Leases) -> None:
    put(control, 1_000)
    given = desk.decide(ask("mystery"), NOW)
    assert refused(given) == "unpriced"
    assert desk.decide(ask("llama3.1:8b", "home"), NOW).lease
    desk.settle(desk.decide(ask(metered=True), NOW).lease, 5_000, NOW)
    free = desk.decide(ask("llama3.1:8b", "home"), NOW)
    assert (free.refusal, free.amount_nano) == (None, 0), "all is gone, and still it is free"
    learn(desk, [50] * SAMPLES_LEAST, model="billed")
    put(control, 10_000)
    assert desk.decide(ask("billed"), NOW).amount_nano == 50, "bills are a price too"


def test_unpriced_where_it_is_allowed_passes_until_all_is_gone(control: ControlStore, desk: Leases) -> None:
    put(control, 1_000, unpriced="allow")
    given = desk.decide(ask("mystery"), NOW)
    assert (given.amount_nano, given.refusal) == (0, None)
    desk.settle(given.lease, 1_000, NOW)
    assert refused(desk.decide(ask("mystery"), NOW)) == "budget"


def test_a_stream_draws_on_what_is_left_and_then_no_more(control: ControlStore, desk: Leases) -> None:
    budget = put(control, 400)
    learn(desk, [300] * SAMPLES_LEAST)
    given = desk.decide(ask(metered=True), NOW)
    assert given.amount_nano == 300
    more = desk.draw(given.lease, 80, NOW)
    assert (more.lease, more.amount_nano) == (given.lease, 80)
    assert desk.draw(given.lease, 80, NOW).amount_nano == 20
    assert desk.draw(given.lease, 80, NOW).refusal is not None
    desk.settle(given.lease, 390, NOW)
    (standing,) = budgets.standings(control, budget, NOW)
    assert (standing.spent_nano, standing.held_nano, standing.beyond_nano) == (390, 0, 0)
    with pytest.raises(LeaseError, match="settled"):
        desk.draw(given.lease, 1, NOW)


def test_a_sub_agent_draws_from_its_parent_and_from_a_budget_of_its_own(control: ControlStore, desk: Leases) -> None:
    company = put(control, 5_000)
    own = put(control, 2_000, {"agent": "reader"}, name="reader", caps={"steps": 2})
    top = desk.decide(Ask({"agent": "boss"}, 3_000), NOW)
    child = desk.decide(ask(agent="reader", parent=top.lease), NOW)
    assert child.amount_nano == 1_040
    assert [item.held_nano for item in budgets.standings(control, company, NOW)] == [3_000]
    assert [item.held_nano for item in budgets.standings(control, own, NOW)] == [1_040]
    more = desk.draw(child.lease, 100, NOW)
    assert more.amount_nano == 100
    desk.settle(child.lease, 700, NOW)
    (over,), (under,) = budgets.standings(control, company, NOW), budgets.standings(control, own, NOW)
    assert (over.spent_nano, over.held_nano) == (700, 2_300)
    assert (under.spent_nano, under.held_nano) == (700, 0)
    assert desk.decide(ask(agent="reader", parent=top.lease), NOW).lease
    assert refused(desk.decide(ask(agent="reader", parent=top.lease), NOW)) == "cap", "its steps count"
    desk.give_back(top.lease, NOW)
    assert refused(desk.decide(ask(agent="writer", parent=top.lease), NOW)) == "budget"


def test_a_grandchild_counts_with_everybody_above(control: ControlStore, desk: Leases) -> None:
    names = {"a": 4_000, "b": 3_000, "c": 2_000}
    held = {name: put(control, amount, {"agent": name}, name=name) for name, amount in names.items()}
    lease = ""
    for name, amount in names.items():
        lease = desk.decide(Ask({"agent": name}, amount // 2, parent=lease), NOW).lease
    desk.settle(lease, 600, NOW)
    figures = [budgets.standings(control, held[name], NOW)[0] for name in names]
    assert [item.spent_nano for item in figures] == [600, 600, 600]
    assert [item.held_nano for item in figures] == [1_400, 900, 0]


def test_a_chunk_is_for_several_calls_but_leaves_something_to_others(control: ControlStore, desk: Leases) -> None:
    put(control, 1_040 * CHUNK_CALLS * 100)
    given = desk.decide(ask(chunk=True), NOW)
    assert (given.amount_nano, given.chunk, given.call_nano) == (1_040 * CHUNK_CALLS, True, 1_040)
    put(control, 1_040 * CHUNK_CALLS + 1_040 * 16)
    assert desk.decide(ask(chunk=True), NOW).amount_nano == 1_040 * 2
    put(control, 10**6, caps={"steps": 1_000})
    assert not desk.decide(ask(chunk=True), NOW).chunk, "each step counts, so each is asked for"


def test_the_same_id_is_answered_with_the_same_lease(control: ControlStore, desk: Leases) -> None:
    budget = put(control, 10_000)
    first = desk.decide(ask(id="call 7"), NOW)
    again = desk.decide(ask(id="call 7"), NOW + SECOND)
    assert (again.lease, again.amount_nano, again.expires_ns) == (first.lease, first.amount_nano, first.expires_ns)
    assert budgets.standings(control, budget, NOW)[0].held_nano == 1_040
    assert desk.decide(replace(ask(id="call 7"), holder="somebody else"), NOW).lease != first.lease


@pytest.mark.parametrize(
    ("level", "begun", "fresh", "agent"),
    [
        ("warn", True, True, True),
        ("cheaper", True, True, True),
        ("no_agents", True, True, False),
        ("no_sessions", True, False, False),
        ("stop", False, False, False),
    ],
)
def test_a_stop_holds_by_its_level(
    control: ControlStore, desk: Leases, level: str, *, begun: bool, fresh: bool, agent: bool
) -> None:
    put(control, 10**6, ladder={"dear": "cheap"})
    live = desk.decide(ask(session="old", team="search"), NOW)
    stop = Stops(control).set({"team": "search"}, level, "boss", reason="runaway", now_ns=NOW + 1)
    later = NOW + SECOND
    answers = [
        desk.decide(ask(session="old", team="search"), later),
        desk.decide(ask(session="new", team="search"), later),
        desk.decide(ask(session="old", team="search", counts={"width": 1}), later),
    ]
    assert [answer.refusal is None for answer in answers] == [begun, fresh, agent]
    assert all(answer.model == ("" if level == "warn" else "cheap") for answer in answers if answer.lease)
    assert all(answer.stop == stop for answer in answers)
    assert desk.decide(ask(session="new", team="other"), later).model == ""
    assert desk.renew(live.lease, now_ns=later) == stop, "who works already is told"
    assert desk.spend(live.lease, 1, now_ns=later) == stop
    said = [refusal_text(answer.refusal) for answer in answers if answer.refusal is not None]
    assert all("boss" in text and "runaway" in text for text in said)
    Stops(control).lift(stop.id, "boss", now_ns=later)
    assert desk.decide(ask(session="newer", team="search"), later).refusal is None
    assert desk.settle(live.lease, 5, later)


def test_a_stop_ends_by_itself_and_orders_that_make_no_sense_are_refused(control: ControlStore, desk: Leases) -> None:
    put(control, 10**6)
    orders = Stops(control)
    stop = orders.set({}, "stop", "boss", until_ns=NOW + SECOND, now_ns=NOW)
    assert refused(desk.decide(ask(), NOW)) == "stopped"
    assert desk.decide(ask(), NOW + SECOND).lease
    assert orders.live(NOW + SECOND) == ()
    for wrong in ({"level": "halt"}, {"scope": {"planet": "mars"}}, {"scope": {"team": ""}}, {"until_ns": NOW}):
        with pytest.raises(InputError):
            orders.set(**{"scope": {}, "level": "stop", "actor": "boss", "now_ns": NOW, **wrong})
    with pytest.raises(InputError, match="no stop in force"):
        orders.lift(stop.id, "boss", now_ns=NOW + SECOND)


def test_what_is_billed_beyond_the_lease_is_the_bound_that_is_told(control: ControlStore, desk: Leases) -> None:
    budget = put(control, 2_000)
    given = desk.decide(ask(), NOW)
    desk.settle(given.lease, 2_500, NOW)
    (standing,) = budgets.standings(control, budget, NOW)
    assert standing.beyond_nano == 2_500 - 1_040
    assert standing.spent_nano <= standing.limit_nano + standing.beyond_nano
    with pytest.raises(LeaseError, match="less than 0"):
        desk.settle(given.lease, -1, NOW)
