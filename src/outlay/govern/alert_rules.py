"""Rules of alerts: what is worth telling about which budget, and who hears it. One document of words, read whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from outlay.control.policies import policy_of
from outlay.control.store import ControlStore
from outlay.core.budget import Budget
from outlay.core.errors import InputError, nearest
from outlay.core.money import nano_of
from outlay.core.stop import LEVELS

POLICY = "alerts"
"""The name under which the rules are kept."""

SEVERITIES = ("info", "warning", "critical")
PERCENT_MAX = 1000
_FIELDS = {
    "rules": "what is told about which budget",
    "routes": "who hears what",
    "fallback": "the channels for what no route takes; all of them if left out",
    "left": "people who left: what was theirs goes to the fallback, and says so",
    "page": "where this server's page is, for links: https://outlay.example.com",
}
_RULE_FIELDS = {
    "budget": "the name of a budget, or a pattern like team-*",
    "actual": "percents of the limit: [70, 90]",
    "every": "every further part beyond the limit: 10% or an amount like 500",
    "forecast": "percent of the limit that the run rate leads to: 100",
    "unpriced": "percent of calls without a price",
    "unattributed": "percent of cost without a team",
    "refused": "whether a first refusal is told",
    "actions": 'what follows: [{"at": 95, "do": "cheaper", "approval": false}]',
}
_ROUTE_FIELDS = {
    "budget": "the name of a budget, or a pattern",
    "owner": "the owner of the budget, or a pattern",
    "team": "the team of the budget's scope",
    "severity": f"at least: {', '.join(SEVERITIES)}",
    "kind": "actual, over, forecast, unpriced, unattributed, refused, action, override",
    "channels": "names of channels",
}
_ACTION_FIELDS = {
    "at": "percent of the limit that was spent",
    "do": ", ".join(LEVELS),
    "approval": "whether somebody has to agree first",
}


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the ladder: what follows when a percentage of the limit is spent, and whether somebody has to agree."""

    percent: int
    level: str
    approval: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """What is told about a budget. None and an empty tuple tell nothing."""

    actual: tuple[int, ...] = (70, 90)
    every_percent: int | None = 10
    every_nano: int | None = None
    forecast: int | None = 100
    unpriced: int | None = None
    unattributed: int | None = None
    refused: bool = True
    actions: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """Who hears alerts that are so; what is empty holds for all."""

    channels: tuple[str, ...]
    budget: str = "*"
    owner: str = ""
    team: str = ""
    severity: str = "info"
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Rules:
    """What is in force."""

    rules: tuple[tuple[str, Mapping[str, Any]], ...] = ()  # the name or pattern, and what is other than usual
    routes: tuple[Route, ...] = ()
    fallback: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    page: str = ""

    def of(self, budget: Budget) -> Rule:
        """What is told of a budget: the default for its kind, but for what the first rule that matches it says."""
        found = next((said for pattern, said in self.rules if fnmatchcase(budget.name, pattern)), {})
        return replace(default_of(budget), **found)


def default_of(budget: Budget) -> Rule:
    """What is told where no rule matches: 70 and 90 %; 80 % of the whole account, and what of it nobody can place.

    Of budgets for each session only that one refused something: a session that comes to its end is daily life.
    """
    if "session" in budget.scope:
        return Rule(actual=(), every_percent=None, forecast=None)
    if not budget.scope:
        return Rule(actual=(80,), unpriced=5, unattributed=10)
    return Rule()


def rules_in_force(store: ControlStore) -> Rules:
    """The rules of this company."""
    said = policy_of(store, POLICY)
    return Rules() if said is None else read_rules(said)


def read_rules(said: object) -> Rules:
    """Rules somebody wrote. Raises InputError that says what is wrong and what is valid."""
    words = _object(said, "the rules of alerts", _FIELDS)
    return Rules(
        tuple(_rule(f"rule {number}", rule) for number, rule in enumerate(_list(words, "rules"), 1)),
        tuple(_route(f"route {number}", route) for number, route in enumerate(_list(words, "routes"), 1)),
        _names(words.get("fallback", ()), "fallback"),
        _names(words.get("left", ()), "left"),
        _page(words.get("page", "")),
    )


def check_channels(rules: Rules, known: Sequence[str]) -> None:
    """Raises InputError for a channel that is named and not there."""
    for name in (*rules.fallback, *(name for route in rules.routes for name in route.channels)):
        if name not in known:
            hint = nearest(name, known) if known else "outlay alerts channels add NAME --slack URL"
            raise InputError(f'no channel is called "{name}"', hint=hint)


