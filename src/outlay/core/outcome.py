"""Outcome: a task came to an end. Revisable by a later record, never overwritten."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class OutcomeStatus(StrEnum):
    """How a task ended; `UNKNOWN` is said when the source says nothing, and divides nothing."""

    DONE = "done"
    FAILED = "failed"
    ABANDONED = "abandoned"
    UNKNOWN = "unknown"


DERIVED = "outlay"
"""The source of an outcome nobody reported: a task was not completed in time. Any report takes its place."""


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


DAY_S = 86_400


def _none() -> Mapping[str, int | None]:
    return {}


@dataclass(frozen=True, slots=True)
class Timeouts:
    """After how many seconds without a sign a task that nobody completed is abandoned; None is never.

    `default_s` holds for features that report outcomes at all: where nobody ever says that a task is done, silence says
    nothing. `by_feature` and `by_task_type` hold for whatever they name; the kind of task goes before the feature.
    """

    default_s: int | None = DAY_S
    by_feature: Mapping[str, int | None] = field(default_factory=_none)
    by_task_type: Mapping[str, int | None] = field(default_factory=_none)
