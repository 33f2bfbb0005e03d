"""Budget: how much may be spent, by whom, in which window, and what happens when it is gone.

A budget binds every call whose envelope carries all of its scope. Its limit is the sum of its live grants and of what
it carried over; what is left is the limit less what was spent, what is held by leases, and what owners that died may
have spent. Budgets above and below each other are simply several that bind the same call: all must agree.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from outlay.core.calendar import Calendar
from outlay.core.envelope import ENVELOPE_KEYS, UNTAGGED

MODES = ("observe", "soft", "hard")
"""observe only counts; soft says that it is over; hard refuses."""

SCOPE_KEYS = (*ENVELOPE_KEYS, "session")
"""By what a budget or a stop can be limited; `session` is the root of a session tree."""

EACH = "*"
"""As a value of a scope: one balance for each value that occurs."""

RESERVE_PERCENT = 5
"""Kept of a hard limit for a last step that ends the work cleanly."""

CAPS = ("steps", "tool_calls", "seconds", "depth", "width")
"""What else may be limited: calls, tool calls, wall-clock time, sub-agents below each other and beside each other."""


def _nothing() -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class Budget:
    """One budget as it is in force; amounts are nano-units of `currency`.

    `scope` maps envelope keys (and `session`, the root of a session tree) to a value or `EACH`. `fail` says what
    happens while nothing can be asked: `open` lets calls pass, `closed` refuses them. `ladder` maps a model to a
    cheaper one that may take its place when money is short. What was left goes into the next window, up to
    `rollover_percent` of the limit.
    """

    id: int
    name: str
    scope: Mapping[str, str]
    calendar: Calendar = field(default_factory=Calendar)
    mode: str = "hard"
    fail: str = "open"
    unpriced: str = "refuse"
    currency: str = "USD"
    rollover_percent: int = 0
    carry_overage: bool = False
    reserve_percent: int = RESERVE_PERCENT
    caps: Mapping[str, int] = field(default_factory=_nothing)
    ladder: Mapping[str, str] = field(default_factory=_nothing)
    owner: str = ""

    def part(self, envelope: Mapping[str, str]) -> str | None:
        """Which of the budget's balances a call falls under, as text; None if the budget does not bind it."""
        each: list[str] = []
        for key, wanted in self.scope.items():
            found = envelope.get(key) or UNTAGGED
            if wanted == EACH:
                if found == UNTAGGED and key == "session":
                    return None  # what has no session is under no session's cap
                each.append(found)
            elif found != wanted:
                return None
        return json.dumps(each, ensure_ascii=False) if each else ""


@dataclass(slots=True)
class Standing:
    """How a budget stands in one window; `left_nano` counts what is held and presumed as gone.

    Not changed once it is made, and not frozen for the reason that `lease.py` gives.
    """

    budget: Budget
    part: str
    start_ns: int
    end_ns: int
    limit_nano: int
    spent_nano: int
    held_nano: int
    presumed_nano: int = 0
    beyond_nano: int = 0
    """What was billed beyond what had been held for it: the only way in which spent can exceed the limit."""

    @property
    def left_nano(self) -> int:
        """What may still be asked for; below 0 where more was billed than was held."""
        return self.limit_nano - self.spent_nano - self.held_nano - self.presumed_nano


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why money was not given, for a program and for a model to read."""

    reason: str  # budget, cap, unpriced, stopped, unreachable
    budget: str
    window: str
    what: str  # the cap that is used up: usd, steps, tool_calls, seconds, depth, width; the level of a stop
    asked: int
    limit: int
    spent: int
    held: int
    left: int
    resets_ns: int | None
    retryable: bool
    retry_after_s: int
    ask: str  # who can act
    currency: str = "USD"
    said: str = ""  # why it was ordered, where somebody ordered it
