"""Session counts over stretches of time: a session that is at work in several of them counts once.

The engine counts the sessions of the whole days once. Of the short stretches the sessions themselves are at hand, and
which of them the whole days have seen: what is left of them is added.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from typing import Any, NoReturn

from outlay.core.period import Grain
from outlay.ledger.rollups import Stretch
from outlay.metrics.cube import Cube, Kernel, grouped, rows_of
from outlay.metrics.cubes import seen_cubes, session_cubes
from outlay.metrics.dialect import dialect_named
from outlay.metrics.expressions import Sessions
from outlay.metrics.groups import bucket_name, key_names, session_groups
from outlay.metrics.parts import Statement
from outlay.metrics.plan import Plan
from outlay.metrics.rolled import keeps_sessions
from outlay.metrics.stretches import GROUPS_MAX, Stretches, TooManyError, about

PAIRS_MAX = 30_000
"""Sessions by group in one stretch; more are left to the engine."""
_BESIDE = ("customer", "user")
"""Texts of sessions that a page asks for together or not at all."""

Counts = dict[tuple[Any, ...], int]
Ranked = frozenset[tuple[str | None, ...]]
_Pairs = frozenset[tuple[tuple[Any, ...], str]]


class SessionCounts:
    """The sessions of one look at the books. Used by one thread."""

    def __init__(self, at: Stretches) -> None:
        self._at = at

    @staticmethod
    def can(plan: Plan) -> bool:
        """Whether what a plan asks of sessions can be counted so; true where it asks nothing of them."""
        if not plan.session_sums:
            return True
        guarded = plan.with_superseded and plan.query.counted_only
        return plan.session_sums == (Sessions(),) and keeps_sessions(plan) and not plan.with_charges and not guarded

    def by_group(self, plan: Plan) -> dict[tuple[Any, ...], list[int | None]]:
        """Sessions by bucket and group."""
        return {key: [count] for key, count in self._counted(plan, None).items()}

    def total(self, plan: Plan) -> list[int | None]:
        """Sessions in all."""
        whole = replace(plan, dimensions=(), query=replace(plan.query, grain=None))
        return [self._counted(whole, None).get((None,), 0)]

    def rest(self, plan: Plan, ranked: Collection[tuple[str | None, ...]]) -> dict[tuple[Any, ...], list[int | None]]:
        """Sessions by bucket, in the groups that are not ranked."""
        return {key: [count] for key, count in self._counted(plan, frozenset(ranked)).items()}

    def _counted(self, plan: Plan, ranked: Ranked | None) -> Counts:
        at, grain = self._at, plan.query.grain
        alone = replace(plan, usage_sums=(), outcome_sums=(), reading=None, session_reading=None)
        only_counted = plan.query.counted_only and not plan.with_superseded
        kernel = Kernel(plan.dimensions, (), plan.filters, grain, only_counted=only_counted)
        key = at.store.number(("sessions", kernel, ranked))
        named = (*plan.dimensions, *(dimension for dimension, _ in plan.filters))
        beside = _BESIDE if any(item.column in _BESIDE for item in named) else ()
        division = at.division(plan.query.period, by_month=False)
        found = Counter[tuple[Any, ...]]()
        if grain is Grain.HOUR:  # no rollup holds hours; no two days share one
            for days in division.days:
                here = about(alone, days)
                found.update(at.made((key, days), at.work(days), lambda here=here: self._asked(here, ranked)))
        elif division.days:
            rolled = replace(alone, reading=division.reading)
            found.update(at.made((key, division.days), at.work(*division.days), lambda: self._asked(rolled, ranked)))
        hourly = grain is Grain.HOUR

        def pairs(cube: Cube) -> _Pairs:
            return _pairs(cube, kernel, ranked)

        fresh = set[tuple[tuple[Any, ...], str]]().union(
            *at.parts(
                key,
                division.parts,
                at.work,
                lambda lacking: session_cubes(at, lacking, beside, hourly=hourly),
                pairs,
                _too_many,
                PAIRS_MAX,
            )
        )
        if division.days and not hourly:
            seen = at.parts(
                (key, division.days),
                division.parts,
                lambda part: (at.work(part), at.work(*division.days)),
                lambda lacking: seen_cubes(at, division.days, lacking, beside),
                pairs,
                _too_many,
                PAIRS_MAX,
            )
            fresh.difference_update(*seen)
        found.update(group for group, _ in fresh)
        return found

    def _asked(self, plan: Plan, ranked: Ranked | None) -> Counts:
        """What the engine counts."""
        statement = Statement(dialect_named(self._at.reader.dialect))
        sql = session_groups(statement, plan, None if ranked is None else sorted(ranked, key=str))
        limited = f"SELECT * FROM ({sql}) AS asked LIMIT {GROUPS_MAX + 1}"
        rows = self._at.reader.records(limited, statement.parameters)
        names = key_names(plan) if ranked is None else []
        return {
            (row["bucket"] if bucket_name(plan) else None, *(row[name] for name in names)): int(row["s0"] or 0)
            for row in rows
        }


def _pairs(cube: Cube, kernel: Kernel, ranked: Ranked | None) -> _Pairs:
    """The sessions of a cube, each with a group it stands in; groups that are ranked left out, the others as one."""
    rows = rows_of(cube, kernel)
    keys, group = grouped(cube, kernel, rows)
    left = keys if ranked is None else [() if key[1:] in ranked else key[:1] for key in keys]
    places, words = cube.texts("session_id")
    named = [words[session] for session in map(int, places[rows])]
    return frozenset((left[place], name) for place, name in zip(map(int, group), named, strict=True) if left[place])


def _too_many(_: Stretch) -> NoReturn:
    raise TooManyError
