"""Retagging: the tags of a period once more, from what was said and the policies in force.

Nothing but tags changes: no amount, no count, no cost line. What a usage said before any policy is in the books, so the
journal is read only for facts that a policy had refused and that another one lets in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from outlay.core.envelope import ENVELOPE_KEYS, UNTAGGED
from outlay.core.tagging import DIGIT, digit_at
from outlay.ledger.journal import EntryKind, Journal
from outlay.ledger.posting import Clerk, PostReport
from outlay.ledger.settling import settle
from outlay.ledger.signals import RAW, told_by
from outlay.ledger.store import Books
from outlay.ledger.tables import STATED, USAGE_FACTS, Column, Kind
from outlay.ledger.tagging import filled_bits, outcome_words
from outlay.normalize.columns import Ints, Mask, Text, text_of, whole
from outlay.normalize.policy.attribution import attribute
from outlay.normalize.policy.model import TAGS
from outlay.normalize.policy.own import before_policy, own_digits, own_rules, unfilled
from outlay.normalize.policy.timeline import Timeline
from outlay.normalize.policy.words import same, spoken_text, translate
from outlay.sources.facts import FACTS, conform

CHUNK_ROWS = 50_000

_LEDGER = (Column("seq", Kind.COUNT), Column("stated", Kind.SMALL), Column("inherited", Kind.SMALL))
_READ = (*USAGE_FACTS, *_LEDGER, Column("tag_gaps", Kind.SMALL))
_ENVELOPE_BITS = (1 << len(ENVELOPE_KEYS)) - 1
_COMPARED = (*ENVELOPE_KEYS, "tags", "said", "tag_rule", "tag_source", "tag_gaps", "stated")


@dataclass(frozen=True, slots=True)
class Moved:
    """Money that has another value under a key than before; `before` or `after` may be `(untagged)`."""

    key: str
    before: str
    after: str
    usages: int
    amount_nano: int
    currency: str


@dataclass(slots=True)
class RetagReport:
    """How many usages of the period were looked at and got other tags, what moved, and what came back."""

    usages: int = 0
    changed: int = 0
    outcomes: int = 0
    came_back: int = 0
    moved: list[Moved] = field(default_factory=list[Moved])


def retag(
    books: Books,
    clerk: Clerk,
    journal: Journal,
    start_us: int | None,
    end_us: int | None,
    progress: Callable[[int], None] | None = None,
) -> RetagReport:
    """Give the usages and outcomes from `start_us` up to, not including, `end_us` the tags of the clerk's policies."""
    report = RetagReport()
    policies = clerk.policies
    with books.tags_moved(start_us, end_us) as moved:
        last = 0
        while True:
            rows = books.usages_between(start_us, end_us, last, CHUNK_ROWS, _READ)
            if not rows.num_rows:
                break
            last = int(rows.column("seq")[-1].as_py())
            report.usages += rows.num_rows
            changed = _changed(rows, policies)
            if changed.num_rows:
                report.changed += changed.num_rows
                with books.writing() as transaction:
                    books.write_tags(transaction, changed)
                settle(books, policies)
            if progress:
                progress(report.usages)
        report.outcomes = _retag_outcomes(books, policies, start_us, end_us)
        report.moved = [Moved(**row) for row in moved().to_pylist()]
    report.came_back = _take_back(books, clerk, journal)
    settle(books, policies)
    with books.writing() as transaction:
        books.set_meta(transaction, policy_applied=len(policies.adopted))
    return report


