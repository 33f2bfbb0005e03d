"""Labels: the texts that many usages share, kept once.

A usage carries some two dozen texts that come in few combinations: who, which model, what kind of step. The books keep
each combination as one row of `labels` and a usage its number. A row is narrower by that much, which is most of the
cost of writing it; whoever reads sees the texts again through the view `usages`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from outlay.normalize.columns import text_of, whole

LABELS: tuple[str, ...] = (
    "source",
    "signal",
    "origin",
    "operation",
    "centre",
    "name",
    "provider",
    "model",
    "region",
    "service_tier",
    "processing",
    "speed",
    "error_type",
    "reason",
    "basis",
    "team",
    "feature",
    "user_tier",
    "agent",
    "product_line",
    "environment",
    "cost_code",
    "currency",
    "cost_source",
    "model_id",
    "model_tier",
    "scope",
    "api_key",
    "tag_rule",
)
"""Columns of a usage that are kept in `labels`. Texts with a value for nearly every usage do not belong here."""

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xBF58476D1CE4E5B9)
_SHIFT = np.uint64(29)
_COMBINED_MAX = 2**62


REMEMBERED_MAX = 200_000
"""Combinations kept in memory; a company has some hundreds. Of a million made-up names the older ones are looked up."""


@dataclass(slots=True)
class LabelBook:
    """The numbers of the combinations met lately, by their 64-bit key; `last` is the highest number given.

    Where not every combination is remembered (`whole` is false), `look_up` finds the numbers of keys in the books.
    """

    look_up: Callable[[list[int]], dict[int, int]]
    numbers: dict[int, int] = field(default_factory=dict[int, int])
    last: int = 0
    whole: bool = True

    def number(self, rows: pa.Table) -> tuple[pa.Array, pa.Table | None]:
        """The number of each row's combination, and the combinations that are new (`number`, `key` and the texts)."""
        if not rows.num_rows:
            return pa.array([], pa.int32()), None
        keys, rows_of_keys, which = _keys(rows)
        distinct, index, inverse = np.unique(keys, return_index=True, return_inverse=True)
        first, places = rows_of_keys[index], inverse[which]
        numbers = np.empty(len(distinct), dtype=np.int32)
        fresh: list[int] = []
        self._recall(distinct.tolist())
        for place, key in enumerate(distinct.tolist()):
            known = self.numbers.get(key)
            if known is None:
                known = self.numbers[key] = self.last = self.last + 1
                fresh.append(place)
            numbers[place] = known
        return pa.array(numbers[places]), self._new(rows, distinct, first, numbers, fresh)

    def _recall(self, keys: list[int]) -> None:
        """Bring the numbers of these keys to mind, and forget all others where they are too many."""
        if len(self.numbers) > REMEMBERED_MAX:
            self.numbers = {key: self.numbers[key] for key in keys if key in self.numbers}
            self.whole = False
        if not self.whole:
            missing = [key for key in keys if key not in self.numbers]
            self.numbers |= self.look_up(missing) if missing else {}

    @staticmethod
    def _new(
        rows: pa.Table,
        distinct: npt.NDArray[np.uint64],
        first: npt.NDArray[np.int64],
        numbers: npt.NDArray[np.int32],
        fresh: list[int],
    ) -> pa.Table | None:
        if not fresh:
            return None
        taken = rows.select(list(LABELS)).take(pa.array(first[fresh]))
        texts = [_plain(taken.column(name)) for name in LABELS]
        columns = [pa.array(numbers[fresh]), pa.array(distinct[fresh]), *texts]
        return pa.table(columns, names=["number", "key", *LABELS])


def _keys(rows: pa.Table) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The key of each combination, a row that has it, and the number of each row's; equal on every machine.

    A key is built from keys of the texts. Two combinations given here may be the same one, spelled by other codes.
    """
    texts = [text_of(whole(rows, name)) for name in LABELS]
    combined, height = np.zeros(rows.num_rows, np.int64), 1
    for text in texts:
        words_count = len(text.values) + 1  # and null
        if words_count > 2 or (len(text.codes) and text.codes.min() < 0):
            if height * words_count >= _COMBINED_MAX:
                first, combined = _distinct(combined)
                height = len(first)
            combined = combined * words_count + (text.codes + 1)
            height *= words_count
    first, which = _distinct(combined)
    keys = np.zeros(len(first), dtype=np.uint64)
    with np.errstate(over="ignore"):
        for text in texts:
            of_words = np.array([*map(_text_key, text.values.to_pylist()), _text_key("")], dtype=np.uint64)
            keys = (keys ^ (keys >> _SHIFT)) * _MULTIPLIER + of_words[text.codes[first]] * _MIX
    return keys, first, which


def _distinct(numbers: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where each different number stands first, in order of appearance, and which of them each one is."""
    which = np.asarray(pa.array(numbers).dictionary_encode().indices).astype(np.int64)
    first = np.zeros(int(which.max(initial=-1)) + 1, np.int64)
    first[which[::-1]] = np.arange(len(which) - 1, -1, -1)
    return first, which


@lru_cache(maxsize=65_536)
def _text_key(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
