"""Pieces: the figures of a question, put together from stretches of its period that are kept until they are touched.

A server is written to every second, and nearly always in the hour that runs. So the period is cut: whole days up to the
day before yesterday, which the engine adds up once; the days since and the parts of days at either end, which are read
as cubes and folded; the last hours, which are read at each look. What was kept of a stretch counts as long as no
transaction touched one of its hours, so a figure is the same as if everything were read.

Sums and counts, and sessions by way of `session_counts.py`; the work of a task hangs on reports of any time, so figures
split by it are asked of the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain
from typing import Any, TypeVar

from outlay.core.period import Grain, Period
from outlay.ledger.rollups import Reading
from outlay.ledger.store import Snapshot
from outlay.metrics.cube import Cube, Groups, Kernel, fold, merged
from outlay.metrics.cube_source import outcomes_fit
from outlay.metrics.cubes import outcome_cubes, usage_cubes
from outlay.metrics.dialect import dialect_named
from outlay.metrics.groups import outcome_groups, outcome_key_names, usage_groups
from outlay.metrics.joined import answer_rows
from outlay.metrics.parts import Statement
from outlay.metrics.piece_store import PieceStore, ToldRows
from outlay.metrics.plan import Plan, plan_of
from outlay.metrics.query import Query
from outlay.metrics.rolled import is_kept
from outlay.metrics.session_counts import SessionCounts
from outlay.metrics.session_cube import CubeSessions, cube_of_sessions
from outlay.metrics.stretches import GROUPS_MAX, Stretches, TooManyError, about
from outlay.metrics.values import values_of

ANSWER_ROWS_MAX = 20_000
"""A longer answer is not kept."""

_APART = frozenset(("session", "parent_session"))

Row = dict[str, Any]
Made = TypeVar("Made")


class Pieces:
    """One look at the books by way of what earlier looks left. Used by one thread."""

    def __init__(self, reader: Snapshot, store: PieceStore, now: datetime | None = None) -> None:
        self._reader = reader
        self._at = Stretches(reader, store, now)
        self._sessions = SessionCounts(self._at)

    def expect(self, *periods: Period) -> None:
        """These periods will be asked about."""
        self._at.expected = periods

    def rows(self, plan: Plan) -> list[Row] | None:
        """What the statement of a plan would give; None where it must be asked."""
        if plan.query.grain is not Grain.MINUTE and not plan.outcome_sums:
            cube = cube_of_sessions(self._at, plan, hourly=plan.query.grain is Grain.HOUR)
            if cube is not None:
                usages = merged([fold(cube, _kernel(plan))], _kernel(plan))
                return answer_rows(plan, usages, Groups(), CubeSessions(cube) if plan.session_sums else None)
        named = {item.name for item in (*plan.dimensions, *(dimension for dimension, _ in plan.filters))}
        too_fine = plan.query.grain is Grain.MINUTE or bool(named & _APART)
        if too_fine or (plan.with_work and not plan.only_outcomes) or not self._sessions.can(plan):
            return None
        try:
            usages = Groups() if plan.only_outcomes else self._usages(plan)
            outcomes = self._outcomes(plan) if plan.outcome_sums else Groups()
            return answer_rows(plan, usages, outcomes, self._sessions if plan.session_sums else None)
        except TooManyError:
            return None

    def told(self, question: Hashable) -> ToldRows:
        """The rows that answers to a question told so far: most of them are the same at the next look.

        To be added to: a row is right for its figures, whoever comes upon it.
        """
        key, store = ("told", self._at.store.number(question)), self._at.store
        found: ToldRows | None = store.get(key, 0)
        if found is None or len(found) > ANSWER_ROWS_MAX:
            found = {}
        store.put(key, 0, found, len(found))
        return found

    def whole(self, key: Hashable, query: Query, make: Callable[[], Made], size: Callable[[Made], int]) -> Made:
        """What is kept about a period of which no hour was touched; an answer hangs on nothing outside its period.

        Except where it is split or filtered by the tasks that usages worked on: these hang on reports of any time.
        """
        plan = plan_of(query)
        if plan.with_work and not plan.only_outcomes:
            return make()
        token = self._at.touched(query.period)
        found = self._at.store.get(key, token)
        if found is None:
            found = make()
            if size(found) <= ANSWER_ROWS_MAX:
                self._at.store.put(key, token, found, size(found))
        return found

    def about_usages(
        self, question: Hashable, plan: Plan, ask: Callable[[Plan], list[Row]], read: Callable[[Cube], list[Row]]
    ) -> list[Row] | None:
        """Rows about usages that may stand beside each other, each of its stretch; `ask` takes a plan for rollups.

        None where the engine must be asked about the whole.
        """
        if not is_kept(plan):
            cube = cube_of_sessions(self._at, plan, hourly=False)
            return None if cube is None else read(cube)
        key = self._at.store.number(question)
        division = self._at.division(plan.query.period, by_month=True)
        found: list[Row] = []
        if division.days:
            whole = replace(plan, reading=division.reading)
            found += self._at.made((key, division.days), self._at.work(*division.days), lambda: ask(whole))
        parts = self._at.parts(
            key,
            division.parts,
            self._at.work,
            lambda lacking: usage_cubes(self._at, lacking, hourly=False),
            read,
            lambda stretch: ask(replace(plan, reading=Reading((), (), (stretch,)))),
        )
        return [*found, *chain.from_iterable(parts)]

    def about_outcomes(
        self, question: Hashable, plan: Plan, ask: Callable[[Plan], list[Row]], read: Callable[[Cube], list[Row]]
    ) -> list[Row]:
        """The same of outcomes; their filters are ones that a cube of them knows, or it is not read."""
        key = self._at.store.number(question)
        division = self._at.division(plan.query.period, by_month=False)
        on_cube = outcomes_fit((), [(one, item) for one, item in plan.filters if one.on_outcomes])
        found = [
            self._at.made((key, days), self._at.reports(days), lambda days=days: ask(about(plan, days)))
            for days in division.days
        ]
        found += self._at.parts(
            key,
            division.parts,
            self._at.reports,
            lambda lacking: outcome_cubes(self._at, lacking, hourly=False) if on_cube else [None] * len(lacking),
            read,
            lambda stretch: ask(about(plan, stretch)),
        )
        return list(chain.from_iterable(found))

    def values(self, dimension: str) -> tuple[str, ...]:
        """See `values_of`; they change only with the combinations of texts."""
        return self._at.made(
            ("dimension", dimension), self._reader.touched.labels, lambda: values_of(self._reader, dimension)
        )

    # ---- usages and outcomes ---------------------------------------------------------------------------------------

    def _usages(self, plan: Plan) -> Groups:
        alone = replace(plan, session_sums=(), outcome_sums=(), reading=None, session_reading=None)
        kernel = _kernel(plan)
        key = self._at.store.number((kernel, plan.with_charges))
        by_month = plan.reading is not None and not plan.by_session and plan.query.grain not in (Grain.DAY, Grain.WEEK)
        division = self._at.division(plan.query.period, by_month=by_month)
        found: list[Groups] = []
        if plan.reading is not None and division.days:
            rolled = replace(alone, reading=division.reading)
            found.append(
                self._at.made((key, division.days), self._at.work(*division.days), lambda: self._asked(rolled))
            )
        else:
            for days in division.days:
                here = about(alone, days)
                found.append(self._at.made((key, days), self._at.work(days), lambda here=here: self._asked(here)))
        hourly, on_cube = plan.query.grain is Grain.HOUR, is_kept(plan) and not plan.with_charges
        found += self._at.parts(
            key,
            division.parts,
            self._at.work,
            lambda lacking: usage_cubes(self._at, lacking, hourly=hourly) if on_cube else [None] * len(lacking),
            lambda cube: fold(cube, kernel),
            lambda stretch: self._asked(about(alone, stretch)),
        )
        return merged(found, kernel)

    def _outcomes(self, plan: Plan) -> Groups:
        on_outcomes = tuple(item for item in plan.dimensions if item.on_outcomes)
        filters = tuple((one, item) for one, item in plan.filters if one.on_outcomes)
        kernel = Kernel(on_outcomes, plan.outcome_sums, filters, plan.query.grain, of_outcomes=True)
        key = self._at.store.number(kernel)
        division = self._at.division(plan.query.period, by_month=False)
        hourly, on_cube = plan.query.grain is Grain.HOUR, outcomes_fit(on_outcomes, filters)
        found = [
            self._at.made(
                (key, days), self._at.reports(days), lambda days=days: self._asked_outcomes(about(plan, days))
            )
            for days in division.days
        ]
        found += self._at.parts(
            key,
            division.parts,
            self._at.reports,
            lambda lacking: outcome_cubes(self._at, lacking, hourly=hourly) if on_cube else [None] * len(lacking),
            lambda cube: fold(cube, kernel),
            lambda stretch: self._asked_outcomes(about(plan, stretch)),
        )
        return merged(found, kernel)

    def _asked(self, plan: Plan) -> Groups:
        statement = Statement(dialect_named(self._reader.dialect))
        keys = [f"d{place}" for place in range(len(plan.dimensions))]
        sums = [f"a{place}" for place in range(len(plan.usage_sums))]
        return self._groups(usage_groups(statement, plan), statement, keys, sums)

    def _asked_outcomes(self, plan: Plan) -> Groups:
        statement = Statement(dialect_named(self._reader.dialect))
        sums = [f"b{place}" for place in range(len(plan.outcome_sums))]
        return self._groups(outcome_groups(statement, plan), statement, outcome_key_names(plan), sums)

    def _groups(self, sql: str, statement: Statement, keys: Sequence[str], sums: Sequence[str]) -> Groups:
        rows = self._reader.records(f"SELECT * FROM ({sql}) AS asked LIMIT {GROUPS_MAX + 1}", statement.parameters)
        return {
            (row.get("bucket"), *(_text(row[key]) for key in keys)): [
                None if row[name] is None else int(row[name]) for name in sums
            ]
            for row in rows
        }


def _kernel(plan: Plan) -> Kernel:
    """What a plan sums of usages."""
    counted = plan.query.counted_only
    return Kernel(
        plan.dimensions,
        plan.usage_sums,
        plan.filters,
        plan.query.grain,
        only_counted=counted and not plan.with_superseded,
        guarded=counted and plan.with_superseded,
    )


def _text(value: object) -> str | None:
    """A value as the engine writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)
