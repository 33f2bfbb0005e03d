"""Outcomes that spans report: attributes that say how a task ended, and evaluations whose name means just that."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from outlay.core.envelope import ENVELOPE_KEYS
from outlay.core.errors import Problem
from outlay.core.money import DEFAULT_CURRENCY
from outlay.core.outcome import OutcomeStatus
from outlay.normalize.aliases import load
from outlay.normalize.amounts import nanos_of
from outlay.normalize.outcome_rules import DEFAULT_RULES, OutcomeRules
from outlay.normalize.span_columns import SpanColumns, first
from outlay.sources.facts import OUTCOMES, conform, keys_of

_PROBLEMS_MAX = 100
_OF_FACTS = [
    *(
        "fact_key",
        "judged_key",
        "response_id",
        "tree_key",
        "session_id",
        "task_id",
        "start_ns",
        "end_ns",
        "source",
        "origin",
    ),
    *(*ENVELOPE_KEYS, "tags"),
]


def outcomes_of_spans(
    read: SpanColumns,
    facts: pa.Table,
    judged_key: pa.Array,
    problems: list[Problem],
    rules: OutcomeRules = DEFAULT_RULES,
) -> pa.Table:
    """The outcomes (OUTCOMES) of a batch. A word that is not known is `unknown`, and added to `problems`.

    `judged_key` is the fact that an outcome on each row is about.
    """
    facts = facts.append_column("judged_key", judged_key)
    stated = read.text("task_outcome")
    tables: list[pa.Table] = []
    if stated is not None:
        rows = np.flatnonzero(stated.is_valid())
        words = stated.take(pa.array(rows)).dictionary_encode()
        known = [_status(word, problems) for word in words.dictionary.to_pylist()]
        statuses = [known[code] for code in words.indices.to_pylist()]
        tables.append(_table(read, facts, rows, statuses, ""))
    judged = list(_judgements(read, rules))
    if judged:
        at = np.array([row for row, _, _ in judged], np.int64)
        statuses = [status.value for _, _, status in judged]
        tables.append(_table(read, facts, at, statuses, "evaluation", [name for _, name, _ in judged]))
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
    read: SpanColumns, facts: pa.Table, rows: np.ndarray, statuses: list[str], what: str, names: Sequence[str] = ()
) -> pa.Table:
    """Outcomes said on these rows. Another word about the same span is another report, so that none is lost."""
    places = pa.array(rows)
    part = facts.select(_OF_FACTS).take(places)
    nano, known = _values(read, rows)
    currency, task_type = read.text("task_currency"), read.text("task_type")
    currencies = pa.nulls(len(rows), pa.string()) if currency is None else currency.take(places)
    said = zip(part["fact_key"].to_pylist(), statuses, nano.tolist(), names or [""] * len(rows), strict=True)
    sessions = part["session_id"].combine_chunks()
    columns = {
        "outcome_key": keys_of(f"{key.hex()}/{what}/{name}/{status}/{worth}" for key, status, worth, name in said),
        "task_id": part["task_id"],
        "session_ids": lists_of_one(sessions),
        "span_key": part["judged_key"],
        "response_id": part["response_id"],
        "tree_key": part["tree_key"],
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


def lists_of_one(column: pa.Array) -> pa.Array:
    """Each value as a list of itself; an empty list for none."""
    present = np.asarray(column.is_valid())
    offsets = np.concatenate([[0], np.cumsum(present)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), column.drop_null())


def _values(read: SpanColumns, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What each task's result is worth, in nano-units, and for which it is said."""
    names = read.present("task_value")
    if not names:
        return np.zeros(len(rows), np.int64), np.zeros(len(rows), np.bool_)
    return nanos_of(read.raw(names[0]).take(pa.array(rows)))


def _judgements(read: SpanColumns, rules: OutcomeRules) -> Iterator[tuple[int, str, OutcomeStatus]]:
    """Row, name and status of every evaluation that says how a task ended."""
    column = read.raw("evaluations")
    if column.null_count < len(column):
        for row in np.flatnonzero(column.is_valid()).tolist():
            for result in column[row].as_py():
                yield from _judged(rules, row, result["name"], result["label"], result["score"])
    for name_key in _numbered(read.names):
        stem = name_key.removesuffix("name")
        parts = [read.raw(stem + part) if read.has(stem + part) else None for part in ("label", "score")]
        names = read.text_of(name_key)
        for row in np.flatnonzero(names.is_valid()).tolist():
            label, score = (None if part is None else part[row].as_py() for part in parts)
            yield from _judged(rules, row, names[row].as_py(), label, score)


def _judged(
    rules: OutcomeRules, row: int, name: str, label: object, score: object
) -> Iterator[tuple[int, str, OutcomeStatus]]:
    status = rules.judge(name, label, score)
    if status is not None:
        yield row, name, status


def _numbered(names: tuple[str, ...]) -> list[str]:
    forms = (re.escape(form).replace(r"\*", r"\d+") for form in load().evaluation_forms)
    pattern = re.compile(f"(?:{'|'.join(forms)})\\.name")
    return [name for name in names if pattern.fullmatch(name)]
