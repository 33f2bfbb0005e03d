"""A house that answers from memory, for tests of what a face does with an answer or a refusal."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

from outlay.core.errors import OutlayError, Problem
from outlay.faces.plain import Reply
from outlay.metrics.answer import Answer
from outlay.metrics.query import Query
from outlay.metrics.sessions import Together
from outlay.normalize.writers import Sender

COVERAGE = {
    "usages": 3,
    "unpriced_usages": 1,
    "unpriced_tokens": 1200,
    "recorded_share": "0.25",
    "priced_share": "0.75",
    "estimated_share": "0",
    "attributed_share": "0.9",
    "from": "2026-11-01T00:00:00Z",
    "to": "2026-11-20T10:00:00Z",
}


@dataclass
class Receipt:
    received: int = 1
    refused: int = 0
    problems: tuple[Problem, ...] = ()


@dataclass
class FakeIntake:
    """Takes every body, or answers with `error`, at once or through the future."""

    receipt: Receipt = field(default_factory=Receipt)
    error: BaseException | None = None
    at_once: bool = True
    bodies: list[tuple[bytes, str]] = field(default_factory=list)
    signals: list[str] = field(default_factory=list)
    senders: list[Sender | None] = field(default_factory=list)

    def problems(self) -> list[Any]:
        return []

    def submit(
        self, body: bytes, encoding: str, signal: str = "traces", *, sender: Sender | None = None
    ) -> Future[Receipt]:
        self.signals.append(signal)
        if self.error is not None and self.at_once:
            raise self.error
        self.bodies.append((body, encoding))
        self.senders.append(sender)
        answer: Future[Receipt] = Future()
        if self.error is not None:
            answer.set_exception(self.error)
        else:
            answer.set_result(self.receipt)
        return answer


@dataclass
class FakeHouse:
    """What the faces need of a house; `refusal` is raised by every question."""

    home: Path = Path("nowhere")
    intake: FakeIntake = field(default_factory=FakeIntake)
    refusal: OutlayError | None = None
    asked: list[Query] = field(default_factory=list)
    posted: list[Any] = field(default_factory=list)
    control: Any = None
    prices: Any = None

    def ask(self, query: Query) -> Answer:
        self.asked.append(query)
        if self.refusal is not None:
            raise self.refusal
        figures = {name: "12.5" if "cost" in name else 3 for name in query.measures}
        row = dict.fromkeys(query.by, "search") | figures
        unknown = dict.fromkeys(query.by, "(untagged)") | dict.fromkeys(query.measures, None)
        return Answer(query.described(), [row, unknown], figures, COVERAGE)

    def ask_outcomes(self, query: Query) -> Answer:
        return self.ask(query)

    def post_facts(self, batch: Any) -> Any:
        self.posted.append(batch)
        rows = batch.facts.num_rows + batch.outcomes.num_rows
        return {
            "received": batch.received,
            "posted": rows,
            "duplicates": 0,
            "refused": batch.refused,
            "revised": 0,
            "passed_over": 0,
            "problems": batch.problems,
        }

    def owners(self, batch: Any) -> list[frozenset[str]]:
        """The books know nobody's work yet."""
        return [frozenset()] * batch.outcomes.num_rows

    @contextmanager
    def moment(self) -> Iterator[Self]:
        """These books do not change."""
        yield self

    def together(self, query: Query) -> Together:
        if self.refusal is not None:
            raise self.refusal
        return Together(2, 90_000_000)

    def counters(self) -> dict[str, int]:
        return {"received": 3, "posted": 2, "duplicates": 1, "refused": 0}

    def doctor(self) -> list[Any]:
        return [{"name": "sums", "ok": True, "text": "equal", "hint": ""}]

    def reprice(self, start: Any, end: Any, progress: Any) -> Any:
        return {"usages": 3, "changed": 1, "before_nano": 10, "after_nano": 12, "still_unpriced": 0}

    def rebuild(self, progress: Any) -> Any:
        return SimpleNamespace(matches=True)


def is_reply(said: Any) -> bool:
    """Whether an answer is the one object every question is answered with."""
    return set(said) == set(Reply.__annotations__)
