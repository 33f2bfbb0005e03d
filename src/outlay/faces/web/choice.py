"""Choice: what the reader of a page picked, and the stretches of time that follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

from outlay.core.errors import QueryError, nearest
from outlay.core.period import Grain, Period, ns_of, parse_moment
from outlay.metrics.filters import Filter
from outlay.metrics.query import time_text

ALL = ""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time one can pick: `days` long up to now, its trend drawn in `bars` buckets of `grain`."""

    name: str
    label: str
    words: str
    days: int
    grain: Grain
    bars: int


WINDOWS: dict[str, Window] = {
    window.name: window
    for window in (
        Window("24h", "24 hours", "the last 24 hours", 1, Grain.HOUR, 24),
        Window("7d", "7 days", "the last 7 days", 7, Grain.DAY, 14),
        Window("30d", "30 days", "the last 30 days", 30, Grain.WEEK, 12),
        Window("90d", "90 days", "the last 90 days", 90, Grain.WEEK, 13),
        Window("13m", "13 months", "the last 13 months", 396, Grain.MONTH, 13),
    )
}
DEFAULT_WINDOW = "30d"
FILTERS = ("team", "feature", "environment", "user_tier", "product_line")
"""Envelope keys a page can be narrowed to."""
_GRAINS = {Grain.HOUR: timedelta(days=2), Grain.DAY: timedelta(days=45), Grain.WEEK: timedelta(days=200)}
_BARS_MAX = 60


@dataclass(frozen=True, slots=True)
class Choice:
    """The window and the filters, read at `now`; windows are half-open and end at `now`.

    A window that was picked by its ends has no name, and `began` is its start.
    """

    window: Window
    now: datetime
    team: str = ALL
    feature: str = ALL
    environment: str = ALL
    user_tier: str = ALL
    product_line: str = ALL
    began: datetime | None = None

    @property
    def where(self) -> tuple[Filter, ...]:
        """The filters as a question takes them."""
        return tuple(Filter(name, (value,)) for name in FILTERS if (value := getattr(self, name)))

    @property
    def period(self) -> Period:
        """The window itself."""
        return Period(ns_of(self.start), ns_of(self.now))

    @property
    def start(self) -> datetime:
        """The first moment of the window."""
        return self.began or self.now - timedelta(days=self.window.days)

    @property
    def before(self) -> Period:
        """The stretch of the same length that ends where the window starts."""
        return Period(ns_of(self.start - (self.now - self.start)), ns_of(self.start))

    @property
    def buckets(self) -> tuple[datetime, ...]:
        """The starts of the buckets of the trend; the last one is still running."""
        return _buckets(self.now, self.window.grain, self.window.bars)

    @property
    def trend(self) -> Period:
        """From the start of the first bucket up to now."""
        return Period(ns_of(self.buckets[0]), ns_of(self.now))

    @property
    def said(self) -> dict[str, str]:
        """The choice in the words of an address; what was not chosen is empty."""
        return {**self.stretch, **{name: getattr(self, name) for name in FILTERS}}

    @property
    def stretch(self) -> dict[str, str]:
        """The window in the words of an address."""
        if self.window.name:
            return {"period": self.window.name}
        return {"since": time_text(self.start), "until": time_text(self.now)}

    def address(self, **changes: str) -> str:
        """The address of this page with some of the choices changed; an empty one falls away."""
        said = {**self.said, **changes}
        return "/overview?" + urlencode({name: value for name, value in said.items() if value})


def parse_choice(parameters: Mapping[str, str], now: datetime) -> Choice:
    """The choice an address spells: a period by name, or `since` and `until`. QueryError for a period there is not.

    Unknown parameters are ignored.
    """
    name = parameters.get("period", "")
    if not name and parameters.get("since", "").strip():
        return _between(parameters, now)
    name = name or DEFAULT_WINDOW
    if name not in WINDOWS:
        raise QueryError(f'no period is called "{name}"', hint=nearest(name, WINDOWS))
    # Windows end with the last second of the minute: within it, and while nothing is written, answers can be kept.
    return Choice(WINDOWS[name], now.astimezone(UTC).replace(second=59, microsecond=0), **picked_of(parameters))


def picked_of(parameters: Mapping[str, str]) -> dict[str, Any]:
    """The filters an address spells."""
    return {key: parameters.get(key, ALL).strip() for key in FILTERS}


def _between(parameters: Mapping[str, str], now: datetime) -> Choice:
    """The window between two moments, cut where the present is."""
    try:
        start = parse_moment(parameters["since"].strip(), now).astimezone(UTC)
        until = parse_moment(parameters.get("until", "").strip() or "now", now).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise QueryError(str(error)) from error
    end = min(until, now.astimezone(UTC)).replace(microsecond=0)
    if start >= end:
        raise QueryError("the period ends before it begins", hint="since is the first moment, until the one after")
    length = end - start
    grain = next((grain for grain, most in _GRAINS.items() if length <= most), Grain.MONTH)
    words = f"{_said(start)} to {_said(end)}"
    bars = _count(start, end - timedelta(microseconds=1), grain)
    window = Window("", words, words, max(1, length.days), grain, min(bars, _BARS_MAX))
    return Choice(window, end, **picked_of(parameters), began=start)


def _count(start: datetime, last: datetime, grain: Grain) -> int:
    if grain is Grain.MONTH:
        return (last.year - start.year) * 12 + last.month - start.month + 1
    unit = {Grain.HOUR: timedelta(hours=1), Grain.DAY: timedelta(days=1)}.get(grain, timedelta(weeks=1))
    return (floored(last, grain) - floored(start, grain)) // unit + 1


@lru_cache(maxsize=256)
def _buckets(now: datetime, grain: Grain, count: int) -> tuple[datetime, ...]:
    """Each bar of a chart asks for them."""
    first = floored(now - timedelta(microseconds=1), grain)
    return tuple(back(first, grain, steps) for steps in reversed(range(count)))


def _said(moment: datetime) -> str:
    clock = "" if moment == floored(moment, Grain.DAY) else f" {moment:%H:%M}"
    return f"{moment.day} {moment:%b %Y}{clock}"


def floored(moment: datetime, grain: Grain) -> datetime:
    """The start of the bucket that holds a moment."""
    hour = moment.replace(minute=0, second=0, microsecond=0)
    if grain is Grain.HOUR:
        return hour
    midnight = hour.replace(hour=0)
    if grain is Grain.WEEK:
        return midnight - timedelta(days=midnight.weekday())
    return midnight.replace(day=1) if grain is Grain.MONTH else midnight


def back(moment: datetime, grain: Grain, steps: int) -> datetime:
    """The start of the bucket so many before that of a start."""
    if grain is Grain.MONTH:
        months = moment.year * 12 + moment.month - 1 - steps
        return moment.replace(year=months // 12, month=months % 12 + 1)
    unit = {Grain.HOUR: timedelta(hours=1), Grain.DAY: timedelta(days=1)}.get(grain, timedelta(weeks=1))
    return moment - steps * unit
