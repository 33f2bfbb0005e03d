"""Allotments: what the budgets of teams and of the whole company allowed in one month."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from outlay.control.budgets import GrantRow, grants_of, list_budgets, past_balances, standings
from outlay.control.store import ControlStore
from outlay.core.budget import EACH, Budget
from outlay.core.money import DEFAULT_CURRENCY
from outlay.core.period import ns_of
from outlay.govern.alert_rules import rules_in_force
from outlay.govern.outlook import Outlook

COMPANY = ""
"""The name under which the budget of everything is told."""


@dataclass(frozen=True, slots=True)
class Allotment:
    """What one budget allowed in one month: its limit, and the per cents of it at which somebody is told."""

    budget: str
    limit_nano: int
    percents: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """How a month stands against its budget, or will.

    `word` is `over` (more was spent), `exceeds` (the middle of the forecast is above it), `tight` (one chance in ten
    that it is passed, or more), `on track`, `under` (the month is over and within), `young` (nothing can be forecast
    yet) or `no budget`. `beyond_nano` is how far the forecast lies above the limit, below 0 under it. `day` is the day
    on which the limit is passed, or was.
    """

    word: str
    beyond_nano: int | None = None
    day: date | None = None


Windows = Sequence[tuple[datetime, datetime]]


def allotments(store: ControlStore, windows: Windows, now: datetime) -> list[dict[str, Allotment]]:
    """For each month (UTC, half-open) the allotments by team; see `allotted`.

    Only budgets in dollars whose scope is one team or everything and whose windows are these very months are told. A
    month before a budget was made has none of it. Where several fit, the one that allows least binds.
    """
    held = [budget for budget in list_budgets(store) if _named(budget) is not None and _monthly(budget, windows)]
    past = any(end <= now for _, end in windows)
    history = {budget.id: grants_of(store, budget) for budget in held} if past else {}
    balances = {budget.id: past_balances(store, budget) for budget in held} if past else {}
    rules = rules_in_force(store)
    told: list[dict[str, Allotment]] = []
    for window in windows:
        found: dict[str, Allotment] = {}
        for budget in held:
            limits = (
                {str(_named(budget)): limit_then(history[budget.id], balances[budget.id], window)}
                if window[1] <= now
                else _limits_now(store, budget, window, ns_of(now))
            )
            for name, limit in limits.items():
                if limit is not None and (name not in found or limit < found[name].limit_nano):
                    found[name] = Allotment(budget.name, limit, rules.of(budget).actual)
        told.append(found)
    return told


def allotted(found: Mapping[str, Allotment], name: str) -> Allotment | None:
    """What binds a team, or `COMPANY`: its own budget, or the one that each team has, whichever allows less."""
    both = [found[key] for key in dict.fromkeys((name, EACH)) if key in found and (name != COMPANY or key == COMPANY)]
    return min(both, key=lambda item: item.limit_nano, default=None)


def judged(outlook: Outlook, allotment: Allotment | None, start: date) -> Judged:
    """How an outlook of the month that begins at `start` stands against an allotment."""
    if allotment is None:
        return Judged("no budget")
    limit, forecast, ends = allotment.limit_nano, outlook.forecast_nano, outlook.ends(80)
    beyond = None if forecast is None else forecast - limit
    if outlook.spent_nano > limit:
        place = next(place for place, reached in enumerate(outlook.so_far) if reached > limit)
        return Judged("over", outlook.spent_nano - limit if beyond is None else beyond, start + timedelta(days=place))
    if forecast is None or ends is None:
        return Judged("young")
    if forecast > limit:
        return Judged("exceeds", beyond, next(step.day for step in outlook.path if step.middle_nano > limit))
    if outlook.state == "over":
        return Judged("under", beyond)
    return Judged("tight" if ends[1] > limit else "on track", beyond)


def limit_then(
    grants: Iterable[GrantRow], balances: Iterable[Mapping[str, Any]], window: tuple[datetime, datetime]
) -> int | None:
    """What a budget allowed in a month that is over, in nano-units; None where there was no such budget yet.

    Its balance says so where one was kept, as it was last worked out. Else it is the plan for that month, or the
    allocation at the month's end, with the exceptions and transfers that fell into it.
    """
    start_ns, end_ns = ns_of(window[0]), ns_of(window[1])
    for row in balances:
        if row["start_ns"] == start_ns and not row["part"]:
            return int(row["limit_nano"])
    base = planned = None
    extra = 0
    for row in sorted(grants, key=lambda row: (row.created_ns, row.id)):
        if row.part or row.created_ns >= end_ns:
            continue
        if row.kind == "plan":
            planned = row.amount_nano if (row.starts_ns, row.ends_ns) == (start_ns, end_ns) else planned
        elif row.kind == "allocation":
            base = row.amount_nano if row.ends_ns >= end_ns else base
        elif row.starts_ns < end_ns and row.ends_ns > start_ns:
            extra += row.amount_nano
    known = base if planned is None else planned
    return None if known is None else max(0, known + extra)


def _limits_now(
    store: ControlStore, budget: Budget, window: tuple[datetime, datetime], now_ns: int
) -> dict[str, int | None]:
    """The limit in force by name; of a budget for each team those that were asked for, and what any other one has."""
    found = standings(store, budget, min(now_ns, time.time_ns()))
    if budget.scope.get("team") != EACH:
        return {str(_named(budget)): item.limit_nano for item in found}
    parts: dict[str, int | None] = {json.loads(item.part)[0]: item.limit_nano for item in found if item.part}
    return {**parts, EACH: limit_then(grants_of(store, budget), (), window)}


def _named(budget: Budget) -> str | None:
    """The team a budget is for, `EACH` for one each, `COMPANY` for everything, None for any other scope."""
    if budget.currency != DEFAULT_CURRENCY or set(budget.scope) - {"team"}:
        return None
    return budget.scope.get("team", COMPANY)


def _monthly(budget: Budget, windows: Windows) -> bool:
    return all(budget.calendar.window(ns_of(start)) == (ns_of(start), ns_of(end)) for start, end in windows)
