"""Alerts: what is worth telling of a budget as it stands, in which words, and who hears it. Pure decisions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlencode

from outlay.control.alerts import Alert
from outlay.core.budget import EACH, Budget, Standing
from outlay.core.calendar import LIFE
from outlay.core.money import decimal_text
from outlay.core.period import moment_of
from outlay.govern.alert_rules import SEVERITIES, Route, Rule, Rules

CALLS_MIN = 20
"""Calls before a share of them says anything."""

_CENT = 10_000_000
_FORECAST_AFTER = 10
"""One part in this many of a window must have passed before its run rate says anything about its end."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A balance as it stands at a moment; `version` is of its newest grant, the rest is of the window's books."""

    standing: Standing
    version: int
    refused: int = 0
    refused_what: str = ""
    calls: int = 0
    unpriced: int = 0
    cost_nano: int = 0
    untagged_nano: int = 0


def alerts_of(reading: Reading, rule: Rule, now_ns: int, page: str = "") -> list[Alert]:
    """Everything that holds now, of each series the highest level; what was told before is not known here."""
    found: list[Alert] = []
    standing = reading.standing
    limit, spent = standing.limit_nano, standing.spent_nano
    percent = percent_of(standing)
    passed = [] if percent is None else [level for level in rule.actual if percent >= level]
    if percent is not None and percent >= 100 and rule.every_percent is not None:
        passed.append(percent - (percent - 100) % rule.every_percent)
    if passed:
        level = max(passed)
        kind = "actual" if level < 100 else "over"
        severity = "critical" if level >= 100 else "warning" if level >= 90 else "info"
        past = "" if level == percent else f", past {level} %"
        what = f"has used {percent} % of {_limit(standing)}{past}"
        found.append(_alert(reading, "spent", level, kind, severity, what, now_ns, page))
    if rule.every_nano is not None and spent - limit >= rule.every_nano:
        steps = (spent - limit) // rule.every_nano * rule.every_nano
        what = f"is {_money(steps, standing.budget)} beyond its {_limit(standing)}"
        found.append(_alert(reading, "beyond", steps, "over", "critical", what, now_ns, page))
    ends_at = run_rate_nano(standing, now_ns)
    if rule.forecast is not None and ends_at is not None and percent is not None:
        leads_to = 100 * ends_at // limit
        if leads_to >= rule.forecast > percent:  # what is spent already is told already
            comes_to = f"{_money(ends_at, standing.budget)} at this rate, {leads_to} % of {_limit(standing)}"
            what = f"will come to {comes_to}"
            found.append(_alert(reading, "forecast", rule.forecast, "forecast", "warning", what, now_ns, page))
    found += _shares(reading, rule, now_ns, page)
    if rule.refused and reading.refused:
        used = _used_up(standing, reading)
        what = f"refused {reading.refused} call{'s' if reading.refused > 1 else ''}: {used}"
        found.append(_alert(reading, f"refused-{reading.refused_what}", 1, "refused", "critical", what, now_ns, page))
    return found


def _shares(reading: Reading, rule: Rule, now_ns: int, page: str) -> list[Alert]:
    found: list[Alert] = []
    if reading.calls < CALLS_MIN:
        return found
    unpriced = 100 * reading.unpriced // reading.calls
    if rule.unpriced is not None and reading.unpriced and unpriced >= rule.unpriced:
        what = (
            f"has {unpriced} % of its calls without a price ({reading.unpriced} of {reading.calls}): no sum holds them"
        )
        found.append(_alert(reading, "unpriced", rule.unpriced, "unpriced", "info", what, now_ns, page))
    untagged = 100 * reading.untagged_nano // reading.cost_nano if reading.cost_nano > 0 else 0
    if rule.unattributed is not None and reading.untagged_nano and untagged >= rule.unattributed:
        what = f"has {untagged} % of its cost without a team ({_money(reading.untagged_nano, reading.standing.budget)})"
        found.append(_alert(reading, "unattributed", rule.unattributed, "unattributed", "info", what, now_ns, page))
    return found


def percent_of(standing: Standing) -> int | None:
    """How much of the limit is spent, in whole percents; None where there is no limit to speak of."""
    return 100 * standing.spent_nano // standing.limit_nano if standing.limit_nano > 0 else None


def run_rate_nano(standing: Standing, now_ns: int) -> int | None:
    """What the window comes to if it goes on as it went so far; None while too little of it has passed."""
    length, gone = standing.end_ns - standing.start_ns, now_ns - standing.start_ns
    if (standing.start_ns, standing.end_ns) == LIFE or gone * _FORECAST_AFTER < length or gone >= length:
        return None
    return standing.spent_nano * length // gone


def series_of(budget: Budget, start_ns: int, part: str, kind: str, version: int) -> str:
    """What a threshold is counted by: once for each budget, window, balance and grant."""
    return f"{budget.id}:{start_ns}:{part}:{kind}:{version}"


@dataclass(frozen=True, slots=True)
class Routed:
    """The channels that hear an alert, and why others than one would expect."""

    channels: tuple[str, ...]
    note: str = ""
    owner_left: bool = False


