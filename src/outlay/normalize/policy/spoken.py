"""Spoken: the tags of a batch of facts as columns of usages, under the policies of their times."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from outlay.core.envelope import ENVELOPE_KEYS, UNTAGGED
from outlay.core.tagging import MISSING_BIT, SOURCED_KEYS, TagSource, digit_at
from outlay.normalize.columns import Ints, Mask, Text, counts_of, silent, text_of, whole
from outlay.normalize.labels import label, tags_of
from outlay.normalize.policy.attribution import attribute
from outlay.normalize.policy.model import MATCHED, Mode
from outlay.normalize.policy.timeline import Timeline, accepted_since
from outlay.normalize.policy.words import Spoken, spoken_text, translate
from outlay.normalize.refusals import Refusals

_OWN_MAX = int(TagSource.OVERRIDE)
_READ = {"model": ("model_served", "model_requested"), "scope": ("scope_name",)}
"""Columns of usages that facts know by other names."""


def spoken_columns(
    facts: pa.Table, policies: Timeline, time_us: Ints, received_ns: int, refusals: Refusals
) -> dict[str, pa.Array]:
    """The envelope, `tags`, `tag_source`, `tag_rule` and `said` of facts; what a policy rejects is refused."""
    words = {key: label(facts, key, refusals) for key in ENVELOPE_KEYS}
    tags = tags_of(facts, refusals)
    source = _sources(facts, words)
    if not policies.judges_words:
        nothing = silent(len(source)).array()
        return _columns(words, source, tags, nothing, nothing)
    nothing_said = silent(len(source))
    spoken = Spoken(words, source, spoken_text(tags, ""), nothing_said, nothing_said)
    for stretch, rows in policies.stretches(time_us):
        refuses = accepted_since(stretch.at_ns, received_ns)
        translate(
            spoken,
            stretch.judge,
            rows,
            lambda name: _read(facts, name),
            time_us,
            may_refuse=rows if refuses else None,
            refusals=refusals,
        )
    columns = _columns(spoken.words, spoken.source, spoken.tags.array(), spoken.rules.array(), spoken.said.array())
    _refuse_what_lacks(facts, columns, policies, time_us, received_ns, refusals)
    return columns


def _columns(
    words: Mapping[str, Text], source: Ints, tags: pa.Array, rules: pa.Array, said: pa.Array
) -> dict[str, pa.Array]:
    envelope = {key: words[key].array(UNTAGGED) for key in ENVELOPE_KEYS}
    return {**envelope, "tags": tags, "tag_source": pa.array(source, pa.int64()), "tag_rule": rules, "said": said}


def _sources(facts: pa.Table, words: Mapping[str, Text]) -> Ints:
    """Packed digits: what the fact says of each source, OWN where it states a value and says nothing of its source."""
    given, _ = counts_of(whole(facts, "tag_source"))
    any_given = bool(given.any())
    packed = np.zeros(len(given), np.int64)
    for key in SOURCED_KEYS:
        text = words[key] if key in words else text_of(whole(facts, key))
        if not len(text.values):
            continue
        shift = digit_at(key)
        stated = text.codes >= 0 if key in words else text.stated()
        digits = np.int64(TagSource.OWN)
        if any_given:
            said = given >> shift & 15
            digits = np.where((said > 0) & (said <= _OWN_MAX), said, TagSource.OWN)
        packed |= np.where(stated, digits << shift, 0)
    return packed


def _read(facts: pa.Table, name: str) -> Text:
    """A column of the usages to come, for rules to look at."""
    names = _READ.get(name, (name,))
    text = text_of(whole(facts, names[0]))
    if len(names) > 1:
        other = text_of(whole(facts, names[1]))
        merged = pa.concat_arrays([text.values, other.values])
        shifted = np.where(other.codes >= 0, other.codes + np.int32(len(text.values)), -1)
        text = Text(merged, np.where(text.codes >= 0, text.codes, shifted).astype(np.int32))
    return text


def _refuse_what_lacks(
    facts: pa.Table,
    columns: dict[str, pa.Array],
    policies: Timeline,
    time_us: Ints,
    received_ns: int,
    refusals: Refusals,
) -> None:
    """Refuse facts that lack a key whose absence is rejected, where nothing could still supply it.

    That is a fact without a parent, a trace and a session: a row of a table, a point of a metric. Any other one may
    inherit the key from a relative that is still on its way.
    """
    strict = [
        (stretch, rows)
        for stretch, rows in policies.stretches(time_us)
        if stretch.judge.policy.rejects_missing and accepted_since(stretch.at_ns, received_ns)
    ]
    if not strict:
        return
    alone = _alone(facts)
    if not alone.any():
        return
    rest = {name: _read(facts, name).array() for name in MATCHED.values() if name not in columns}
    final = attribute({**rest, **columns}, time_us, policies, only=Mode.REJECT)
    lacking = np.asarray(final["tag_gaps"]).astype(np.int64)
    for _, rows in strict:
        for key in ENVELOPE_KEYS:
            refusals.refuse(
                alone & rows & (lacking & MISSING_BIT[key] > 0),
                lambda row, key=key: f"{key} is missing and the policy rejects it",  # noqa: ARG005 - refuse names the row
                f"set {key} where the fact is made, or add a rule: outlay tags rules",
                policy=True,
            )


def _alone(facts: pa.Table) -> Mask:
    """Facts that name no parent, no trace and no session."""
    keyless = np.asarray(whole(facts, "parent_key").is_null()) & np.asarray(whole(facts, "tree_key").is_null())
    return keyless & ~text_of(whole(facts, "session_id")).stated()
