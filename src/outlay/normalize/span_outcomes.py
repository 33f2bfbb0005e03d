"""Outcomes that spans report: attributes that say how a task ended, and evaluations whose name means just that."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from outlay.core.envelope import ENVELOPE_KEYS
from outlay.core.errors import Problem
from outlay.core.money import DEFAULT_CURRENCY
from outlay.core.outcome import OutcomeStatus
from outlay.normalize.aliases import load, plain
from outlay.normalize.amounts import nanos_of
from outlay.normalize.clean import TRACE_PREFIX
from outlay.normalize.span_columns import SpanColumns, first
from outlay.sources.facts import OUTCOMES, conform, keys_of

_PROBLEMS_MAX = 100
_OF_FACTS = ["tree_key", "session_id", "task_id", "start_ns", "end_ns", "source", "origin", *ENVELOPE_KEYS, "tags"]


def outcomes_of_spans(read: SpanColumns, facts: pa.Table, problems: list[Problem]) -> pa.Table:
    """The outcomes (OUTCOMES) of a batch. A word that is not known is `unknown`, and added to `problems`."""
    stated = read.text("task_outcome")
    tables: list[pa.Table] = []
    if stated is not None:
        rows = np.flatnonzero(stated.is_valid())
        words = stated.take(pa.array(rows)).dictionary_encode()
        known = [_status(word, problems) for word in words.dictionary.to_pylist()]
        statuses = [known[code] for code in words.indices.to_pylist()]
        tables.append(_table(read, facts, rows, statuses, facts["fact_key"].take(pa.array(rows))))
    judged = list(_judgements(read))
    if judged:
        fact_keys = facts["fact_key"]
        at = np.array([row for row, _, _ in judged], np.int64)
        keys = keys_of(f"{fact_keys[row].as_py().hex()}/evaluation/{name}" for row, name, _ in judged)
        tables.append(_table(read, facts, at, [status.value for _, _, status in judged], keys))
    return pa.concat_tables(tables) if tables else OUTCOMES.empty_table()


def _status(word: str, problems: list[Problem]) -> str:
    status = load().outcomes.get(word.strip().lower())
    if status is None and len(problems) < _PROBLEMS_MAX:
        known = ", ".join(item.value for item in OutcomeStatus)
        problems.append(
            Problem("outcome of a span", f'unknown outcome "{word[:64]}", kept as unknown', f"valid: {known}")
        )
    return (status or OutcomeStatus.UNKNOWN).value


def _table(
    read: SpanColumns, facts: pa.Table, rows: np.ndarray, statuses: list[str], keys: pa.Array | pa.ChunkedArray
) -> pa.Table:
    places = pa.array(rows)
    part = facts.select(_OF_FACTS).take(places)
    sessions = part["session_id"].combine_chunks()
    if sessions.null_count:
        sessions = first(
            [sessions, pa.array([TRACE_PREFIX + key.hex() for key in part["tree_key"].to_pylist()], pa.string())]
        )
    nano, known = _values(read, rows)
    currency, task_type = read.text("task_currency"), read.text("task_type")
    currencies = pa.nulls(len(rows), pa.string()) if currency is None else currency.take(places)
    columns = {
        "outcome_key": keys,
        "task_id": first([part["task_id"].combine_chunks(), sessions]),
        "session_ids": pa.ListArray.from_arrays(pa.array(np.arange(len(rows) + 1, dtype=np.int32)), sessions),
        "status": pa.array(statuses, pa.string()),
        "at_ns": first([part["end_ns"].combine_chunks(), part["start_ns"].combine_chunks()]),
        "value_nano": pa.array(nano, mask=~known),
        "currency": currencies.fill_null(DEFAULT_CURRENCY),
        "source": part["source"].cast(pa.string()),
        **{name: part[name].cast(pa.string()) for name in ("origin", *ENVELOPE_KEYS)},
        "tags": part["tags"],
    }
    if task_type is not None:
        columns["task_type"] = task_type.take(places)
    return conform(pa.table(columns), OUTCOMES)


def _values(read: SpanColumns, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What each task's result is worth, in nano-units, and for which it is said."""
    names = read.present("task_value")
    if not names:
        return np.zeros(len(rows), np.int64), np.zeros(len(rows), np.bool_)
    return nanos_of(read.raw(names[0]).take(pa.array(rows)))


def _judgements(read: SpanColumns) -> Iterator[tuple[int, str, OutcomeStatus]]:
    """Row, name and status of every evaluation that says how a task ended."""
    column = read.raw("evaluations")
    if column.null_count < len(column):
        for row in np.flatnonzero(column.is_valid()).tolist():
            for result in column[row].as_py():
                yield from _judgement(row, result["name"], result["label"], result["score"])
    for name_key in _numbered(read.names):
        stem = name_key.removesuffix("name")
        parts = [read.raw(stem + part) if read.has(stem + part) else None for part in ("label", "score")]
        names = read.text_of(name_key)
        for row in np.flatnonzero(names.is_valid()).tolist():
            label, score = (None if part is None else part[row].as_py() for part in parts)
            yield from _judgement(row, names[row].as_py(), label, score)


def _judgement(row: int, name: str, label: object, score: object) -> Iterator[tuple[int, str, OutcomeStatus]]:
    aliases = load()
    if plain(name) not in aliases.evaluation_names:
        return
    said = aliases.outcomes.get(label.strip().lower()) if isinstance(label, str) else None
    by_score = OutcomeStatus.DONE if score == 1 else OutcomeStatus.FAILED if score == 0 else None
    status = said or by_score
    if status is not None:
        yield row, name, status


def _numbered(names: tuple[str, ...]) -> list[str]:
    forms = (re.escape(form).replace(r"\*", r"\d+") for form in load().evaluation_forms)
    pattern = re.compile(f"(?:{'|'.join(forms)})\\.name")
    return [name for name in names if pattern.fullmatch(name)]
