"""What an agent elsewhere has to know to decide in its own memory: budgets and stops in force, rates, what calls cost.

A key that is bound to teams is told of their budgets and of those that bind everybody, nothing of others.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import astuple
from typing import Any, cast

from outlay.control.leases import book_of
from outlay.control.store import ControlStore
from outlay.core.budget import EACH, Budget
from outlay.core.errors import InputError
from outlay.core.stop import Stop
from outlay.faces.orders import known_fields
from outlay.faces.plain import Reply, reply

KIND_CHARACTERS_MAX = 1_024
AMOUNTS_MAX = 1_000
AMOUNT_NANO_MAX = 10**18

Teams = tuple[str, ...] | None


def in_force_reply(store: ControlStore, known: str, teams: Teams) -> Reply:
    """The budgets and stops in force, and of which version they are; only the version where it is `known`."""
    with store.reading() as connection:
        force = book_of(connection).in_force()
    version = ".".join(str(number) for number in force.versions)
    asked = {"known": known}
    if known == version:
        return reply(asked, (), {"version": version})
    rows = [_budget(budget) for budget in force.budgets if _concerns(budget.scope, teams)]
    now_ns = time.time_ns()
    live = [stop for stop in force.stops if now_ns < stop.until_ns and _concerns(stop.scope, teams)]
    return reply(asked, rows, {"version": version, "stops": [_stop(stop) for stop in live]})


def costs_reply(store: ControlStore, provider: str, model: str, kind: str) -> Reply:
    """The rate of a model as whole numbers in the order of `core.rate.Rate`, and what calls of a kind cost."""
    with store.reading() as connection:
        book = book_of(connection)
        rate = book.rate(provider, model) if model else None
        usual = book.estimate(kind) if kind else None
    total = {"rate": None if rate is None else astuple(rate), "usual": None if usual is None else astuple(usual)}
    return reply({"provider": provider, "model": model, "kind": kind}, (), total)


def learn_reply(store: ControlStore, said: Mapping[str, Any]) -> Reply:
    """Takes over what calls of a kind were billed, in whole nano-units. Raises InputError."""
    known_fields(said, ("kind", "amounts"), "the body")
    kind, amounts = said.get("kind"), said.get("amounts")
    if not isinstance(kind, str) or not 0 < len(kind) <= KIND_CHARACTERS_MAX:
        raise InputError(f"kind must be a text of 1 to {KIND_CHARACTERS_MAX} characters", hint="see core.estimate")
    listed = cast("list[object]", amounts) if isinstance(amounts, list) else []
    sound = [each for each in listed if isinstance(each, int) and 0 <= each <= AMOUNT_NANO_MAX]
    if not 0 < len(listed) <= AMOUNTS_MAX or len(sound) < len(listed):
        raise InputError(f"amounts must be 1 to {AMOUNTS_MAX} whole numbers of nano-units", hint="[125000, 98000]")
    with store.writing() as connection:
        book_of(connection).learn(kind, sound, time.time_ns())
    return reply({"kind": kind}, (), {"learned": len(sound)})


def _concerns(scope: Mapping[str, str], teams: Teams) -> bool:
    return teams is None or scope.get("team", EACH) in {EACH, *teams}


def _budget(budget: Budget) -> dict[str, Any]:
    calendar = budget.calendar
    return {
        "id": budget.id,
        "name": budget.name,
        "scope": dict(budget.scope),
        "calendar": [calendar.period, calendar.zone, calendar.start_month, calendar.start_day, calendar.week_start],
        "mode": budget.mode,
        "fail": budget.fail,
        "unpriced": budget.unpriced,
        "currency": budget.currency,
        "reserve_percent": budget.reserve_percent,
        "caps": dict(budget.caps),
        "ladder": dict(budget.ladder),
        "owner": budget.owner,
    }


def _stop(stop: Stop) -> dict[str, Any]:
    said = {"id": stop.id, "scope": dict(stop.scope), "level": stop.level, "reason": stop.reason, "by": stop.set_by}
    return {**said, "set_at": stop.set_ns, "until_at": stop.until_ns}