def _rule(where: str, said: object) -> tuple[str, Mapping[str, Any]]:
    words = _object(said, where, _RULE_FIELDS)
    rule: dict[str, Any] = {}
    if "actual" in words:
        rule["actual"] = tuple(sorted({_percent(item, where) for item in _list(words, "actual")}))
    if "every" in words:
        rule |= _every(words["every"], where)
    for name in ("forecast", "unpriced", "unattributed"):
        if name in words:
            rule[name] = None if words[name] is None else _percent(words[name], f"{where}: {name}")
    if "refused" in words:
        rule["refused"] = _yes(words["refused"], f"{where}: refused")
    if "actions" in words:
        rule["actions"] = tuple(_step(where, item) for item in _list(words, "actions"))
    return _word(words.get("budget", "*"), f"{where}: budget"), rule


def _every(said: object, where: str) -> dict[str, int | None]:
    if said is None:
        return {"every_percent": None, "every_nano": None}
    if isinstance(said, str) and said.endswith("%") and said[:-1].isdecimal():
        return {"every_percent": _percent(int(said[:-1]), f"{where}: every"), "every_nano": None}
    try:
        amount = nano_of(said)
    except ValueError as error:
        raise InputError(f"{where}: every: {error}", hint='every: "10%" or every: 500') from error
    if amount <= 0:
        raise InputError(f"{where}: every {said} is no part", hint="more than 0")
    return {"every_percent": None, "every_nano": amount}


def _step(where: str, said: object) -> Step:
    words = _object(said, f"an action of {where}", _ACTION_FIELDS)
    level = words.get("do")
    if level not in LEVELS:
        raise InputError(f'{where}: there is no action "{level}"', hint=nearest(str(level), LEVELS))
    return Step(
        _percent(words.get("at"), f"{where}: at"), str(level), _yes(words.get("approval", False), f"{where}: approval")
    )


def _route(where: str, said: object) -> Route:
    words = _object(said, where, _ROUTE_FIELDS)
    severity = words.get("severity", "info")
    if severity not in SEVERITIES:
        raise InputError(f'{where}: there is no severity "{severity}"', hint=nearest(str(severity), SEVERITIES))
    channels = _names(words.get("channels", ()), f"{where}: channels")
    if not channels:
        raise InputError(f"{where} names no channels", hint='channels: ["ops"]')
    told = {
        name: _word(words[name], f"{where}: {name}") for name in ("budget", "owner", "team", "kind") if name in words
    }
    return Route(channels, severity=str(severity), **told)


def _object(said: object, what: str, fields: Mapping[str, str]) -> Mapping[str, Any]:
    if not isinstance(said, Mapping):
        raise InputError(f"{what} must be an object", hint=f"with {', '.join(fields)}")
    words: dict[str, Any] = {str(name): value for name, value in said.items()}
    for name in words:
        if name not in fields:
            raise InputError(f'{what} has no field "{name}"', hint=nearest(name, fields))
    return words


def _list(words: Mapping[str, Any], name: str) -> list[Any]:
    value = [] if words.get(name) is None else words[name]
    if not isinstance(value, (list, tuple)):
        raise InputError(f"{name} is a list, not {value!r}", hint=f"{name}: [...]")
    return list(value)


def _names(said: object, what: str) -> tuple[str, ...]:
    if not isinstance(said, (list, tuple)):
        raise InputError(f"{what} is a list of names", hint=f'{what}: ["ops"]')
    return tuple(_word(item, what) for item in said)


def _word(said: object, what: str) -> str:
    if not isinstance(said, str) or not said.strip() or not said.isprintable() or len(said) > 200:
        raise InputError(f"{what} must be a printable text, not {said!r}"[:200])
    return said.strip()


def _percent(said: object, what: str) -> int:
    if not isinstance(said, int) or isinstance(said, bool) or not 1 <= said <= PERCENT_MAX:
        raise InputError(f"{what}: {said!r} is no percentage", hint=f"a whole number from 1 to {PERCENT_MAX}")
    return said


def _yes(said: object, what: str) -> bool:
    if not isinstance(said, bool):
        raise InputError(f"{what} is true or false, not {said!r}")
    return said


def _page(said: object) -> str:
    if said and not (isinstance(said, str) and said.startswith(("https://", "http://"))):
        raise InputError(f"page: {said!r} is no address", hint="page: https://outlay.example.com")
    return str(said).rstrip("/")
