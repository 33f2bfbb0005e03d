"""Session: one agent run, with its parent and root."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

NO_SESSION = "(no session)"


class SessionState(StrEnum):
    """`NOT_SEEN` has cost joined by its id (a judge, a tool) but no model call of its own in the books."""

    ENDED = "ended"
    OPEN = "open"
    NOT_SEEN = "not seen"


@dataclass(frozen=True, slots=True)
class Session:
    """One agent run; times are UTC epoch nanoseconds, `ended_ns` is None while nothing said that it ended."""

    id: str
    parent_id: str | None
    root_id: str
    opened_ns: int
    last_seen_ns: int
    ended_ns: int | None
    state: SessionState
