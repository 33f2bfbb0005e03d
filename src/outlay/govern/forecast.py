"""Forecast: what the days to come will cost, from the days that were, and how far to trust that.

Days of a series become logarithms. Their weekday pattern is taken out, an exponentially weighted level with half of the
trend is carried on, and the pattern is put back. The interval is the series' own record: at each earlier day the same
method is asked for the same number of days, and how far it was off, as a ratio, gives the spread; a prior counts for as
much as a little history, so a young series gets a wide interval and never a narrow one. The same days give the same
forecast: nothing is drawn at random.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

import numpy as np
import numpy.typing as npt

WINDOW_DAYS = 56
"""How far back a forecast looks: eight of each weekday."""
HISTORY_DAYS = 140
"""How far back its own record is read: the window, a month to be forecast, and days from which that was done."""
DECAY_DAYS = 14
DAYS_MIN = 14
"""Fewer days than this have no weekday pattern, and no record: the spread is then the prior alone."""
STEPS_MAX = 92
"""A quarter; what lies further is not forecast."""

LEVELS: dict[int, float] = {50: 0.6745, 80: 1.2816, 95: 1.9600}
"""Per cent of an interval, and how many spreads it reaches to each side."""
PRIOR_SPREAD = 0.195
"""The spread of a series that has no record: about a quarter to each side at 80 %."""
_PRIOR_COUNTS = 0.7
"""As many independent looks as the prior is worth."""
_TREND_SHARE, _TREND_KEPT_A_DAY, _TREND_PRIOR_DAYS = 0.5, 0.98, 7.0
_FLOOR_SHARE = 0.02
"""A day is at least this share of its window's mean: the logarithm of nothing would drown all others."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ahead:
    """Days to come, added up: `middle[k]` is the cost of the first k + 1 of them, in nano-units, the median.

    `spread[k]` is that of its logarithm. `is_prior` says that no record of the series stands behind the spread.
    """

    middle: tuple[int, ...]
    spread: tuple[float, ...]
    is_prior: bool


def ahead(series: Sequence[Sequence[int]], first: date, steps: int) -> list[Ahead]:
    """What each series will cost over the next `steps` days, at most `STEPS_MAX`.

    A series holds the nano-units of whole days, oldest first, all from the day `first` up to the same yesterday. Days
    before a series began are 0. Raises ValueError where there is no day, or a negative number of steps.
    """
    return list(_ahead(tuple(map(tuple, series)), first, steps))


@lru_cache(maxsize=32)
def _ahead(series: tuple[tuple[int, ...], ...], first: date, steps: int) -> tuple[Ahead, ...]:
    """A day that is over rarely changes: until the next one is, each look asks about the same days."""
    days = np.array(series, dtype=np.float64)
    if steps < 0 or not days.size:
        raise ValueError("a forecast takes at least one day of history and no negative number of steps")
    steps = min(steps, STEPS_MAX)
    known = _since_begun(days)
    middle = _totals(days, known, first, steps)
    spread, looks = _record(days, known, first, steps)
    return tuple(
        Ahead(
            tuple(map(round, middle[place].tolist())), tuple(spread[place].tolist()), is_prior=bool(looks[place] == 0)
        )
        for place in range(len(days))
    )


def reach(middle_nano: int, spread: float, percent: int) -> tuple[int, int]:
    """The ends of an interval of `percent` around a middle, in nano-units."""
    factor = math.exp(LEVELS[percent] * spread)
    return round(middle_nano / factor), round(middle_nano * factor)


def chance_within(middle_nano: int, spread: float, room_nano: int) -> float:
    """How likely what is to come fits into `room_nano`, from 0 to 1."""
    if middle_nano <= 0:
        return 1.0 if room_nano >= 0 else 0.0
    if room_nano <= 0:
        return 0.0
    return 0.5 * (1 + math.erf(math.log(room_nano / middle_nano) / (spread * math.sqrt(2))))


def _since_begun(days: Array) -> npt.NDArray[np.bool_]:
    """Whether a day is at or after the first one on which the series cost anything."""
    return np.cumsum(days > 0, axis=1) > 0


def _totals(days: Array, known: npt.NDArray[np.bool_], first: date, steps: int) -> Array:
    """The forecast from the end of the days: totals of 1 to `steps` days, a row a series."""
    size = min(WINDOW_DAYS, days.shape[1])
    start = (first + timedelta(days=days.shape[1] - size)).weekday()
    ends = np.array([(start + size) % 7])
    return _carried(days[:, None, -size:], known[:, None, -size:], ends, steps)[:, 0]


