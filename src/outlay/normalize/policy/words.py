"""Words: what usages say of themselves, in the spelling of the policy. Nobody's relatives are looked at here.

Values are trimmed, folded and translated; free tags that mean a key of the envelope become one; an overriding rule
speaks before the usage. Everything happens once a distinct value. What was said in other words is kept beside (`said`),
so that a later policy starts from it and not from what this one made of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from outlay.core.envelope import ENVELOPE_KEYS
from outlay.core.tagging import DIGIT, TagSource, digit_at
from outlay.normalize.columns import Codes, Ints, Mask, Text, text_of
from outlay.normalize.policy.judge import Judge
from outlay.normalize.policy.matching import speakers
from outlay.normalize.policy.model import TAGS, KeyRule, Mode
from outlay.normalize.refusals import Refusals


@dataclass(slots=True)
class Spoken:
    """What usages say of themselves: a text for each key of the envelope, its source digit, and the free tags.

    `said` and `rules` are texts a row: the words before the policy, as JSON of key → [word, source]; and
    `key=rule` for each key that a rule spoke for.
    """

    words: dict[str, Text]
    source: Ints
    tags: Text
    said: Text
    rules: Text


@dataclass(slots=True)
class _Work:
    """One pass of one policy over some rows."""

    spoken: Spoken
    judge: Judge
    rows: Mask
    may_refuse: Mask
    refusals: Refusals | None
    before: dict[str, tuple[Text, Codes]] = field(default_factory=dict[str, tuple[Text, Codes]])

    def keep(self, key: str, text: Text) -> None:
        """Remember what stood under a key before the first change."""
        digits = np.zeros(len(self.rows), np.int32)
        if key != TAGS:
            digits = (self.spoken.source >> digit_at(key) & DIGIT).astype(np.int32)
        self.before.setdefault(key, (text, digits))

    def put(self, key: str, rows: Mask, text: Text, source: TagSource) -> None:
        """Let these rows say another word under a key of the envelope."""
        self.keep(key, self.spoken.words[key])
        self.spoken.words[key] = text
        shift = digit_at(key)
        cleared = self.spoken.source & ~np.int64(DIGIT << shift)
        self.spoken.source = np.where(rows, cleared | np.int64(int(source) << shift), self.spoken.source)


def translate(
    spoken: Spoken,
    judge: Judge,
    rows: Mask,
    read: Callable[[str], Text],
    time_us: Ints,
    *,
    may_refuse: Mask | None = None,
    refusals: Refusals | None = None,
    overrides: bool = True,
) -> Spoken:
    """The words of these `rows` under a policy; other rows stay as they are.

    `read` gives any other column of the usages for rules to look at. Rows of `may_refuse` are refused where a rejecting
    rule says so; without `refusals` nothing is told and nothing refused. `overrides` lets overriding rules speak.
    """
    nobody = np.zeros(len(rows), np.bool_)
    work = _Work(spoken, judge, rows, nobody if may_refuse is None else may_refuse & rows, refusals)
    policy = judge.policy
    if policy.reads_tags:
        _translate_tags(work)
    for rule in policy.envelope:
        _translate_key(work, rule)
    if policy.overrides and overrides:
        _override(work, read, time_us)
    _keep_said(work)
    return spoken


def _translate_tags(work: _Work) -> None:
    """Free tags under their one name; those that mean a key of the envelope speak where nothing else does."""
    tags = work.spoken.tags
    if not len(tags.values):
        return
    objects = [work.judge.tag_object(text) for text in tags.values.to_pylist()]
    _tell(work, tags, [item.told for item in objects])
    _refuse(work, tags, [item.refused for item in objects])
    for key in {key for item in objects for key in item.moved}:
        moved = [item.moved.get(key) for item in objects]
        codes = np.asarray([place if word else -1 for place, word in enumerate(moved)] + [-1], np.int32)[tags.codes]
        rows = work.rows & (codes >= 0) & (work.spoken.words[key].codes < 0)
        if rows.any():
            values = pa.array([word or "" for word in moved], pa.string())
            work.put(key, rows, replaced(work.spoken.words[key], rows, values, codes), TagSource.ALIAS)
    kept = [item.kept for item in objects]
    changed = np.asarray([old != new for old, new in zip(tags.values.to_pylist(), kept, strict=True)] + [False])
    rows = work.rows & changed[tags.codes]
    if rows.any():
        work.keep(TAGS, tags)
        work.spoken.tags = replaced(tags, rows, pa.array(kept, pa.string()), tags.codes)


def _translate_key(work: _Work, rule: KeyRule) -> None:
    text = work.spoken.words[rule.key]
    raw = text.values.to_pylist()
    if not raw:
        return
    judged = [work.judge.value(rule, word) for word in raw]
    wrong = ["" if valid else f'{rule.key} "{word}" is not valid' for word, (_, valid) in zip(raw, judged, strict=True)]
    if rule.mode is Mode.REJECT:
        _refuse(work, text, [said and f"{said}\x00{rule.expected()}" for said in wrong])
    else:
        _tell(work, text, wrong, rule.expected())
    changed = np.asarray([word != value for word, (value, _) in zip(raw, judged, strict=True)] + [False])
    rows = work.rows & changed[text.codes]
    if rows.any():
        values = pa.array([value for value, _ in judged], pa.string())
        work.put(rule.key, rows, replaced(text, rows, values, text.codes), TagSource.ALIAS)


def _override(work: _Work, read: Callable[[str], Text], time_us: Ints) -> None:
    spoken = work.spoken

    def column(name: str) -> Text:
        return spoken.tags if name == TAGS else spoken.words[name] if name in spoken.words else read(name)

    rules = work.judge.policy.overrides
    for key, numbers in speakers(rules, column, time_us).items():
        rows = work.rows & (numbers >= 0)
        if rows.any():
            values = pa.array([rule.sets.get(key, "") for rule in rules], pa.string())
            work.put(key, rows, replaced(spoken.words[key], rows, values, numbers), TagSource.OVERRIDE)
            spoken.rules = noted(spoken.rules, rows, key, [rule.name for rule in rules], numbers)


def _keep_said(work: _Work) -> None:
    """Writes what stood there before the policy, on the rows where it is not what stands there now."""
    if not work.before:
        return
    keys = list(work.before)
    columns: list[Codes] = []
    for key in keys:
        text, digits = work.before[key]
        columns += [text.codes, digits]
    stacked = np.stack(columns, axis=1)
    changed = np.zeros(len(work.rows), np.bool_)
    differs: dict[str, Mask] = {}
    for key in keys:
        now = work.spoken.tags if key == TAGS else work.spoken.words[key]
        differs[key] = work.rows & ~same(work.before[key][0], now)
        if key != TAGS:
            digits = (work.spoken.source >> digit_at(key) & DIGIT).astype(np.int32)
            differs[key] |= work.rows & (digits != work.before[key][1])
        changed |= differs[key]
    places = np.flatnonzero(changed)
    if not len(places):
        return
    flags = np.stack([differs[key][places] for key in keys], axis=1)
    combos, which = np.unique(np.concatenate([stacked[places], flags], axis=1), axis=0, return_inverse=True)
    texts: list[str] = []
    for combo in combos.tolist():
        said: dict[str, list[object]] = {}
        for place, key in enumerate(keys):
            if combo[2 * len(keys) + place]:
                code, digit = combo[2 * place], combo[2 * place + 1]
                said[key] = [None if code < 0 else work.before[key][0].values[code].as_py(), digit]
        texts.append(json.dumps(said, sort_keys=True, ensure_ascii=False, separators=(",", ":")))
    codes = np.full(len(work.rows), -1, np.int32)
    codes[places] = which.reshape(-1)
    work.spoken.said = replaced(work.spoken.said, changed, pa.array(texts, pa.string()), codes)


def same(one: Text, other: Text) -> Mask:
    """On which rows two columns say the same."""
    if one is other:
        return np.ones(len(one.codes), np.bool_)
    merged = pa.concat_arrays([one.values, other.values]).dictionary_encode()
    places = np.append(np.asarray(merged.indices), -1)
    other_codes = np.where(other.codes < 0, -1, other.codes + len(one.values))
    return places[one.codes] == places[other_codes]


def _tell(work: _Work, text: Text, said: list[str], hint: str = "add it to the policy, or correct the sender") -> None:
    if work.refusals is None or not any(said):
        return
    wrong = np.asarray([*map(bool, said), False])
    rows = work.rows & wrong[text.codes]
    if rows.any():
        first = said[int(text.codes[np.flatnonzero(rows)[0]])]
        work.refusals.note(rows, first, hint)


def _refuse(work: _Work, text: Text, said: list[str]) -> None:
    if work.refusals is None or not any(said):
        return
    wrong = np.asarray([*map(bool, said), False])
    rows = work.may_refuse & wrong[text.codes]
    if rows.any():
        parts = [item.partition("\x00") for item in said]
        expected = parts[int(text.codes[np.flatnonzero(rows)[0]])][2]
        work.refusals.refuse(
            rows,
            lambda row: parts[int(text.codes[row])][0] + " and the policy rejects it",
            f"valid: {expected}; correct the sender and send again, or outlay tags policy set",
            policy=True,
        )


def replaced(text: Text, rows: Mask, values: pa.StringArray, codes: Codes) -> Text:
    """The column with `values[codes]` on these rows."""
    merged = pa.concat_arrays([text.values, values]).dictionary_encode()
    places = np.append(np.asarray(merged.indices), np.int32(-1))
    shifted = np.where(rows, codes + np.int32(len(text.values)), text.codes)
    return _pruned(Text(merged.dictionary, places[shifted].astype(np.int32)))


def _pruned(text: Text) -> Text:
    """Without values that no row says, and with no empty one."""
    used = np.zeros(len(text.values) + 1, np.bool_)
    used[text.codes] = True
    keep = np.asarray([bool(word) for word in text.values.to_pylist()], np.bool_) & used[:-1]
    if keep.all():
        return text
    places = np.append(np.where(keep, np.cumsum(keep) - 1, -1), -1).astype(np.int32)
    return Text(text.values.filter(pa.array(keep)), places[text.codes])


def noted(rules: Text, rows: Mask, key: str, names: Sequence[str], numbers: Codes) -> Text:
    """The column `rules` with `key=names[numbers]` on these rows, in the order of keys, in place of another's word."""
    texts = [*rules.values.to_pylist(), ""]
    both = rules.codes.astype(np.int64) * len(names) + numbers
    met, codes = np.unique(both[rows], return_inverse=True)
    said: list[str] = []
    for held, number in zip(*np.divmod(met, len(names)), strict=True):
        pairs = dict(pair.split("=", 1) for pair in texts[int(held)].split())
        pairs[key] = names[int(number)]
        said.append(" ".join(f"{item}={pairs[item]}" for item in ENVELOPE_KEYS if item in pairs))
    places = np.full(len(rows), -1, np.int32)
    places[rows] = codes
    return replaced(rules, rows, pa.array(said, pa.string()), places)


def spoken_text(column: pa.Array, missing: str) -> Text:
    """A column as text in which `missing` and an empty text are no words, each other one once."""
    text = text_of(column)
    if not len(text.values):
        return text
    merged = text.values.dictionary_encode()
    silent = np.asarray([word in {missing, ""} for word in merged.dictionary.to_pylist()], np.bool_)
    codes = np.append(np.asarray(merged.indices), -1)[text.codes].astype(np.int32)
    if not silent.any():
        return Text(merged.dictionary, codes)
    places = np.append(np.where(silent, -1, np.cumsum(~silent) - 1), -1).astype(np.int32)
    return Text(merged.dictionary.filter(pa.array(~silent)), places[codes])
