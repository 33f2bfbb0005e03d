"""What is worth telling, in which words, to whom, and when: pure decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.core.budget import Budget, Standing
from outlay.core.calendar import Calendar
from outlay.core.errors import InputError
from outlay.core.money import NANO
from outlay.core.period import moment_of, ns_of
from outlay.govern.alert_rules import Rule, Rules, Step, check_channels, default_of, read_rules
from outlay.govern.alerts import Reading, Routed, alerts_of, route, run_rate_nano, sessions_path
from outlay.govern.channels import quiet_until, read_channel

MONTH = Calendar().window(ns_of(datetime(2026, 11, 10, tzinfo=UTC)))
LATER = ns_of(datetime(2026, 11, 29, tzinfo=UTC))
DAY = 24 * 3600 * 10**9
TEAM = Budget(3, "onboarding", {"team": "onboarding"}, owner="ann@example.com")
ACCOUNT = Budget(4, "company", {})


def reading(percent: int, budget: Budget = TEAM, limit: int = 100 * NANO, **more: Any) -> Reading:
    return Reading(Standing(budget, "", *MONTH, limit, limit * percent // 100, 0), 7, **more)


def told(found: Reading, rule: Rule | None = None, now_ns: int = LATER) -> list[tuple[str, int, str]]:
    rule = default_of(found.standing.budget) if rule is None else rule
    return [(alert.kind, alert.level, alert.severity) for alert in alerts_of(found, rule, now_ns)]


@pytest.mark.parametrize(
    ("percent", "levels"),
    [
        (69, []),
        (70, [("actual", 70, "info")]),
        (89, [("actual", 70, "info")]),
        (90, [("actual", 90, "warning")]),
        (99, [("actual", 90, "warning")]),
        (100, [("over", 100, "critical")]),
        (109, [("over", 100, "critical")]),
        (110, [("over", 110, "critical")]),
        (1234, [("over", 1230, "critical")]),
    ],
)
def test_seventy_ninety_and_every_ten_beyond_are_told_by_default(
    percent: int, levels: list[tuple[str, int, str]]
) -> None:
    assert told(reading(percent), replace(Rule(), forecast=None)) == levels


def test_the_whole_account_is_told_at_eighty() -> None:
    assert told(reading(79, ACCOUNT), replace(default_of(ACCOUNT), forecast=None)) == []
    assert told(reading(80, ACCOUNT), replace(default_of(ACCOUNT), forecast=None)) == [("actual", 80, "info")]


def test_each_budget_may_have_thresholds_of_its_own_complaint_22() -> None:
    rules = read_rules({"rules": [{"budget": "onb*", "actual": [33, 50, 66]}, {"budget": "*", "actual": []}]})
    for percent, level in ((32, None), (33, 33), (65, 50), (99, 66)):
        found = told(reading(percent), replace(rules.of(TEAM), forecast=None))
        assert found == ([] if level is None else [("actual", level, "info")])
    assert rules.of(ACCOUNT).actual == ()
    assert rules.of(ACCOUNT).unattributed == 10, "what a rule leaves out stays as usual for its kind of budget"


def test_forty_cents_of_fifteen_dollars_are_no_ninety_nine_percent_complaint_21() -> None:
    """Money that is only held is not spent."""
    rule = replace(Rule(actual=(99,)), forecast=None)
    standing = Standing(TEAM, "", *MONTH, 15 * NANO, 400_000_000, 14 * NANO)
    assert alerts_of(Reading(standing, 1), rule, LATER) == []


def test_every_further_amount_is_told_beyond_the_limit() -> None:
    rule = replace(read_rules({"rules": [{"every": 500, "actual": []}]}).of(TEAM), forecast=None)
    limit = 1000 * NANO
    for spent, level in ((1499, None), (1500, 500), (1999, 500), (2250, 1000)):
        standing = Standing(TEAM, "", *MONTH, limit, spent * NANO, 0)
        found = alerts_of(Reading(standing, 1), rule, LATER)
        assert [alert.level for alert in found] == ([] if level is None else [level * NANO])
        assert all("beyond its 1,000 USD for 2026-11" in alert.title for alert in found)


def test_a_run_rate_that_leads_beyond_the_limit_is_told_once_it_means_something() -> None:
    start, end = MONTH
    early, third = start + (end - start) // 20, start + (end - start) // 3
    assert told(reading(30), now_ns=early) == []
    assert told(reading(33), now_ns=third) == []
    assert told(reading(34), now_ns=third) == [("forecast", 100, "warning")]
    assert told(reading(120), now_ns=third) == [("over", 120, "critical")], "what is spent needs no forecast"
    assert run_rate_nano(reading(50).standing, start + (end - start) // 2) == 100 * NANO
    assert run_rate_nano(reading(50).standing, end) is None
    life = Standing(TEAM, "", *Calendar("life").window(LATER), 1, 1, 0)
    assert run_rate_nano(life, LATER) is None


def test_shares_are_told_when_they_say_something() -> None:
    rule = Rule((), None, None, None, 5, 10)
    few = reading(0, ACCOUNT, calls=19, unpriced=19, cost_nano=100, untagged_nano=100)
    assert told(few, rule) == []
    many = reading(0, ACCOUNT, calls=100, unpriced=5, cost_nano=1000, untagged_nano=99)
    assert told(many, rule) == [("unpriced", 5, "info")]
    both = reading(0, ACCOUNT, calls=100, unpriced=4, cost_nano=1000, untagged_nano=100)
    assert told(both, rule) == [("unattributed", 10, "info")]


def test_a_first_refusal_is_told_with_what_is_used_up() -> None:
    session = Budget(5, "each run", {"session": "*"}, Calendar("life"), caps={"steps": 40})
    standing = Standing(session, '["run-7"]', *Calendar("life").window(LATER), NANO, NANO // 2, 0)
    (alert,) = alerts_of(Reading(standing, 1, 3, "steps"), default_of(session), LATER, "https://o.example")
    assert alert.title == "each run (run-7) refused 3 calls: its 40 steps are used up"
    assert alert.content["link"] == "https://o.example/sessions?id=run-7"
    assert alerts_of(Reading(replace(standing, spent_nano=2 * NANO), 1), default_of(session), LATER) == []


def test_no_limit_and_no_spend_tell_nothing() -> None:
    for standing in (Standing(TEAM, "", *MONTH, 0, 5, 0), Standing(TEAM, "", *MONTH, 100, 0, 0)):
        assert alerts_of(Reading(standing, 1), Rule(), LATER) == []


@given(st.integers(0, 10**14), st.integers(1, 10**14), st.integers(*MONTH))
def test_what_is_told_holds(spent: int, limit: int, now_ns: int) -> None:
    standing = Standing(TEAM, "", *MONTH, limit, spent, 0)
    for alert in alerts_of(Reading(standing, 1), Rule(), now_ns):
        if alert.kind in {"actual", "over"}:
            assert spent * 100 >= alert.level * limit
        else:
            assert alert.kind == "forecast"
            assert spent * (MONTH[1] - MONTH[0]) >= limit * (now_ns - MONTH[0]) - limit
            assert spent < limit


# ---- who hears it ------------------------------------------------------------------------------------------------


def routed(rules: Mapping[str, Any], budget: Budget = TEAM, percent: int = 95, gone: tuple[str, ...] = ()) -> Routed:
    (alert, *_) = alerts_of(reading(percent, budget), Rule(), LATER)
    return route(read_rules(rules), alert, budget, ["ann", "ops", "pager"], gone)


def test_without_routes_every_channel_hears_everything() -> None:
    assert routed({}) == Routed(("ann", "ops", "pager"))


def test_routes_go_by_owner_team_kind_and_severity() -> None:
    routes = [
        {"owner": "ann@*", "channels": ["ann"]},
        {"severity": "critical", "channels": ["pager"]},
        {"team": "search", "channels": ["ops"]},
    ]
    assert routed({"routes": routes}).channels == ("ann",)
    assert routed({"routes": routes}, percent=100).channels == ("ann", "pager")
    search = Budget(9, "search", {"team": "search"}, owner="bob")
    assert routed({"routes": routes}, search).channels == ("ops",)
    assert routed({"routes": [{"kind": "over", "channels": ["pager"]}], "fallback": ["ops"]}).channels == ("ops",)


def test_what_was_for_an_owner_who_left_goes_to_the_fallback_and_says_so() -> None:
    said = {"routes": [{"owner": "ann@*", "channels": ["ann"]}], "fallback": ["ops"], "left": ["ann@example.com"]}
    assert routed(said) == Routed(("ops",), "its owner ann@example.com left; told to ops instead", owner_left=True)
    revoked = Budget(9, "bots", {"agent": "x"}, owner="key:bots")
    assert routed({"fallback": ["ops"]}, revoked, gone=("key:bots",)).note.startswith("its owner key:bots left")


def test_a_channel_that_is_gone_is_said_and_somebody_else_hears_it() -> None:
    told_to = routed({"routes": [{"channels": ["old"]}]})
    assert told_to.channels == ("ann", "ops", "pager")
    assert told_to.note.startswith('the channel "old" is not there any more; told to')
    (alert,) = alerts_of(reading(95), replace(Rule(), forecast=None), LATER)
    assert route(Rules(), alert, TEAM, []).note == "nobody was told: there is no channel"


def test_links_lead_to_the_sessions_of_the_budget() -> None:
    assert sessions_path(TEAM, "") == "/sessions?team=onboarding"
    assert sessions_path(Budget(1, "x", {"customer": "*"}), '["acme"]') == "/sessions"
    assert sessions_path(Budget(1, "x", {"session": "*"}), '["a b/c"]') == "/sessions?id=a+b%2Fc"


# ---- words ---------------------------------------------------------------------------------------------------------


def test_rules_are_read_with_their_ladder() -> None:
    steps = [{"at": 95, "do": "cheaper"}, {"at": 100, "do": "stop", "approval": True}]
    rules = read_rules({"rules": [{"budget": "team-*", "actions": steps, "every": None, "refused": False}]})
    rule = rules.of(replace(TEAM, name="team-a"))
    assert rule.actions == (Step(95, "cheaper"), Step(100, "stop", approval=True))
    assert (rule.every_percent, rule.refused, rule.actual) == (None, False, (70, 90))


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ([], "must be an object"),
        ({"rule": []}, 'did you mean "rules"'),
        ({"rules": {}, "routes": {}}, "is a list"),
        ({"rules": [{"actual": [0]}]}, "no percentage"),
        ({"rules": [{"actual": ["70"]}]}, "no percentage"),
        ({"rules": [{"actual": 70}]}, "is a list"),
        ({"rules": [{"every": "ten"}]}, "every"),
        ({"rules": [{"every": -5}]}, "no part"),
        ({"rules": [{"forecast": True}]}, "no percentage"),
        ({"rules": [{"thresholds": [70]}]}, "no field"),
        ({"rules": [{"actions": [{"at": 90, "do": "pause"}]}]}, "no action"),
        ({"rules": [{"actions": [{"at": 90, "do": "stop", "approval": "yes"}]}]}, "true or false"),
        ({"routes": [{"owner": "ann"}]}, "names no channels"),
        ({"routes": [{"channels": ["a"], "severity": "loud"}]}, "no severity"),
        ({"fallback": "ops"}, "list of names"),
        ({"page": "javascript:alert(1)"}, "no address"),
    ],
)
def test_rules_that_cannot_be_are_refused_whole(said: object, says: str) -> None:
    with pytest.raises(InputError) as refused:
        read_rules(said)
    assert says in f"{refused.value.message} {refused.value.hint}"


def test_a_rule_names_channels_that_there_are() -> None:
    rules = read_rules({"routes": [{"channels": ["opps"]}]})
    with pytest.raises(InputError, match="opps") as refused:
        check_channels(rules, ["ops"])
    assert 'did you mean "ops"' in refused.value.hint


SLACK = {"name": "ops", "kind": "slack", "secret": "https://hooks.slack.com/x"}
MAIL = {"name": "m", "kind": "email", "host": "h", "from": "a@b.c", "to": "d@e.f"}


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ([], "object"),
        ({**SLACK, "kind": "slak"}, 'did you mean "slack"'),
        ({**SLACK, "name": "a b"}, "no name"),
        ({**SLACK, "secret": ""}, "address of its webhook"),
        ({**SLACK, "secret": "ftp://x"}, "no web address"),
        ({**SLACK, "secret": "https://user:pw@host/"}, "user or a password"),
        ({**SLACK, "url": "https://x"}, "no field"),
        ({"name": "h", "kind": "webhook", "url": "https://x:99999/", "secret": "k"}, "no address"),
        ({"name": "h", "kind": "webhook", "url": "https://x/"}, "signing key"),
        ({"name": "p", "kind": "pagerduty"}, "routing key"),
        ({**MAIL, "to": []}, "recipients"),
        ({**MAIL, "to": "d@e.f\nBcc: all@x.y"}, "no e-mail address"),
        ({**MAIL, "to": ["owner"]}, "somebody must read"),
        ({**MAIL, "port": 0}, "port"),
        ({**MAIL, "tls": "none", "user": "u", "secret": "p"}, "in the clear"),
        ({**MAIL, "tls": "ssl"}, "tls"),
        ({**MAIL, "host": "h; rm"}, "no name of a server"),
        ({**SLACK, "quiet": {"from": "22:00"}}, "quiet hours"),
        ({**SLACK, "quiet": {"from": "22:00", "to": "25:00"}}, "quiet hours"),
        ({**SLACK, "quiet": {"from": "22:00", "to": "22:00"}}, "begin and end"),
        ({**SLACK, "quiet": {"from": "22:00", "to": "07:00", "zone": "Berlin"}}, "no time zone"),
        ({**SLACK, "quiet": {"from": "22:00", "to": "07:00", "days": ["sun"]}}, "quiet days"),
        ({**SLACK, "quiet": {"from": "22:00", "to": "07:00", "urgent": "yes"}}, "now or wait"),
    ],
)
def test_channels_that_cannot_be_are_refused(said: object, says: str) -> None:
    with pytest.raises(InputError) as refused:
        read_channel(said)
    assert says in f"{refused.value.message} {refused.value.hint}"


# ---- quiet hours -----------------------------------------------------------------------------------------------------

NIGHT = {"from": "22:00", "to": "07:00", "zone": "Europe/Berlin", "days": [], "urgent": "now"}


def local(*wall: int, fold: int = 0) -> int:
    return ns_of(datetime(*wall, tzinfo=ZoneInfo("Europe/Berlin"), fold=fold).astimezone(UTC))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("quiet", "now", "due"),
    [
        (NIGHT, (2026, 11, 10, 12), (2026, 11, 10, 12)),
        (NIGHT, (2026, 11, 10, 22), (2026, 11, 11, 7)),
        (NIGHT, (2026, 11, 11, 6, 59), (2026, 11, 11, 7)),
        (NIGHT, (2026, 11, 11, 7), (2026, 11, 11, 7)),
        (NIGHT, (2026, 3, 28, 23), (2026, 3, 29, 7)),  # a night of 8 hours
        (NIGHT, (2026, 10, 24, 23), (2026, 10, 25, 7)),  # a night of 10
        ({**NIGHT, "to": "02:30"}, (2026, 3, 29, 1), (2026, 3, 29, 3, 30)),  # 02:30 is not on that day
        ({**NIGHT, "days": ["saturday", "sunday"]}, (2026, 11, 6, 23), (2026, 11, 9, 7)),
        ({**NIGHT, "from": "12:00", "to": "13:00"}, (2026, 11, 6, 12, 30), (2026, 11, 6, 13)),
    ],
)
def test_what_comes_in_quiet_hours_waits_for_their_end(
    quiet: Mapping[str, Any], now: tuple[int, ...], due: tuple[int, ...]
) -> None:
    assert quiet_until(quiet, local(*now)) == local(*due)


def test_urgent_passes_unless_it_shall_wait() -> None:
    now = local(2026, 11, 10, 23)
    assert quiet_until(NIGHT, now, "critical") == now
    assert quiet_until({**NIGHT, "urgent": "wait"}, now, "critical") == local(2026, 11, 11, 7)


@given(
    st.integers(1_767_225_600, 1_830_297_600),  # seconds of 2026 and 2027
    st.times(),
    st.times(),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "UTC"]),
    st.sets(st.sampled_from(["saturday", "sunday", "monday"])),
)
def test_no_quiet_time_lasts_longer_than_its_days_and_a_night(
    second: int, begins: Any, ends: Any, zone: str, days: set[str]
) -> None:
    begins, ends = begins.replace(second=0, microsecond=0), ends.replace(second=0, microsecond=0)
    if begins == ends:
        return
    quiet = {"from": f"{begins:%H:%M}", "to": f"{ends:%H:%M}", "zone": zone, "days": sorted(days), "urgent": "now"}
    at = second * 10**9
    due = quiet_until(quiet, at)
    assert at <= due <= at + (len(days) + 2) * DAY + 2 * 3600 * 10**9
    assert quiet_until(quiet, due) == due, "then it is loud"
    assert moment_of(due) - moment_of(at) < timedelta(days=6)
