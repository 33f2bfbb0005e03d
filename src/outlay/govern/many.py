"""Many at once: what would be a flood is told in one message, and requests that wait are told to who may decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from outlay.control.alerts import Alert
from outlay.control.overrides import OverrideRow
from outlay.core.budget import Budget
from outlay.core.money import decimal_text
from outlay.core.period import moment_of
from outlay.govern.alert_rules import SEVERITIES
from outlay.govern.alerts import part_text, sessions_path
from outlay.govern.overrides import Policy, approvers_of, rules_for

TOGETHER_FROM = 6
"""Alerts of one kind about as many balances of one budget, found at one look, are told in one message."""

_NAMED = 5

Found = tuple[Alert, Budget, bool]
"""An alert, its budget, and whether it is told by itself."""


def together(found: Sequence[tuple[Alert, Budget]], now_ns: int) -> list[Found]:
    """The same alerts; where too many are alike, they are only written down, and one more tells of all of them."""
    alike: dict[tuple[int, str], list[tuple[Alert, Budget]]] = {}
    for alert, budget in found:
        alike.setdefault((budget.id, alert.kind if alert.part else f"{alert.kind} of all"), []).append((alert, budget))
    told: list[Found] = []
    for group in alike.values():
        one_by_one = len(group) < TOGETHER_FROM or not group[0][0].part
        told += [(alert, budget, one_by_one) for alert, budget in group]
        if not one_by_one:
            told.append((_of_all([alert for alert, _ in group], now_ns), group[0][1], True))
    return told


def _of_all(alerts: Sequence[Alert], now_ns: int) -> Alert:
    gravest = max(alerts, key=lambda alert: SEVERITIES.index(alert.severity))
    names = ", ".join(part_text(alert.part) for alert in alerts[:_NAMED])
    title = f"{gravest.budget}: {len(alerts)} balances at once, {names} and others. The gravest: {gravest.title}"
    content = {
        **gravest.content,
        "title": title,
        "part": "",
        "balances": [part_text(alert.part) for alert in alerts[:1000]],
        "next": f"outlay alerts list --budget {gravest.budget!r}",
    }
    series = f"{gravest.series}:together:{now_ns}"
    return replace(gravest, series=series, level=len(alerts), part="", title=title, content=content)


def request_alerts(
    rows: Sequence[OverrideRow], budgets: Sequence[Budget], policy: Policy, now_ns: int, page: str
) -> list[tuple[Alert, Budget]]:
    """What is told of requests for exceptions that wait: each once, with who may decide."""
    by_name = {budget.name: budget for budget in budgets}
    return [
        (_request(row, by_name[row.budget], policy, now_ns, page), by_name[row.budget])
        for row in rows
        if row.budget in by_name
    ]


def _request(row: OverrideRow, budget: Budget, policy: Policy, now_ns: int, page: str) -> Alert:
    rules = rules_for(policy, budget)
    who = approvers_of(rules, budget) if rules else ["whoever may approve"]
    amount = f"{decimal_text(row.amount_nano)} {budget.currency}"
    decide = f"outlay overrides approve {row.id}, or outlay overrides deny {row.id}"
    until = f"{moment_of(row.until_ns):%Y-%m-%d}"
    title = f"{row.requested_by} asks for {amount} more for {budget.name} until {until}: {row.reason}"
    content = {
        "type": "budget.override",
        "severity": "warning",
        "title": title,
        "at": f"{moment_of(now_ns):%Y-%m-%dT%H:%M:%SZ}",
        "budget": budget.name,
        "scope": dict(budget.scope),
        "part": part_text(row.part),
        "window": budget.calendar.label(budget.calendar.window(now_ns)[0]),
        "currency": budget.currency,
        "amount": decimal_text(row.amount_nano),
        "owner": budget.owner,
        "approvers": who,
        "next": f"{decide}; may be decided by {', '.join(who)}",
        "sessions": sessions_path(budget, row.part),
        "link": f"{page}/overrides/{row.id}" if page else "",
    }
    return Alert(
        f"override:{row.id}",
        1,
        budget.name,
        row.part,
        "override",
        "warning",
        row.requested_ns,
        row.until_ns,
        title,
        content,
    )
