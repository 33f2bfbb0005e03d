"""Own: the part of what the books say of a usage's tags that is its own, whatever relatives and rules have added."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from outlay.core.envelope import ENVELOPE_KEYS
from outlay.core.tagging import BITS, DIGIT, SOURCED_KEYS, TagSource, digit_at
from outlay.normalize.columns import Ints, Text, silent, text_of
from outlay.normalize.policy.words import Spoken, noted, replaced

_OWN_MAX = int(TagSource.OVERRIDE)


def own_digits(packed: Ints) -> Ints:
    """The digits of `tag_source` that belong to the usage alone."""
    own = packed
    for place in range(len(SOURCED_KEYS)):
        digit = packed >> (BITS * place) & DIGIT
        own = np.where(digit > _OWN_MAX, own & ~(np.int64(DIGIT) << (BITS * place)), own)
    return own


def rule_bits(packed: Ints) -> Ints:
    """A bit for each key of the envelope whose value a rule filled in, the first key lowest."""
    bits = np.zeros(len(packed), np.int64)
    for place, key in enumerate(ENVELOPE_KEYS):
        bits |= np.where((packed >> digit_at(key) & DIGIT) == int(TagSource.RULE), 1 << place, 0)
    return bits


def own_rules(rules: pa.Array, packed: Ints) -> Text:
    """The words of `tag_rule` about overriding rules: they belong to the usage, the others are asked again."""
    text = text_of(rules)
    kept = silent(len(packed))
    for code, pairs in enumerate(text.values.to_pylist()):
        for pair in pairs.split():
            key, _, name = pair.partition("=")
            digit = packed >> digit_at(key) & DIGIT
            rows = (text.codes == code) & (digit == int(TagSource.OVERRIDE))
            if rows.any():
                kept = noted(kept, rows, key, [name], np.zeros(len(rows), np.int32))
    return kept


def before_policy(words: Mapping[str, Text], packed: Ints, tags: Text, said: pa.Array) -> Spoken:
    """What usages said before any policy: their own words, put back where `said` keeps another one."""
    own = own_digits(packed)
    source = own.copy()
    raw = {
        key: Text(text.values, np.where((own >> digit_at(key) & DIGIT) > 0, text.codes, -1).astype(np.int32))
        for key, text in words.items()
    }
    kept = text_of(said)
    objects = [json.loads(text) if text else {} for text in kept.values.to_pylist()]
    for key in sorted({key for item in objects for key in item}):
        has = np.asarray([key in item for item in objects] + [False], np.bool_)
        rows = has[kept.codes]
        values = pa.array([item.get(key, [None, 0])[0] or "" for item in objects], pa.string())
        if key == "tags":
            tags = replaced(tags, rows, values, kept.codes)
            continue
        digits = np.asarray([item.get(key, [None, 0])[1] for item in objects] + [0], np.int64)[kept.codes]
        raw[key] = replaced(raw[key], rows, values, kept.codes)
        shift = digit_at(key)
        source = np.where(rows, source & ~(np.int64(DIGIT) << shift) | digits << shift, source)
    nothing = silent(len(packed))
    return Spoken(raw, source, tags, nothing, nothing)


def unfilled(words: Mapping[str, Text], packed: Ints) -> tuple[dict[str, Text], Ints]:
    """The envelope and its digits without what rules have filled in."""
    source = packed
    found: dict[str, Text] = {}
    for key, text in words.items():
        filled = (packed >> digit_at(key) & DIGIT) == int(TagSource.RULE)
        source = np.where(filled, source & ~(np.int64(DIGIT) << digit_at(key)), source)
        found[key] = Text(text.values, np.where(filled, -1, text.codes).astype(np.int32)) if filled.any() else text
    return found, source