def route(rules: Rules, alert: Alert, budget: Budget, known: Sequence[str], gone: Sequence[str] = ()) -> Routed:
    """Who hears an alert. `known` are the channels there are, `gone` the owners that are known to have left."""
    owner = budget.owner
    left = bool(owner) and owner in {*rules.left, *gone}
    notes = [f"its owner {owner} left"] if left else []
    taken = [item for item in rules.routes if _takes(item, alert, budget, "" if left else owner)]
    names = list(dict.fromkeys(name for item in taken for name in item.channels))
    missing = [name for name in names if name not in known]
    notes += [f'the channel "{name}" is not there any more' for name in missing]
    names = [name for name in names if name in known]
    if not names:
        names = [name for name in rules.fallback if name in known] or list(known)
        if notes and names:
            notes.append(f"told to {', '.join(names)} instead")
    if not names:
        notes.append("nobody was told: there is no channel")
    return Routed(tuple(names), "; ".join(notes), left)


def _takes(item: Route, alert: Alert, budget: Budget, owner: str) -> bool:
    return (
        fnmatchcase(budget.name, item.budget)
        and (not item.owner or (bool(owner) and fnmatchcase(owner, item.owner)))
        and (not item.team or budget.scope.get("team") == item.team)
        and (not item.kind or item.kind == alert.kind)
        and SEVERITIES.index(alert.severity) >= SEVERITIES.index(item.severity)
    )


def part_text(part: str) -> str:
    """One balance of an `each` budget as a person names it."""
    return "/".join(json.loads(part)) if part else ""


def _alert(
    reading: Reading, series: str, level: int, kind: str, severity: str, what: str, now_ns: int, page: str
) -> Alert:
    standing = reading.standing
    budget = standing.budget
    title = f"{named(standing)} {what}"
    return Alert(
        series_of(budget, standing.start_ns, standing.part, series, reading.version),
        level,
        budget.name,
        standing.part,
        kind,
        severity,
        standing.start_ns,
        standing.end_ns,
        title,
        content_of(standing, kind, severity, title, now_ns, page),
    )


def named(standing: Standing) -> str:
    """A balance as a person names it."""
    name = standing.budget.name
    return f"{name} ({part_text(standing.part)})" if standing.part else name


def content_of(standing: Standing, kind: str, severity: str, title: str, now_ns: int, page: str) -> dict[str, Any]:
    """A message: what happened, the figures, and where to go from here."""
    budget = standing.budget
    ends_at = run_rate_nano(standing, now_ns)
    life = (standing.start_ns, standing.end_ns) == LIFE
    return {
        "type": f"budget.{kind}",
        "severity": severity,
        "title": title,
        "at": f"{moment_of(now_ns):%Y-%m-%dT%H:%M:%SZ}",
        "budget": budget.name,
        "scope": dict(budget.scope),
        "part": part_text(standing.part),
        "window": budget.calendar.label(standing.start_ns),
        "currency": budget.currency,
        "limit": decimal_text(standing.limit_nano),
        "spent": decimal_text(standing.spent_nano),
        "left": decimal_text(standing.left_nano),
        "forecast": None if ends_at is None else decimal_text(ends_at),
        "resets": None if life else f"{moment_of(standing.end_ns):%Y-%m-%dT%H:%M:%SZ}",
        "owner": budget.owner,
        "next": f"outlay budgets show {budget.name!r}; more money: outlay overrides request {budget.name!r}",
        "sessions": sessions_path(budget, standing.part),
        "link": page + sessions_path(budget, standing.part) if page else "",
    }


def sessions_path(budget: Budget, part: str) -> str:
    """The page of the sessions a budget binds."""
    scope = dict(budget.scope)
    each = iter(json.loads(part) if part else ())
    filled = {key: next(each, "") if value == EACH else value for key, value in scope.items()}
    if "session" in filled:
        return f"/sessions?{urlencode({'id': filled['session']})}"
    picked = {key: value for key, value in filled.items() if key in {"team", "feature", "environment"} and value}
    return f"/sessions?{urlencode(picked)}" if picked else "/sessions"


def scope_of(budget: Budget, part: str) -> Mapping[str, str]:
    """The envelope keys that a balance holds for, each with its value."""
    each = iter(json.loads(part) if part else ())
    return {key: next(each, "") if value == EACH else value for key, value in budget.scope.items()}


def _limit(standing: Standing) -> str:
    label = standing.budget.calendar.label(standing.start_ns)
    return _money(standing.limit_nano, standing.budget) + ("" if label == "life" else f" for {label}")


def _used_up(standing: Standing, reading: Reading) -> str:
    if reading.refused_what == "usd":
        return f"its {_limit(standing)} is used up"
    if reading.refused_what == "unpriced":
        return "what they cost is not known"
    cap = standing.budget.caps.get(reading.refused_what)
    word = reading.refused_what.replace("_", " ")
    return f"its {cap} {word} are used up" if cap is not None else f"{word or 'something'} is not allowed"


def _money(nano: int, budget: Budget) -> str:
    """To the cent below; under a cent, exact."""
    if 0 < nano < _CENT:
        return f"{decimal_text(nano)} {budget.currency}"
    whole, cents = divmod(nano // _CENT, 100)
    return f"{whole:,}{f'.{cents:02}' if cents else ''} {budget.currency}"
