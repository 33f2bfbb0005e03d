"""Posting: a batch of facts becomes lines in the books, each fact once.

A report that the books already hold is a duplicate; a larger report of a fact they hold revises it: the old cost lines
are reversed by new lines that name them, and the usage shows its new state. One transaction holds the rows, the
counters and the number of the journal's entry, so that a crash can neither lose nor repeat anything.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from outlay.core.envelope import ENVELOPE_KEYS, UNTAGGED
from outlay.core.errors import Problem
from outlay.ledger.reports import best_reports, stated_mask
from outlay.ledger.store import Books, Transaction
from outlay.ledger.tables import SESSION_STATED, TASK_STATED, USAGE_FACTS
from outlay.ledger.tagging import attributed, own_words, translated_outcomes
from outlay.normalize.clean import normalise
from outlay.normalize.evaluations import judged
from outlay.normalize.outcome_rules import DEFAULT_RULES, OutcomeRules
from outlay.normalize.points import facts_of_totals
from outlay.normalize.policy.timeline import NO_POLICY, Timeline
from outlay.pricing.charges import Charged
from outlay.sources.facts import OUTCOMES, conform

PROBLEMS_MAX = 100
"""More are counted, not listed."""

COUNTERS = ("received", "posted", "duplicates", "refused")
"""What the books count for ever: received = posted + duplicates + refused."""

RESEND_SOURCES = frozenset({"otlp"})
"""Sources whose resend carries the same start time, so that duplicates are looked for within the batch's times only."""


@dataclass(slots=True)
class PostReport:
    """What became of a batch: received = posted + duplicates + refused (facts and outcomes together)."""

    received: int = 0
    posted: int = 0
    duplicates: int = 0
    refused: int = 0
    revised: int = 0
    passed_over: int = 0  # rows of a file that its mapping does not ask for; not among those received
    usages: int = 0  # of those posted; the others are outcomes
    by_policy: int = 0  # of those refused: by the tag policy, and they may come back under another one
    problems: list[Problem] = field(default_factory=list[Problem])

    def add(self, other: PostReport) -> None:
        """Add another report to this one."""
        self.received += other.received
        self.posted += other.posted
        self.duplicates += other.duplicates
        self.refused += other.refused
        self.revised += other.revised
        self.passed_over += other.passed_over
        self.usages += other.usages
        self.by_policy += other.by_policy
        self.problems.extend(other.problems[: max(0, PROBLEMS_MAX - len(self.problems))])


class Charger(Protocol):
    """What posting needs of pricing."""

    def charge(self, usages: pa.Table) -> Charged:
        """Usages with their amounts, and the charges that add up to them."""
        ...


