"""The door of OTLP: which attributes of a span may come in at all.

An allow-list, so that message contents are never kept, whatever a future convention calls them. The list itself is
data, generated from the alias tables of `normalize/` (which this room must not know); beside it only numbers whose key
speaks of usage, tokens, cost, units or price come in.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import cache
from importlib.resources import files

KEY_CHARACTERS_MAX = 256
TEXT_BYTES_MAX = 1024
"""A longer text is not a name: 256 characters in their longest encoding."""

OPEN_KEYS_MAX = 256
"""How many keys that no table names (tags, unknown numbers) one call takes: each one is a column."""

_SPEAKS_OF_COST = re.compile(r"usage|token|cost|units|price", re.IGNORECASE)


class Verdict(IntEnum):
    """What happens to an attribute: `NUMBER` keeps it only where it is a number, `JSON` only its named members."""

    DROP = 0
    KEEP = 1
    JSON = 2
    NUMBER = 3


@dataclass(frozen=True, slots=True)
class Door:
    """The allow-list: exact keys, beginnings, numbered forms, and the members read from JSON-valued attributes."""

    keys: frozenset[str]
    prefixes: tuple[str, ...]
    numbered: re.Pattern[str]
    members: Mapping[str, frozenset[str]]
    events: frozenset[str] = frozenset()
    event_scopes: Mapping[str, str] = field(default_factory=dict[str, str])
    metrics: frozenset[str] = frozenset()
    point_keys: frozenset[str] = frozenset()

    def event(self, stated: str | None, named: str | None, told: str | None, scope: str | None) -> str | None:
        """The whole name of a known log event, from its attribute, its field, its body and its scope; else None."""
        for name in (stated, named, told):
            if name in self.events:
                return name
        for beginning, prefix in self.event_scopes.items():
            if scope and scope.startswith(beginning) and f"{prefix}{stated or named}" in self.events:
                return f"{prefix}{stated or named}"
        return None

    def verdict(self, key: str) -> tuple[Verdict, bool]:
        """What happens to a key, and whether no table names it."""
        if key in self.members:
            return Verdict.JSON, False
        if key in self.keys:
            return Verdict.KEEP, False
        if len(key) > KEY_CHARACTERS_MAX:
            return Verdict.DROP, True
        if key.startswith(self.prefixes) or self.numbered.fullmatch(key):
            return Verdict.KEEP, True
        return (Verdict.NUMBER if _SPEAKS_OF_COST.search(key) else Verdict.DROP), True


@cache
def door() -> Door:
    """The allow-list that comes with Outlay."""
    data = tomllib.loads(files("outlay.sources").joinpath("data/otlp_door.toml").read_text("utf-8"))
    numbered = (re.escape(form).replace(r"\*", r"\d{1,4}") for form in data["numbered"])
    return Door(
        frozenset(data["keys"]),
        tuple(data["prefixes"]),
        re.compile("|".join(numbered)),
        {key: frozenset(members) for key, members in data["json"].items()},
        frozenset(data["events"]),
        data["event_scopes"],
        frozenset(data["metrics"]),
        frozenset(data["point_keys"]),
    )


@cache
def point_door() -> Door:
    """The allow-list for metric points, whose attributes also say what they count."""
    return replace(door(), keys=door().keys | door().point_keys)


@dataclass(slots=True)
class Admission:
    """The door for one call: remembers its verdicts and takes no more than `OPEN_KEYS_MAX` keys that no table names."""

    door: Door = field(default_factory=door)
    verdicts: dict[str, Verdict] = field(default_factory=dict[str, Verdict])
    opened: int = 0
    turned_away: int = 0

    def verdict(self, key: str) -> Verdict:
        """What happens to a key in this call."""
        known = self.verdicts.get(key)
        if known is not None:
            return known
        verdict, is_open = self.door.verdict(key)
        if is_open and verdict is not Verdict.DROP:
            self.opened += 1
            if self.opened > OPEN_KEYS_MAX:
                self.turned_away += 1
                verdict = Verdict.DROP
        self.verdicts[key] = verdict
        return verdict