def _changed(rows: pa.Table, policies: Timeline) -> pa.Table:
    """The usages whose tags come out otherwise, with their new columns.

    Where a usage's own words change, what it had inherited is put aside: settling finds its relatives again.
    """
    time_us = rows.column("time").cast(pa.int64()).to_numpy()
    packed = rows.column("tag_source").to_numpy()
    now = {key: spoken_text(whole(rows, key), UNTAGGED) for key in ENVELOPE_KEYS}
    tags, said = spoken_text(whole(rows, TAGS), ""), whole(rows, "said")
    spoken = before_policy(now, packed, tags, said)
    for judge, part in policies.parts(time_us):
        translate(spoken, judge, part, lambda name: text_of(whole(rows, name)), time_us)
    rules_before = own_rules(whole(rows, "tag_rule"), packed)
    own = own_digits(packed)
    other = spoken.source != own
    for one, two in ((tags, spoken.tags), (text_of(said), spoken.said), (rules_before, spoken.rules)):
        other |= ~same(_silenced(one), _silenced(two))
    for key in ENVELOPE_KEYS:
        other |= ~same(_where(now[key], own, key), spoken.words[key])
    base, source = unfilled(now, packed)
    words = {key: _chosen(other, spoken.words[key], base[key]).array(UNTAGGED) for key in ENVELOPE_KEYS}
    stated = rows.column("stated").to_numpy() & ~np.int32(_ENVELOPE_BITS)
    for key in ENVELOPE_KEYS:
        stated |= (spoken.words[key].codes >= 0).astype(np.int32) << STATED.index(key)
    inherited = np.where(other, 0, rows.column("inherited").to_numpy() & 0xFFFF).astype(np.int32)
    columns: dict[str, pa.Array | pa.ChunkedArray] = {
        **{name: rows.column(name) for name in rows.column_names},
        **words,
        "tags": spoken.tags.array(),
        "said": spoken.said.array(),
        "tag_rule": spoken.rules.array(),
        "tag_source": pa.array(np.where(other, spoken.source, source), pa.int64()),
        "stated": pa.array(stated, pa.int32()),
    }
    decided = attribute(columns, time_us, policies)
    columns |= decided
    filled = filled_bits(decided["tag_source"]) if "tag_source" in decided else np.int32(0)
    columns["inherited"] = pa.array(inherited | filled, pa.int32())
    different = other.copy()
    for name in _COMPARED:
        before, after = rows.column(name), columns[name]
        after = after.cast(before.type) if after.type != before.type else after
        different |= pc.not_equal(before, after).to_numpy(zero_copy_only=False)
    names = ("seq", "inherited", *_COMPARED)
    return pa.table([columns[name] for name in names], names=names).filter(pa.array(different))


def _where(text: Text, own: Ints, key: str) -> Text:
    """The column where the value is the usage's own."""
    return Text(text.values, np.where((own >> digit_at(key) & DIGIT) > 0, text.codes, -1).astype(np.int32))


def _chosen(mask: Mask, one: Text, other: Text) -> Text:
    """`one` where the mask says so, else `other`."""
    values = pa.concat_arrays([one.values, other.values]).dictionary_encode()
    places = np.append(np.asarray(values.indices), -1)
    shifted = np.where(other.codes < 0, -1, other.codes + len(one.values))
    return Text(values.dictionary, places[np.where(mask, one.codes, shifted)].astype(np.int32))


def _silenced(text: Text) -> Text:
    """An empty text says nothing."""
    silent = np.asarray([not word for word in text.values.to_pylist()] + [True], np.bool_)
    return Text(text.values, np.where(silent[text.codes], -1, text.codes).astype(np.int32))


def _retag_outcomes(books: Books, policies: Timeline, start_us: int | None, end_us: int | None) -> int:
    rows = books.outcomes_between(start_us, end_us)
    if not rows.num_rows:
        return 0
    columns = outcome_words(rows, rows.column("time_us").to_numpy(), policies)
    different = np.zeros(rows.num_rows, np.bool_)
    stated = rows.column("stated").to_numpy()
    for name, column in columns.items():
        unlike = pc.not_equal(rows.column(name), column.cast(rows.schema.field(name).type))
        own = stated >> STATED.index(name) & 1 if name in ENVELOPE_KEYS else np.int32(1)
        different |= unlike.to_numpy(zero_copy_only=False) & (own > 0)
    changed = pa.table({"seq": rows.column("seq"), **columns}).filter(pa.array(different))
    if changed.num_rows:
        with books.writing() as transaction:
            books.write_outcome_tags(transaction, changed)
    return changed.num_rows


def _take_back(books: Books, clerk: Clerk, journal: Journal) -> int:
    """Post the facts that a policy had refused and that the present ones let in."""
    came = 0
    for first, last, refused in books.refused_entries():
        facts: list[pa.Table] = []
        readings: list[pa.Table] = []
        accepted_ns = 0
        for entry in journal.read(first - 1):
            if entry.number > last:
                break
            if entry.kind in RAW:
                told = told_by(entry.kind, [entry.table], PostReport(), clerk.rules)
                facts += [] if told.facts is None else [told.facts]
                readings += [] if told.readings is None else [told.readings]
            elif entry.kind is not EntryKind.OUTCOMES:
                facts.append(entry.table)
            accepted_ns = entry.accepted_ns
        if facts or readings:
            one = pa.concat_tables([_plain(item) for item in facts]) if len(facts) > 1 else next(iter(facts), None)
            shown = pa.concat_tables(readings, promote_options="permissive") if readings else None
            came += clerk.take_back(one, shown, range(first, last + 1), refused, accepted_ns)
    return came


def _plain(table: pa.Table) -> pa.Table:
    table = conform(table, FACTS)
    return table.cast(FACTS)
