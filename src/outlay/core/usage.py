"""Usage: one thing that happened once — a wire attempt at a model, a tool call, a stretch of runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from outlay.core.centre import CostCentre, Operation
from outlay.core.envelope import Envelope


class Estimated(StrEnum):
    """Which tokens of a usage nobody stated, so that whoever reported it estimated them."""

    ALL = "estimated"
    INPUT = "estimated input"
    OUTPUT = "estimated output"


@dataclass(frozen=True, slots=True)
class Usage:
    """One fact of work; `quantities` maps meter names to whole numbers, all meters disjoint.

    `counted` is False where the same money stands on another Usage (a parent's totals, a repeated report);
    `reason` says why it is a retry or why it is not counted. Times are UTC epoch nanoseconds.
    """

    id: str
    operation: Operation
    centre: CostCentre
    start_ns: int
    end_ns: int | None
    provider: str
    model: str
    quantities: Mapping[str, int]
    envelope: Envelope
    session_id: str
    attempt: int = 0
    failed: bool = False
    counted: bool = True
    reason: str = ""
