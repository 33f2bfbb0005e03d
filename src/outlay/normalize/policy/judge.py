"""Judge: what a policy says of single texts, each asked once and remembered; no rows here.

A batch asks about its distinct values only. What is remembered is bounded, so that a million made-up team names cost
time and no memory.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from outlay.core.tagging import FREE_TAG_INVALID, FREE_TAG_MISSING
from outlay.normalize.columns import Mask, constant
from outlay.normalize.policy.model import INVALID, TAG, KeyRule, Mode, Policy, Unknown

REMEMBERED_MAX = 65_536

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class TagObject:
    """One object of free tags under a policy: as it is kept, what it says of the envelope, and what is wrong with it.

    `refused` names a tag whose value a rejecting rule does not know, `told` one that is only to be told.
    """

    kept: str
    moved: dict[str, str]
    told: str = ""
    refused: str = ""


@dataclass(slots=True)
class Judge:
    """A policy with what it said before."""

    policy: Policy
    _values: dict[tuple[str, str], tuple[str, bool]] = field(default_factory=dict[tuple[str, str], tuple[str, bool]])
    _objects: dict[str, TagObject] = field(default_factory=dict[str, TagObject])

    def value(self, rule: KeyRule, raw: str) -> tuple[str, bool]:
        """The value that a spelling stands for, and whether it is valid."""
        found = self._values.get((rule.key, raw))
        if found is None:
            value = rule.value(raw)
            valid = value != INVALID and rule.valid(value)
            found = (INVALID if rule.folds and not valid else value), valid
            _remember(self._values, (rule.key, raw), found)
        return found

    def tag_object(self, text: str) -> TagObject:
        """What becomes of an object of free tags (JSON, or empty)."""
        found = self._objects.get(text)
        if found is None:
            found = self._judged(text)
            _remember(self._objects, text, found)
        return found

    def _judged(self, text: str) -> TagObject:
        policy = self.policy
        kept: dict[str, str] = {}
        moved: dict[str, str] = {}
        told = refused = ""
        for name, raw in json.loads(text).items() if text else ():
            key = policy.spellings.get(name, TAG + name)
            if not key.startswith(TAG):
                moved.setdefault(key, raw)  # names are sorted: the same one wins every time
                kept[name] = raw
                continue
            rule = policy.keys.get(key)
            if rule is None:
                if policy.unknown is not Unknown.ALLOW:
                    told = told or f'free tag "{name}" is not in the policy'
                if policy.unknown is not Unknown.DROP:
                    kept[name] = raw
                continue
            value, valid = self.value(rule, raw)
            if not valid and rule.mode is Mode.REJECT:
                refused = refused or f'{key} "{raw}" is not valid\x00{rule.expected()}'
            elif not valid:
                told = told or f'{key} "{raw}" is not valid'
            own = key.removeprefix(TAG)
            if own == name or own not in kept:
                kept[own] = value
        text = json.dumps(kept, sort_keys=True, ensure_ascii=False, separators=(",", ":")) if kept else ""
        return TagObject(text, moved, told, refused)

    def tag_gaps(self, text: str, required: frozenset[str]) -> int:
        """What is wrong with an object of free tags, as bits of `tag_gaps`; `required` names tags."""
        tags: dict[str, str] = json.loads(text) if text else {}
        wrong = any(name in tags and not self.value(rule, tags[name])[1] for name, rule in self.policy.free.items())
        return (FREE_TAG_INVALID if wrong else 0) | (0 if required <= tags.keys() else FREE_TAG_MISSING)


def _remember(memory: dict[K, V], key: K, value: V) -> None:
    if len(memory) >= REMEMBERED_MAX:
        memory.clear()
    memory[key] = value


def fitting(values: pa.StringArray, globs: tuple[str, ...]) -> Mask:
    """Which of the values fit one of the globs; `*` stands for any text, `?` for one character."""
    found = np.zeros(len(values), np.bool_)
    plain = [glob for glob in globs if not set(glob) & {"*", "?"}]
    if plain:
        found |= np.asarray(pc.is_in(values, value_set=pa.array(plain, pa.string())))
    for glob in globs:
        if glob == "*":
            found |= np.asarray(pc.not_equal(values, constant("")))
        elif glob not in plain:
            found |= np.asarray(pc.match_substring_regex(values, _regex(glob)))
    return found


def _regex(glob: str) -> str:
    parts = {"*": ".*", "?": "."}
    return "(?s)^" + "".join(parts.get(character, re.escape(character)) for character in glob) + "$"
