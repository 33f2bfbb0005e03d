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
        keys = _keys(rows)
        distinct, first, places = np.unique(keys, return_index=True, return_inverse=True)
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


def _keys(rows: pa.Table) -> npt.NDArray[np.uint64]:
    """A key of each row's combination, built from keys of the texts; equal on every machine."""
    keys = np.zeros(rows.num_rows, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for name in LABELS:
            keys = (keys ^ (keys >> _SHIFT)) * _MULTIPLIER + _text_keys(rows.column(name)) * _MIX
    return keys


def _text_keys(column: pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    parts: list[npt.NDArray[np.uint64]] = []
    for chunk in column.chunks:
        encoded = chunk if pa.types.is_dictionary(chunk.type) else chunk.dictionary_encode()
        words = np.array([_text_key(word) for word in encoded.dictionary.to_pylist()], dtype=np.uint64)
        parts.append(words[encoded.indices.to_numpy()] if len(encoded) else np.zeros(0, dtype=np.uint64))
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.uint64)


@lru_cache(maxsize=65_536)
def _text_key(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
