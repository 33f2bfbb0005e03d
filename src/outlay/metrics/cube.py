"""Cube: usages or outcomes of a short stretch of time, added up as finely as pages ask, folded without the engine.

A page asks some two dozen questions about the same hours, and planning a statement costs more than reading so little.
So the hours are read once, a row for all facts that are alike in every text and test, and each question is answered
from these rows by whole-number arithmetic: what comes out is what the engine would have said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from outlay.core.period import Grain
from outlay.metrics.dimensions import Dimension
from outlay.metrics.expressions import AllOf, AnyOf, Condition, Count, Is, Known, OneOf, Positive, Sum
from outlay.metrics.filters import Filter
from outlay.metrics.measures import SUPERSEDED
from outlay.metrics.parts import stored
from outlay.metrics.plan import CURRENCY

Numbers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Key = tuple[Any, ...]
Groups = dict[Key, list[int | None]]
"""Figures by bucket (None where there is no grain) and the text of each dimension; an unknown sum is None."""

_FITS = 2**62
_CODES_MAX = 2**40
_FLAG_WORDS = ("false", "true")
_FIRST = datetime(1970, 1, 1)  # noqa: DTZ001 - UTC without a zone, as the books hold it


Texts = Callable[[str], tuple[Numbers, Sequence[str]]]
"""Of a column, the place of each row's word, and the words."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """What is added up, of which rows, split how: the part of a question that adds up over stretches of time."""

    dimensions: tuple[Dimension, ...]
    sums: tuple[Count | Sum, ...]
    filters: tuple[tuple[Dimension, Filter], ...]
    grain: Grain | None
    only_counted: bool = False
    guarded: bool = False
    """Superseded reports are read, and only what counts them may see them."""
    of_outcomes: bool = False


@dataclass(slots=True)
class Cube:
    """`n` facts a row. `stamps` are microseconds since 1970 at the start of its day or hour.

    `numbers` by column, 0 where `missing` says that there is none; `flags` by column.
    """

    stamps: Numbers
    numbers: Mapping[str, Numbers]
    missing: Mapping[str, Mask]
    flags: Mapping[str, Mask]
    texts: Texts
    _masks: dict[Condition, Mask] = field(default_factory=dict[Condition, Mask])

    def __len__(self) -> int:
        return len(self.stamps)

    def mask(self, wanted: Condition) -> Mask:
        """Which rows meet a condition."""
        found = self._masks.get(wanted)
        if found is None:
            found = self._masks[wanted] = self._mask(wanted)
        return found

    def _mask(self, wanted: Condition) -> Mask:
        match wanted:
            case OneOf(column, values, exclude):
                places, words = self.texts(column)
                return _among(places, words, set(values), exclude=exclude)
            case Is(column, value):
                return self.flags[column] if value else ~self.flags[column]
            case Positive(column):
                return self.numbers[column] > 0
            case Known(column, value):
                return ~self.missing[column] if value else self.missing[column]
            case AllOf(parts):
                return np.logical_and.reduce([self.mask(part) for part in parts])
            case AnyOf(parts):
                return np.logical_or.reduce([self.mask(part) for part in parts])
            case _:
                raise ValueError(f"a cube does not know {wanted}")

    def words(self, dimension: Dimension, *, of_outcomes: bool) -> tuple[Numbers, Sequence[str]]:
        """The place of each row's value of a dimension, and the values, as the engine would write them."""
        if of_outcomes:
            return self.texts(dimension.outcome_column)
        if dimension.flag:
            return self.flags[dimension.column].astype(np.int64), _FLAG_WORDS
        places, words = self.texts(dimension.column)
        if dimension.name != CURRENCY:
            return places, words
        named = dict.fromkeys(word or dimension.empty for word in words)  # no word and the main one are one group
        at = {word: place for place, word in enumerate(named)}
        same = np.array([at[word or dimension.empty] for word in words], dtype=np.int64)
        return same[places] if len(same) else places, list(named)


def fold(cube: Cube, kernel: Kernel) -> Groups:
    """The figures of a kernel over a cube, by bucket and group."""
    rows = rows_of(cube, kernel)
    keys, group = grouped(cube, kernel, rows)
    columns = [_added(cube, kernel, item, rows, group, len(keys)) for item in kernel.sums]
    return {key: [column[place] for column in columns] for place, key in enumerate(keys)}


def rows_of(cube: Cube, kernel: Kernel) -> Numbers:
    """The places of the rows that a kernel is about."""
    chosen = cube.flags["counted"].copy() if kernel.only_counted else np.ones(len(cube), dtype=bool)
    for dimension, item in kernel.filters:
        chosen &= _filtered(cube, dimension, item, of_outcomes=kernel.of_outcomes)
    return np.flatnonzero(chosen)


