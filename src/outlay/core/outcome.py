"""Outcome: a task came to an end. Revisable by a later record, never overwritten."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class OutcomeStatus(StrEnum):
    """How a task ended; `UNKNOWN` is said when the source says nothing, and divides nothing."""

    DONE = "done"
    FAILED = "failed"
    ABANDONED = "abandoned"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One report on one task: the sessions that worked on it and what the result is worth."""

    id: str
    task_id: str
    session_ids: tuple[str, ...]
    status: OutcomeStatus
    at_ns: int
    reported_ns: int
    task_type: str = ""
    value_nano: int | None = None
    currency: str = "USD"
