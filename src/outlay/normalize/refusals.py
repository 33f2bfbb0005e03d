"""Refusals of a batch: which rows cannot be true, and in which words a person hears of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from outlay.core.errors import Problem
from outlay.normalize.columns import Mask, Text, text_of, whole


class Refusals:
    """Rows refused so far, the first reason of each, and values that were dropped while their row stayed."""

    def __init__(self, facts: pa.Table) -> None:
        self.rows: Mask = np.zeros(facts.num_rows, np.bool_)
        self.by_policy: Mask = np.zeros(facts.num_rows, np.bool_)
        self._facts = facts
        self._places: tuple[Text, Text] | None = None
        self._problems: list[tuple[int, Problem]] = []

    def where(self, row: int) -> str:
        """The place of a row, as a person would look for it."""
        if self._places is None:  # most batches have nothing to say and never ask
            self._places = text_of(whole(self._facts, "origin")), text_of(whole(self._facts, "source"))
        origin, source = self._places
        return f"{origin.at(row) or source.at(row) or 'batch'} row {row}"

    def refuse(self, wrong: Mask, what: Callable[[int], str], hint: str, *, policy: bool = False) -> None:
        """Refuse the rows that are `wrong` and were not refused before; `policy` says that the tag policy does."""
        fresh = wrong & ~self.rows
        if fresh.any():
            self.by_policy |= fresh if policy else False
            for row in np.flatnonzero(fresh).tolist():
                self._problems.append((row, Problem(self.where(row), what(row), hint)))
            self.rows |= fresh

    def note(self, concerned: Mask, what: str, hint: str) -> None:
        """Say once for the batch what is wrong with these rows, which stay."""
        kept = np.flatnonzero(concerned & ~self.rows)
        if len(kept):
            count = f"{len(kept):,} usages: " if len(kept) > 1 else ""
            row = int(kept[0])
            self._problems.append((row, Problem(self.where(row), count + what, hint)))

    def problems(self) -> list[Problem]:
        """Every problem, in the order of the rows."""
        return [problem for _, problem in sorted(self._problems, key=lambda item: item[0])]