def merged(parts: Sequence[Groups], kernel: Kernel) -> Groups:
    """The figures of a kernel over several stretches of time together."""
    found: Groups = {}
    if not kernel.dimensions and kernel.grain is None:
        found[(None,)] = [0 if isinstance(item, Count) else None for item in kernel.sums]
    for part in parts:
        for key, figures in part.items():
            held = found.get(key)
            found[key] = (
                figures if held is None else [_sum(one, other) for one, other in zip(held, figures, strict=True)]
            )
    return found


def _sum(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else one + other


def _filtered(cube: Cube, dimension: Dimension, item: Filter, *, of_outcomes: bool) -> Mask:
    places, words = cube.words(dimension, of_outcomes=of_outcomes)
    held = (one for value in item.values for one in stored(dimension, value))
    wanted = {_FLAG_WORDS[one] if isinstance(one, bool) else str(one) for one in held}
    return _among(places, words, wanted, exclude=item.exclude)


def _among(places: Numbers, words: Sequence[str], wanted: set[str], *, exclude: bool) -> Mask:
    known = np.fromiter((word in wanted for word in words), dtype=bool, count=len(words))
    found = known[places] if len(words) else np.zeros(len(places), dtype=bool)
    return ~found if exclude else found


def grouped(cube: Cube, kernel: Kernel, rows: Numbers) -> tuple[list[Key], Numbers]:
    """The keys of the groups, and the group of each row."""
    code, size = np.zeros(len(rows), dtype=np.int64), 1
    splits: list[tuple[Numbers, Sequence[Any]]] = []
    if kernel.grain is not None:
        splits.append(_buckets(cube.stamps[rows], kernel.grain))
    for dimension in kernel.dimensions:
        places, words = cube.words(dimension, of_outcomes=kernel.of_outcomes)
        splits.append((places[rows], words))
    for places, words in splits:
        if size * len(words) > _CODES_MAX:
            distinct, code = np.unique(code, return_inverse=True)
            size = len(distinct)
        code = code * max(len(words), 1) + places
        size *= max(len(words), 1)
    _, first, group = np.unique(code, return_index=True, return_inverse=True)
    named = [[words[place] for place in places[first].tolist()] for places, words in splits]
    if kernel.grain is None:
        named.insert(0, [None] * len(first))
    return list(zip(*named, strict=True)), group


def _buckets(stamps: Numbers, grain: Grain) -> tuple[Numbers, Sequence[datetime]]:
    distinct, places = np.unique(stamps, return_inverse=True)
    starts = [bucket_start(_FIRST + timedelta(microseconds=us), grain) for us in distinct.tolist()]
    order = {start: place for place, start in enumerate(dict.fromkeys(starts))}
    return np.array([order[start] for start in starts], dtype=np.int64)[places], list(order)


def bucket_start(moment: datetime, grain: Grain) -> datetime:
    """The start of the bucket a moment falls into; weeks begin on Monday."""
    if grain is Grain.HOUR:
        return moment.replace(minute=0, second=0, microsecond=0)
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    match grain:
        case Grain.WEEK:
            return day - timedelta(days=day.weekday())
        case Grain.MONTH:
            return day.replace(day=1)
        case Grain.QUARTER:
            return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
        case Grain.YEAR:
            return day.replace(month=1, day=1)
        case _:
            return day


def _added(
    cube: Cube, kernel: Kernel, item: Count | Sum, rows: Numbers, group: Numbers, groups: int
) -> list[int | None]:
    """One figure for each group; a sum of nothing is None, a count of nothing 0."""
    names = ("n",) if isinstance(item, Count) else item.columns
    value = cube.numbers[names[0]]
    for name in names[1:]:
        value = value + cube.numbers[name]
    met = None if item.where is None else cube.mask(item.where)
    if kernel.guarded and item != SUPERSEDED:
        met = cube.flags["counted"] if met is None else met & cube.flags["counted"]
    for name in names:
        if name in cube.missing:
            met = ~cube.missing[name] if met is None else met & ~cube.missing[name]
    held = slice(None) if met is None else met[rows]
    places, values = group[held], value[rows][held]
    sums = added(values, places, groups)
    if isinstance(item, Count):
        return list(sums)
    present = np.zeros(groups, dtype=bool)
    present[places] = True
    return [figure if known else None for figure, known in zip(sums, present.tolist(), strict=True)]


def added(values: Numbers, places: Numbers, groups: int) -> list[int]:
    """The exact sum of the values at each place."""
    if len(values) and max(abs(int(values.max())), abs(int(values.min()))) * len(values) >= _FITS:
        wide = [0] * groups
        for place, value in zip(places.tolist(), values.tolist(), strict=True):
            wide[place] += value
        return wide
    sums = np.zeros(groups, dtype=np.int64)
    np.add.at(sums, places, values)
    return sums.tolist()
