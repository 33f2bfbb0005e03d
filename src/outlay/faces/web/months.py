"""Months: the calendar month a page is about, its weeks, and the months before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from outlay.core.errors import QueryError
from outlay.core.period import Grain, Period, ns_of
from outlay.faces.forecast import month_named
from outlay.faces.web.choice import FILTERS, Choice, Window, back, picked_of

_NEVER = datetime.max.replace(tzinfo=UTC)
WEEKS = 12
MONTHS = 13


@dataclass(frozen=True, slots=True)
class MonthChoice(Choice):
    """One month (UTC) up to now, or whole once it is over; `end` is its end. What is asked over time are its weeks."""

    end: datetime = _NEVER
    path: str = "/strategic"
    present: datetime = _NEVER

    @property
    def month(self) -> tuple[datetime, datetime]:
        """The whole month."""
        return self.start, self.end

    @property
    def is_over(self) -> bool:
        """Whether nothing is to come."""
        return self.now >= self.end

    @property
    def before(self) -> Period:
        """The same days of the month before, the whole of it where it has fewer or this one is over."""
        first = back(self.start, Grain.MONTH, 1)
        until = self.start if self.is_over else min(first + (self.now - self.start), self.start)
        return Period(ns_of(first), ns_of(until))

    @property
    def year_ago(self) -> tuple[datetime, datetime]:
        """The same month a year before."""
        first = back(self.start, Grain.MONTH, 12)
        return first, back(first, Grain.MONTH, -1)

    @property
    def months(self) -> tuple[datetime, ...]:
        """The starts of this month and of the twelve before it."""
        return tuple(back(self.start, Grain.MONTH, steps) for steps in reversed(range(MONTHS)))

    @property
    def year(self) -> Period:
        """From the first of these months up to now."""
        return Period(ns_of(self.months[0]), ns_of(self.now))

    @property
    def said(self) -> dict[str, str]:
        """The choice in the words of an address; the present month needs no word."""
        is_present = self.start <= self.present < self.end
        name = "" if is_present else self.window.name
        return {"month": name, **{key: getattr(self, key) for key in FILTERS}}

    @property
    def stretch(self) -> dict[str, str]:
        """The month as other pages take it."""
        return {"since": f"{self.start:%Y-%m-%d}", "until": f"{self.end:%Y-%m-%d}"}

    @property
    def options(self) -> dict[str, str]:
        """The months one can turn to, as an address names them and as a person does; the newest first."""
        first = self.present.replace(day=1)
        return {f"{at:%Y-%m}": f"{at:%B %Y}" for steps in range(MONTHS) for at in (back(first, Grain.MONTH, steps),)}

    def address(self, **changes: str) -> str:
        """The address of this page with some of the choices changed; an empty one falls away."""
        said = {name: value for name, value in {**self.said, **changes}.items() if value}
        return self.path + ("?" + urlencode(said) if said else "")


def parse_month(parameters: Mapping[str, str], now: datetime, path: str) -> MonthChoice:
    """The month an address spells, the present one if none. Raises InputError, QueryError."""
    present = now.astimezone(UTC).replace(second=59, microsecond=0)  # as with other windows: answers can be kept
    start, end = month_named(parameters.get("month", "").strip(), present)
    if start > present:
        raise QueryError(f"{start:%B %Y} has not begun", hint=f"{path}?month={present:%Y-%m}")
    until = min(end, present)
    label = f"{start:%B}" if until == end else "month to date"
    window = Window(f"{start:%Y-%m}", label, f"{start:%B %Y}", (end - start) // timedelta(days=1), Grain.WEEK, WEEKS)
    return MonthChoice(window, until, **picked_of(parameters), began=start, end=end, path=path, present=present)
