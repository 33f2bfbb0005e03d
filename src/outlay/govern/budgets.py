"""Budgets: put into force from words or files, told as they stand, and trued up against the books."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from outlay.control.budgets import (
    Wanted,
    described,
    list_budgets,
    set_budgets,
    standings,
    wanted_of,
)
from outlay.control.store import ControlStore
from outlay.control.truing import Metered, true_up
from outlay.core.budget import EACH, Budget, Standing
from outlay.core.errors import Problem
from outlay.core.money import nano_of
from outlay.core.period import NS_PER_SECOND, Period
from outlay.govern.budget_words import scope_text
from outlay.metrics.answer import Answer
from outlay.metrics.filters import Filter
from outlay.metrics.query import Query

GRACE_NS = 15 * 60 * NS_PER_SECOND
"""How long a call that was settled may take to be in the books; younger ones count by what was settled."""

OVER_SHOWN = 50
"""Balances of one budget that are told to be beyond their limit, those of which most is used."""

LATE_NS = 2 * GRACE_NS
"""How long after its end a window is still looked at."""

Asks = Callable[[Query], Answer]


@dataclass(frozen=True, slots=True)
class Change:
    """What putting a file into force does to one budget: `what` is add, change, remove or keep."""

    name: str
    what: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None

    def differences(self) -> dict[str, list[Any]]:
        """Each field that is different, with what it was and will be."""
        old, new = self.before or {}, self.after or {}
        return {key: [old.get(key), new.get(key)] for key in {**old, **new} if old.get(key) != new.get(key)}


def apply(
    store: ControlStore, wanted: Sequence[Wanted], actor: str, *, dry_run: bool = False, prune: bool = False
) -> list[Change]:
    """Puts budgets into force; with `prune` those that are not among them are removed. `dry_run` only tells."""
    held = {budget.name: described(*_told(wanted_of(store, budget))) for budget in list_budgets(store)}
    changes = []
    for item in wanted:
        before, after = held.get(item.budget.name), described(*_told(item))
        what = "add" if before is None else "keep" if before == after else "change"
        changes.append(Change(item.budget.name, what, before, after))
    named = {item.budget.name for item in wanted}
    if prune:
        changes += [Change(name, "remove", before, None) for name, before in held.items() if name not in named]
    if not dry_run:
        set_budgets(store, wanted, [change.name for change in changes if change.what == "remove"], actor)
    return changes


def _told(wanted: Wanted) -> tuple[Budget, int, Any]:
    return wanted.budget, wanted.amount_nano, wanted.plans


def true_up_all(store: ControlStore, ask: Asks, now_ns: int) -> int:
    """Sets what every budget has spent by the books in its present window, and in one that ended a moment ago.

    Returns how many balances were looked at. Budgets for each session count by what was settled: a session is over
    before its books are complete.
    """
    found: dict[int, list[Metered]] = {}
    for budget in list_budgets(store):
        if budget.scope.get("session") is not None:
            continue
        for start_ns, end_ns in _windows(budget, now_ns):
            edge_ns = min(end_ns, max(start_ns, now_ns - GRACE_NS))
            before = _metered(budget, ask, start_ns, edge_ns)
            after = _metered(budget, ask, edge_ns, min(end_ns, now_ns + GRACE_NS))
            known = {standing.part for standing in standings(store, budget, now_ns)} if now_ns < end_ns else set[str]()
            for part in known | before.keys() | after.keys():
                spent = before.get(part, 0), after.get(part, 0)
                found.setdefault(edge_ns, []).append(Metered(budget, part, start_ns, end_ns, *spent))
    for edge_ns, metered in found.items():
        true_up(store, metered, edge_ns)
    return sum(len(metered) for metered in found.values())


def _windows(budget: Budget, now_ns: int) -> list[tuple[int, int]]:
    """The windows whose books still change: the present one, and the one before it until its last calls are in."""
    start_ns, end_ns = budget.calendar.window(now_ns)
    before = budget.calendar.before(start_ns) if now_ns - start_ns < LATE_NS else None
    return [(start_ns, end_ns)] if before is None else [before, (start_ns, end_ns)]


def _metered(budget: Budget, ask: Asks, start_ns: int, end_ns: int) -> dict[str, int]:
    """Nano-units the books hold for a budget between two moments, by part."""
    if end_ns <= start_ns:
        return {}
    each = tuple(key for key, value in budget.scope.items() if value == EACH)
    where = tuple(Filter(key, (value,)) for key, value in budget.scope.items() if value != EACH)
    answer = ask(Query(("cost",), each, None, where, Period(start_ns, end_ns)))
    metered: dict[str, int] = {}
    for row in answer.rows if each else [answer.total]:
        if row.get("cost") is not None and row.get("currency", budget.currency) == budget.currency:
            part = json.dumps([row[key] for key in each], ensure_ascii=False) if each else ""
            metered[part] = metered.get(part, 0) + nano_of(row["cost"])
    return metered


def findings(store: ControlStore, now_ns: int, occurring: Callable[[str], set[str]]) -> list[Problem]:
    """What is doubtful about the budgets in force; `occurring` tells the values of an envelope key in the books."""
    held = [(budget, wanted_of(store, budget, now_ns)) for budget in list_budgets(store)]
    found: list[Problem] = []
    for place, (budget, wanted) in enumerate(held):
        for key, value in budget.scope.items():
            if value != EACH and key != "session" and value not in occurring(key):
                what = f'nothing in the books has the {key} "{value}": so far it binds nothing'
                found.append(Problem(budget.name, what, f"outlay spend --by {key} lists what there is"))
        if not wanted.amount_nano and budget.mode == "hard" and not wanted.plans:
            found.append(Problem(budget.name, "the amount is 0: every call that costs anything is refused", ""))
        for other, theirs in held[:place]:
            found += _contradiction(budget, wanted, other, theirs)
        for standing in standings(store, budget, now_ns, most=OVER_SHOWN):
            if standing.left_nano < 0:
                found.append(
                    Problem(budget.name, f"{_part(standing)}spent beyond its limit", "outlay budgets show NAME")
                )
    return found


def _contradiction(one: Budget, mine: Wanted, other: Budget, theirs: Wanted) -> list[Problem]:
    if one.calendar.period != other.calendar.period:
        return []
    if dict(one.scope) == dict(other.scope):
        what = f'"{other.name}" has the same scope ({scope_text(one.scope)}) and period: the smaller one binds'
        return [Problem(one.name, what, "remove one")]
    for inner, outer, small, large in ((one, other, mine, theirs), (other, one, theirs, mine)):
        within = outer.scope.items() < inner.scope.items()
        if within and small.amount_nano > large.amount_nano and outer.mode == "hard":
            return [Problem(inner.name, f'it is larger than "{outer.name}" around it, which binds first', "lower it")]
    return []


def _part(standing: Standing) -> str:
    return f"{', '.join(json.loads(standing.part))}: " if standing.part else ""
