"""Tagging: where the value of a tag came from, and what is wrong with the tags of a usage; both as small numbers.

A usage keeps one whole number `tag_source` with a digit of four bits for each key, and one `tag_gaps` with a bit for
each thing that is wrong. So the books pay a few bytes a usage for what would be a dozen texts.
"""

from __future__ import annotations

from enum import IntEnum

from outlay.core.envelope import ENVELOPE_KEYS

SOURCED_KEYS: tuple[str, ...] = (*ENVELOPE_KEYS, "session_id", "parent_session_id", "user")
"""The keys whose source is kept, in the order of the digits of `tag_source`, the first one lowest; append only."""

BITS = 4
DIGIT = (1 << BITS) - 1


class TagSource(IntEnum):
    """Where a value came from; append only, and none above DIGIT."""

    NONE = 0  # there is no value
    OWN = 1  # the usage says so itself
    RESOURCE = 2  # the process that sent it says so for all it sends
    API_KEY = 3  # default of the key it was sent with
    ALIAS = 4  # the usage says it, in a spelling that the policy translates
    OVERRIDE = 5  # a rule of the policy says so, whatever the usage says
    PARENT = 6  # the nearest ancestor that says it
    ANSWER = 7  # another report of the same answer
    SESSION = 8  # the earliest word of its session within the trace
    TRACE = 9  # the earliest word of its trace
    OTHER_TRACE = 10  # the earliest word of its session, in another trace
    RULE = 11  # a rule of the policy, because nothing else did


OWN_SOURCES = frozenset((TagSource.OWN, TagSource.RESOURCE, TagSource.API_KEY, TagSource.ALIAS, TagSource.OVERRIDE))
"""Sources that belong to the usage alone: what relatives say does not change them."""

WORDS: dict[TagSource, str] = {
    TagSource.NONE: "",
    TagSource.OWN: "own",
    TagSource.RESOURCE: "resource",
    TagSource.API_KEY: "key",
    TagSource.ALIAS: "alias",
    TagSource.OVERRIDE: "override",
    TagSource.PARENT: "parent",
    TagSource.ANSWER: "same answer",
    TagSource.SESSION: "session",
    TagSource.TRACE: "trace",
    TagSource.OTHER_TRACE: "other trace",
    TagSource.RULE: "rule",
}
"""The word a person reads."""


def digit_at(key: str) -> int:
    """How far the digit of a key is shifted in `tag_source`."""
    return BITS * SOURCED_KEYS.index(key)


def sources_of(packed: int) -> dict[str, TagSource]:
    """The source of each key that has a value."""
    digits = ((key, packed >> digit_at(key) & DIGIT) for key in SOURCED_KEYS)
    return {key: TagSource(digit) for key, digit in digits if digit}


MISSING_BIT: dict[str, int] = {key: 1 << place for place, key in enumerate(ENVELOPE_KEYS)}
"""The bit of `tag_gaps` that says: the key is required and has no value."""

INVALID_BIT: dict[str, int] = {key: 1 << (len(ENVELOPE_KEYS) + place) for place, key in enumerate(ENVELOPE_KEYS)}
"""The bit of `tag_gaps` that says: the value of this key is not one that the policy knows."""

FREE_TAG_MISSING = 1 << (2 * len(ENVELOPE_KEYS))
FREE_TAG_INVALID = FREE_TAG_MISSING << 1
"""The same for the free tags together."""


def gaps_of(bits: int) -> list[str]:
    """What is wrong, in words: `team missing`, `feature not valid`."""
    said = [f"{key} missing" for key, bit in MISSING_BIT.items() if bits & bit]
    said += [f"{key} not valid" for key, bit in INVALID_BIT.items() if bits & bit]
    said += ["a free tag missing"] if bits & FREE_TAG_MISSING else []
    return [*said, "a free tag not valid"] if bits & FREE_TAG_INVALID else said
