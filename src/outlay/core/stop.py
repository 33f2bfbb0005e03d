"""Stop: an order that holds beside all budgets, for whoever carries its scope, until a moment or until it is lifted.

warn         only said
cheaper      the budgets' ladders apply even where there is money
no_agents    no new sub-agent
no_sessions  no session that had not begun before
stop         nothing
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LEVELS = ("warn", "cheaper", "no_agents", "no_sessions", "stop")
"""From the mildest to the hardest; each one holds what those before it hold, `warn` apart."""

FIELDS = "id, scope, level, reason, set_by, set_ns, until_ns"


@dataclass(frozen=True, slots=True)
class Stop:
    """One order in force. `scope` maps envelope keys, `session` among them, to values; an empty one is everybody."""

    id: int
    scope: Mapping[str, str]
    level: str
    reason: str
    set_by: str
    set_ns: int
    until_ns: int

    def binds(self, envelope: Mapping[str, str], now_ns: int) -> bool:
        """Whether it holds for a call at a moment."""
        return now_ns < self.until_ns and all(envelope.get(key) == value for key, value in self.scope.items())

    def holds(self, level: str) -> bool:
        """Whether it is as hard as that."""
        return LEVELS.index(self.level) >= LEVELS.index(level)


def stop_of(row: Sequence[Any]) -> Stop:
    """A stop from its row, in the order of `FIELDS`."""
    return Stop(row[0], json.loads(row[1]), *row[2:])


def hardest(stops: Sequence[Stop], envelope: Mapping[str, str], now_ns: int) -> Stop | None:
    """Of the stops that hold for a call the hardest, of equals the oldest."""
    found = [stop for stop in stops if stop.binds(envelope, now_ns)]
    return max(found, key=lambda stop: (LEVELS.index(stop.level), -stop.id), default=None)
