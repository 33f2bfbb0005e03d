"""Budgets as people write them: one form for files, API and command line, judged whole before anything is written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from outlay.control.budgets import Wanted
from outlay.core.budget import CAPS, EACH, MODES, RESERVE_PERCENT, SCOPE_KEYS, Budget
from outlay.core.calendar import DAYS, PERIODS, Calendar, zone_of
from outlay.core.envelope import VALUE_CHARACTERS_MAX
from outlay.core.errors import InputError, Problem, nearest
from outlay.core.money import nano_of
from outlay.core.period import ns_of

AMOUNT_NANO_MAX = 10**18
"""A thousand million units: a larger budget is a slip of the keyboard, and sums must not overflow."""

FIELDS: dict[str, str] = {
    "name": "what it is called; made from its scope if left out",
    **{key: f"only calls with this {key}; * for one balance each" for key in SCOPE_KEYS},
    "scope": "the same as an object",
    **{period: f"the amount a {period}" for period in PERIODS},
    "amount": "the amount of each window, where `period` says how long one is",
    "period": "hour, day, week, month, quarter, year or life",
    "zone": "IANA time zone in which windows begin; UTC if left out",
    "start_month": "the month a fiscal year begins with, 1 to 12",
    "start_day": "the day of the month on which months begin, 1 to 28",
    "week_start": "the day weeks begin with; monday if left out",
    "plan": "amounts of single windows, like {2026-12 = 20000}",
    "mode": "observe, soft or hard; hard if left out",
    "fail": "open or closed: what happens while nothing can be asked; open if left out",
    "unpriced": "refuse or allow calls whose price nobody knows; refuse if left out",
    "currency": "ISO 4217; USD if left out",
    "rollover_percent": "how much of what is left goes into the next window, at most this share of the limit; 0 to 100",
    "carry_overage": "true: what was too much is missing in the next window",
    "reserve_percent": f"kept for a last step that ends the work cleanly; {RESERVE_PERCENT} if left out",
    **{cap: f"at most so many {cap.replace('_', ' ')} in a window" for cap in CAPS},
    "ladder": "cheaper models that may take another's place, like {gpt-5 = gpt-5-mini}",
    "owner": "whom to ask for more",
}
"""Every field of a budget, with what it means; the documentation of the API prints it."""

_CURRENCY = re.compile(r"[A-Z]{3}")
_QUARTER = re.compile(r"(\d{4})-Q([1-4])")


def read_budget(said: object) -> Wanted:
    """A budget somebody wrote. Raises InputError that says what is wrong and what is valid."""
    if not isinstance(said, Mapping):
        raise InputError("a budget is an object", hint='like {"team": "search", "month": 12000}')
    for key in said:
        if key not in FIELDS:
            raise InputError(f'a budget has no field "{key}"', hint=nearest(str(key), FIELDS))
    try:
        scope = _scope(said)
        period, amount = _amount(said)
        calendar = _calendar(said, period)
        budget = Budget(
            0,
            _name(said, scope, period),
            scope,
            calendar,
            _choice(said, "mode", MODES, "hard"),
            _choice(said, "fail", ("open", "closed"), "open"),
            _choice(said, "unpriced", ("refuse", "allow"), "refuse"),
            _currency(said),
            _percent(said, "rollover_percent", 0),
            _flag(said, "carry_overage"),
            _percent(said, "reserve_percent", RESERVE_PERCENT),
            {cap: _whole(said[cap], cap, 0, 10**12) for cap in CAPS if said.get(cap) is not None},
            _texts(said, "ladder"),
            _text(said, "owner"),
        )
        return Wanted(budget, amount, _plans(said, calendar))
    except ValueError as error:
        raise InputError(str(error), hint="outlay budgets set --help") from error


def read_budgets(said: object) -> tuple[list[Wanted], list[Problem]]:
    """The budgets of a file (`budget = [...]`, or a bare list), and every one that cannot be used."""
    rows = said.get("budget", said.get("budgets")) if isinstance(said, Mapping) else said
    if not isinstance(rows, list):
        raise InputError("a file of budgets is a list", hint="[[budget]] in TOML, or budget: [...] in YAML")
    found: list[Wanted] = []
    problems: list[Problem] = []
    for number, row in enumerate(rows, 1):
        try:
            wanted = read_budget(row)
        except InputError as error:
            problems.append(Problem(f"budget {number}", error.message, error.hint))
            continue
        if any(item.budget.name == wanted.budget.name for item in found):
            problems.append(Problem(f"budget {number}", f'"{wanted.budget.name}" stands here twice', "name them apart"))
        found.append(wanted)
    return found, problems


def amount_of(value: object, what: str = "the amount") -> int:
    """Nano-units of an amount somebody wrote. Raises ValueError for one that is none, below 0 or beyond all reason."""
    nano = nano_of(value)
    if nano < 0:
        raise ValueError(f"{what} is {value}; below 0 there is nothing to spend")
    if nano > AMOUNT_NANO_MAX:
        raise ValueError(f"{what} is {value}; at most 1,000,000,000")
    return nano


def scope_text(scope: Mapping[str, str]) -> str:
    """A scope as a person reads it."""
    return ", ".join(f"{key}={value}" for key, value in scope.items()) or "(everything)"


def _scope(said: Mapping[str, Any]) -> dict[str, str]:
    inner = said.get("scope") or {}
    if not isinstance(inner, Mapping):
        raise ValueError("scope is an object, like {team = search}")  # noqa: TRY004 - one kind of refusal here
    scope: dict[str, str] = {}
    for key, value in [*inner.items(), *((key, said[key]) for key in SCOPE_KEYS if said.get(key) is not None)]:
        if key not in SCOPE_KEYS:
            raise ValueError(f'no scope is called "{key}"; {nearest(str(key), SCOPE_KEYS)}')
        if not isinstance(value, str) or not value.strip() or len(value) > VALUE_CHARACTERS_MAX:
            raise ValueError(f"{key} must be a text of 1 to {VALUE_CHARACTERS_MAX} characters")
        if key in scope and scope[key] != value:
            raise ValueError(f'{key} is "{scope[key]}" and "{value}"; say it once')
        scope[str(key)] = value.strip()
    return dict(sorted(scope.items()))


def _amount(said: Mapping[str, Any]) -> tuple[str, int]:
    named = [period for period in PERIODS if said.get(period) is not None]
    if len(named) + (said.get("amount") is not None) != 1:
        raise ValueError("say one amount: month = 12000, or amount = 12000 with period = month")
    if named:
        if said.get("period") not in {None, named[0]}:
            raise ValueError(f"period is {said['period']}, and there is an amount a {named[0]}; say it once")
        return named[0], amount_of(said[named[0]])
    return _choice(said, "period", PERIODS, "month"), amount_of(said["amount"])


def _calendar(said: Mapping[str, Any], period: str) -> Calendar:
    week = _choice(said, "week_start", DAYS, "monday")
    return Calendar(
        period,
        _text(said, "zone") or "UTC",
        _whole(said.get("start_month") or 1, "start_month", 1, 12),
        _whole(said.get("start_day") or 1, "start_day", 1, 28),
        DAYS.index(week),
    )


def _plans(said: Mapping[str, Any], calendar: Calendar) -> dict[tuple[int, int], int]:
    plan = said.get("plan") or {}
    if not isinstance(plan, Mapping):
        raise ValueError("plan is an object, like {2026-12 = 20000}")  # noqa: TRY004 - see above
    return {
        window_named(str(label), calendar): amount_of(value, f"the plan for {label}") for label, value in plan.items()
    }


def window_named(label: str, calendar: Calendar) -> tuple[int, int]:
    """The window a person named, like 2026-12. Raises ValueError for one that does not begin there."""
    quarter = _QUARTER.fullmatch(label)
    try:
        if quarter and calendar.period == "quarter":
            month = int(quarter[1]) * 12 + calendar.start_month - 1 + 3 * (int(quarter[2]) - 1)
            day = datetime(month // 12, month % 12 + 1, calendar.start_day)  # noqa: DTZ001 - a wall clock, zoned below
        else:
            day = datetime.fromisoformat(label + {4: "-01-01", 7: "-01"}.get(len(label), ""))
            if calendar.period == "month":
                day = day.replace(day=calendar.start_day)
            if calendar.period == "year":
                day = day.replace(month=calendar.start_month, day=calendar.start_day)
        window = calendar.window(ns_of(day.replace(hour=day.hour or 0, tzinfo=zone_of(calendar.zone)).astimezone(UTC)))
    except ValueError as error:
        raise ValueError(f'no {calendar.period} is called "{label}"; like 2026-12, 2026-Q4 or 2026-12-01') from error
    if calendar.label(window[0]) != label:
        raise ValueError(f'no {calendar.period} begins at "{label}"; the one around it is {calendar.label(window[0])}')
    return window


def _name(said: Mapping[str, Any], scope: Mapping[str, str], period: str) -> str:
    name = _text(said, "name")
    if name:
        return name
    values = [key if value == EACH else value for key, value in scope.items()]
    return ("/".join(values) or "company") + ("" if period == "month" else f" a {period}")


def _text(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > VALUE_CHARACTERS_MAX or not value.isprintable():
        raise ValueError(f"{name} must be a printable text of at most {VALUE_CHARACTERS_MAX} characters")
    return value.strip()


def _choice(said: Mapping[str, Any], name: str, valid: Iterable[str], otherwise: str) -> str:
    value = said.get(name)
    if value is None:
        return otherwise
    words = tuple(valid)
    if value not in words:
        raise ValueError(f'{name} is "{value}"; {nearest(str(value), words)}')
    return str(value)


def _whole(value: object, name: str, low: int, high: int) -> int:
    if isinstance(value, str) and value.strip().isdecimal():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{name} is a whole number from {low} to {high}, not {value}")
    return value


def _percent(said: Mapping[str, Any], name: str, otherwise: int) -> int:
    value = said.get(name)
    return otherwise if value is None else _whole(value, name, 0, 100)


def _flag(said: Mapping[str, Any], name: str) -> bool:
    value = said.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise ValueError(f"{name} is true or false, not {value}")  # noqa: TRY004 - see above
    return value


def _texts(said: Mapping[str, Any], name: str) -> dict[str, str]:
    value = said.get(name) or {}
    if not isinstance(value, Mapping) or not all(isinstance(item, str) for pair in value.items() for item in pair):
        raise ValueError(f"{name} is an object of texts")
    return {str(key): str(item) for key, item in value.items()}


def _currency(said: Mapping[str, Any]) -> str:
    value = _text(said, "currency") or "USD"
    if not _CURRENCY.fullmatch(value):
        raise ValueError(f'"{value}" is no currency: three capital letters (ISO 4217), like EUR')
    return value
