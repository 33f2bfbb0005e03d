"""What a span did: the kind attributes of all conventions, and a span's name, become one operation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from outlay.core.centre import Operation
from outlay.normalize.aliases import KindTable, Step, load
from outlay.normalize.columns import Codes, Mask
from outlay.normalize.span_columns import SpanColumns

OPERATIONS: tuple[str, ...] = tuple(item.value for item in Operation)
_OPERATION_NAMES = pa.array(OPERATIONS, pa.string())
_CHECKS = (Operation.GUARDRAIL, Operation.EVALUATION)
_OUTLAY = "outlay"


@dataclass(frozen=True, slots=True)
class Kinds:
    """One operation a span (a code into `OPERATIONS`), whether its figures count, and whether its kind says failure."""

    codes: Codes
    usage: Mask
    failed: Mask

    def array(self) -> pa.Array:
        """The operations as dictionary-encoded text."""
        return pa.DictionaryArray.from_arrays(pa.array(self.codes), _OPERATION_NAMES)

    def is_any(self, *operations: Operation) -> Mask:
        """Which spans did one of these."""
        return np.isin(self.codes, [OPERATIONS.index(operation) for operation in operations])


def kinds_of(spans: SpanColumns, has_tokens: Mask, has_tool: Mask) -> Kinds:
    """The kind of every span.

    One of no known kind is a model call if it states tokens, a tool call if it names a tool, else a step.
    """
    steps: list[Step] = [Step(Operation.CHAT), Step(Operation.TOOL), Step(Operation.STEP)]
    own = np.full(spans.length, -1, np.int32)
    check, other = own.copy(), own.copy()
    for table in load().kinds:
        for key in table.keys:
            if not spans.has(key):
                continue
            codes = _look_up(table, spans.text_of(key), steps, is_name=False)
            if table.convention == _OUTLAY:
                own = np.where(own < 0, codes, own)
                continue
            other = np.where(other < 0, codes, other)
            is_check = np.array([*(step.operation in _CHECKS for step in steps), False], np.bool_)
            check = np.where((check < 0) & is_check[codes], codes, check)
    found = np.where(own >= 0, own, np.where(check >= 0, check, other))
    if (found < 0).any():
        found = _by_name(spans, found, steps)
    found = np.where(found >= 0, found, np.where(has_tokens, 0, np.where(has_tool, 1, 2)))
    operations = np.array([OPERATIONS.index(step.operation) for step in steps], np.int32)
    usage, failed = (np.array([getattr(step, name) for step in steps], np.bool_) for name in ("usage", "failed"))
    return Kinds(operations[found], usage[found], failed[found])


def _look_up(table: KindTable, texts: pa.Array, steps: list[Step], *, is_name: bool) -> Codes:
    """Codes into `steps`, which grows as needed; -1 where the convention does not know the value."""
    encoded = texts.dictionary_encode()
    places: list[int] = []
    for text in encoded.dictionary.to_pylist():
        step = table.find(text, is_name=is_name)
        places.append(-1 if step is None else len(steps))
        steps.extend([] if step is None else [step])
    return np.array([*places, -1], np.int32)[np.asarray(encoded.indices.fill_null(-1))]


def _by_name(spans: SpanColumns, found: Codes, steps: list[Step]) -> Codes:
    """The spans without a kind, by their name."""
    rows = np.flatnonzero(found < 0)
    names = spans.raw("name").take(pa.array(rows))
    for table in load().kinds:
        if table.by_name:
            codes = _look_up(table, names, steps, is_name=True)
            found[rows] = np.where(found[rows] < 0, codes, found[rows])
    return found
