"""A few sessions by name: what several questions of a page ask about them, read once and folded."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import numpy as np

from outlay.core.session import NO_SESSION
from outlay.metrics.cube import Cube, Kernel, Numbers, grouped, rows_of
from outlay.metrics.cube_source import read_sessions
from outlay.metrics.expressions import Sessions, SessionTime
from outlay.metrics.few_rows import is_short
from outlay.metrics.parts import stored
from outlay.metrics.plan import Plan
from outlay.metrics.rolled import is_kept
from outlay.metrics.stretches import Stretches

SESSIONS_MAX = 50
"""More named sessions than this are left to the engine."""

_BESIDE = frozenset(("session_id",))
_TOO_LARGE = object()

Figures = list[int | None]


def named_sessions(plan: Plan) -> tuple[str, ...]:
    """The sessions a plan is about; none where it is about any."""
    for dimension, item in plan.filters:
        if dimension.name == "session" and not item.exclude and len(item.values) <= SESSIONS_MAX:
            held = tuple(str(one) for value in item.values for one in stored(dimension, value))
            return held if NO_SESSION not in held else ()
    return ()


def cube_of_sessions(at: Stretches, plan: Plan, *, hourly: bool) -> Cube | None:
    """The cube that a plan about named sessions, or about those of a short while, is answered from.

    None where the engine must be asked.
    """
    sessions = named_sessions(plan)
    guarded = plan.with_superseded and plan.query.counted_only
    if not sessions and not _are_few(at, plan):
        return None
    if plan.with_work or plan.with_charges or guarded or not is_kept(plan, _BESIDE):
        return None
    key, token = ("of sessions", sessions, plan.query.period, hourly), at.touched(plan.query.period)
    found: Any = at.store.get(key, token)
    if found is None:
        at.store.labels, cube = read_sessions(
            at.reader, at.store.labels, sessions, at.stretch(plan.query.period), hourly=hourly
        )
        found = _TOO_LARGE if cube is None else cube
        at.store.put(key, token, found, 0 if cube is None else len(cube))
    return None if found is _TOO_LARGE else found


def _are_few(at: Stretches, plan: Plan) -> bool:
    """Whether a plan splits by any session of a while in which there may be few; it counts and times none of them."""
    return any(item.name == "session" for item in plan.dimensions) and (
        not plan.session_sums and is_short(at.stretch(plan.query.period))
    )


class CubeSessions:
    """Session figures of a cube that holds all that is asked about; see `SessionCounts`."""

    def __init__(self, cube: Cube) -> None:
        self._cube = cube

    def by_group(self, plan: Plan) -> dict[tuple[Any, ...], Figures]:
        """By bucket and group."""
        rows = self._rows(plan)
        keys, group = grouped(self._cube, _kernel(plan), rows)
        return self._figures(plan, keys, group, rows)

    def total(self, plan: Plan) -> Figures:
        """Over everything."""
        rows = self._rows(plan)
        return self._figures(plan, [(None,)], np.zeros(len(rows), dtype=np.int64), rows)[None,]

    def rest(self, plan: Plan, ranked: Collection[tuple[str | None, ...]]) -> dict[tuple[Any, ...], Figures]:
        """By bucket, over the groups that are not ranked."""
        rows = self._rows(plan)
        keys, group = grouped(self._cube, _kernel(plan), rows)
        left = np.array([key[1:] not in ranked for key in keys], dtype=bool)[group]
        buckets, again = grouped(self._cube, replace(_kernel(plan), dimensions=()), rows[left])
        return self._figures(plan, buckets, again, rows[left])

    def _rows(self, plan: Plan) -> Numbers:
        return rows_of(self._cube, _kernel(plan))

    def _figures(
        self, plan: Plan, keys: list[tuple[Any, ...]], group: Numbers, rows: Numbers
    ) -> dict[tuple[Any, ...], Figures]:
        places, words = self._cube.texts("session_id")
        code = group * max(len(words), 1) + places[rows]
        _, first, run = np.unique(code, return_index=True, return_inverse=True)
        of_run = group[first].tolist()
        found: dict[tuple[Any, ...], Figures] = {key: [] for key in keys}
        for item in plan.session_sums:
            column: Figures = [None if isinstance(item, SessionTime) else 0] * len(keys)
            for place, value in zip(of_run, self._each(item, run, len(first), rows), strict=True):
                column[place] = (column[place] or 0) + value
            for key, value in zip(keys, column, strict=True):
                found[key].append(value)
        return found

    def _each(self, item: Sessions | SessionTime, run: Numbers, runs: int, rows: Numbers) -> list[int]:
        """What each session brings to a figure: itself, or its microseconds."""
        if isinstance(item, Sessions):
            met = np.ones(len(rows), dtype=bool) if item.where is None else self._cube.mask(item.where)[rows]
            return (np.bincount(run[met], minlength=runs) > 0).astype(np.int64).tolist()
        began, ended = self._cube.numbers["first"][rows], self._cube.numbers["ended"][rows]
        least, most = np.full(runs, np.iinfo(np.int64).max), np.full(runs, np.iinfo(np.int64).min)
        np.minimum.at(least, run, began)
        np.maximum.at(most, run, ended)
        return (most - least).tolist()


def _kernel(plan: Plan) -> Kernel:
    only_counted = plan.query.counted_only and not plan.with_superseded
    return Kernel(plan.dimensions, (), plan.filters, plan.query.grain, only_counted=only_counted)
