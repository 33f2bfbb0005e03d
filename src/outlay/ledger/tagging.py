"""Tagging in the books: usages as attribution leaves them, at posting and again when their relatives are known."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from outlay.core.envelope import ENVELOPE_KEYS, UNTAGGED
from outlay.core.tagging import TagSource, digit_at
from outlay.ledger.tables import RULE_BIT, SESSION_STATED, STATED
from outlay.normalize.columns import text_of, whole
from outlay.normalize.policy.attribution import attribute
from outlay.normalize.policy.model import TAGS
from outlay.normalize.policy.own import before_policy, own_digits, own_rules, rule_bits
from outlay.normalize.policy.timeline import Timeline
from outlay.normalize.policy.words import spoken_text, translate


def attributed(usages: pa.Table, policies: Timeline) -> pa.Table:
    """Fresh usages with what rules fill in, and with `inherited` and `tag_gaps` beside."""
    time_us = usages.column("time").cast(pa.int64()).to_numpy()
    decided = attribute(dict(zip(usages.column_names, usages.columns, strict=True)), time_us, policies)
    source = decided.get("tag_source")
    filled = np.zeros(usages.num_rows, np.int32) if source is None else filled_bits(source)
    return with_columns(usages, {**decided, "inherited": pa.array(filled, pa.int32())})


def own_words(usages: pa.Table) -> pa.Table:
    """Usages as the books hold them, without what relatives and rules have added to their envelope; see `stated`."""
    stated = usages.column("stated").to_numpy()
    source = usages.column("tag_source").to_numpy()
    columns: dict[str, pa.Array] = {}
    for key in ENVELOPE_KEYS:
        said = pa.array((stated >> STATED.index(key) & 1) > 0)
        columns[key] = pc.if_else(said, usages.column(key).cast(pa.string()), UNTAGGED)
    columns["tag_rule"] = own_rules(usages.column("tag_rule").combine_chunks(), source).array().cast(pa.string())
    return with_columns(usages, {**columns, "tag_source": pa.array(own_digits(source), pa.int64())})


def filled_bits(source: pa.Array) -> np.ndarray:
    """The bits of `inherited` for the keys that a rule filled, from packed sources."""
    return (rule_bits(source.to_numpy()) << RULE_BIT).astype(np.int32)


def translated_outcomes(outcomes: pa.Table, policies: Timeline) -> pa.Table:
    """Outcomes whose own words are in the spelling of the policies; what is not valid stays and is told elsewhere."""
    if not policies.judges_words:
        return outcomes
    time_us = outcomes.column("time").cast(pa.int64()).to_numpy()
    return with_columns(outcomes, outcome_words(outcomes, time_us, policies))


def outcome_words(outcomes: pa.Table, time_us: np.ndarray, policies: Timeline) -> dict[str, pa.Array]:
    """The envelope, `tags`, `said` and `stated` of outcomes, from what they said before any policy."""
    stated = outcomes.column("stated").to_numpy()
    packed = np.zeros(len(stated), np.int64)
    for key in ENVELOPE_KEYS:
        packed |= (stated >> STATED.index(key) & 1).astype(np.int64) * int(TagSource.OWN) << digit_at(key)
    words = {key: spoken_text(whole(outcomes, key), UNTAGGED) for key in ENVELOPE_KEYS}
    spoken = before_policy(words, packed, spoken_text(whole(outcomes, TAGS), ""), whole(outcomes, "said"))
    for judge, rows in policies.parts(time_us):
        translate(spoken, judge, rows, lambda name: text_of(whole(outcomes, name)), time_us, overrides=False)
    bits = stated & ~np.int32(SESSION_STATED - 1)
    for key, text in spoken.words.items():
        bits |= (text.codes >= 0).astype(np.int32) << STATED.index(key)
    return {
        **{key: text.array(UNTAGGED).cast(pa.string()) for key, text in spoken.words.items()},
        "tags": spoken.tags.array().cast(pa.string()),
        "said": spoken.said.array().cast(pa.string()),
        "stated": pa.array(bits, pa.int32()),
    }


def with_columns(table: pa.Table, columns: dict[str, pa.Array]) -> pa.Table:
    """The table with these columns, in place of its own where it has them."""
    for name, column in columns.items():
        place = table.schema.get_field_index(name)
        table = table.append_column(name, column) if place < 0 else table.set_column(place, name, column)
    return table
