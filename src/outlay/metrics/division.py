"""Division: a period cut into whole days that nobody writes to any more, and the short stretches beside them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from outlay.core.period import Period, moment_of
from outlay.ledger.rollups import Reading, Stretch, reading_of

TAIL_DAYS = 2
"""The days before today are still written to: sessions cross midnight, and agents report late."""
HOURS_OPEN = 1
"""Full hours before the one that runs that are read at each look."""

_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Division:
    """`days`, whole ones, where `reading` says how rollups hold them, and `parts`, which are short."""

    days: tuple[Stretch, ...]
    reading: Reading
    parts: tuple[Stretch, ...]


def divided(period: Period, now: datetime, changing: Collection[date], *, by_month: bool) -> Division:
    """The period as of `now` (UTC without a zone); the days in `changing` stand apart, so that only they are read anew.

    With `by_month` whole months are read as such.
    """
    start, end = (None if ns is None else moment_of(ns).replace(tzinfo=None) for ns in (period.start_ns, period.end_ns))
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    tail = [today - days * _DAY for days in range(TAIL_DAYS + 1)]
    hour = max(today, now.replace(minute=0, second=0, microsecond=0) - HOURS_OPEN * _HOUR)
    edges = sorted({*tail, hour})
    apart = sorted({day.date() for day in tail}.union(changing))
    reading = reading_of(start, end, apart, by_month=by_month)
    if reading is None:
        return Division((), Reading((), (), ()), _cut((Stretch(start, end),), edges))
    return Division(_joined((*reading.months, *reading.days)), replace(reading, rows=()), _cut(reading.rows, edges))


def is_rolled(stretch: Stretch, stale: Collection[date]) -> bool:
    """Whether a stretch is of whole days whose rollups can be read."""
    start, end = stretch.start, stretch.end
    if start is None or end is None or start.time() != datetime.min.time() or end.time() != datetime.min.time():
        return False
    return not any(start.date() <= day < end.date() for day in stale)


def _joined(stretches: Sequence[Stretch]) -> tuple[Stretch, ...]:
    """Neighbours as one."""
    joined: list[Stretch] = []
    for item in sorted(stretches, key=lambda one: (one.start is not None, one.start)):
        if joined and joined[-1].end == item.start:
            joined[-1] = Stretch(joined[-1].start, item.end)
        else:
            joined.append(item)
    return tuple(joined)


def _cut(stretches: Sequence[Stretch], edges: Sequence[datetime]) -> tuple[Stretch, ...]:
    """The stretches, none of them across an edge."""
    parts: list[Stretch] = []
    for item in stretches:
        start = item.start
        for edge in edges:
            if (start is None or start < edge) and (item.end is None or edge < item.end):
                parts.append(Stretch(start, edge))
                start = edge
        parts.append(Stretch(start, item.end))
    return tuple(parts)
