"""Anomalies as a person reads them: what, how much money, since when, the likely cause, and where to look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote, urlencode

from outlay.core.money import nano_of
from outlay.faces import formats
from outlay.faces.web.burn import Pin
from outlay.faces.web.live import Live, burns_of
from outlay.govern.guards import Finding, Kind, SessionSign, looping, ranked, unpriced
from outlay.metrics.dimensions import OTHER

ANOMALIES_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One line of the feed."""

    number: int
    tone: str
    title: str
    amount: str
    text: str
    links: Sequence[tuple[str, str]]
    finding: Finding


def anomalies_of(live: Live) -> list[Anomaly]:
    """What is out of line as of now, ranked by money."""
    since, until = live.choice.now - timedelta(days=1), live.choice.now
    models = {str(row["model"]): int(row["usages"]) for row in live.today.coverage.get("unpriced_models", ())}
    found = ranked(
        [
            *burns_of(live.by_feature, live.shown),
            *looping(_signs(live, since, until)),
            *unpriced(models, until.replace(hour=0, minute=0, second=0, microsecond=0), until),
        ]
    )
    return [_told(number, finding, live) for number, finding in enumerate(found[:ANOMALIES_SHOWN], 1)]


def pins_of(found: Sequence[Anomaly], hours: Sequence[datetime]) -> list[Pin]:
    """The dots of the chart: each stretch of burn at its first hour."""
    return [
        Pin(each.number, hours.index(each.finding.since), each.tone, f"#anomaly-{each.number}", each.title)
        for each in found
        if each.finding.kind is Kind.BURN and each.finding.since in hours
    ]


def _signs(live: Live, since: datetime, until: datetime) -> list[SessionSign]:
    signs: list[SessionSign] = []
    for row in live.suspects.rows:
        if row["session"] == OTHER:
            continue
        amount = row.get("retry_cost")
        nano = 0 if amount is None else nano_of(amount)
        signs.append(
            SessionSign(str(row["session"]), str(row["feature"]), since, until, nano, row["retries"], row["usages"])
        )
    return signs


def _told(number: int, finding: Finding, live: Live) -> Anomaly:
    amount = "(unpriced)" if finding.amount_nano is None else "+" + formats.nano(finding.amount_nano)
    told = Anomaly(number, "warn", "", amount, "", (), finding)
    match finding.kind:
        case Kind.BURN:
            times = f"{formats.multiple(str(finding.times))} the usual of" if finding.times else "usually nothing in"
            words = f"{_hours(finding)} · {times} these hours"
            links = [("its sessions", _address(live, finding.feature, "cost"))]
            return _with(told, "bad", f"{finding.feature} burns far above its band", words, links)
        case Kind.LOOP:
            plural = "session" if finding.count == 1 else "sessions"
            words = f"last 24 hours · {finding.count} {plural}, {finding.times:.0f} retries each"
            links = [
                (f"{finding.count} {plural}", _address(live, finding.feature, "retries")),
                ("the worst one", f"/sessions/{quote(finding.name, safe='')}"),
            ]
            return _with(told, "bad", f"{finding.feature} loops: it retries again and again", words, links)
        case Kind.UNPRICED:
            words = f"{formats.count(finding.count)} usages today; a cap cannot hold what it cannot price"
            links = [("what to add", "/api/v1/prices/check")]
            return _with(told, "warn", f"{finding.name} has no price", words, links)


def _with(told: Anomaly, tone: str, title: str, text: str, links: Sequence[tuple[str, str]]) -> Anomaly:
    return Anomaly(told.number, tone, title, told.amount, text, links, told.finding)


def _hours(finding: Finding) -> str:
    return f"{finding.since:%a %H:%M}–{finding.until:%H:%M}"


def _address(live: Live, feature: str, order: str) -> str:
    said = {**live.choice.said, "period": "24h", "feature": feature, "order": order}
    return "/sessions?" + urlencode({name: value for name, value in said.items() if value})