class Clerk:
    """Posts batches into the books; used by one thread at a time. `through` is the last entry it posted or parked."""

    def __init__(
        self, books: Books, prices: Charger, rules: OutcomeRules = DEFAULT_RULES, policies: Timeline = NO_POLICY
    ) -> None:
        self.prices = prices
        self.rules = rules
        self.policies = policies
        self.take_books(books)

    def take_books(self, books: Books) -> None:
        """Go on with these books, as after a rebuild."""
        self.books = books
        self._latest_us = 0
        self._seq = 1 + max(books.scalar(f"SELECT max(seq) FROM {table}") for table in ("usages", "outcomes"))
        self._line = 1 + books.scalar("SELECT max(line) FROM charges")
        self.through = books.meta("posted_through")

    def post(
        self,
        facts: pa.Table | None,
        outcomes: pa.Table | None,
        *,
        through: int,
        before: PostReport,
        accepted_ns: int,
        readings: pa.Table | None = None,
    ) -> PostReport:
        """Post one batch up to the journal's entry `through`, accepted at `accepted_ns`.

        `before` holds what was received, repeated and refused before the facts came here; `readings` of metrics become
        facts together with those the books hold. Returns the whole report.
        """
        report = PostReport(problems=list(before.problems[:PROBLEMS_MAX]))
        report.received, report.duplicates, report.refused = before.received, before.duplicates, before.refused
        fresh, revised, seqs = self._sort_out(facts, report, accepted_ns)
        with self.books.writing() as transaction:
            if readings is not None and readings.num_rows:
                fresh, revised, seqs = self._add_up(transaction, readings, report, accepted_ns)
            self._append_usages(transaction, fresh, None)
            if seqs is not None and revised is not None:
                self._reverse(transaction, seqs)
                self._append_usages(transaction, revised, seqs)
            if outcomes is not None and outcomes.num_rows:
                self._append_outcomes(transaction, outcomes, report)
            self._count(transaction, report, through)
            if report.by_policy:
                self.books.note_refused(transaction, self.through + 1, through, report.by_policy)
        self.through = through
        return report

    def take_back(
        self, facts: pa.Table | None, readings: pa.Table | None, entries: range, refused: int, accepted_ns: int
    ) -> int:
        """Post what the tag policy refused of these entries of the journal and no longer does.

        `refused` of these facts were refused by a policy before; the books hold the readings. Returns how many facts
        are in the books now.
        """
        report = PostReport()
        with self.books.writing() as transaction:
            if readings is not None:
                facts = facts_of_totals(readings, self.books.totals_of(transaction, _placed(readings)))
            are_totals = readings is not None
            fresh, revised, seqs = self._sort_out(facts, report, accepted_ns, are_totals=are_totals)
            back = refused - report.by_policy
            if back <= 0:
                return 0
            self._append_usages(transaction, fresh, None)
            if seqs is not None and revised is not None:
                self._reverse(transaction, seqs)
                self._append_usages(transaction, revised, seqs)
            held, posted = self.books.metas(), report.usages
            self.books.set_meta(
                transaction,
                posted=held["posted"] + posted,
                usages_posted=held["usages_posted"] + posted,
                duplicates=held["duplicates"] + back - posted,
                refused=held["refused"] - back,
            )
            self.books.note_refused(transaction, entries.start, entries.stop - 1, report.by_policy)
        return back

    def park(self, number: int, before: PostReport) -> None:
        """Step over a journal entry that cannot be posted; it stays in the journal and `outlay doctor` names it."""
        with self.books.writing() as transaction:
            self.books.park(transaction, number)
            self._count(transaction, before, number)
        self.through = number

    def replace(self, transaction: Transaction, charged: Charged, seqs: pa.Array, kept: pa.Table) -> None:
        """Give usages new cost lines: reverse the old ones, post the new, keep everything in `kept` as it was.

        `kept` has the ledger's own columns of the same usages, in the same order as `charged` and `seqs`.
        """
        self._reverse(transaction, seqs)
        rows = charged.usages
        for name in kept.schema.names:
            rows = rows.append_column(name, kept.column(name)) if name not in rows.schema.names else rows
        self._insert(transaction, rows, charged.charges, seqs)

    def _add_up(
        self, transaction: Transaction, readings: pa.Table, report: PostReport, accepted_ns: int
    ) -> tuple[pa.Table | None, pa.Table | None, pa.Array | None]:
        """The usages that readings change, as their totals are now: a total takes the place of the one before it."""
        totals = self.books.merge_readings(transaction, _placed(readings))
        facts = facts_of_totals(readings, totals)
        report.duplicates += readings.num_rows - facts.num_rows
        return self._sort_out(facts, report, accepted_ns, are_totals=True)

    def _sort_out(
        self, facts: pa.Table | None, report: PostReport, accepted_ns: int, *, are_totals: bool = False
    ) -> tuple[pa.Table | None, pa.Table | None, pa.Array | None]:
        """Refuse, drop what is known, and split the rest into fresh usages and larger reports of known ones."""
        if facts is None or not facts.num_rows:
            return None, None, None
        cleaned = normalise(facts, accepted_ns, self.policies)
        report.refused += cleaned.refused
        report.by_policy += cleaned.by_policy
        report.problems.extend(cleaned.problems[: PROBLEMS_MAX - len(report.problems)])
        usages, repeats = best_reports(cleaned.usages)
        report.duplicates += repeats
        if not usages.num_rows:
            return None, None, None
        known = self.books.known_reports(usages, same_time=False, same_day=True) if are_totals else self._known(usages)
        places = known.column("place").to_numpy()
        fresh_mask = np.ones(usages.num_rows, dtype=bool)
        fresh_mask[places] = False
        fresh = usages if not places.size else usages.filter(pa.array(fresh_mask))
        report.posted += fresh.num_rows
        report.usages += fresh.num_rows
        report.duplicates += len(places)
        if are_totals:
            known = known.set_column(
                known.column_names.index("wins"), "wins", pa.array(np.ones(known.num_rows, np.bool_))
            )
        changing = known.filter(pc.or_(known.column("wins"), known.column("earlier")))
        if not changing.num_rows:
            return fresh, None, None
        report.revised += changing.num_rows
        return fresh, self._revised(usages, changing), changing.column("seq").combine_chunks()

    def _known(self, usages: pa.Table) -> pa.Table:
        sources = set(pc.unique(usages.column("source")).to_pylist())
        return self.books.known_reports(usages, same_time=sources <= RESEND_SOURCES)

    def _revised(self, usages: pa.Table, changing: pa.Table) -> pa.Table:
        """The state of each revised fact: the larger report, at the earliest time either of them states."""
        winning = usages.take(changing.column("place"))
        winning = winning.append_column("stated", stated_mask(winning))
        held = own_words(self.books.usages_of(changing.column("seq"), (*USAGE_FACTS,), with_stated=True))
        both = pa.concat_tables([_plain(winning), _plain(held)])
        count = changing.num_rows
        wins = changing.column("wins").to_numpy()
        merged = both.take(pa.array(np.where(wins, np.arange(count), count + np.arange(count))))
        place = merged.schema.get_field_index("time")
        moment = merged.schema.field(place)
        return merged.set_column(place, moment, changing.column("time").cast(moment.type))

    def _append_usages(self, transaction: Transaction, usages: pa.Table | None, seqs: pa.Array | None) -> None:
        if usages is None or not usages.num_rows:
            return
        self._latest_us = max(self._latest_us, pc.max(usages.column("time").cast(pa.int64())).as_py())
        if seqs is None:
            first, self._seq = self._seq, self._seq + usages.num_rows
            seqs = pa.array(np.arange(first, self._seq))
            stated = stated_mask(usages)
        else:
            stated, usages = usages.column("stated"), usages.drop_columns(["stated"])
        charged = self.prices.charge(attributed(usages, self.policies))
        rows = charged.usages.append_column("stated", stated)
        waiting = rows.column("aggregate")
        text = pc.if_else(waiting, "waits for what happened below it", "")
        rows = rows.append_column("counted", pc.invert(waiting)).append_column("why_not_counted", text)
        self._insert(transaction, rows, charged.charges, seqs)

    def _insert(self, transaction: Transaction, rows: pa.Table, charges: pa.Table, seqs: pa.Array) -> None:
        now = pa.scalar(datetime.now(UTC).replace(tzinfo=None), pa.timestamp("us"))
        rows = rows.append_column("seq", seqs).append_column("posted_at", pa.repeat(now, rows.num_rows))
        self.books.append(transaction, "usages", rows)
        if not charges.num_rows:
            return
        first, self._line = self._line, self._line + charges.num_rows
        places = charges.column("row")
        lines = charges.drop_columns(["row"])
        lines = lines.append_column("line", pa.array(np.arange(first, self._line)))
        lines = lines.append_column("seq", seqs.take(places.combine_chunks()))
        lines = lines.append_column("time", rows.column("time").take(places))
        lines = lines.append_column("corrects", pa.nulls(charges.num_rows, pa.int64()))
        self.books.append(transaction, "charges", lines)

    def _reverse(self, transaction: Transaction, seqs: pa.Array) -> None:
        self._line += self.books.reverse_charges(transaction, seqs, self._line)
        self.books.remove_usages(transaction, seqs)

    def _append_outcomes(self, transaction: Transaction, outcomes: pa.Table, report: PostReport) -> None:
        outcomes, silent = judged(outcomes, self.rules)
        report.received -= silent
        rows = translated_outcomes(outcome_rows(outcomes), self.policies)
        rows, repeats = self.books.unknown_outcomes(rows)
        report.duplicates += repeats
        report.posted += rows.num_rows
        first, self._seq = self._seq, self._seq + rows.num_rows
        self.books.append(transaction, "outcomes", rows.append_column("seq", pa.array(np.arange(first, self._seq))))

    def _count(self, transaction: Transaction, report: PostReport, through: int) -> None:
        held = self.books.metas()
        totals = {name: getattr(report, name) + held.get(name, 0) for name in COUNTERS}
        usages = report.usages + held.get("usages_posted", 0)
        latest = max(self._latest_us, held.get("latest_us", 0))
        self.books.set_meta(transaction, **totals, usages_posted=usages, latest_us=latest, posted_through=through)


