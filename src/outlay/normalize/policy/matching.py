"""Matching: which usages a rule is about. A rule about text is asked once a distinct value."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from outlay.normalize.columns import Ints, Mask, Text
from outlay.normalize.policy.judge import fitting
from outlay.normalize.policy.model import MATCHED, TAG, TAGS, Rule


class Matcher:
    """Rules over the columns of one batch; each column is read once, however many rules look at it."""

    def __init__(self, read: Callable[[str], Text], length: int) -> None:
        self._read = read
        self._length = length
        self._columns: dict[str, Text] = {}

    def rows(self, rule: Rule) -> Mask:
        """The rows that fit every word of the rule."""
        found = np.ones(self._length, np.bool_)
        for word, globs in rule.matches.items():
            text = self._column(word)
            found &= np.append(fitting(text.values, globs), np.bool_(0))[text.codes]
            if not found.any():
                break
        return found

    def _column(self, word: str) -> Text:
        if word not in self._columns:
            self._columns[word] = self._tag(word) if word.startswith(TAG) else self._read(MATCHED[word])
        return self._columns[word]

    def _tag(self, word: str) -> Text:
        tags = self._read(TAGS)
        name = word.removeprefix(TAG)
        values = [json.loads(text).get(name) if text else None for text in tags.values.to_pylist()]
        named = pa.array(values, pa.string()).dictionary_encode()
        places = np.append(np.asarray(named.indices.fill_null(-1)), -1).astype(np.int32)
        return Text(named.dictionary, places[tags.codes])


def in_time(rule: Rule, time_us: Ints) -> Mask:
    """The rows that lie in the stretch of time in which the rule holds."""
    found = np.ones(len(time_us), np.bool_)
    if rule.from_us is not None:
        found &= time_us >= rule.from_us
    if rule.to_us is not None:
        found &= time_us < rule.to_us
    return found
