"""Stretches: what one look at the books knows of stretches of time, and how it comes to know the rest."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence, Sized
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

from outlay.core.period import Period, moment_of, ns_of
from outlay.ledger.rollups import Stretch
from outlay.ledger.store import Snapshot
from outlay.metrics.cube import Cube
from outlay.metrics.division import Division, divided
from outlay.metrics.piece_store import PieceStore
from outlay.metrics.plan import Plan

GROUPS_MAX = 10_000
"""More groups than this in one stretch are left to the engine."""

_FIRST_DAY = date(1970, 1, 1)
_HOURS_A_DAY = 24
_TOO_LARGE = object()

Told = TypeVar("Told", bound=Sized)


class TooManyError(Exception):
    """A stretch has so many groups that putting it together costs more than asking anew."""


class Stretches:
    """One look at a state of the books. Used by one thread."""

    def __init__(self, reader: Snapshot, store: PieceStore, now: datetime | None = None) -> None:
        """`now` is the moment by the clock (UTC), near which facts still change; a figure does not hang on it."""
        self.reader, self.store = reader, store
        self._now = (now or datetime.now(UTC)).replace(tzinfo=None)
        self._divisions: dict[tuple[Period, bool], Division] = {}
        self._touched: dict[Stretch, tuple[int, int]] = {}
        self.expected: tuple[Period, ...] = ()
        """Periods that will be asked about: what is lacking of them is read in the statement of the first."""
        store.begin(reader.touched)
        self.stale = reader.stale_days() or ()
        hours = store.late(reader.touched, self._now.date())
        self._late = {_FIRST_DAY + timedelta(days=hour // _HOURS_A_DAY) for hour in hours}

    def made(self, key: Hashable, token: object, make: Callable[[], Told], most: int = GROUPS_MAX) -> Told:
        """What is kept under a key, else what `make` gives; raises TooManyError where that is too much to keep."""
        found: Any = self.store.get(key, token)
        if found is None:
            told = make()
            found = _TOO_LARGE if len(told) > most else told
            self.store.put(key, token, found, 0 if found is _TOO_LARGE else len(told))
        if found is _TOO_LARGE:
            raise TooManyError
        return found

    def parts(
        self,
        key: Hashable,
        parts: Sequence[Stretch],
        token: Callable[[Stretch], object],
        cubes: Callable[[Sequence[Stretch]], list[Cube | None]],
        folded: Callable[[Cube], Told],
        asked: Callable[[Stretch], Told],
        most: int = GROUPS_MAX,
    ) -> list[Told]:
        """What is known of each part: kept, or folded from a cube, or asked where there is none."""
        lacking = [stretch for stretch in parts if self.store.get((key, stretch), token(stretch)) is None]
        read = dict(zip(lacking, cubes(lacking), strict=True)) if lacking else {}

        def made(stretch: Stretch) -> Told:
            cube = read.get(stretch)
            return asked(stretch) if cube is None else folded(cube)

        return [self.made((key, part), token(part), lambda part=part: made(part), most) for part in parts]

    def cubes(
        self,
        key: Hashable,
        wanted: Sequence[Stretch],
        token: Callable[[Stretch], object],
        read: Callable[[list[Stretch]], list[Cube | None]],
        *,
        ahead: bool = False,
    ) -> list[Cube | None]:
        """The cube of each stretch, those that are lacking read together; None where one would be too large.

        With `ahead` those of expected periods are read with them.
        """
        held = {stretch: self.store.get((key, stretch), token(stretch)) for stretch in wanted}
        lacking = [stretch for stretch, cube in held.items() if cube is None]
        if lacking and ahead:
            coming = (part for period in self.expected for part in self.division(period, by_month=False).parts)
            others = dict.fromkeys(part for part in coming if part not in held)
            lacking += [part for part in others if self.store.get((key, part), token(part)) is None]
        for stretch, cube in zip(lacking, read(lacking) if lacking else (), strict=True):
            held[stretch] = _TOO_LARGE if cube is None else cube
            self.store.put((key, stretch), token(stretch), held[stretch], 0 if cube is None else len(cube))
        return [None if held[stretch] is _TOO_LARGE else held[stretch] for stretch in wanted]

    def work(self, *stretches: Stretch) -> int:
        """The last transaction that changed usages or cost lines of these stretches."""
        return max(self._last(stretch)[0] for stretch in stretches)

    def reports(self, *stretches: Stretch) -> int:
        """The last transaction that changed outcomes of these stretches."""
        return max(self._last(stretch)[1] for stretch in stretches)

    def touched(self, period: Period) -> tuple[int, int]:
        """The last transactions that changed usages or cost lines, and outcomes, of a period."""
        return self._last(self.stretch(period))

    @staticmethod
    def stretch(period: Period) -> Stretch:
        """A period as the books hold time."""
        start, end = (
            None if ns is None else moment_of(ns).replace(tzinfo=None) for ns in (period.start_ns, period.end_ns)
        )
        return Stretch(start, end)

    def _last(self, stretch: Stretch) -> tuple[int, int]:
        found = self._touched.get(stretch)
        if found is None:
            found = self._touched[stretch] = self.reader.touched.last(stretch.start, stretch.end)
        return found

    def division(self, period: Period, *, by_month: bool) -> Division:
        """How a period is cut at this look."""
        found = self._divisions.get((period, by_month))
        if found is None:
            found = self._divisions[period, by_month] = divided(
                period, self._now, self._late.union(self.stale), by_month=by_month
            )
        return found


def about(plan: Plan, stretch: Stretch) -> Plan:
    """The same question about a stretch of time only."""
    start, end = (None if at is None else ns_of(at.replace(tzinfo=UTC)) for at in (stretch.start, stretch.end))
    return replace(plan, query=replace(plan.query, period=Period(start, end)))
