"""Calendar: the windows a budget runs in, each from one wall-clock moment to the next in a zone of its own.

A window is half-open in UTC nanoseconds. Its ends are local midnights, so a day on which clocks change has 23 or 25
hours; a midnight that clocks skip is the first moment after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from outlay.core.period import ns_of

PERIODS = ("hour", "day", "week", "month", "quarter", "year", "life")
"""How often a budget begins anew; `life` never does."""

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS = {"month": 1, "quarter": 3, "year": 12}
LIFE = (0, 2**62)
"""The only window of a budget that never begins anew."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """When windows begin: `start_month` 1–12 for fiscal years, `start_day` 1–28, `week_start` 0 for Monday."""

    period: str = "month"
    zone: str = "UTC"
    start_month: int = 1
    start_day: int = 1
    week_start: int = 0

    def __post_init__(self) -> None:
        if self.period not in PERIODS:
            raise ValueError(f'no period is called "{self.period}"; valid: {", ".join(PERIODS)}')
        zone_of(self.zone)
        for name, value, low, high in (
            ("start_month", self.start_month, 1, 12),
            ("start_day", self.start_day, 1, 28),
            ("week_start", self.week_start, 0, 6),
        ):
            if not low <= value <= high:
                raise ValueError(f"{name} is {low} to {high}, not {value}")

    def window(self, at_ns: int) -> tuple[int, int]:
        """The window that holds a moment: start and end, the end not included."""
        if self.period == "life":
            return LIFE
        local = datetime.fromtimestamp(at_ns // 10**9, UTC).astimezone(zone_of(self.zone))
        if self.period == "hour":
            start = at_ns - at_ns % 10**9 - (local.minute * 60 + local.second) * 10**9
            return start, start + 3600 * 10**9
        first = self._first_day(local.date())
        return self._midnight(first), self._midnight(self._next(first))

    def before(self, start_ns: int) -> tuple[int, int] | None:
        """The window before the one that starts at this moment; None for a budget that never begins anew."""
        return None if self.period == "life" else self.window(start_ns - 1)

    def label(self, start_ns: int) -> str:
        """A window as a person names it: 2026-11, 2026-11-25, 2026-11-25T08, 2026-Q2, 2026, life."""
        if self.period == "life":
            return "life"
        local = datetime.fromtimestamp(start_ns // 10**9, UTC).astimezone(zone_of(self.zone))
        if self.period == "hour":
            return f"{local:%Y-%m-%dT%H}"
        if self.period == "month":
            return f"{local:%Y-%m}"
        if self.period == "quarter":
            quarter = (local.month - self.start_month) % 12 // 3 + 1
            year = local.year - (local.month < self.start_month)
            return f"{year}-Q{quarter}"
        if self.period == "year":
            return f"{local:%Y}"
        return f"{local:%Y-%m-%d}"

    def _first_day(self, day: date) -> date:
        if self.period == "day":
            return day
        if self.period == "week":
            return day - timedelta(days=(day.weekday() - self.week_start) % 7)
        months = _MONTHS[self.period]
        at = day.year * 12 + day.month - 1 - (day.day < self.start_day)
        anchor = (self.start_month - 1) % months
        at -= (at - anchor) % months
        return date(at // 12, at % 12 + 1, self.start_day)

    def _next(self, first: date) -> date:
        if self.period in {"day", "week"}:
            return first + timedelta(days=1 if self.period == "day" else 7)
        at = first.year * 12 + first.month - 1 + _MONTHS[self.period]
        return date(at // 12, at % 12 + 1, self.start_day)

    def _midnight(self, day: date) -> int:
        return ns_of(datetime(day.year, day.month, day.day, tzinfo=zone_of(self.zone)).astimezone(UTC))


@lru_cache(maxsize=128)
def zone_of(name: str) -> tzinfo:
    """The IANA zone of a name. Raises ValueError for one that does not exist."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f'no time zone is called "{name}"; like Europe/Berlin or UTC') from error
