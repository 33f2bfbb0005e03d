"""What the tactical page asks: the hours up to now, and the same hours of four weeks before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from outlay.core.centre import Operation
from outlay.core.money import nano_of
from outlay.core.period import Grain, Period, ns_of
from outlay.faces.web.choice import Choice
from outlay.faces.web.figures import Asking, Books, Row, SessionFigures, bucket_of, foretell
from outlay.govern.baseline import DAYS, Band, Series, added, bands
from outlay.govern.guardrails import VERDICT_TAG
from outlay.govern.guards import Finding, burning
from outlay.metrics.answer import Answer
from outlay.metrics.dimensions import OTHER
from outlay.metrics.filters import Filter
from outlay.metrics.query import Order
from outlay.metrics.remembered import remembered

HOURS_SHOWN = 48
ERROR_HOURS = 24
FEATURES_SHOWN = 8
AGENTS_SHOWN = 8
LIVE_MINUTES = 30
LIVE_SHOWN = 8
SUSPECTS_ASKED = 100
"""Sessions of the last day with most retries: those that loop are among them."""

_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Live:
    """Everything the tactical page shows, as answered; `hour` is the last full one."""

    choice: Choice
    hour: datetime
    hours: Answer
    by_feature: Answer
    last: Answer
    today: Answer
    retries: Answer
    retries_usual: Answer
    errors: Answer
    verdicts: Answer
    verdicts_usual: Answer
    running: SessionFigures
    suspects: Answer
    options: Mapping[str, list[str]]
    counters: Mapping[str, int | str]

    @property
    def shown(self) -> tuple[datetime, ...]:
        """The full hours of the chart, oldest first."""
        return tuple(self.hour - place * _HOUR for place in reversed(range(HOURS_SHOWN)))


def collect_live(books: Books, choice: Choice) -> Live:
    """Ask everything as of the choice's moment."""
    asks = Asking(books, choice)
    now = choice.now
    running_hour = now.replace(minute=0, second=0, microsecond=0)
    hour = running_hour - _HOUR
    since = hour - (HOURS_SHOWN - 1) * _HOUR - timedelta(days=DAYS)
    last, past = _period(hour, running_hour), _period(since, running_hour)
    day = _period(running_hour - ERROR_HOURS * _HOUR, running_hour)
    today = _period(running_hour.replace(hour=0), now)
    suspected, recent = _period(now - timedelta(days=1), now), _period(now - timedelta(minutes=LIVE_MINUTES), now)
    foretell(books, today, suspected, recent)
    checks = (Filter("operation", (Operation.GUARDRAIL.value,)),)
    return Live(
        choice=choice,
        hour=hour,
        hours=asks(("total_tokens", "cost", "sessions"), grain=Grain.HOUR, period=past),
        by_feature=asks(("cost", "sessions"), ("feature", "team"), grain=Grain.HOUR, period=past, top=FEATURES_SHOWN),
        last=asks(("retry_rate",), period=last),
        today=asks(("cost", "attributed_share"), period=today),
        retries=asks(("retry_rate",), ("agent",), period=last, top=AGENTS_SHOWN),
        retries_usual=asks(("retry_rate",), ("agent",), period=past),
        errors=asks(("error_rate",), grain=Grain.HOUR, period=day),
        verdicts=asks(("operations",), (VERDICT_TAG,), grain=Grain.HOUR, period=day, where=checks),
        verdicts_usual=asks(("operations",), (VERDICT_TAG,), period=past, where=checks),
        running=_running(asks, now, recent),
        suspects=asks(
            ("retries", "usages", "retry_cost"),
            ("session", "feature"),
            period=suspected,
            top=SUSPECTS_ASKED,
            order=Order("retries"),
        ),
        options={name: list(asks.options(name)) for name in ("team", "environment")},
        counters=books.counters(),
    )


def _running(asks: Asking, now: datetime, recent: Period) -> SessionFigures:
    """The dearest of the sessions that gave a sign in the last half hour, with what they cost so far."""
    signs = asks(("cost",), ("session",), period=recent, top=LIVE_SHOWN)
    these = tuple(str(row["session"]) for row in signs.rows if row["session"] != OTHER)
    where = (Filter("session", these),) if these else (Filter("session", ("",)),)
    whole = _period(now - timedelta(days=2), now)
    return SessionFigures(
        ranked=asks(("cost", "usages", "retries", "session_seconds"), ("session",), period=whole, where=where),
        facts=asks(("cost",), ("session", "feature", "team", "user_tier"), period=whole, where=where),
        centres=asks(("cost",), ("session", "centre"), period=whole, where=where),
    )


@remembered
def series_of(answer: Answer, measure: str) -> Series:
    """A measure by hour as whole numbers; money in nano-units. What is not known is left out."""
    return _series(answer.rows, measure)


@remembered
def series_by_feature(answer: Answer, measure: str) -> Mapping[tuple[str, str], Series]:
    """The same by (feature, team); the groups folded into one are left out."""
    rows: dict[tuple[str, str], list[Row]] = {}
    for row in answer.rows:
        if row["feature"] != OTHER:
            rows.setdefault((str(row["feature"]), str(row["team"])), []).append(row)
    return {key: _series(own, measure) for key, own in rows.items()}


@remembered
def usual_of(answer: Answer, measure: str, hours: tuple[datetime, ...]) -> Sequence[Band | None]:
    """What is usual of a measure at each of these hours."""
    return bands(series_of(answer, measure), hours)


@remembered
def usual_by_feature(answer: Answer, measure: str, hour: datetime) -> Mapping[tuple[str, str], Band | None]:
    """What is usual at an hour, by (feature, team)."""
    return {key: bands(series, [hour])[0] for key, series in series_by_feature(answer, measure).items()}


@remembered
def burns_of(answer: Answer, hours: tuple[datetime, ...]) -> Sequence[Finding]:
    """The stretches of hours in which a feature cost far more than usual."""
    by_team = series_by_feature(answer, "cost")
    features = {feature for feature, _ in by_team}
    costs = {each: added(series for (feature, _), series in by_team.items() if feature == each) for each in features}
    return burning(costs, hours)


def _series(rows: Sequence[Row], measure: str) -> Series:
    found: dict[datetime, int] = {}
    for row in rows:
        value = row.get(measure)
        if isinstance(value, int):
            found[bucket_of(row)] = value
        elif isinstance(value, str):
            found[bucket_of(row)] = nano_of(value)
    return found


def _period(start: datetime, end: datetime) -> Period:
    return Period(ns_of(start), ns_of(end))