def _record(days: Array, known: npt.NDArray[np.bool_], first: date, steps: int) -> tuple[Array, npt.NDArray[np.int_]]:
    """How far the method was off before: the spread of log ratios for 1 to `steps` days, and the looks behind it."""
    count = days.shape[1]
    spread = np.full((len(days), steps), PRIOR_SPREAD)
    looks = np.zeros(len(days), dtype=np.int_)
    if count <= DAYS_MIN or not steps:
        return spread, looks
    origins = np.arange(DAYS_MIN, count)
    before = ((0, 0), (WINDOW_DAYS, 0))
    padded, padded_known = np.pad(days, before), np.pad(known, before)
    places = origins[:, None] + np.arange(WINDOW_DAYS)
    ends = (first.weekday() + origins) % 7
    told = _carried(padded[:, places], padded_known[:, places], ends, steps)
    whole = np.concatenate([np.zeros((len(days), 1)), np.cumsum(days, axis=1)], axis=1)
    until = origins[:, None] + np.arange(1, steps + 1)
    came = whole[:, np.minimum(until, count)] - whole[:, origins][:, :, None]
    ready = np.cumsum(known, axis=1)[:, origins - 1] >= DAYS_MIN
    good = (until <= count)[None] & ready[:, :, None] & (told > 0) & (came > 0)
    off = np.log(np.where(good, came, 1.0)) - np.log(np.where(good, told, 1.0))
    seen = good.sum(axis=1)
    # Totals of k days from neighbouring days share days: about 2 / k of the looks are independent.
    worth = seen * np.minimum(1.0, 2.0 / np.arange(1, steps + 1))
    square = np.where(seen > 0, (off**2 * good).sum(axis=1) / np.maximum(seen, 1), 0.0)
    spread = np.sqrt((square * worth + PRIOR_SPREAD**2 * _PRIOR_COUNTS) / (worth + _PRIOR_COUNTS))
    return spread, seen[:, 0]


def _carried(days: Array, known: npt.NDArray[np.bool_], ends: npt.NDArray[np.int_], steps: int) -> Array:
    """Totals of 1 to `steps` days after windows of days [series, origins, days]; `ends` is each one's next weekday."""
    size = days.shape[2]
    counted = known.sum(axis=2, keepdims=True)
    mean = (days * known).sum(axis=2, keepdims=True) / np.maximum(counted, 1)
    logs = np.where(known, np.log(np.maximum(days, np.maximum(mean * _FLOOR_SHARE, 1.0))), 0.0)
    weekdays = (ends[:, None] - size + np.arange(size)) % 7
    pattern = _pattern(logs, known, weekdays)
    flat = np.where(known, logs - _at(pattern, weekdays), 0.0)
    age = np.arange(size - 1, -1, -1)
    weight = known * np.exp(-age / DECAY_DAYS)
    total = np.maximum(weight.sum(axis=2), 1e-12)
    slope = _TREND_SHARE * _slope(flat, known, age)
    level = (weight * (flat + slope[:, :, None] * age)).sum(axis=2) / total
    fitted = np.exp(level[:, :, None] - slope[:, :, None] * age + _at(pattern, weekdays))
    recent = weight > 0
    raised = (days * weight * recent).sum(axis=2) / np.maximum((fitted * weight * recent).sum(axis=2), 1e-12)
    ahead_by = np.arange(1, steps + 1)
    moved = slope[:, :, None] * np.cumsum(_TREND_KEPT_A_DAY**ahead_by)
    to_come = (ends[:, None] + np.arange(steps)) % 7
    each = np.exp(level[:, :, None] + moved + _at(pattern, to_come)) * np.clip(raised, 0.8, 1.6)[:, :, None]
    return np.cumsum(np.where(counted > 0, each, 0.0), axis=2)


def _pattern(logs: Array, known: npt.NDArray[np.bool_], weekdays: npt.NDArray[np.int_]) -> Array:
    """How each weekday differs from the mean, in logarithms; little where few of them are known."""
    is_day = weekdays[None, :, :, None] == np.arange(7)
    counts = (known[..., None] & is_day).sum(axis=2)
    sums = (logs[..., None] * (known[..., None] & is_day)).sum(axis=2)
    means = sums / np.maximum(counts, 1)
    middle = np.where(counts > 0, means, 0.0).sum(axis=2) / np.maximum((counts > 0).sum(axis=2), 1)
    enough = (counts >= 2).all(axis=2)
    shrunk = (means - middle[..., None]) * counts / (counts + 0.3)
    return np.where(enough[..., None], shrunk, 0.0)


def _slope(flat: Array, known: npt.NDArray[np.bool_], age: npt.NDArray[np.int_]) -> Array:
    """The trend of the flat logarithms a day, drawn towards none where it explains little or little is known."""
    count = np.maximum(known.sum(axis=2), 1)
    time = np.where(known, -age, 0)
    middle = time.sum(axis=2) / count
    gap = np.where(known, time - middle[:, :, None], 0.0)
    value = np.where(known, flat - (flat.sum(axis=2) / count)[:, :, None], 0.0)
    across = (gap**2).sum(axis=2)
    slope = (gap * value).sum(axis=2) / np.maximum(across, 1e-12)
    rest = ((value - slope[:, :, None] * gap) ** 2).sum(axis=2) / np.maximum(count - 2, 1)
    error = rest / np.maximum(across, 1e-12)
    trust = slope**2 / np.maximum(slope**2 + error * 2, 1e-18)
    return np.where(count >= 2 * _TREND_PRIOR_DAYS, slope * trust, 0.0)


def _at(pattern: Array, weekdays: npt.NDArray[np.int_]) -> Array:
    """The pattern at each weekday: [series, origins, 7] by [origins, days] → [series, origins, days]."""
    return np.take_along_axis(pattern, np.broadcast_to(weekdays, (len(pattern), *weekdays.shape)), axis=2)
