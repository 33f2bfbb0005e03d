"""Guards: work that is out of line by fixed rules, with the money at stake. Nothing is learned here but the usual."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from outlay.govern.baseline import Series, bands, busy_hour

BURN_FACTOR = 2.0
"""An hour is out of line when it costs at least so many times the upper edge of its band."""
BURN_NANO_MIN = 1_000_000_000
"""Nano-units above the usual below which nobody need look: one dollar."""
LOOP_RETRIES_MIN = 20
"""Retries of one session from which on it loops: five attempts at four steps are bad luck, twenty are not."""
LOOP_SHARE_MIN = 0.4
FINDINGS_MAX = 20

_HOUR = timedelta(hours=1)


class Kind(StrEnum):
    """What is out of line."""

    LOOP = "loop"
    BURN = "burn"
    UNPRICED = "unpriced"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to look at: since when, whose it is, how much is at stake and the figures that say so.

    `amount_nano` is money beyond the usual, None where it is not known; `times` is how many times the usual it was, or
    how many retries a session had; `count` is the number of sessions, hours or usages behind it; `name` is a session or
    a model.
    """

    kind: Kind
    feature: str
    since: datetime
    until: datetime
    amount_nano: int | None
    times: float
    count: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class SessionSign:
    """What is known of one session: what its retries cost, and how many there were among its steps."""

    session: str
    feature: str
    since: datetime
    until: datetime
    retry_nano: int
    retries: int
    steps: int


def burning(by_feature: Mapping[str, Series], hours: Sequence[datetime]) -> list[Finding]:
    """Stretches of hours in which a feature cost far more than the same hours usually do; the series are nano-units.

    Such an hour is also dearer than the feature's busy hours: a single session at night is no finding.
    """
    found: list[Finding] = []
    for feature, series in by_feature.items():
        least = max(busy_hour(series), BURN_NANO_MIN)
        dear = [hour for hour in hours if series.get(hour, 0) >= least]  # few: what is usual is asked of these only
        usual = dict(zip(dear, bands(series, dear), strict=True))
        run: list[tuple[datetime, int, float]] = []
        for hour in hours:
            value, band = series.get(hour, 0), usual.get(hour)
            if band is not None and value >= band.high * BURN_FACTOR:
                run.append((hour, value, band.middle))
                continue
            found += _burn(feature, run)
            run = []
        found += _burn(feature, run)
    return found


def looping(signs: Iterable[SessionSign]) -> list[Finding]:
    """Sessions that retry again and again, by feature: the money is what their retries cost."""
    loops: dict[str, list[SessionSign]] = {}
    for sign in signs:
        if sign.retries >= LOOP_RETRIES_MIN and sign.retries >= sign.steps * LOOP_SHARE_MIN:
            loops.setdefault(sign.feature, []).append(sign)
    return [
        Finding(
            Kind.LOOP,
            feature,
            min(sign.since for sign in own),
            max(sign.until for sign in own),
            sum(sign.retry_nano for sign in own),
            sum(sign.retries for sign in own) / len(own),
            len(own),
            max(own, key=lambda sign: (sign.retry_nano, sign.session)).session,
        )
        for feature, own in loops.items()
    ]


def unpriced(usages_by_model: Mapping[str, int], since: datetime, until: datetime) -> list[Finding]:
    """Models whose work has no price: what they cost is not known, so that a cap on it could not hold."""
    return [
        Finding(Kind.UNPRICED, "", since, until, None, 0.0, usages, model)
        for model, usages in usages_by_model.items()
        if usages
    ]


def ranked(findings: Iterable[Finding]) -> list[Finding]:
    """By money, largest first; what is not known in money comes last. At most FINDINGS_MAX."""
    return sorted(
        findings,
        key=lambda each: (each.amount_nano is None, -(each.amount_nano or 0), each.kind, each.feature, each.name),
    )[:FINDINGS_MAX]


def _burn(feature: str, run: Sequence[tuple[datetime, int, float]]) -> list[Finding]:
    cost, usual = sum(value for _, value, _ in run), round(sum(middle for _, _, middle in run))
    if not run or cost - usual < BURN_NANO_MIN:
        return []
    times = cost / usual if usual else 0.0
    return [Finding(Kind.BURN, feature, run[0][0], run[-1][0] + _HOUR, cost - usual, times, len(run))]
