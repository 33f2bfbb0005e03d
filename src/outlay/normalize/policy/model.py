"""Model: a tag policy, read and checked. A policy says what tags should look like; it never changes an amount.

    KeyRule   what the values of one key may be, and which spellings mean them
    Require   which keys must have a value, where
    Rule      whose a usage is when it does not say so itself, by what else is known of it
    Owner     who answers for a value

A policy is made by `reading` and laid over time by `timeline`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from outlay.core.envelope import ENVELOPE_KEYS

INVALID = "(invalid)"
"""What a value becomes that is not valid, under a key that folds such values."""

TAG = "tag."
"""What stands before the name of a free tag where keys of the envelope are named too."""

TAGS = "tags"
"""The column of free tags."""

VALUES_MAX = 1_000
"""How many different values of a key are plausible, if the policy says nothing else."""

MATCHED: Mapping[str, str] = {
    "key": "api_key",
    "service": "origin",
    "session": "session_id",
    "source": "source",
    "user": "user",
    "model": "model",
    "provider": "provider",
    "operation": "operation",
    "name": "name",
    "scope": "scope",
    **{key: key for key in ENVELOPE_KEYS},
}
"""What a rule may look at, and the column of a usage that holds it; `tag.<name>` looks at a free tag."""


class Mode(StrEnum):
    """What happens to a fact that breaks a rule: it is told, or it is refused."""

    WARN = "warn"
    REJECT = "reject"


class Case(StrEnum):
    """How values are folded before they are compared."""

    KEEP = "keep"
    LOWER = "lower"
    UPPER = "upper"


class Unknown(StrEnum):
    """What happens to free tags that the policy does not name."""

    ALLOW = "allow"
    WARN = "warn"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class KeyRule:
    """What is valid under one key: `allowed` values, or those that match `pattern` as a whole; neither allows all.

    `aliases` lead from a spelling to the value it means, keys as folded; `spellings` are free tags that mean this key.
    """

    key: str
    allowed: frozenset[str] = frozenset()
    pattern: re.Pattern[str] | None = None
    case: Case = Case.KEEP
    aliases: Mapping[str, str] = field(default_factory=dict[str, str])
    spellings: tuple[str, ...] = ()
    mode: Mode = Mode.WARN
    folds: bool = False
    values_max: int = VALUES_MAX

    @property
    def restricts(self) -> bool:
        """Not every value is valid."""
        return bool(self.allowed) or self.pattern is not None

    def value(self, raw: str) -> str:
        """The one value that a spelling means, valid or not."""
        folded = self.fold(raw)
        return self.aliases.get(folded, folded)

    def fold(self, raw: str) -> str:
        """The spelling as it is compared."""
        text = raw.strip()
        return text.lower() if self.case is Case.LOWER else text.upper() if self.case is Case.UPPER else text

    def valid(self, value: str) -> bool:
        """Whether a value is one the company knows."""
        if not self.restricts:
            return True
        return value in self.allowed or (self.pattern is not None and bool(self.pattern.fullmatch(value)))

    def expected(self) -> str:
        """What is valid, for a person: the values, or the pattern."""
        shown = sorted(self.allowed)[:8]
        said = [", ".join(shown) + (", …" if len(self.allowed) > len(shown) else "")] if shown else []
        return " or ".join([*said, *([f"/{self.pattern.pattern}/"] if self.pattern is not None else [])])


@dataclass(frozen=True, slots=True)
class Require:
    """Keys that must have a value where `environment` and `source` (globs) fit."""

    keys: tuple[str, ...]
    environment: str = "*"
    source: str = "*"
    mode: Mode = Mode.WARN


@dataclass(frozen=True, slots=True)
class Rule:
    """`sets` these values on usages that fit every one of `matches` (word of MATCHED → globs) in a stretch of time.

    It fills what nobody said; one that `overrides` speaks before the usage itself does.
    """

    name: str
    matches: Mapping[str, tuple[str, ...]]
    sets: Mapping[str, str]
    overrides: bool = False
    from_us: int | None = None
    to_us: int | None = None


@dataclass(frozen=True, slots=True)
class Owner:
    """Who answers for one value of a key, and how to reach them."""

    key: str
    value: str
    name: str
    contact: str = ""


@dataclass(frozen=True)
class Policy:
    """A whole policy. `digest` changes with any of its bytes; without a file it is the one that asks for a team."""

    keys: Mapping[str, KeyRule] = field(default_factory=dict[str, KeyRule])
    requires: tuple[Require, ...] = (Require(("team",)),)
    rules: tuple[Rule, ...] = ()
    owners: tuple[Owner, ...] = ()
    unknown: Unknown = Unknown.ALLOW
    digest: str = "none"

    @cached_property
    def envelope(self) -> tuple[KeyRule, ...]:
        """The rules about keys of the envelope."""
        return tuple(rule for key, rule in self.keys.items() if key in ENVELOPE_KEYS)

    @cached_property
    def free(self) -> Mapping[str, KeyRule]:
        """The rules about free tags, by the name of the tag."""
        return {key.removeprefix(TAG): rule for key, rule in self.keys.items() if key.startswith(TAG)}

    @cached_property
    def spellings(self) -> Mapping[str, str]:
        """The key that a free tag means, by its name."""
        return {spelling: rule.key for rule in self.keys.values() for spelling in rule.spellings}

    @cached_property
    def reads_tags(self) -> bool:
        """The free tags of a usage must be looked at one object at a time."""
        return bool(self.spellings or self.free or self.unknown is not Unknown.ALLOW)

    @cached_property
    def overrides(self) -> tuple[Rule, ...]:
        """The rules that speak before the usage."""
        return tuple(rule for rule in self.rules if rule.overrides)

    @cached_property
    def fills(self) -> tuple[Rule, ...]:
        """The rules that speak where nobody did."""
        return tuple(rule for rule in self.rules if not rule.overrides)

    @cached_property
    def rejects_missing(self) -> bool:
        """A fact that stands alone may be refused for what it lacks."""
        return any(require.mode is Mode.REJECT for require in self.requires)

    @cached_property
    def judges_words(self) -> bool:
        """Something must be done to what usages say of themselves."""
        return bool(self.envelope or self.reads_tags or self.overrides or self.rejects_missing)

    def owner_of(self, key: str, value: str) -> Owner | None:
        """Who answers for a value."""
        return next((owner for owner in self.owners if owner.key == key and owner.value == value), None)
