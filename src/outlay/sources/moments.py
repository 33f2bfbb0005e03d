"""Times as sources write them, to UTC epoch nanoseconds; a time without a zone says so."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from outlay.core.errors import InputError
from outlay.core.period import ns_of

_ISO = re.compile(
    r"^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(?::(\d{2})(?:[.,](\d{1,9})\d*)?)?)?\s*(Z|z|UTC|[+-]\d{2}:?\d{2})?$"
)


NS_MAX = 2**63 - 1
"""The last nanosecond that fits the books, in the year 2262; the first is that of 1970."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time in UTC epoch nanoseconds; `zone_assumed` where the source gave no zone."""

    ns: int
    zone_assumed: bool


def zone_of(name: str | None) -> tzinfo:
    """The zone of an IANA name, UTC for None. Raises InputError for a name nobody knows."""
    if name is None or name.upper() in {"UTC", "Z"}:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InputError(
            f'no time zone named "{name}"', hint="give an IANA name such as Europe/Berlin or Asia/Kolkata"
        ) from error


def moment_of_text(text: object, zone: tzinfo) -> Moment:
    """The moment of an ISO 8601 text, exact to the nanosecond; without an offset it is read in `zone`.

    Raises ValueError for anything else.
    """
    found = _ISO.match(text.strip()) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f"not a time: {text!r}")
    day, minute, second, fraction, offset = found.groups()
    offset = "+00:00" if offset in {"Z", "z", "UTC"} else offset or ""
    moment = datetime.fromisoformat(f"{day}T{minute or '00:00'}:{second or '00'}{offset}")
    fraction_ns = int((fraction or "0").ljust(9, "0"))
    assumed = moment.tzinfo is None
    if assumed:
        moment = moment.replace(tzinfo=zone)
    ns = ns_of(moment) + fraction_ns
    if not 0 <= ns <= NS_MAX:
        raise ValueError(f"time out of range: {text!r}")
    return Moment(ns, assumed)


def file_moment(path: Path) -> Moment:
    """When the file was last written: the latest time at which something in it can have happened."""
    return Moment(path.stat().st_mtime_ns, zone_assumed=True)
