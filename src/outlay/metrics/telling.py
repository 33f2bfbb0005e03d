"""Telling: the whole numbers of a row become figures, or unknown where they would mislead. Made once an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from outlay.metrics.expressions import Aggregate, arithmetic_of
from outlay.metrics.measures import (
    METERED,
    TASKS,
    TOTAL_TOKENS,
    UNPRICED_TOKEN_SHARE_MAX,
    UNPRICED_TOKENS,
    Measure,
    Unit,
)
from outlay.metrics.plan import Plan

Figures = dict[str, str | int | None]

_SHARE, _OF = UNPRICED_TOKEN_SHARE_MAX.numerator, UNPRICED_TOKEN_SHARE_MAX.denominator


class Telling:
    """The figures of a plan's rows; `columns` says where an aggregate stands, `mixed` what would add currencies."""

    def __init__(self, plan: Plan, columns: Mapping[Aggregate, str], mixed: frozenset[str]) -> None:
        places = {item: place for place, item in enumerate(columns)}
        self.names = list(columns.values())
        self._unpriced, self._tokens = places.get(UNPRICED_TOKENS), places.get(TOTAL_TOKENS)
        self._tasks = places.get(TASKS) if plan.about_all_work else None
        self._metered = places.get(METERED)
        self._measures = [
            (item.name, item.derived_from_cost, is_money(item), item.rests_on_cost, arithmetic_of(made, places), item)
            for item, made in zip(plan.measures, plan.definitions, strict=True)
            if item.name not in mixed
        ]
        self._hidden: Figures = {item.name: None for item in plan.measures}

    def figures(self, row: Mapping[str, Any], *, money: bool = True) -> Figures:
        """The figures of one row as it came back; without `money` no amount is told."""
        found = [None if (value := row[name]) is None else int(value) for name in self.names]
        trusted, unmetered = self._is_trusted(found), self._is_unmetered(found)
        told = self._hidden.copy()
        for name, derived, amount, on_cost, value, measure in self._measures:
            if (derived and not trusted) or (amount and not money) or (on_cost and unmetered):
                continue
            told[name] = measure.text_of(value(found))
        return told

    def _is_trusted(self, found: list[int | None]) -> bool:
        """Whether enough of the tokens has a price for a figure derived from cost to mean something."""
        unpriced = found[self._unpriced] or 0 if self._unpriced is not None else 0
        tokens = found[self._tokens] or 0 if self._tokens is not None else 0
        return unpriced * _OF <= _SHARE * max(tokens, unpriced)

    def _is_unmetered(self, found: list[int | None]) -> bool:
        """Tasks of which no usage is known: someone paid for them, so their cost is unknown, not 0."""
        if self._tasks is None or not found[self._tasks]:
            return False
        return self._metered is None or not found[self._metered]


def is_money(measure: Measure) -> bool:
    """An amount, or a figure that makes no sense across currencies."""
    return measure.unit is Unit.MONEY or measure.derived_from_cost
