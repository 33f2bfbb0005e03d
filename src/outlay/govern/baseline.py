"""The usual of an hour: what the same hour of the last days was like."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

DAYS = 28
"""Four weeks: every weekday is in it equally often."""
DAYS_MIN = 3
"""Fewer days than this are no habit, and nothing is called usual."""
LOW, MIDDLE, HIGH = 10, 50, 90
"""The percentiles of the band."""

Series = Mapping[datetime, int]
"""A whole number (tokens, sessions, nano-units) by the start of its hour (UTC).

An hour without a value was quiet: it counts as 0 once the series has begun.
"""

_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Band:
    """The middle and the edges of what is usual for one hour, in the unit of the series; `days` stand behind it."""

    low: float
    middle: float
    high: float
    days: int


def bands(series: Series, hours: Sequence[datetime], days: int = DAYS) -> list[Band | None]:
    """The band of each hour, from the same hour of up to `days` days before it; None where too few days are known.

    The hour itself is never part of its own usual.
    """
    if not series or not hours:
        return [None] * len(hours)
    first = min(series)
    known = [min(days, max(0, (hour - first).days)) for hour in hours]
    told = list[Band | None]([None] * len(hours))
    for count in {each for each in known if each >= DAYS_MIN}:  # one, but for a series that began of late
        places = [place for place, each in enumerate(known) if each == count]
        back = [timedelta(days=day) for day in range(1, count + 1)]
        values = [[series.get(hours[place] - gap, 0) for gap in back] for place in places]
        edges = np.percentile(values, (LOW, MIDDLE, HIGH), axis=1).T.tolist()
        for place, (low, middle, high) in zip(places, edges, strict=True):
            told[place] = Band(low, middle, high, count)
    return told


def added(several: Iterable[Series]) -> dict[datetime, int]:
    """The hours of several series in one."""
    whole: dict[datetime, int] = {}
    for series in several:
        for hour, value in series.items():
            whole[hour] = whole.get(hour, 0) + value
    return whole


def today_by_now(series: Series, now: datetime) -> int:
    """What today's full hours have come to: what `usual_by_now` is compared with."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return sum(series.get(midnight + hour * _HOUR, 0) for hour in range(now.hour))


def usual_by_now(series: Series, now: datetime, days: int = DAYS) -> float | None:
    """The middle of what the days before had come to by the end of the last full hour of today; None as in `bands`."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    first = min(series, default=now)
    known = min(days, max(0, (midnight - first).days))
    if known < DAYS_MIN:
        return None
    hours = range(now.hour)
    sums = [
        sum(series.get(midnight - timedelta(days=day) + hour * _HOUR, 0) for hour in hours)
        for day in range(1, known + 1)
    ]
    return float(np.percentile(sums, MIDDLE))


def busy_hour(series: Series) -> float:
    """The upper edge of all hours with work in them; 0 where there are none."""
    worked = [value for value in series.values() if value]
    return float(np.percentile(worked, HIGH)) if worked else 0.0
