"""Outlook: what a month, or any stretch of days, will have cost when it is over, in all and for each part."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from outlay.core.money import DEFAULT_CURRENCY, nano_of
from outlay.core.period import Grain, Period, ns_of
from outlay.govern.forecast import HISTORY_DAYS, LEVELS, Ahead, ahead, chance_within, reach
from outlay.metrics.answer import Answer
from outlay.metrics.filters import Filter
from outlay.metrics.query import TOP_OF_SERIES, Query
from outlay.metrics.remembered import remembered

DAYS_NEEDED = 3
"""Fewer whole days than this are no ground for a forecast."""
_DAY = timedelta(days=1)
_DAY_S = 86_400

Asks = Callable[[Query], Answer]


@dataclass(frozen=True, slots=True)
class Reach:
    """Where a sum may end: the middle and the ends of each interval by its per cent, in nano-units."""

    day: date
    middle_nano: int
    low_nano: Mapping[int, int]
    high_nano: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Outlook:
    """One series over one window. `state` is `over`, `open`, or `young` where too few days are known to forecast.

    `spent_nano` holds up to the moment it was asked, `so_far` the sum at the end of each day up to then. `path` are the
    sums at the end of each day still to come, today included; it is empty unless the state is `open`.
    """

    state: str
    spent_nano: int
    so_far: tuple[int, ...]
    path: tuple[Reach, ...]
    is_prior: bool
    days_known: int
    spread: float

    @property
    def forecast_nano(self) -> int | None:
        """What the window will have cost: what it did cost once it is over, None where nothing can be said."""
        if self.state == "over":
            return self.spent_nano
        return self.path[-1].middle_nano if self.path else None

    def ends(self, percent: int) -> tuple[int, int] | None:
        """The ends of an interval of the sum; both are the sum once the window is over."""
        if self.state == "over":
            return self.spent_nano, self.spent_nano
        return (self.path[-1].low_nano[percent], self.path[-1].high_nano[percent]) if self.path else None

    def chance_within(self, limit_nano: int) -> float | None:
        """How likely the window ends within a limit, from 0 to 1; None where nothing can be said."""
        if self.state == "over":
            return float(self.spent_nano <= limit_nano)
        if not self.path:
            return None
        rest = self.path[-1].middle_nano - self.spent_nano
        return chance_within(rest, self.spread, limit_nano - self.spent_nano)


@dataclass(frozen=True, slots=True)
class Outlooks:
    """The whole and its parts by name, and the answer they stand on."""

    total: Outlook
    parts: Mapping[str, Outlook]
    answer: Answer


def outlooks(
    ask: Asks, window: tuple[datetime, datetime], now: datetime, by: str = "", where: tuple[Filter, ...] = ()
) -> Outlooks:
    """The outlook of a window of whole days (UTC, half-open), in all and split by one dimension.

    The parts are those with the highest cost; what is left of them is the part `(other)`. Amounts of other currencies
    than the main one are left out, as no sum could hold them; the answer's coverage names them.
    """
    start, end = window
    first = start - HISTORY_DAYS * _DAY
    split = (by,) if by else ()
    period = Period(ns_of(first), ns_of(min(end, now)))
    answer = ask(Query(("cost",), split, Grain.DAY, where, period, top=TOP_OF_SERIES if by else None))
    whole, parts = _days_of(answer, by, first, (min(end, _midnight(now) + _DAY) - first).days)
    told = _told([whole, *parts.values()], first, window, now)
    return Outlooks(told[0], dict(zip(parts, told[1:], strict=True)), answer)


@remembered
def _days_of(
    answer: Answer, by: str, first: datetime, length: int
) -> tuple[Sequence[int], Mapping[str, Sequence[int]]]:
    """Nano-units of so many days from the first one on, in all and by part."""
    whole, parts = [0] * length, dict[str, list[int]]()
    places = dict[str, int]()
    for row in answer.rows:
        if row.get("cost") is None or row.get("currency", DEFAULT_CURRENCY) != DEFAULT_CURRENCY:
            continue
        time = row["time"]
        place = places.get(time)
        if place is None:
            place = places[time] = (datetime.fromisoformat(time).astimezone(UTC) - first).days
        amount = nano_of(row["cost"])
        whole[place] += amount
        if by:
            parts.setdefault(str(row[by]), [0] * length)[place] += amount
    return whole, parts


def _told(
    series: Sequence[Sequence[int]], first: datetime, window: tuple[datetime, datetime], now: datetime
) -> list[Outlook]:
    """The outlook of each series of days from `first` up to the window's end, or to today."""
    start, end = window
    opening = (start - first).days
    if now >= end:
        return [_over(days[opening:]) for days in series]
    today = (_midnight(now) - first).days
    history = [days[:today] for days in series]
    coming = ahead(history, first.date(), (end - _midnight(now)).days)
    passed = (now - _midnight(now)) // timedelta(seconds=1)
    return [
        _open(days, opening, today, then, passed, _midnight(now).date())
        for days, then in zip(series, coming, strict=True)
    ]


def _over(days: Sequence[int]) -> Outlook:
    sums = tuple(_running(days))
    return Outlook("over", sums[-1] if sums else 0, sums, (), is_prior=False, days_known=len(days), spread=0.0)


def _open(days: Sequence[int], opening: int, today: int, then: Ahead, passed_s: int, day: date) -> Outlook:
    """A window that is still running: what was spent, and the days to come less the part of today that is gone."""
    sums = tuple(_running(days[opening:]))
    spent = sums[-1] if sums else 0
    begun = next((place for place, amount in enumerate(days[:today]) if amount > 0), today)
    known = today - begun
    if known < DAYS_NEEDED:
        return Outlook("young", spent, sums, (), is_prior=True, days_known=known, spread=0.0)
    gone = then.middle[0] * passed_s // _DAY_S
    path = []
    for step, (middle, spread) in enumerate(zip(then.middle, then.spread, strict=True)):
        rest = max(0, middle - gone)
        ends = {percent: reach(rest, spread, percent) for percent in LEVELS}
        path.append(
            Reach(
                day + step * _DAY,
                spent + rest,
                {percent: spent + low for percent, (low, _) in ends.items()},
                {percent: spent + high for percent, (_, high) in ends.items()},
            )
        )
    return Outlook("open", spent, sums, tuple(path), then.is_prior, known, then.spread[-1])


def _running(days: Sequence[int]) -> list[int]:
    sums, reached = [], 0
    for amount in days:
        reached += amount
        sums.append(reached)
    return sums


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def month_of(moment: datetime) -> tuple[datetime, datetime]:
    """The calendar month (UTC) that holds a moment: its start and its end, the end not included."""
    start = _midnight(moment).replace(day=1)
    return start, (start + 32 * _DAY).replace(day=1)
