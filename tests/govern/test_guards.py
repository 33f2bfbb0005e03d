"""Work that is out of line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from outlay.govern.guards import Kind, SessionSign, burning, looping, ranked, unpriced

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DOLLAR = 1_000_000_000
HOURS = [NOON + place * HOUR for place in range(6)]


def usual(dollars: int) -> dict[datetime, int]:
    return {hour - timedelta(days=day): dollars * DOLLAR for hour in HOURS for day in range(1, 15)}


def sign(session: str, retries: int, steps: int = 40, dollars: int = 3) -> SessionSign:
    return SessionSign(session, "kyc", NOON, NOON + HOUR, dollars * DOLLAR, retries, steps)


def test_hours_far_above_their_band_are_one_finding_with_the_money_beyond_the_usual() -> None:
    series = {**usual(5), HOURS[1]: 30 * DOLLAR, HOURS[2]: 20 * DOLLAR, HOURS[4]: 9 * DOLLAR}
    (found,) = burning({"kyc": series}, HOURS)
    assert (found.kind, found.feature, found.since, found.until) == (Kind.BURN, "kyc", HOURS[1], HOURS[3])
    assert (found.amount_nano, found.count, found.times) == (40 * DOLLAR, 2, 5.0)


def test_two_stretches_are_two_findings_and_pennies_are_none() -> None:
    series = {**usual(1), HOURS[0]: 30 * DOLLAR, HOURS[5]: 30 * DOLLAR}
    assert len(burning({"kyc": series}, HOURS)) == 2
    cheap = {hour: value // 100 for hour, value in series.items()}
    assert burning({"kyc": cheap}, HOURS) == []


def test_an_hour_that_is_dear_for_the_night_and_cheap_for_the_day_is_no_finding() -> None:
    night = {**usual(0), HOURS[0]: 5 * DOLLAR}
    busy = {hour - timedelta(hours=8, days=day): 50 * DOLLAR for hour in HOURS for day in range(1, 15)}
    assert burning({"kyc": {**night, **busy}}, HOURS) == []
    assert len(burning({"kyc": night}, HOURS)) == 1


def test_what_has_no_usual_cannot_be_out_of_line() -> None:
    assert burning({"new": {HOURS[0]: 900 * DOLLAR}}, HOURS) == []


def test_sessions_that_retry_again_and_again_loop_together_by_feature() -> None:
    found = looping([sign("a", 30), sign("b", 50, 60, 9), sign("fine", 3), sign("busy", 30, 200)])
    assert [(each.feature, each.count, each.amount_nano, each.name) for each in found] == [("kyc", 2, 12 * DOLLAR, "b")]
    assert found[0].times == 40


def test_money_ranks_and_what_is_not_known_comes_last() -> None:
    several = [
        *unpriced({"ft:mine": 7, "none": 0}, NOON, NOON + HOUR),
        *looping([sign("a", 30)]),
        *burning({"kyc": {**usual(1), HOURS[0]: 90 * DOLLAR}}, HOURS),
    ]
    assert [each.kind for each in ranked(several)] == [Kind.BURN, Kind.LOOP, Kind.UNPRICED]
    assert ranked(several) == ranked(reversed(several))
