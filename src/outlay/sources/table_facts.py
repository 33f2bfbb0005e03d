"""What a table with a mapping becomes: columns of text turn into facts and outcomes, whole columns at a time.

A row is known by its identity columns, else by its number, its content and the first row of its file; never by its
time alone, because many things happen in the same second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from outlay.core.centre import STRUCTURE
from outlay.core.errors import Problem
from outlay.sources.columns import Mask, amounts_nano, counts, nulls_as_true, numbers_ns, tags_of, times_ns, translated
from outlay.sources.facts import FACTS, OUTCOMES, UNITS, Batch, conform, keys_of
from outlay.sources.mapping import COUNT_WORDS, TEXT_WORDS, TIME_UNITS, TRUE_WORDS, Source, TableMapping
from outlay.sources.moments import Moment, file_moment, moment_of_text

PROBLEMS_LISTED_MAX = 100
"""Refused rows of a chunk that are listed one by one; the rest is listed as one number."""


@dataclass(slots=True)
class Refusals:
    """Rows of a chunk that cannot be used, each with its first reason."""

    rows: int
    reasons: dict[int, str] = field(default_factory=dict[int, str])

    def add(self, mask: Mask, word: str, texts: pa.Array | None = None) -> None:
        """Refuse the rows of a mask; the first reason of a row stays."""
        for row in np.flatnonzero(mask).tolist():
            said = "" if texts is None else f": {texts[row].as_py()!r}"
            self.reasons.setdefault(row, f"{word}{said}")

    def kept(self) -> Mask:
        """The rows that remain."""
        mask = np.ones(self.rows, dtype=np.bool_)
        mask[list(self.reasons)] = False
        return mask


@dataclass(slots=True)
class TableFile:
    """One file on its way; `told` holds what is the same on every row."""

    mapping: TableMapping
    origin: str
    path: Path
    zone: tzinfo
    told: Mapping[str, str | None]
    problems: list[Problem]
    first_content: str | None = None
    timeless: Moment | None = None

    def batch(self, chunk: pa.Table, refused: int) -> Batch:
        """Facts and outcomes of a chunk of text columns."""
        if self.first_content is None and chunk.num_rows:
            self.first_content = chunk.column("row.content")[0].as_py()
        read, chunk = chunk.num_rows, self._filtered(chunk)
        keys = self._identities(chunk)
        facts, lost = self._facts(chunk, keys) if self.mapping.fact else (FACTS.empty_table(), 0)
        outcomes, missed = self._outcomes(chunk, keys) if self.mapping.outcome else (OUTCOMES.empty_table(), 0)
        problems = self._handed_on()
        received = facts.num_rows + outcomes.num_rows + lost + missed + refused
        return Batch(facts, outcomes, received, passed_over=read - chunk.num_rows, problems=problems)

    def rest(self) -> Batch:
        """An empty batch with the problems that came after the last row."""
        return Batch(FACTS.empty_table(), OUTCOMES.empty_table(), problems=self._handed_on())

    def _handed_on(self) -> list[Problem]:
        problems = list(self.problems)
        self.problems.clear()
        return problems

    def _column(self, chunk: pa.Table, name: str) -> pa.Array:
        if name in chunk.column_names:
            return chunk.column(name).combine_chunks()
        return pa.array([self.told.get(name)], pa.string()).take(pa.array(np.zeros(chunk.num_rows, dtype=np.int64)))

    def _of(self, chunk: pa.Table, source: Source) -> pa.Array:
        """The text of a word in each row."""
        if source.template is not None:
            pieces = _pieces(source.template)
            parts = [self._column(chunk, text) if is_column else pa.scalar(text) for is_column, text in pieces]
            texts = pc.binary_join_element_wise(*parts, "", null_handling="replace", null_replacement="")
            return texts if isinstance(texts, pa.Array) else pa.array([texts.as_py()] * chunk.num_rows, pa.string())
        if source.columns:
            columns = [self._column(chunk, name) for name in source.columns]
            found = columns[0] if len(columns) == 1 else pc.coalesce(*columns)
            if source.values is None:
                return found
            said = translated(found, source.values, source.otherwise)
            return said if source.missing is None else pc.if_else(pc.is_valid(found), said, source.missing)
        return pa.array([source.value], pa.string()).take(pa.array(np.zeros(chunk.num_rows, dtype=np.int64)))

    def _filtered(self, chunk: pa.Table) -> pa.Table:
        for choices, wanted in ((self.mapping.where, True), (self.mapping.unless, False)):
            for name, texts in choices.items():
                lower = pa.array([text.lower() for text in texts])
                inside = pc.is_in(pc.utf8_lower(self._column(chunk, name)), value_set=lower)
                chunk = chunk.filter(inside if wanted else pc.invert(inside))
        return chunk

    def _identities(self, chunk: pa.Table) -> list[str]:
        """What makes a row itself, as text."""
        prefix = f"{self.mapping.name}\x1e"
        if self.mapping.identity:
            columns = [self._column(chunk, name) for name in self.mapping.identity]
        else:
            prefix += f"{self.first_content}\x1e"
            columns = [self._column(chunk, "row.number"), self._column(chunk, "row.content")]
        joined = pc.binary_join_element_wise(*columns, "\x1f", null_handling="replace", null_replacement="\0")
        return [prefix + text for text in joined.to_pylist()]

    def _facts(self, chunk: pa.Table, keys: list[str]) -> tuple[pa.Table, int]:
        words = self.mapping.fact
        refusals = Refusals(chunk.num_rows)
        columns: dict[str, pa.Array] = {"fact_key": keys_of(keys)}
        columns |= self._told_columns(chunk.num_rows)
        columns |= {word: self._of(chunk, words[word]) for word in TEXT_WORDS if word in words}
        for word in COUNT_WORDS:
            if word in words:
                columns[word] = self._counted(chunk, words[word], word, refusals)
        columns["operation"] = pc.fill_null(self._of(chunk, words.get("operation", Source(value="chat"))), "chat")
        columns |= self._fact_times(chunk, refusals)
        if "failed" in words:
            said = pc.utf8_lower(self._of(chunk, words["failed"]))
            columns["failed"] = pc.is_in(said, value_set=pa.array(sorted(TRUE_WORDS)))
        columns["units"] = self._units(chunk, refusals)
        if "cost" in words:
            self._cost(chunk, columns, refusals)
        columns["tags"] = self._tags(chunk)
        return self._kept(columns, FACTS, chunk, refusals)

    def _told_columns(self, rows: int) -> dict[str, pa.Array]:
        once = {"source": f"table:{self.mapping.name}", "signal": "file", "origin": self.origin}
        nowhere = pa.array(np.zeros(rows, dtype=np.int64))
        return {name: pa.array([text], pa.string()).take(nowhere) for name, text in once.items()}

    def _counted(self, chunk: pa.Table, source: Source, word: str, refusals: Refusals) -> pa.Array:
        texts = self._of(chunk, source)
        numbers, bad = counts(texts)
        refusals.add(bad, f"{word} cannot be", texts)
        return numbers

    def _when(self, chunk: pa.Table, source: Source | None, word: str, refusals: Refusals) -> tuple[pa.Array, Mask]:
        """Nanoseconds of a time word, and where its zone was assumed; the file's own time where there is no word."""
        rows = chunk.num_rows
        if source is None:
            return self._file_time(rows), np.ones(rows, dtype=np.bool_)
        texts = self._of(chunk, source)
        unit_ns = TIME_UNITS[self.mapping.time_unit]
        if unit_ns is None:
            ns, bad, assumed = times_ns(texts, self.zone)
        else:
            anchor = self.mapping.anchor
            ns, bad = numbers_ns(texts, unit_ns, moment_of_text(anchor, self.zone).ns if anchor else 0)
            assumed = np.full(rows, anchor is not None)
        refusals.add(bad, f"{word} is no time", texts)
        return ns, assumed

    def _file_time(self, rows: int) -> pa.Array:
        if self.timeless is None:
            self.timeless = file_moment(self.path)
            what = "the rows carry no time"
            self.problems.append(Problem(self.origin, what, "kept under the time at which the file was written"))
        return pa.array(np.full(rows, self.timeless.ns, dtype=np.int64))

    def _fact_times(self, chunk: pa.Table, refusals: Refusals) -> dict[str, pa.Array]:
        words = self.mapping.fact
        start, assumed = self._when(chunk, words.get("start"), "start", refusals)
        refusals.add(nulls_as_true(start), "no start")
        end = pa.nulls(chunk.num_rows, pa.int64())
        if "end" in words:
            end, _ = self._when(chunk, words["end"], "end", refusals)
        elif "duration" in words:
            texts = self._of(chunk, words["duration"])
            took, bad = numbers_ns(texts, TIME_UNITS[self.mapping.duration_unit] or 1)
            for row in np.flatnonzero(bad).tolist():
                self._repaired(chunk, row, f"duration cannot be {texts[row].as_py()!r}")
            end = pc.add(start, took)
        backwards = pc.fill_null(pc.less(end, start), fill_value=False).to_numpy(zero_copy_only=False)
        for row in np.flatnonzero(backwards).tolist():
            took_ms = (end[row].as_py() - start[row].as_py()) // 1_000_000
            self._repaired(chunk, row, f"negative duration: {took_ms} ms")
        end = pc.if_else(pa.array(backwards), pa.scalar(None, pa.int64()), end)
        return {"start_ns": start, "end_ns": end, "zone_assumed": pa.array(assumed, pa.bool_())}

    def _repaired(self, chunk: pa.Table, row: int, what: str) -> None:
        if len(self.problems) < PROBLEMS_LISTED_MAX:
            self.problems.append(Problem(self._place(chunk, row), what, "kept without an end"))

    def _place(self, chunk: pa.Table, row: int) -> str:
        return f"{self.origin}, row {chunk.column('row.number')[row].as_py()}"

    def _units(self, chunk: pa.Table, refusals: Refusals) -> pa.Array:
        quantities = {word: self._counted(chunk, source, word, refusals) for word, source in self.mapping.units.items()}
        return _unit_lists(quantities, chunk.num_rows)

    def _cost(self, chunk: pa.Table, columns: dict[str, pa.Array], refusals: Refusals) -> None:
        """The recorded cost; a 0 beside tokens is a missing price, and so is any 0 where the mapping says so.

        A row that states neither a cost nor a quantity still happened: it bears one `total` that nobody priced, unless
        it failed or only gives structure.
        """
        texts = self._of(chunk, self.mapping.fact["cost"])
        nano, bad = amounts_nano(texts)
        refusals.add(bad, "cost cannot be", texts)
        measured = np.zeros(chunk.num_rows, dtype=np.bool_)
        for word in COUNT_WORDS:
            if word in columns and word != "attempt":
                measured |= np.asarray(
                    pc.fill_null(pc.greater(columns[word], 0), fill_value=False).to_numpy(zero_copy_only=False)
                )
        zero = pc.fill_null(pc.equal(nano, 0), fill_value=False).to_numpy(zero_copy_only=False)
        unknown = zero & (measured | self.mapping.zero_is_unknown)
        columns["cost_nano"] = pc.if_else(pa.array(unknown), pa.scalar(None, pa.int64()), nano)
        if not self.mapping.units:
            frame = pc.is_in(columns["operation"], value_set=pa.array(sorted(STRUCTURE)))
            total = nulls_as_true(columns["cost_nano"]) & ~measured & ~frame.to_numpy(zero_copy_only=False)
            if "failed" in columns:
                total &= ~np.asarray(pc.fill_null(columns["failed"], fill_value=False).to_numpy(zero_copy_only=False))
            ones = pa.array(np.ones(chunk.num_rows, dtype=np.int64), mask=~total)
            columns["units"] = _unit_lists({"total": ones}, chunk.num_rows)

    def _tags(self, chunk: pa.Table) -> pa.Array:
        return tags_of({name: self._of(chunk, source) for name, source in self.mapping.tags.items()}, chunk.num_rows)

    def _kept(
        self, columns: dict[str, pa.Array], schema: pa.Schema, chunk: pa.Table, refusals: Refusals
    ) -> tuple[pa.Table, int]:
        table = pa.table(columns)
        if not refusals.reasons:
            return conform(table, schema), 0
        for row, reason in sorted(refusals.reasons.items())[:PROBLEMS_LISTED_MAX]:
            self.problems.append(Problem(self._place(chunk, row), reason, "refused"))
        if (more := len(refusals.reasons) - PROBLEMS_LISTED_MAX) > 0:
            self.problems.append(Problem(self.origin, f"{more:,} more rows like these", "refused"))
        return conform(table.filter(pa.array(refusals.kept())), schema), len(refusals.reasons)

    def _outcomes(self, chunk: pa.Table, keys: list[str]) -> tuple[pa.Table, int]:
        words = self.mapping.outcome
        refusals = Refusals(chunk.num_rows)
        columns: dict[str, pa.Array] = {"outcome_key": keys_of(f"outcome\x1e{key}" for key in keys)}
        columns |= {name: text for name, text in self._told_columns(chunk.num_rows).items() if name != "signal"}
        plain = {"task_type", "currency", *(word for word in words if word in TEXT_WORDS)} - {"session_id"}
        columns |= {word: self._of(chunk, words[word]) for word in plain if word in words}
        session = (
            self._of(chunk, words["session_id"]) if "session_id" in words else pa.nulls(chunk.num_rows, pa.string())
        )
        task = pc.coalesce(columns.get("task_id", pa.nulls(chunk.num_rows, pa.string())), session)
        refusals.add(nulls_as_true(task), "an outcome without a task_id")
        columns["task_id"] = task
        columns["session_ids"] = _lists_of_one(session)
        columns["status"] = self._status(chunk)
        at_ns, assumed = self._when(chunk, words.get("at"), "at", refusals)
        refusals.add(nulls_as_true(at_ns), "an outcome without a time")
        columns |= {"at_ns": at_ns, "zone_assumed": pa.array(assumed, pa.bool_())}
        if "value" in words:
            texts = self._of(chunk, words["value"])
            columns["value_nano"], bad = amounts_nano(texts)
            refusals.add(bad, "value cannot be", texts)
        columns["tags"] = self._tags(chunk)
        return self._kept(columns, OUTCOMES, chunk, refusals)

    def _status(self, chunk: pa.Table) -> pa.Array:
        said = self._of(chunk, self.mapping.outcome.get("status", Source(value="unknown")))
        words = {text: status for status, texts in self.mapping.status.items() for text in (status, *texts)}
        return translated(said, words, "unknown")


