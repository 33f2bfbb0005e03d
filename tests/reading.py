"""Reading whole files in tests: every batch of a file, or of many, as plain rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from outlay.core.errors import Problem
from outlay.sources.facts import FACTS, OUTCOMES
from outlay.sources.gather import ROWS_MAX
from outlay.sources.registry import ReadOptions, read


@dataclass
class Reading:
    """All rows of some files, with the counters of their batches."""

    facts: list[dict[str, Any]] = field(default_factory=list)
    outcomes: list[dict[str, Any]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    received: int = 0
    repeats: int = 0
    refused: int = 0

    def where(self, **said: Any) -> list[dict[str, Any]]:
        """The facts with these values."""
        return [row for row in self.facts if all(row[key] == value for key, value in said.items())]

    def statuses(self) -> list[str]:
        """What became of each task."""
        return [row["status"] for row in self.outcomes]


def sum_of(rows: Iterable[dict[str, Any]], column: str) -> int:
    """The sum of a column; null adds nothing."""
    return sum(row[column] or 0 for row in rows)


def reading(*paths: Path, **options: Any) -> Reading:
    """Read files, and check on the way what holds for every batch."""
    whole = Reading()
    for path in paths:
        for batch in read(path, ReadOptions(**options)):
            assert batch.facts.schema.names == FACTS.names
            assert batch.outcomes.schema.names == OUTCOMES.names
            assert batch.facts.num_rows + batch.outcomes.num_rows <= ROWS_MAX
            assert batch.refused >= 0
            for name in ("fact_key", "source", "start_ns", "operation"):
                assert batch.facts.column(name).null_count == 0
            whole.facts += batch.facts.to_pylist()
            whole.outcomes += batch.outcomes.to_pylist()
            whole.problems += batch.problems
            whole.received += batch.received
            whole.repeats += batch.repeats
            whole.refused += batch.refused
    return whole


def one_per_fact(rows: Iterable[dict[str, Any]]) -> dict[bytes, dict[str, Any]]:
    """One row for each identity, that of the largest output: how several files that tell of one response add up."""
    best: dict[bytes, dict[str, Any]] = {}
    for row in rows:
        known = best.get(row["fact_key"])
        if known is None or (row["output_tokens"] or 0) > (known["output_tokens"] or 0):
            best[row["fact_key"]] = row
    return best
