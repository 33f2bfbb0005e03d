"""The tactical page: what is happening now, and is it usual?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from markupsafe import Markup

from outlay.core.money import decimal_text
from outlay.faces import formats
from outlay.faces.web import charts
from outlay.faces.web.anomalies import Anomaly, anomalies_of, pins_of
from outlay.faces.web.burn import burn_chart, short, tick_bar
from outlay.faces.web.changes import Change, change_of, decimal_of
from outlay.faces.web.figures import bucket_of
from outlay.faces.web.live import (
    ERROR_HOURS,
    HOURS_SHOWN,
    Live,
    series_by_feature,
    series_of,
    usual_by_feature,
    usual_of,
)
from outlay.faces.web.session import session_address
from outlay.faces.web.tables import centre_parts, count, money, share
from outlay.faces.web.trends import sessions_address
from outlay.faces.web.view import Number, freshness_of
from outlay.govern.baseline import DAYS, Band, today_by_now, usual_by_now
from outlay.govern.guardrails import VERDICT_TAG, rejection_rate
from outlay.govern.guards import LOOP_RETRIES_MIN, LOOP_SHARE_MIN
from outlay.metrics.dimensions import OTHER
from outlay.metrics.measures import UNKNOWN

REFRESH_S = 60
_LABEL_HOURS = 6
_MUCH = Decimal("1.25")
"""A rate so many times its usual is marked; below that it is weather."""


@dataclass(frozen=True, slots=True)
class Usual:
    """A bar beside its usual: what, the bar, the figure, and the words for the usual."""

    name: str
    beside: str
    href: str
    bar: Markup
    figure: str
    usual: str


def tactical_page(live: Live, centres: Mapping[str, str]) -> dict[str, Any]:
    """What the template needs."""
    found = anomalies_of(live)
    tokens = series_of(live.hours, "total_tokens")
    usual = usual_of(live.hours, "total_tokens", live.shown)
    return {
        "choice": live.choice,
        "options": live.options,
        "refresh": REFRESH_S,
        "quiet": not live.hours.rows,
        "words": _words(found),
        "numbers": numbers(live),
        "burn": burn_chart(
            [tokens.get(hour, 0) for hour in live.shown],
            usual,
            [_label(hour) if hour.hour % _LABEL_HOURS == 0 else "" for hour in live.shown],
            pins_of(found, live.shown),
            f"Tokens an hour over {HOURS_SHOWN} hours, against the same hours of {DAYS} days",
            [
                charts.Bar(
                    "",
                    _hour(hour),
                    [charts.Part("frontier", Decimal(1), f"{short(tokens.get(hour, 0))} tokens, {_usual(band)}")],
                    _behind(live, hour),
                )
                for hour, band in zip(live.shown, usual, strict=True)
            ],
        ),
        "anomalies": found,
        "active": active_sessions(live),
        "retries": retry_rates(live),
        "errors": errors(live),
        "sessions": running(live, centres),
        "key": charts.key(centres),
        "fresh": freshness_of(live.counters, live.choice.now),
        "hour": f"{live.hour:%H:%M} to {live.hour + timedelta(hours=1):%H:%M}",
    }


def numbers(live: Live) -> list[Number]:
    """The six numbers, each against the same hours of the days before."""
    hour, today = live.hour, live.today.total
    cost, tokens, sessions = (series_of(live.hours, name) for name in ("cost", "total_tokens", "sessions"))
    by_now = usual_by_now(cost, live.choice.now)
    spent = today_by_now(cost, live.choice.now)
    (burn,), (active,) = (usual_of(live.hours, name, (hour,)) for name in ("total_tokens", "sessions"))
    retry, retry_usual = live.last.total.get("retry_rate"), live.retries_usual.total.get("retry_rate")
    kept, kept_usual = _rejections(live)
    attributed = today.get("attributed_share")
    untagged = live.today.coverage.get("untagged_cost", {}).get("team")
    return [
        Number(
            "Spend today",
            money(today.get("cost")),
            None if by_now is None else change_of(decimal_text(spent), decimal_text(round(by_now)), "down"),
            "no usual yet" if by_now is None else f"usual by {hour + timedelta(hours=1):%H:%M} is {_nano(by_now)}",
            sessions_address(live.choice, live.choice.now.replace(hour=0, minute=0, second=0), live.choice.now),
        ),
        Number(
            "Burn rate",
            f"{short(tokens.get(hour, 0))}/h",
            _change(tokens.get(hour, 0), burn),
            "tokens" if burn is None else f"tokens; usual {short(round(burn.middle))}/h",
            _behind(live, hour),
        ),
        Number(
            "Active sessions",
            count(sessions.get(hour, 0)),
            _change(sessions.get(hour, 0), active),
            "in the last full hour" if active is None else f"usual {count(round(active.middle))}",
            _behind(live, hour),
        ),
        Number(
            "Retry rate",
            share(retry),
            change_of(retry, retry_usual, "down"),
            f"of steps; usual {share(retry_usual)}",
            _behind(live, hour, order="retries"),
        ),
        Number(
            "Guardrail rejections",
            share(kept),
            change_of(kept, kept_usual, "down"),
            f"of checks in 24 hours; usual {share(kept_usual)}",
            _behind(live, hour - timedelta(hours=ERROR_HOURS - 1), ERROR_HOURS, centre="guardrails"),
        ),
        Number(
            "Attributed", share(attributed), None, f"{money(untagged)} of today has no team tag", "/tags?period=24h"
        ),
    ]


def active_sessions(live: Live) -> list[Usual]:
    """Sessions of the last full hour by feature, with the usual of that hour."""
    usual_then = usual_by_feature(live.by_feature, "sessions", live.hour)
    found = [
        (series.get(live.hour, 0), None if (band := usual_then[feature, team]) is None else band.middle, feature, team)
        for (feature, team), series in series_by_feature(live.by_feature, "sessions").items()
    ]
    whole = max((max(now, usual or 0) for now, usual, _, _ in found), default=0)
    return [
        Usual(
            feature,
            "" if team == feature else team,
            _behind(live, live.hour, feature=feature),
            tick_bar(now, usual, whole, _tone(now, usual), f"{feature}: {now} sessions"),
            count(now),
            "no usual yet" if usual is None else f"usual {usual:.0f}",
        )
        for now, usual, feature, team in sorted(found, key=lambda each: (-each[0], each[2]))
    ]


def retry_rates(live: Live) -> list[Usual]:
    """Share of retries among the steps of the last full hour by agent, with that of four weeks."""
    usual = {str(row["agent"]): row.get("retry_rate") for row in live.retries_usual.rows}
    found = [
        (rate, decimal_of(usual.get(agent)), agent)
        for row in live.retries.rows
        if (agent := str(row["agent"])) != OTHER and (rate := decimal_of(row.get("retry_rate"))) is not None
    ]
    whole = max((max(now, before or Decimal(0)) for now, before, _ in found), default=Decimal(0))
    return [
        Usual(
            agent,
            "",
            _behind(live, live.hour, agent=agent, order="retries"),
            tick_bar(
                float(now),
                None if before is None else float(before),
                float(whole),
                _tone(float(now), None if before is None else float(before)),
                f"{agent}: {formats.share(str(now))} retries",
            ),
            formats.share(str(now)),
            UNKNOWN if before is None else formats.share(str(before)),
        )
        for now, before, agent in sorted(found, key=lambda each: (-each[0], each[2]))
    ]


def errors(live: Live) -> Markup:
    """Failed operations and rejected checks as shares, hour by hour."""
    hours = live.shown[-24:]
    failed = {bucket_of(row): decimal_of(row.get("error_rate")) for row in live.errors.rows}
    checks: dict[datetime, list[tuple[str, int]]] = {}
    for row in live.verdicts.rows:
        checks.setdefault(bucket_of(row), []).append((str(row[VERDICT_TAG]), row["operations"]))
    lines = [
        [failed.get(hour) for hour in hours],
        [_decimal(rejection_rate(checks.get(hour, ()))) for hour in hours],
    ]
    series = [
        charts.Line(kind, values, word, formats.share(str(values[-1])) if values and values[-1] is not None else "")
        for kind, word, values in (("retries", "errors", lines[0]), ("guardrails", "rejected", lines[1]))
    ]
    top = max((value for values in lines for value in values if value is not None), default=Decimal(0))
    ticks = [(value, f"{(value * 100).normalize():f} %") for value in charts.axis(top, 4)]
    over = [
        charts.Bar(
            "",
            _hour(hour),
            [charts.Part(line.kind, Decimal(1), f"{line.label} {share(line.values[place])}") for line in series],
            _behind(live, hour, order="retries"),
        )
        for place, hour in enumerate(hours)
    ]
    labels = [f"{hour:%H:%M}" if hour.hour % _LABEL_HOURS == 0 else "" for hour in hours]
    return charts.lines(series, labels, ticks, over)


def running(live: Live, centres: Mapping[str, str]) -> list[dict[str, Any]]:
    """The dearest sessions that are at work, with what they cost so far."""
    facts = {str(row["session"]): row for row in reversed(live.running.facts.rows)}
    parts = centre_parts(live.running.centres.rows, centres)
    rows: list[dict[str, Any]] = []
    for row in live.running.ranked.rows:
        session = str(row["session"])
        if session == OTHER:
            continue
        fact, alive = facts.get(session, {}), decimal_of(row.get("session_seconds"))
        word, tone = _state(row)
        rows.append(
            {
                "session": session,
                "href": session_address(session),
                "feature": fact.get("feature", UNKNOWN),
                "team": "" if fact.get("team") == fact.get("feature") else fact.get("team", ""),
                "tier": fact.get("user_tier", UNKNOWN),
                "alive": UNKNOWN if alive is None else formats.duration(str(alive)),
                "steps": count(row.get("usages")),
                "retries": count(row.get("retries")),
                "bar": charts.micro_stack(parts.get(session, []), session),
                "cost": money(row.get("cost")),
                "state": word,
                "tone": tone,
            }
        )
    return rows


def _state(row: Mapping[str, Any]) -> tuple[str, str]:
    retries, steps = row.get("retries") or 0, row.get("usages") or 0
    if retries >= LOOP_RETRIES_MIN and retries >= steps * LOOP_SHARE_MIN:
        return "looping", "bad"
    return (f"{retries} retries", "warn") if retries >= LOOP_RETRIES_MIN // 4 else ("running", "good")


def _words(found: list[Anomaly]) -> str:
    open_ones = "Nothing is out of line." if not found else f"{len(found)} out of line."
    return f"Now, against the same hour of the last {DAYS} days. {open_ones}"


def _rejections(live: Live) -> tuple[str | None, str | None]:
    """The share of checks that kept something back, in the last day and usually."""
    now, usual = (
        _decimal(rejection_rate((str(row[VERDICT_TAG]), row["operations"]) for row in answer.rows))
        for answer in (live.verdicts, live.verdicts_usual)
    )
    return None if now is None else str(now), None if usual is None else str(usual)


def _decimal(ratio: Fraction | None) -> Decimal | None:
    return None if ratio is None else Decimal(ratio.numerator) / Decimal(ratio.denominator)


def _change(now: int, band: Band | None) -> Change | None:
    return None if band is None else change_of(now, round(band.middle))


def _tone(now: float, usual: float | None) -> str:
    if usual is None or now <= usual * float(_MUCH):
        return "plain"
    return "bad" if now > usual * 2 else "warn"


def _nano(amount: float) -> str:
    return formats.nano(round(amount))


def _label(hour: datetime) -> str:
    return f"{hour:%a} {hour.day}" if hour.hour == 0 else f"{hour:%H:%M}"


def _behind(live: Live, hour: datetime, hours: int = 1, **asked: str) -> str:
    """The sessions of an hour, or of several from it on."""
    return sessions_address(live.choice, hour, hour + timedelta(hours=hours), **asked)


def _hour(hour: datetime) -> str:
    return f"{hour.day} {hour:%b %H:%M}"


def _usual(band: Band | None) -> str:
    return "no usual yet" if band is None else f"usual {short(round(band.middle))}"