def _pieces(template: str) -> list[tuple[bool, str]]:
    """The parts of a template in order: whether it names a column, and its text."""
    pieces: list[tuple[bool, str]] = []
    for number, part in enumerate(template.replace("}", "{").split("{")):
        if part:
            pieces.append((number % 2 == 1, part))
    return pieces


def _unit_lists(quantities: Mapping[str, pa.Array], rows: int) -> pa.Array:
    """A column of units from one column per meter; null where a row has none above zero."""
    present = {
        meter: np.asarray(pc.fill_null(pc.greater(column, 0), fill_value=False).to_numpy(zero_copy_only=False))
        for meter, column in quantities.items()
    }
    anywhere = np.logical_or.reduce([np.zeros(rows, dtype=np.bool_), *present.values()])
    if not anywhere.any():
        return pa.nulls(rows, UNITS)
    units: list[list[dict[str, object]] | None] = [None] * rows
    for row in np.flatnonzero(anywhere).tolist():
        units[row] = [
            {"meter": meter, "quantity": column[row].as_py()}
            for meter, column in quantities.items()
            if present[meter][row]
        ]
    return pa.array(units, UNITS)


def _lists_of_one(column: pa.Array) -> pa.Array:
    """Each value as a list of itself; an empty list for none."""
    present = ~nulls_as_true(column)
    offsets = np.concatenate([[0], np.cumsum(present)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), column.drop_null())