def outcome_rows(outcomes: pa.Table) -> pa.Table:
    """Outcomes in the shape of the books, without `seq`; which sessions an unnamed one belongs to, settling finds."""
    table = conform(outcomes, OUTCOMES)
    at = table.column("at_ns")
    reported = pc.coalesce(table.column("reported_ns"), at)
    sessions = pc.coalesce(table.column("session_ids").combine_chunks(), pa.scalar([], pa.list_(pa.string())))
    named = pc.greater(pc.list_value_length(sessions), 0)
    first = pc.if_else(named, pc.list_element(pc.if_else(named, sessions, pa.scalar([""], sessions.type)), 0), "")
    first = pc.fill_null(first, "")
    task = pc.fill_null(_plain_text(table.column("task_id")), "")
    envelope = {key: pc.fill_null(_plain_text(table.column(key)), UNTAGGED) for key in ENVELOPE_KEYS}
    columns = {
        "outcome_key": table.column("outcome_key"),
        "task_id": pc.if_else(pc.equal(task, ""), first, task),
        "session_id": first,
        "session_ids": sessions,
        "task_sessions": sessions,
        "found": pa.repeat(pa.scalar(value=False), table.num_rows),
        "span_key": table.column("span_key"),
        "response_id": pc.fill_null(_plain_text(table.column("response_id")), ""),
        "tree_key": table.column("tree_key"),
        "status": table.column("status"),
        "time": _moments(at),
        "reported_at": _moments(reported),
        "task_type": pc.fill_null(table.column("task_type"), ""),
        "value_nano": table.column("value_nano"),
        "currency": pc.fill_null(table.column("currency"), "USD"),
        "source": table.column("source"),
        "origin": pc.fill_null(table.column("origin"), ""),
        "zone_assumed": pc.fill_null(table.column("zone_assumed"), fill_value=False),
        **envelope,
        "tags": _tags_texts(table.column("tags")),
        "current": pa.repeat(pa.scalar(value=True), table.num_rows),
    }
    stated = np.where(named.to_numpy(zero_copy_only=False), SESSION_STATED, 0).astype(np.int32)
    stated |= np.where(pc.not_equal(task, "").to_numpy(), TASK_STATED, 0).astype(np.int32)
    for bit, key in enumerate(ENVELOPE_KEYS):
        stated |= pc.not_equal(envelope[key], UNTAGGED).to_numpy().astype(np.int32) << bit
    said = pa.repeat("", table.num_rows)
    return pa.table({**columns, "stated": pa.array(stated), "said": said})


def _placed(readings: pa.Table) -> pa.Table:
    return readings.append_column("place", pa.array(np.arange(readings.num_rows)))


def _tags_texts(tags: pa.ChunkedArray) -> pa.Array:
    if tags.null_count == len(tags):
        return pa.repeat("", len(tags))
    texts = [json.dumps(dict(pairs), sort_keys=True, ensure_ascii=False) if pairs else "" for pairs in tags.to_pylist()]
    return pa.array(texts, pa.string())


def _moments(nanoseconds: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.divide(nanoseconds, 1000).cast(pa.timestamp("us"))


def _plain_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column


def _plain(table: pa.Table) -> pa.Table:
    """Dictionary-encoded text decoded, so that two batches can be put under each other."""
    return pa.table([_plain_text(table.column(name)) for name in table.schema.names], names=table.schema.names)
