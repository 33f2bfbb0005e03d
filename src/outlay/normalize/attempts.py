"""Attempts: which usage was primary work, and which is what failure cost.

An attempt belongs to the centre `retries` when it failed, when its answer was rejected, when it was paid for and
brought nothing, when its emitter calls it a retry or recovery, or when a later attempt of the same call replaced it
(that last rule needs the neighbours and lives in `relations.py`). The attempt that at last succeeds stays primary: it
is what the work costs where nothing fails, and the wasted attempts beside it are exactly what failing cost on top.

Agents, workflows and steps are never retries themselves: what failed inside them says so on its own row.
"""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa

from outlay.core.centre import CENTRE_OF, STRUCTURE, CostCentre, Operation
from outlay.normalize.columns import Codes, Ints, Mask, Text, words

OPERATIONS: tuple[str, ...] = tuple(item.value for item in Operation)
CENTRES: tuple[str, ...] = tuple(item.value for item in CostCentre)
IS_STRUCTURE = np.asarray([item in STRUCTURE for item in Operation] + [False], np.bool_)
"""By operation code; the last place answers for an unknown operation (code -1)."""

AGENT_AGGREGATE = "agent aggregate"
SUPERSEDED = "superseded by attempt "

REJECTED = frozenset(
    {
        "error",
        "content_filter",
        "refusal",
        "safety",
        "recitation",
        "blocklist",
        "prohibited_content",
        "spii",
        "malformed_function_call",
        "guardrail_intervened",
    }
)
"""Finish reasons with which an answer was paid for and could not be used."""

_DATE = re.compile(r"[-@](?:\d{4}-\d{2}-\d{2}|\d{8})$")

_INFERENCE = CENTRES.index(CostCentre.INFERENCE)
_RETRIES = CENTRES.index(CostCentre.RETRIES)
_CENTRE_OF = np.asarray([CENTRES.index(CENTRE_OF[item]) for item in Operation] + [_INFERENCE], np.int32)


def operation_codes(operation: Text) -> Codes:
    """The place of each row's operation in `OPERATIONS`, -1 for a word that is none."""
    places = [OPERATIONS.index(word) if word in OPERATIONS else -1 for word in operation.values.to_pylist()]
    return np.asarray([*places, -1], np.int32)[operation.codes]


def reasons(operations: Codes, failed: Mask, no_output: Mask, error: Text, finish: Text, said: Text) -> Text:
    """Why each row is not primary work, or empty text. A failure outranks the emitter's word, that a rejected answer,
    that an empty one.
    """
    values = [""]
    codes = np.zeros(len(operations), np.int32)
    may = ~IS_STRUCTURE[operations]

    def because(rows: Mask, prefix: str, words: Text | None = None) -> None:
        chosen = np.flatnonzero(rows & may)
        if not len(chosen):
            return
        if words is None:
            codes[chosen] = len(values)
            values.append(prefix)
            return
        distinct, which = np.unique(words.codes[chosen], return_inverse=True)
        texts = [words.values[code].as_py() if code >= 0 else "" for code in distinct.tolist()]
        codes[chosen] = len(values) + which
        values.extend(f"{prefix}: {text}" if text else prefix for text in texts)

    because(no_output & (operations == OPERATIONS.index(Operation.CHAT)), "no output")
    finishes = [bare_finish(value) for value in finish.values.to_pylist()]
    rejected = np.asarray([*(word in REJECTED for word in finishes), False], np.bool_)[finish.codes]
    because(rejected, "rejected", Text(pa.array(finishes, pa.string()), finish.codes))
    because(said.stated(), "said by emitter", said)
    because(failed, "failed", error)
    return Text(pa.array(values, pa.string()), codes)


def undated(model: str) -> str:
    """A model's name without the date of its version: an attempt that failed knows only the name that was asked for."""
    return _DATE.sub("", model)


def bare_finish(value: str) -> str:
    """A finish reason without the list and the capitals some emitters wrap it in; the first one of several."""
    return value.strip().strip("[]").split(",")[0].strip().strip("\"'").lower()


def centre_codes(operations: Codes, wasted: Mask, aggregate: Mask) -> Codes:
    """The place of each row's cost centre in `CENTRES`.

    Totals that only an agent states are model work without its split, so they are inference, not orchestration.
    """
    codes = np.where(wasted, np.int32(_RETRIES), _CENTRE_OF[operations])
    return np.where(aggregate, np.int32(_INFERENCE), codes).astype(np.int32)


def centre_array(codes: Codes | Ints) -> pa.DictionaryArray:
    """The column `centre` of centre codes."""
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), words(*CENTRES))
