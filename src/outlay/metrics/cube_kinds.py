"""Kinds in a cube: what coverage tells apart, and the currencies of values, read without the engine.

The rows are those that the statements of `coverage.py` give of the same stretch of time.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np

from outlay.core.centre import CostCentre
from outlay.core.envelope import UNTAGGED
from outlay.metrics.cube import Cube, Kernel, Mask, Numbers, added, rows_of
from outlay.metrics.dimensions import Dimension
from outlay.metrics.filters import Filter
from outlay.metrics.measures import BEARS, UNPRICED_USAGE

_FIRST = datetime(1970, 1, 1)  # noqa: DTZ001 - UTC without a zone, as the books hold it
_SUMS = {"cost": "amount_nano", "recorded": "recorded_nano", "priced": "priced_nano"}
_UNPRICED_SUMS = {"unpriced_tokens": "unpriced_tokens", "low": "band_low_nano", "high": "band_high_nano"}

Row = dict[str, Any]
Filters = tuple[tuple[Dimension, Filter], ...]


def kinds_in(cube: Cube, filters: Filters) -> list[Row]:
    """A row for each kind of usage."""
    rows = rows_of(cube, Kernel((), (), filters, None))
    unpriced = cube.mask(UNPRICED_USAGE)
    currencies, currency_words = cube.texts("currency")
    teams, team_words = cube.texts("team")
    centres, centre_words = cube.texts("centre")
    models, model_words = cube.texts("model_id")
    splits: tuple[Numbers, ...] = (
        cube.flags["counted"].astype(np.int64),
        currencies,
        _is(teams, team_words, UNTAGGED),
        _is(centres, centre_words, CostCentre.ORCHESTRATION.value),
        (models + 1) * unpriced,
    )
    code = np.zeros(len(cube), dtype=np.int64)
    for split in splits:
        code = code * (int(split.max(initial=0)) + 1) + split
    _, first, group = np.unique(code[rows], return_index=True, return_inverse=True)
    figures = _figures(cube, rows, group, len(first), unpriced)
    found: list[Row] = []
    for place, row in enumerate(rows[first].tolist()):
        counted, currency, untagged, orchestrates, model = (int(split[row]) for split in splits)
        said = {"counted": bool(counted), "currency": currency_words[currency], "untagged": bool(untagged)}
        said |= {"orchestrates": bool(orchestrates), "model": model_words[model - 1] if model else None}
        found.append(said | {name: column[place] for name, column in figures.items()})
    return found


def values_in(cube: Cube, filters: Filters) -> list[Row]:
    """A row for each currency that values are stated in."""
    rows = rows_of(cube, Kernel((), (), filters, None, of_outcomes=True))
    places, words = cube.texts("currency")
    stated = rows[cube.numbers["value_nano"][rows] != 0]
    return [{"currency": words[place]} for place in np.unique(places[stated]).tolist()]


def _is(places: Numbers, words: Any, word: str) -> Numbers:
    wanted = np.fromiter((held == word for held in words), dtype=np.int64, count=len(words))
    return wanted[places] if len(words) else np.zeros(len(places), dtype=np.int64)


def _figures(cube: Cube, rows: Numbers, group: Numbers, groups: int, unpriced: Mask) -> dict[str, list[Any]]:
    """The figures of each group by name; a band of nothing is None."""
    numbers, everything = cube.numbers, np.ones(len(cube), dtype=bool)
    masks = {
        "reports": everything,
        "usages": cube.mask(BEARS),
        "paid": numbers["amount_nano"] != 0,
        "unpriced": unpriced,
    }
    figures: dict[str, list[Any]] = {
        name: added(numbers["n"][rows][mask[rows]], group[mask[rows]], groups) for name, mask in masks.items()
    }
    figures |= {name: added(numbers[column][rows], group, groups) for name, column in _SUMS.items()}
    for name, column in _UNPRICED_SUMS.items():
        mask = (unpriced & ~cube.missing[column] if column in cube.missing else unpriced)[rows]
        sums, known = (
            added(numbers[column][rows][mask], group[mask], groups),
            np.bincount(group[mask], minlength=groups),
        )
        figures[name] = [sums[place] if known[place] else None for place in range(groups)]
    for name, ends in (("first", np.minimum), ("last", np.maximum)):
        column = numbers[name][rows]
        found = np.full(groups, column.max(initial=0) if ends is np.minimum else column.min(initial=0))
        ends.at(found, group, column)
        figures[name] = [_FIRST + timedelta(microseconds=us) for us in found.tolist()]
    return figures
