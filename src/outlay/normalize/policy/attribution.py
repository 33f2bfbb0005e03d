"""Attribution: whose a usage is when nobody said so, and what is wrong with its tags; the last word before the books.

Works on what a usage has after its relatives were asked. A rule fills `(untagged)` and nothing else, so no money moves
from one team to another here; what it filled is never handed on to relatives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa

from outlay.core.envelope import UNTAGGED
from outlay.core.tagging import INVALID_BIT, MISSING_BIT, TagSource, digit_at
from outlay.normalize.columns import Ints, Mask, Text, text_of
from outlay.normalize.policy.judge import Judge, fitting
from outlay.normalize.policy.matching import speakers
from outlay.normalize.policy.model import TAG, TAGS, Mode, Policy, Require
from outlay.normalize.policy.timeline import Timeline
from outlay.normalize.policy.words import noted, replaced


@dataclass(slots=True)
class _Work:
    """Usages under attribution; `words` holds the keys that rules have changed."""

    read: Callable[[str], Text]
    source: Ints
    gaps: Ints
    words: dict[str, Text]
    rules: Text | None = None

    def column(self, name: str) -> Text:
        return self.words[name] if name in self.words else self.read(name)


def attribute(
    columns: Mapping[str, pa.Array | pa.ChunkedArray], time_us: Ints, policies: Timeline, only: Mode | None = None
) -> dict[str, pa.Array]:
    """What attribution changes of usages with these `columns`: `tag_gaps`, and where rules spoke also their keys.

    `columns` are the envelope, `tag_source`, `tag_rule` and what the policies read. `only` asks for what is missing by
    the requirements of one mode alone. Columns that stay as they are do not come back.
    """
    source = np.asarray(_whole(columns["tag_source"])).astype(np.int64)
    work = _Work(_reader(columns), source, np.zeros(len(time_us), np.int64), {})
    for judge, rows in policies.parts(time_us):
        if judge.policy.fills:
            _fill(work, judge.policy, rows, time_us)
        _judge(work, judge, rows, only)
    changed = {key: text.array(UNTAGGED) for key, text in work.words.items()}
    if work.rules is not None:
        changed |= {"tag_source": pa.array(work.source, pa.int64()), "tag_rule": work.rules.array()}
    return {**changed, "tag_gaps": pa.array(work.gaps, pa.int32())}


def _fill(work: _Work, policy: Policy, rows: Mask, time_us: Ints) -> None:
    keys = sorted({key for rule in policy.fills for key in rule.sets})
    lacking = {key: rows & (work.column(key).codes < 0) for key in keys}
    if not any(mask.any() for mask in lacking.values()):
        return
    rules = work.read("tag_rule") if work.rules is None else work.rules
    places = np.flatnonzero(np.logical_or.reduce(list(lacking.values())))

    def column(name: str) -> Text:
        text = work.column(name)
        return Text(text.values, text.codes[places])

    # Rules look at what is there before any of them speaks, so that their order decides only who is first.
    first = speakers(policy.fills, column, time_us[places])
    for key in keys:
        numbers = np.full(len(rows), -1, np.int32)
        numbers[places] = first[key]
        hit = lacking[key] & (numbers >= 0)
        if not hit.any():
            continue
        values = pa.array([rule.sets.get(key, "") for rule in policy.fills], pa.string())
        work.words[key] = replaced(work.column(key), hit, values, numbers)
        work.source = np.where(hit, work.source | np.int64(int(TagSource.RULE) << digit_at(key)), work.source)
        work.rules = rules = noted(rules, hit, key, [rule.name for rule in policy.fills], numbers)


def _judge(work: _Work, judge: Judge, rows: Mask, only: Mode | None) -> None:
    """What is wrong under one policy: required keys without a value, and values that are not valid."""
    policy = judge.policy
    for require in policy.requires:
        if only not in {None, require.mode}:
            continue
        concerned = rows & _where(work, require)
        for key in require.keys:
            if not key.startswith(TAG):
                work.gaps |= np.where(concerned & (work.column(key).codes < 0), MISSING_BIT[key], 0)
        named = frozenset(key.removeprefix(TAG) for key in require.keys if key.startswith(TAG))
        if named:
            work.gaps |= np.where(concerned, _tag_gaps(work, judge, named), 0)
    for rule in policy.envelope:
        text = work.column(rule.key)
        if rule.restricts and len(text.values):
            wrong = np.asarray([not judge.value(rule, word)[1] for word in text.values.to_pylist()] + [False])
            work.gaps |= np.where(rows & wrong[text.codes], INVALID_BIT[rule.key], 0)
    if policy.free:
        work.gaps |= np.where(rows, _tag_gaps(work, judge, frozenset()), 0)


def _tag_gaps(work: _Work, judge: Judge, required: frozenset[str]) -> Ints:
    tags = work.read(TAGS)
    bits = [judge.tag_gaps(text, required) for text in tags.values.to_pylist()] + [judge.tag_gaps("", required)]
    return np.asarray(bits, np.int64)[tags.codes]


def _where(work: _Work, require: Require) -> Mask:
    found = np.ones(len(work.gaps), np.bool_)
    for name, glob in (("environment", require.environment), ("source", require.source)):
        if glob != "*":
            text = work.column(name)
            found &= np.append(fitting(text.values, (glob,)), np.bool_(0))[text.codes]
    return found


def _reader(columns: Mapping[str, pa.Array | pa.ChunkedArray]) -> Callable[[str], Text]:
    """Columns as texts, each opened when it is first asked for; an absent word is no value."""

    @cache
    def read(name: str) -> Text:
        text = text_of(_whole(columns[name]))
        silent = np.asarray([word in {"", UNTAGGED} for word in text.values.to_pylist()], np.bool_)
        if not silent.any():
            return text
        places = np.append(np.where(silent, -1, np.arange(len(silent))), -1).astype(np.int32)
        return Text(text.values, places[text.codes])

    return read


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.unify_dictionaries().chunks)
    return column
