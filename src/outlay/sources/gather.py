"""Gathering: where a source that reads row by row collects facts, outcomes and problems, and cuts them into batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any

from outlay.core.errors import Problem
from outlay.sources.facts import Batch, facts_of, outcomes_of
from outlay.sources.moments import NS_MAX, Moment, moment_of_text

ROWS_MAX = 50_000
"""The most rows in one batch."""


@dataclass(slots=True)
class Gathering:
    """Rows of one file on their way into batches; `source` and `origin` stand on every row, `zone` reads bare times."""

    source: str
    origin: str
    zone: tzinfo
    problems: list[Problem] = field(default_factory=list[Problem])
    received: int = 0
    repeats: int = 0
    passed_over: int = 0
    _facts: list[dict[str, object]] = field(default_factory=list[dict[str, object]])
    _outcomes: list[dict[str, object]] = field(default_factory=list[dict[str, object]])

    def moment(self, text: object) -> Moment:
        """The moment of an ISO text in this file's zone. Raises ValueError."""
        return moment_of_text(text, self.zone)

    def fact(self, row: Mapping[str, Any], where: str) -> None:
        """Add one fact; one that cannot be is refused, an end before its start is dropped, both with a Problem."""
        kept: dict[str, object] = {"source": self.source, "signal": "file", "origin": self.origin, **row}
        start_ns, end_ns = row.get("start_ns"), row.get("end_ns")
        if not isinstance(start_ns, int) or not 0 <= start_ns <= NS_MAX:
            self.refuse(where, f"no usable time: {start_ns!r}")
            return
        if isinstance(end_ns, int) and end_ns < start_ns:
            took_ms = (end_ns - start_ns) // 1_000_000
            self.problems.append(Problem(where, f"negative duration: {took_ms} ms", "kept without an end"))
            kept["end_ns"] = None
        self.received += 1
        self._facts.append(kept)

    def outcome(self, row: Mapping[str, Any], where: str) -> None:
        """Add one outcome; one without a time is refused with a Problem."""
        if not isinstance(row.get("at_ns"), int):
            self.refuse(where, "an outcome without a time")
            return
        self.received += 1
        self._outcomes.append({"source": self.source, "origin": self.origin, **row})

    def refuse(self, where: str, what: str, hint: str = "") -> None:
        """Count one report that cannot be used, and say why."""
        self.received += 1
        self.problems.append(Problem(where, what, hint))

    def repeat(self, times: int = 1) -> None:
        """Count reports of facts which this file told before."""
        self.received += times
        self.repeats += times

    def full(self) -> bool:
        """Whether a batch is due."""
        return len(self._facts) + len(self._outcomes) >= ROWS_MAX

    def batches(self, *, last: bool = False) -> Iterator[Batch]:
        """The rows so far in batches of at most `ROWS_MAX`; nothing while there is room, unless it is the last call."""
        while self.full() or (last and (self._facts or self._outcomes or self.problems or self.received)):
            facts, self._facts = self._facts[:ROWS_MAX], self._facts[ROWS_MAX:]
            room = ROWS_MAX - len(facts)
            outcomes, self._outcomes = self._outcomes[:room], self._outcomes[room:]
            done = not self._facts and not self._outcomes
            refused = self.received - self.repeats - len(facts) - len(outcomes)
            refused -= len(self._facts) + len(self._outcomes)
            repeats = self.repeats
            yield Batch(
                facts=facts_of(facts),
                outcomes=outcomes_of(outcomes),
                received=len(facts) + len(outcomes) + repeats + refused,
                repeats=repeats,
                passed_over=self.passed_over,
                problems=self.problems,
            )
            self.received = len(self._facts) + len(self._outcomes)
            self.repeats = self.passed_over = 0
            self.problems = []
            if done:
                return
