"""Digests: which view goes to which channel, how often, and when one is due."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from outlay.control.channels import list_channels
from outlay.control.policies import policy_of
from outlay.control.store import ControlStore
from outlay.core.calendar import zone_of
from outlay.core.errors import InputError, nearest
from outlay.core.period import ns_of

POLICY = "digests"
"""The name under which they are kept."""

WEEK, MONTH = "week", "month"
EVERY = {WEEK: "strategic", MONTH: "executive"}
"""How often, and the view that is sent then."""

HOUR = 8
_FIELDS = {
    "every": "week (Mondays, the strategic view) or month (the first, the executive view of the month before)",
    "channel": "the channel it goes to",
    "hour": f"the hour of the day, 0 to 23; {HOUR} if left out",
    "zone": "an IANA zone; UTC if left out",
}


@dataclass(frozen=True, slots=True)
class Digest:
    """One digest: how often, to which channel, at which hour of which zone."""

    every: str
    channel: str
    hour: int = HOUR
    zone: str = "UTC"

    @property
    def view(self) -> str:
        """The view that is sent."""
        return EVERY[self.every]

    def due(self, now: datetime) -> datetime:
        """The latest moment at which it was due; an hour that clocks skip is the first moment after it."""
        local = now.astimezone(zone_of(self.zone))
        day = local.replace(minute=0, second=0, microsecond=0, hour=self.hour, fold=0)
        day -= timedelta(days=local.weekday()) if self.every == WEEK else timedelta(days=local.day - 1)
        at = day.astimezone(UTC)
        if at > now:
            back = timedelta(days=7) if self.every == WEEK else timedelta(days=1)
            earlier = day - back if self.every == WEEK else (day - back).replace(day=1)
            at = earlier.astimezone(UTC)
        return at

    def key(self, now: datetime) -> str:
        """The name of what is due: the same for every server and every try, so that it is sent once."""
        return f"digest:{self.every}:{self.due(now):%Y-%m-%dT%H}@{self.channel}"

    def told(self) -> dict[str, Any]:
        """As it is kept and shown."""
        return asdict(self)


def digests_in_force(store: ControlStore) -> tuple[Digest, ...]:
    """What is sent regularly."""
    return tuple(Digest(**row) for row in policy_of(store, POLICY) or ())


def read_digests(said: object, store: ControlStore) -> tuple[Digest, ...]:
    """Digests somebody wrote, judged whole. Raises InputError that says what is wrong and what is valid."""
    rows = said.get("digest", said.get("digests")) if isinstance(said, Mapping) else said
    if not isinstance(rows, list):
        raise InputError("digests are a list", hint='like [{"every": "week", "channel": "ops"}]')
    channels = [channel.name for channel in list_channels(store)]
    found = tuple(_digest(number, row, channels) for number, row in enumerate(rows, 1))
    if len({(item.every, item.channel) for item in found}) < len(found):
        raise InputError("two digests are the same", hint="one a channel and week or month")
    return found


def due_since_ns(digest: Digest, now: datetime) -> int:
    """UTC epoch nanoseconds of the latest moment at which it was due."""
    return ns_of(digest.due(now))


def _digest(number: int, row: object, channels: list[str]) -> Digest:
    where = f"digest {number}"
    if not isinstance(row, Mapping):
        raise InputError(f"{where} is not an object", hint='like {"every": "week", "channel": "ops"}')
    for name in row:
        if name not in _FIELDS:
            raise InputError(f'{where} has no field "{name}"', hint=nearest(str(name), _FIELDS))
    every, channel, hour = row.get("every"), row.get("channel"), row.get("hour", HOUR)
    if every not in EVERY:
        raise InputError(f'{where}: every is "{every}"', hint="week or month")
    if channel not in channels:
        known = nearest(str(channel), channels) if channels else "outlay alerts channels add makes one"
        raise InputError(f'{where}: there is no channel "{channel}"', hint=known)
    if not isinstance(hour, int) or isinstance(hour, bool) or not 0 <= hour <= 23:
        raise InputError(f"{where}: hour is {hour}", hint="a whole number from 0 to 23")
    zone = row.get("zone", "UTC")
    try:
        zone_of(str(zone))
    except ValueError as error:
        raise InputError(f"{where}: {error}", hint="an IANA zone, like Europe/Berlin") from error
    return Digest(str(every), str(channel), hour, str(zone))
