"""Matching: which rule speaks for a usage, under each key. Asked once a kind of usage, not once a row.

A batch has thousands of usages and few distinct envelopes. Rows that say the same in every column that rules look at,
in the same stretch of time, are one kind; so fifty rules cost little more than one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from outlay.normalize.columns import Codes, Ints, Mask, Text
from outlay.normalize.policy.judge import fitting
from outlay.normalize.policy.model import MATCHED, TAG, TAGS, Rule

_COMBINATIONS_MAX = 2**62


def speakers(rules: Sequence[Rule], read: Callable[[str], Text], time_us: Ints) -> dict[str, Codes]:
    """For each key that some rule sets, the number of the first rule that fits each row; -1 where none does.

    `read` gives the columns of the rows at `time_us`.
    """
    words = {word: _column(word, read) for rule in rules for word in rule.matches}
    kinds = _kinds_of(words.values(), _intervals(rules, time_us))
    narrow = {word: text.codes[kinds.first] for word, text in words.items()}
    moments = time_us[kinds.first]
    found = {key: np.full(len(kinds.first), -1, np.int32) for rule in rules for key in rule.sets}
    for number, rule in enumerate(rules):
        fits = _in_time(rule, moments)
        for word, globs in rule.matches.items():
            fits &= np.append(fitting(words[word].values, globs), np.bool_(0))[narrow[word]]
        for key in rule.sets:
            found[key][fits & (found[key] < 0)] = number
    return {key: numbers[kinds.codes] for key, numbers in found.items()}


def _column(word: str, read: Callable[[str], Text]) -> Text:
    if not word.startswith(TAG):
        return read(MATCHED[word])
    tags, name = read(TAGS), word.removeprefix(TAG)
    values = [json.loads(text).get(name) if text else None for text in tags.values.to_pylist()]
    named = pa.array(values, pa.string()).dictionary_encode()
    places = np.append(np.asarray(named.indices.fill_null(-1)), -1).astype(np.int32)
    return Text(named.dictionary, places[tags.codes])


def _in_time(rule: Rule, time_us: Ints) -> Mask:
    """The rows that lie in the stretch of time in which the rule holds."""
    found = np.ones(len(time_us), np.bool_)
    if rule.from_us is not None:
        found &= time_us >= rule.from_us
    if rule.to_us is not None:
        found &= time_us < rule.to_us
    return found


def _intervals(rules: Iterable[Rule], time_us: Ints) -> Ints:
    """The number of the interval each time lies in, within which the same rules hold."""
    ends = {end for rule in rules for end in (rule.from_us, rule.to_us) if end is not None}
    if not ends:
        return np.zeros(len(time_us), np.int64)
    return np.searchsorted(np.asarray(sorted(ends), np.int64), time_us, side="right")


@dataclass(frozen=True, slots=True)
class _Kinds:
    """The kind of each row (`codes`), and a row of each kind (`first`)."""

    codes: Ints
    first: Ints


def _kinds_of(texts: Iterable[Text], intervals: Ints) -> _Kinds:
    """The kinds of rows that differ in a text or in their interval."""
    key, size = intervals, int(intervals.max(initial=0)) + 1
    for text in texts:
        width = len(text.values) + 1
        if size * width > _COMBINATIONS_MAX:
            kinds = _numbered(key)
            key, size = kinds.codes, len(kinds.first)
        key, size = key * width + (text.codes + 1), size * width
    return _numbered(key)


def _numbered(key: Ints) -> _Kinds:
    """The distinct values of a column of numbers."""
    codes = np.asarray(pa.array(key).dictionary_encode().indices).astype(np.int64)
    first = np.zeros(int(codes.max(initial=-1)) + 1, np.int64)
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
    return _Kinds(codes, first)
