"""Figures: the questions a page asks, in one place. Nothing is computed here; every figure is an answer's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Protocol, runtime_checkable

from outlay.core.period import Grain, Period
from outlay.faces.web.choice import Choice
from outlay.govern.tags import CauseFinding, Finding
from outlay.metrics.answer import Answer
from outlay.metrics.dimensions import OTHER
from outlay.metrics.filters import Filter
from outlay.metrics.query import Order, Query
from outlay.metrics.session import SessionDetail
from outlay.metrics.steps import StepsAsked
from outlay.normalize.policy.shelf import PolicyShelf
from outlay.pricing.book import PriceBook

SESSIONS_SHOWN = 8
FEATURES_SHOWN = 15
TEAMS_SHOWN = 12

HEADLINE = (
    "cost",
    "inference_cost",
    "hidden_share",
    "full_cost_multiple",
    "retry_cost",
    "retry_share",
    "retrieval_share",
    "embedding_share",
    "tasks",
    "tasks_completed",
    "completion_rate",
    "cost_per_completed_task",
    "outcome_value",
    "sessions",
    "unpriced_tokens",
    "total_tokens",
)

Row = Mapping[str, Any]


class Books(Protocol):
    """Whom a page asks: open books."""

    def ask(self, query: Query) -> Answer:
        """The answer to a question."""
        ...

    def values(self, dimension: str) -> Sequence[str]:
        """What usages ever carried of a dimension, by name."""
        ...

    def like(self, dimension: str, text: str) -> Sequence[str]:
        """A few of its values that hold a text, the text itself first if it is one."""
        ...

    def session(self, session_id: str, steps: StepsAsked | None = None) -> SessionDetail:
        """One session with a page of its steps; QueryError where there is none of that id."""
        ...

    @property
    def prices(self) -> PriceBook:
        """The dated price book."""
        ...

    @property
    def policies(self) -> PolicyShelf:
        """The tag policies."""
        ...

    def tag_causes(self, query: Query, key: str, limit: int) -> list[CauseFinding]:
        """Why cost has no valid value under a key, the dearest first."""
        ...

    def tag_findings(self, query: Query) -> list[Finding]:
        """What is odd about the tags as a whole."""
        ...

    def counters(self) -> Mapping[str, int | str]:
        """What came in, and `metered_through`, the time of the latest fact."""
        ...


@dataclass(frozen=True, slots=True)
class SessionFigures:
    """The first sessions by some measure, what they were, and their cost by centre."""

    ranked: Answer
    facts: Answer
    centres: Answer


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything a page shows, as answered."""

    choice: Choice
    now: Answer
    before: Answer
    trend: Answer  # by centre and bucket
    shares: Answer  # embedding and retrieval by bucket
    teams: Answer
    teams_before: Answer
    team_centres: Answer
    team_tiers: Answer
    features: Answer
    features_before: Answer
    feature_centres: Answer
    feature_trend: Answer
    tiers: Answer
    tiers_before: Answer
    sessions: SessionFigures
    options: Mapping[str, Sequence[str]]
    counters: Mapping[str, int | str]


def collect(books: Books, choice: Choice) -> Figures:
    """Ask everything. The same moment ends every question, so that the figures belong together."""
    foretell(books, choice.period, choice.before, choice.trend)
    asks = Asking(books, choice)
    feature = ("cost", "tasks_completed", "completion_rate", "cost_per_completed_task", "retry_cost")
    team = ("cost", "sessions", "tasks_completed", "cost_per_completed_task", "hidden_share")
    return Figures(
        choice=choice,
        now=asks(HEADLINE),
        before=asks(HEADLINE, period=choice.before),
        trend=asks(("cost",), ("centre",), grain=choice.window.grain, period=choice.trend),
        shares=asks(("embedding_share", "retrieval_share"), grain=choice.window.grain, period=choice.trend),
        teams=asks(team, ("team",), top=TEAMS_SHOWN),
        teams_before=asks(("cost", "cost_per_completed_task"), ("team",), period=choice.before),
        team_centres=asks(("cost",), ("team", "centre")),
        team_tiers=asks(("inference_cost",), ("team", "model_tier")),
        features=asks(feature, ("feature", "team"), top=FEATURES_SHOWN),
        features_before=asks(("cost_per_completed_task",), ("feature", "team"), period=choice.before),
        feature_centres=asks(("cost",), ("feature", "team", "centre")),
        feature_trend=asks(
            ("cost_per_completed_task",), ("feature", "team"), grain=choice.window.grain, period=choice.trend
        ),
        tiers=asks(("inference_cost",), ("model_tier",)),
        tiers_before=asks(("inference_cost",), ("model_tier",), period=choice.before),
        sessions=session_figures(asks, SESSIONS_SHOWN),
        options={name: asks.options(name) for name in ("team", "environment")},
        counters=books.counters(),
    )


@runtime_checkable
class Foretold(Protocol):
    """Books that read faster when they know which periods will be asked about."""

    def expect(self, *periods: Period) -> None:
        """Questions about these will come."""
        ...


def foretell(books: Books, *periods: Period) -> None:
    """Tell the books about which periods a page will ask."""
    if isinstance(books, Foretold):
        books.expect(*periods)


class Asking:
    """Asks with the choice's filters, and its window where no other period is named."""

    def __init__(self, books: Books, choice: Choice) -> None:
        self._books, self._choice = books, choice

    def __call__(
        self,
        measures: tuple[str, ...],
        by: tuple[str, ...] = (),
        *,
        grain: Grain | None = None,
        period: Period | None = None,
        top: int | None = None,
        order: Order | None = None,
        where: tuple[Filter, ...] = (),
    ) -> Answer:
        """The answer to one question within the choice."""
        filters = (*self._choice.where, *where)
        return self._books.ask(Query(measures, by, grain, filters, period or self._choice.period, top=top, order=order))

    def options(self, dimension: str) -> Sequence[str]:
        """The values one can narrow to."""
        return self._books.values(dimension)


def session_figures(
    asks: Asking, top: int, order: Order | None = None, where: tuple[Filter, ...] = ()
) -> SessionFigures:
    """The first `top` sessions in an order, the dearest where none is named."""
    ranked = asks(("cost", "usages", "retries", "session_seconds"), ("session",), top=top, order=order, where=where)
    shown = tuple(str(row["session"]) for row in ranked.rows if row["session"] != OTHER)
    these = (Filter("session", shown),) if shown else ()
    return SessionFigures(
        ranked=ranked,
        facts=asks(("cost",), ("session", "feature", "team", "outcome"), order=Order("cost"), where=these),
        centres=asks(("cost",), ("session", "centre"), where=these),
    )


def bucket_of(row: Row) -> datetime:
    """The start of a row's bucket."""
    return _moment(str(row["time"]))


@lru_cache(maxsize=4096)
def _moment(text: str) -> datetime:
    """The same hours come again and again: for each feature, and at each look."""
    return datetime.fromisoformat(text)
