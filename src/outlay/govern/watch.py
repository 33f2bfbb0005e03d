"""The watch: looks at every budget from time to time and writes down what is worth telling, with its messages.

Two servers may watch the same budgets: what one has told, the other does not tell again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from outlay.control.actions import open_parts
from outlay.control.alerts import (
    Looked,
    active_parts,
    fire,
    look_at,
    refused_since,
    revoked_in,
    see_through,
    seen_through,
    told_levels,
)
from outlay.control.budgets import list_budgets
from outlay.control.channels import Channel, channels_of
from outlay.control.overrides import PENDING, list_overrides
from outlay.control.store import ControlStore, Transaction
from outlay.core.budget import EACH, Budget, Standing
from outlay.core.calendar import Calendar
from outlay.core.money import nano_of
from outlay.core.period import NS_PER_SECOND, Period
from outlay.govern.actions import act
from outlay.govern.alert_rules import Rule, Rules, rules_in_force
from outlay.govern.alerts import Reading, Routed, alerts_of, route
from outlay.govern.budgets import LATE_NS, Asks
from outlay.govern.channels import quiet_until
from outlay.govern.many import Found, request_alerts, together
from outlay.govern.overrides import policy_in_force
from outlay.metrics.filters import Filter
from outlay.metrics.query import Query

ACCOUNT = Budget(0, "account", {}, Calendar())
"""Stands for the whole account where no budget does, so that what nobody can place is told all the same."""

_SILENT = Routed((), "told together with others")

_OVERLAP_NS = 15 * NS_PER_SECOND
_FIRST_LOOK_NS = 24 * 3600 * NS_PER_SECOND


@dataclass(frozen=True, slots=True)
class Seen:
    """A balance that was looked at, with the rule it goes by."""

    reading: Reading
    rule: Rule


def watch(store: ControlStore, ask: Asks | None, now_ns: int) -> int:
    """Looks once; how many alerts are new. Without `ask` shares of the books are not looked at."""
    rules = rules_in_force(store)
    through_ns = seen_through(store)
    since_ns = min(now_ns, through_ns or now_ns - _FIRST_LOOK_NS) - _OVERLAP_NS
    seen = [*look(store, rules, ask, now_ns, since_ns)]
    budgets = list_budgets(store)
    found = [
        (alert, item.reading.standing.budget)
        for item in seen
        for alert in alerts_of(item.reading, item.rule, now_ns, rules.page)
    ]
    waiting = list_overrides(store, state=PENDING)
    found += request_alerts(waiting, budgets, policy_in_force(store), now_ns, rules.page) if waiting else []
    told = told_levels(store, [alert.series for alert, _ in found])
    new = [(alert, budget) for alert, budget in found if alert.level > told.get(alert.series, -1)]
    with store.writing() as connection:
        see_through(connection, now_ns)
        follows = act(connection, [(item.reading, item.rule) for item in seen], budgets, now_ns, rules.page)
        return tell(connection, rules, together([*new, *follows], now_ns), now_ns)


def look(store: ControlStore, rules: Rules, ask: Asks | None, now_ns: int, since_ns: int) -> Iterator[Seen]:
    """Every balance that may have something to tell, as it stands."""
    budgets = list_budgets(store)
    if all(budget.scope for budget in budgets):
        budgets = (*budgets, ACCOUNT)
    acted = open_parts(store)
    refused = {(item.budget_id, item.start_ns, item.part): item for item in refused_since(store, since_ns)}
    for budget in budgets:
        rule = rules.of(budget)
        parts = {part for number, _, part in refused if number == budget.id} | acted.get(budget.id, set())
        for looked in _looked(store, budget, rule, now_ns, since_ns, parts):
            standing = looked.standing
            reading = Reading(standing, looked.version)
            no = refused.get((budget.id, standing.start_ns, standing.part))
            if no is not None:
                reading = replace(reading, refused=no.refused, refused_what=no.what)
            if ask is not None and (rule.unpriced or rule.unattributed) and EACH not in budget.scope.values():
                reading = _with_shares(reading, ask, now_ns)
            yield Seen(reading, rule)


def tell(connection: Transaction, rules: Rules, found: Sequence[Found], now_ns: int) -> int:
    """Writes alerts down with a message for each channel that hears them, in the caller's transaction.

    Answers how many were new.
    """
    if not found:
        return 0
    channels = {channel.name: channel for channel in channels_of(connection)}
    gone = [f"key:{name}" for name in revoked_in(connection)]
    new = 0
    for alert, budget, aloud in found:
        heard = route(rules, alert, budget, list(channels), gone) if aloud else _SILENT
        content = {**alert.content, "note": heard.note, "owner_left": heard.owner_left}
        noted = replace(alert, note=heard.note, content=content)
        new += fire(connection, noted, heard.channels, _due(channels, alert.severity, now_ns), now_ns)
    return new


def _due(channels: dict[str, Channel], severity: str, now_ns: int) -> Callable[[str], int]:
    return lambda name: quiet_until(channels[name].settings.get("quiet"), now_ns, severity)


def _looked(
    store: ControlStore, budget: Budget, rule: Rule, now_ns: int, since_ns: int, known: set[str]
) -> tuple[Looked, ...]:
    """The balances of the present window, and those of one that ended since the last look or a moment ago."""
    start_ns, end_ns = budget.calendar.window(now_ns)
    if budget is ACCOUNT:
        return (Looked(Standing(ACCOUNT, "", start_ns, end_ns, 0, 0, 0), 0),)
    before = budget.calendar.before(start_ns) if since_ns < start_ns + LATE_NS else None
    parts: set[str] | None = None
    if "session" in budget.scope:  # one balance a session: only those that something happened to
        parts = known | (active_parts(store, budget, since_ns) if rule.actual or rule.actions else set())
        if not parts:
            return ()
        before = None
    return look_at(store, budget, now_ns, before=before, parts=parts)


def _with_shares(reading: Reading, ask: Asks, now_ns: int) -> Reading:
    standing = reading.standing
    where = tuple(Filter(key, (value,)) for key, value in standing.budget.scope.items())
    end_ns = min(standing.end_ns, now_ns)
    if end_ns <= standing.start_ns:
        return reading
    answer = ask(Query(("cost",), (), None, where, Period(standing.start_ns, end_ns)))
    coverage, cost = answer.coverage, answer.total.get("cost")
    untagged = (coverage.get("untagged_cost") or {}).get("team")
    return replace(
        reading,
        calls=int(coverage.get("usages", 0)),
        unpriced=int(coverage.get("unpriced_usages", 0)),
        cost_nano=0 if cost is None else nano_of(cost),
        untagged_nano=0 if untagged is None else nano_of(untagged),
    )
