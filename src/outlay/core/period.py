"""Period: a half-open stretch of time in UTC, and the grains a question may be cut into."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

NS_PER_SECOND = 1_000_000_000
NS_PER_US = 1_000

_LOOK_BACK = re.compile(r"^(\d{1,5})\s*([hdwm])$")
_HOURS = {"h": 1, "d": 24, "w": 168, "m": 730}


class Grain(StrEnum):
    """How wide the buckets of a time series are."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


@dataclass(frozen=True, slots=True)
class Period:
    """From `start_ns` up to, but not including, `end_ns` (UTC epoch nanoseconds); None is open."""

    start_ns: int | None = None
    end_ns: int | None = None


def ns_of(moment: datetime) -> int:
    """UTC epoch nanoseconds of a moment with a zone, exact to the microsecond."""
    if moment.tzinfo is None:
        raise ValueError(f"time without a zone: {moment.isoformat()}")
    gap = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (gap.days * 86_400 + gap.seconds) * NS_PER_SECOND + gap.microseconds * NS_PER_US


def moment_of(ns: int) -> datetime:
    """The UTC moment of epoch nanoseconds, cut to the microsecond."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ns // NS_PER_US)


def parse_moment(text: str, now: datetime) -> datetime:
    """A moment a person typed.

    Valid: `2026-11-01`, `2026-11`, `2026`, `2026-11-01T08:00Z`, `24h`, `30d`, `12w`, `today`, `now`. A time without a
    zone is read as UTC. Raises ValueError with the valid forms.
    """
    word = text.strip()
    named = {"now": now, "today": now.replace(hour=0, minute=0, second=0, microsecond=0)}
    if word.lower() in named:
        return named[word.lower()]
    if back := _LOOK_BACK.match(word.lower()):
        return now - timedelta(hours=int(back[1]) * _HOURS[back[2]])
    rest = "-01-01" if re.fullmatch(r"\d{4}", word) else "-01" if re.fullmatch(r"\d{4}-\d{2}", word) else ""
    try:
        moment = datetime.fromisoformat(word + rest)
    except ValueError as error:
        valid = "2026-11-01, 2026-11, 2026, 2026-11-01T08:00Z, 24h, 30d, today"
        raise ValueError(f"not a time: {text!r}; valid: {valid}") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
