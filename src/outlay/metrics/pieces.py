"""Pieces: the figures of a question, put together from stretches of its period that are kept until they are touched.

A server is written to every second, and nearly always in the hour that runs. So the period is cut: whole days up to the
day before yesterday, which the engine adds up once; the days since and the parts of days at either end, which are read
as cubes and folded; the last hours, which are read at each look. What was kept of a stretch counts as long as no
transaction touched one of its hours, so a figure is the same as if everything were read.

Sums and counts only: sessions do not add up over time, and the work of a task hangs on reports of any time.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence, Sized
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from typing import Any, TypeVar

from outlay.core.period import Grain, Period, ns_of
from outlay.ledger.rollups import Reading, Stretch
from outlay.ledger.store import Snapshot
from outlay.metrics.cube import Cube, Groups, Kernel, fold, merged
from outlay.metrics.cube_source import outcome_cubes, outcomes_fit, usage_cubes
from outlay.metrics.dialect import dialect_named
from outlay.metrics.division import Division, divided, is_rolled
from outlay.metrics.groups import outcome_groups, outcome_key_names, usage_groups
from outlay.metrics.joined import answer_rows
from outlay.metrics.parts import Statement
from outlay.metrics.piece_store import PieceStore
from outlay.metrics.plan import Plan
from outlay.metrics.rolled import is_kept
from outlay.metrics.values import values_of

GROUPS_MAX = 5_000
"""More groups than this in one stretch are left to the engine."""

_FIRST_DAY = date(1970, 1, 1)
_HOURS_A_DAY = 24
_APART = frozenset(("session", "parent_session"))
_TOO_LARGE = object()

Row = dict[str, Any]
Told = TypeVar("Told", bound=Sized)


class TooManyError(Exception):
    """A stretch has so many groups that putting it together costs more than asking anew."""


class Pieces:
    """One look at the books by way of what earlier looks left. Used by one thread."""

    def __init__(self, reader: Snapshot, store: PieceStore, now: datetime | None = None) -> None:
        """`now` is the moment by the clock (UTC), near which facts still change; a figure does not hang on it."""
        self._reader, self._store = reader, store
        self._now = (now or datetime.now(UTC)).replace(tzinfo=None)
        self._divisions: dict[tuple[Period, bool], Division] = {}
        self._touched: dict[Stretch, tuple[int, int]] = {}
        store.begin(reader.touched)
        self._stale = reader.stale_days() or ()
        hours = store.late(reader.touched, self._now.date())
        self._late = {_FIRST_DAY + timedelta(days=hour // _HOURS_A_DAY) for hour in hours}

    def rows(self, plan: Plan) -> list[Row] | None:
        """What the statement of a plan would give; None where it must be asked."""
        named = {item.name for item in (*plan.dimensions, *(dimension for dimension, _ in plan.filters))}
        if plan.session_sums or (plan.with_work and not plan.only_outcomes) or named & _APART:
            return None
        try:
            usages = Groups() if plan.only_outcomes else self._usages(plan)
            outcomes = self._outcomes(plan) if plan.outcome_sums else Groups()
        except TooManyError:
            return None
        return answer_rows(plan, usages, outcomes)

    def about_usages(
        self, question: Hashable, plan: Plan, ask: Callable[[Plan], list[Row]], read: Callable[[Cube], list[Row]]
    ) -> list[Row] | None:
        """Rows about usages that may stand beside each other, each of its stretch; `ask` takes a plan for rollups.

        None where the engine must be asked about the whole.
        """
        if not is_kept(plan):
            return None
        key = self._store.number(question)
        division = self._division(plan.query.period, by_month=True)
        found: list[Row] = []
        if division.days:
            whole = replace(plan, reading=division.reading)
            found += self._made((key, division.days), self._work(*division.days), lambda: ask(whole))
        parts = self._parts(
            key,
            division.parts,
            self._work,
            lambda lacking: self._usage_cubes(lacking, hourly=False),
            read,
            lambda stretch: ask(replace(plan, reading=Reading((), (), (stretch,)))),
        )
        return [*found, *chain.from_iterable(parts)]

    def about_outcomes(
        self, question: Hashable, plan: Plan, ask: Callable[[Plan], list[Row]], read: Callable[[Cube], list[Row]]
    ) -> list[Row]:
        """The same of outcomes; their filters are ones that a cube of them knows, or it is not read."""
        key = self._store.number(question)
        division = self._division(plan.query.period, by_month=False)
        on_cube = outcomes_fit((), [(one, item) for one, item in plan.filters if one.on_outcomes])
        found = [
            self._made((key, days), self._reports(days), lambda days=days: ask(_of(plan, days)))
            for days in division.days
        ]
        found += self._parts(
            key,
            division.parts,
            self._reports,
            lambda lacking: self._outcome_cubes(lacking, hourly=False) if on_cube else [None] * len(lacking),
            read,
            lambda stretch: ask(_of(plan, stretch)),
        )
        return list(chain.from_iterable(found))

    def values(self, dimension: str) -> tuple[str, ...]:
        """See `values_of`; they change only with the combinations of texts."""
        return self._made(
            ("dimension", dimension), self._reader.touched.labels, lambda: values_of(self._reader, dimension)
        )

    # ---- usages and outcomes ---------------------------------------------------------------------------------------

    def _usages(self, plan: Plan) -> Groups:
        alone = replace(plan, session_sums=(), outcome_sums=(), reading=None, session_reading=None)
        counted = plan.query.counted_only
        kernel = Kernel(
            plan.dimensions,
            plan.usage_sums,
            plan.filters,
            plan.query.grain,
            only_counted=counted and not plan.with_superseded,
            guarded=counted and plan.with_superseded,
        )
        key = self._store.number((kernel, plan.with_charges))
        by_month = plan.reading is not None and plan.query.grain not in (Grain.DAY, Grain.WEEK)
        division = self._division(plan.query.period, by_month=by_month)
        found: list[Groups] = []
        if plan.reading is not None and division.days:
            rolled = replace(alone, reading=division.reading)
            found.append(self._made((key, division.days), self._work(*division.days), lambda: self._asked(rolled)))
        else:
            for days in division.days:
                here = _of(alone, days)
                found.append(self._made((key, days), self._work(days), lambda here=here: self._asked(here)))
        hourly, on_cube = plan.query.grain is Grain.HOUR, is_kept(plan) and not plan.with_charges
        found += self._parts(
            key,
            division.parts,
            self._work,
            lambda lacking: self._usage_cubes(lacking, hourly=hourly) if on_cube else [None] * len(lacking),
            lambda cube: fold(cube, kernel),
            lambda stretch: self._asked(_of(alone, stretch)),
        )
        return merged(found, kernel)

    def _outcomes(self, plan: Plan) -> Groups:
        on_outcomes = tuple(item for item in plan.dimensions if item.on_outcomes)
        filters = tuple((one, item) for one, item in plan.filters if one.on_outcomes)
        kernel = Kernel(on_outcomes, plan.outcome_sums, filters, plan.query.grain, of_outcomes=True)
        key = self._store.number(kernel)
        division = self._division(plan.query.period, by_month=False)
        hourly, on_cube = plan.query.grain is Grain.HOUR, outcomes_fit(on_outcomes, filters)
        found = [
            self._made((key, days), self._reports(days), lambda days=days: self._asked_outcomes(_of(plan, days)))
            for days in division.days
        ]
        found += self._parts(
            key,
            division.parts,
            self._reports,
            lambda lacking: self._outcome_cubes(lacking, hourly=hourly) if on_cube else [None] * len(lacking),
            lambda cube: fold(cube, kernel),
            lambda stretch: self._asked_outcomes(_of(plan, stretch)),
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

    # ---- what is kept ----------------------------------------------------------------------------------------------

    def _made(self, key: Hashable, token: object, make: Callable[[], Told]) -> Told:
        """What is kept under a key, else what `make` gives; raises TooManyError where that is too much to keep."""
        found: Any = self._store.get(key, token)
        if found is None:
            told = make()
            found = _TOO_LARGE if len(told) > GROUPS_MAX else told
            self._store.put(key, token, found, 0 if found is _TOO_LARGE else len(told))
        if found is _TOO_LARGE:
            raise TooManyError
        return found

    def _parts(
        self,
        key: Hashable,
        parts: Sequence[Stretch],
        token: Callable[[Stretch], object],
        cubes: Callable[[Sequence[Stretch]], list[Cube | None]],
        folded: Callable[[Cube], Told],
        asked: Callable[[Stretch], Told],
    ) -> list[Told]:
        """What is known of each part: kept, or folded from a cube, or asked where there is none."""
        lacking = [stretch for stretch in parts if self._store.get((key, stretch), token(stretch)) is None]
        read = dict(zip(lacking, cubes(lacking), strict=True)) if lacking else {}

        def made(stretch: Stretch) -> Told:
            cube = read.get(stretch)
            return asked(stretch) if cube is None else folded(cube)

        return [self._made((key, stretch), token(stretch), lambda stretch=stretch: made(stretch)) for stretch in parts]

    def _usage_cubes(self, wanted: Sequence[Stretch], *, hourly: bool) -> list[Cube | None]:
        def read(lacking: list[Stretch]) -> list[Cube | None]:
            stretches = [(item, not hourly and is_rolled(item, self._stale)) for item in lacking]
            self._store.labels, found = usage_cubes(self._reader, self._store.labels, stretches, hourly=hourly)
            return found

        return self._cubes(("work", hourly), wanted, self._work, read)

    def _outcome_cubes(self, wanted: Sequence[Stretch], *, hourly: bool) -> list[Cube | None]:
        def read(lacking: list[Stretch]) -> list[Cube | None]:
            return outcome_cubes(self._reader, lacking, hourly=hourly)

        return self._cubes(("reports", hourly), wanted, self._reports, read)

    def _cubes(
        self,
        key: Hashable,
        wanted: Sequence[Stretch],
        token: Callable[[Stretch], object],
        read: Callable[[list[Stretch]], list[Cube | None]],
    ) -> list[Cube | None]:
        held = {stretch: self._store.get((key, stretch), token(stretch)) for stretch in wanted}
        lacking = [stretch for stretch, cube in held.items() if cube is None]
        for stretch, cube in zip(lacking, read(lacking) if lacking else (), strict=True):
            held[stretch] = _TOO_LARGE if cube is None else cube
            self._store.put((key, stretch), token(stretch), held[stretch], 0 if cube is None else len(cube))
        return [None if held[stretch] is _TOO_LARGE else held[stretch] for stretch in wanted]

    def _work(self, *stretches: Stretch) -> int:
        return max(self._last(stretch)[0] for stretch in stretches)

    def _reports(self, *stretches: Stretch) -> int:
        return max(self._last(stretch)[1] for stretch in stretches)

    def _last(self, stretch: Stretch) -> tuple[int, int]:
        found = self._touched.get(stretch)
        if found is None:
            found = self._touched[stretch] = self._reader.touched.last(stretch.start, stretch.end)
        return found

    # ---- how a period is cut ---------------------------------------------------------------------------------------

    def _division(self, period: Period, *, by_month: bool) -> Division:
        found = self._divisions.get((period, by_month))
        if found is None:
            found = self._divisions[period, by_month] = divided(
                period, self._now, self._late | set(self._stale), by_month=by_month
            )
        return found


def _of(plan: Plan, stretch: Stretch) -> Plan:
    """The same about a stretch of time only."""
    start, end = (None if at is None else ns_of(at.replace(tzinfo=UTC)) for at in (stretch.start, stretch.end))
    return replace(plan, query=replace(plan.query, period=Period(start, end)))


def _text(value: object) -> str | None:
    """A value as the engine writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)
