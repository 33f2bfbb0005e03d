"""Actions: what follows when money runs short, whether somebody has to agree, and when it is over.

A step of a rule's ladder begins once for each balance, window and grant. It ends with its window, when the budget is
given more and the new limit is not so far spent, when the budget is taken away, or when somebody lifts its stop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from outlay.control.actions import IN_FORCE, ActionRow, Wanted, begin, close, lifted_by, open_actions
from outlay.control.alerts import Alert
from outlay.control.store import Transaction
from outlay.core.budget import Budget
from outlay.govern.alert_rules import Rule
from outlay.govern.alerts import Reading, content_of, named, percent_of, scope_of, series_of

WORDS = {
    "warn": "every answer says that money runs short",
    "cheaper": "cheaper models take over",
    "no_agents": "no new sub-agents",
    "no_sessions": "no new sessions",
    "stop": "work is stopped",
}
"""What each level does, in words."""

Live = Mapping[tuple[int, str], Reading]
"""The balances of the present windows, by budget and part."""


def wanted_of(reading: Reading, rule: Rule) -> list[Wanted]:
    """The steps of the ladder that a balance has come to."""
    standing = reading.standing
    budget, percent = standing.budget, percent_of(standing)
    return [
        Wanted(
            series_of(budget, standing.start_ns, standing.part, f"do-{step.level}", reading.version),
            budget.id,
            standing.part,
            scope_of(budget, standing.part),
            step.level,
            step.percent,
            reading.version,
            step.approval,
            f"{named(standing)} has used {percent} % of its limit",
            standing.end_ns,
        )
        for step in rule.actions
        if percent is not None and percent >= step.percent
    ]


def act(
    connection: Transaction, seen: Sequence[tuple[Reading, Rule]], budgets: Sequence[Budget], now_ns: int, page: str
) -> list[tuple[Alert, Budget]]:
    """Begins what has come up and ends what is over, in the caller's transaction; what of it is worth telling."""
    present = [(reading, rule) for reading, rule in seen if _runs(reading, now_ns)]
    live = {(reading.standing.budget.id, reading.standing.part): reading for reading, _ in present}
    told = _end(connection, live, {budget.id: budget for budget in budgets}, now_ns, page)
    held = {(row.budget_id, row.part, row.level, row.percent) for row in open_actions(connection)}
    for reading, rule in present:
        for wanted in wanted_of(reading, rule):
            if (wanted.budget_id, wanted.part, wanted.level, wanted.percent) in held:
                continue  # it goes on from an earlier grant
            number = begin(connection, wanted, now_ns)
            if number is not None:
                told.append((_begun(reading, wanted, number, now_ns, page), reading.standing.budget))
    return told


def _end(
    connection: Transaction, live: Live, budgets: Mapping[int, Budget], now_ns: int, page: str
) -> list[tuple[Alert, Budget]]:
    told: list[tuple[Alert, Budget]] = []
    for row in open_actions(connection):
        reading = live.get((row.budget_id, row.part))
        gone = row.budget_id not in budgets
        who, why = ("policy", "its budget was taken away") if gone else _over(connection, row, reading, now_ns)
        if not why:
            continue
        close(connection, row, who, why, now_ns)
        if row.state == IN_FORCE and reading is not None:
            told.append((_ended(reading, row, why, now_ns, page), reading.standing.budget))
    return told


def _over(connection: Transaction, row: ActionRow, reading: Reading | None, now_ns: int) -> tuple[str, str]:
    """Who ends an action and why; no why while it goes on."""
    if row.until_ns <= now_ns:
        return "calendar", "its window is over"
    if row.state == IN_FORCE and (lifted := lifted_by(connection, row)):
        return lifted, f"{lifted} lifted its stop"
    if reading is not None and reading.version != row.version:
        percent = percent_of(reading.standing)
        if percent is None or percent < row.percent:
            return "policy", "the budget was given more"
    return "", ""


def _runs(reading: Reading, now_ns: int) -> bool:
    return reading.standing.start_ns <= now_ns < reading.standing.end_ns


def _begun(reading: Reading, wanted: Wanted, number: int, now_ns: int, page: str) -> Alert:
    does = WORDS[wanted.level]
    title = f"{wanted.reason}: {does}"
    order = f"outlay stops; outlay overrides request {reading.standing.budget.name!r}"
    if wanted.approval:
        title = f"{wanted.reason}: somebody has to agree that {does}"
        order = f"outlay actions approve {number}, or outlay actions deny {number}"
    severity = "critical" if wanted.approval or wanted.level in {"no_sessions", "stop"} else "warning"
    more = {"action": number, "next": order}
    return _alert(reading, wanted.series, wanted.percent, (severity, title), now_ns, more, page)


def _ended(reading: Reading, row: ActionRow, why: str, now_ns: int, page: str) -> Alert:
    title = f"{named(reading.standing)} goes on as usual ({WORDS[row.level]} no longer): {why}"
    more = {"action": row.id, "next": "outlay actions list"}
    return _alert(reading, f"{row.key}:over", 1, ("info", title), now_ns, more, page)


def _alert(
    reading: Reading,
    series: str,
    level: int,
    said: tuple[str, str],
    now_ns: int,
    more: Mapping[str, object],
    page: str,
) -> Alert:
    standing, (severity, title) = reading.standing, said
    content = content_of(standing, "action", severity, title, now_ns, page)
    return Alert(
        series,
        level,
        standing.budget.name,
        standing.part,
        "action",
        severity,
        standing.start_ns,
        standing.end_ns,
        title,
        {**content, **more},
    )
