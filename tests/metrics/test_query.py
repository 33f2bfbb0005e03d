"""How a question is spelled, and what is said of one that cannot be read."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.core.errors import QueryError
from outlay.core.period import Grain, ns_of
from outlay.metrics.filters import Filter, parse_filters
from outlay.metrics.query import BY_MAX, PARAMETERS, TOP_MAX, Order, parse_query

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_a_whole_question() -> None:
    query = parse_query(
        {
            "measures": "cost, sessions",
            "by": ["team,feature", "model"],
            "grain": "week",
            "since": "2026-11",
            "until": "now",
            "where": ["team:onboarding|billing,feature!=search", 'agent:"a, b"'],
            "top": "5",
            "order": "sessions:asc",
            "counted": "all",
        },
        NOW,
    )
    assert query.measures == ("cost", "sessions")
    assert query.by == ("team", "feature", "model")
    assert query.grain is Grain.WEEK
    assert query.period.start_ns == ns_of(datetime(2026, 11, 1, tzinfo=UTC))
    assert query.period.end_ns == ns_of(NOW)
    assert query.where == (
        Filter("team", ("onboarding", "billing")),
        Filter("feature", ("search",), exclude=True),
        Filter("agent", ("a, b",)),
    )
    assert (query.top, query.order, query.counted_only) == (5, Order("sessions", descending=False), False)
    assert query.described()["where"] == ["team:onboarding|billing", "feature!=search", 'agent:"a, b"']


def test_nothing_asked_is_the_question_everyone_has() -> None:
    query = parse_query({})
    assert query.measures == ("cost", "sessions", "tasks_completed", "cost_per_completed_task")
    assert (query.by, query.where, query.limit) == ((), (), TOP_MAX)


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"measures": "costs"}, 'did you mean "cost"'),
        ({"by": "feture"}, 'did you mean "feature"'),
        ({"grain": "weekly"}, 'did you mean "week"'),
        ({"where": "tem:x"}, 'did you mean "team"'),
        ({"where": "centre:inferense"}, 'did you mean "inference"'),
        ({"where": "meter:tokens"}, "in_uncached"),
        ({"wher": "x"}, 'did you mean "where"'),
        ({"order": "session", "measures": "sessions"}, 'did you mean "sessions"'),
        ({"where": "team"}, "dimension:value"),
        ({"where": "team:"}, "(untagged)"),
        ({"by": "team,team"}, "twice"),
        ({"by": ",".join(["team", "feature", "agent", "model", "provider"][: BY_MAX + 1])}, f"at most {BY_MAX}"),
        ({"top": str(TOP_MAX + 1)}, f"{TOP_MAX}"),
        ({"top": "-1"}, "whole number"),
        ({"top": ["1", "2"]}, "2 times"),
        ({"since": "yesterday-ish"}, "not a time"),
        ({"since": "2026-12-01", "until": "2026-11-01"}, "ends before"),
        ({"counted": "some"}, '"all"'),
        ({"by": "tag.'"}, "tag"),
        ({"grain": "minute"}, "at most 2 days; this one is open"),
        ({"grain": "minute", "until": "2026-11-01"}, "at most 2 days; this one is open"),
        ({"grain": "minute", "since": "3d"}, "at most 2 days, not 3"),
        ({"grain": "minute", "since": "2026-11-01", "until": "2026-11-03T00:00:01Z"}, "grain=hour"),
    ],
)
def test_bad_questions_are_told_what_is_valid(parameters: dict[str, str | list[str]], says: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse_query(parameters, NOW)
    assert says in f"{caught.value.message} {caught.value.hint}"


def test_minutes_without_an_end_go_up_to_now() -> None:
    query = parse_query({"grain": "minute", "since": "2h"}, NOW)
    assert (query.grain, query.period.end_ns) == (Grain.MINUTE, ns_of(NOW))
    assert parse_query({"grain": "hour", "since": "2h"}, NOW).period.end_ns is None


@given(st.dictionaries(st.sampled_from(PARAMETERS), st.text(max_size=40)))
def test_any_text_is_answered_or_refused(parameters: dict[str, str]) -> None:
    with suppress(QueryError):
        assert parse_query(parameters, NOW).measures


VALUES = st.text(st.characters(exclude_characters='"', exclude_categories=["Cs"]), min_size=1, max_size=12).map(
    str.strip
)


@given(st.lists(VALUES.filter(bool), min_size=1, max_size=3), st.booleans())
def test_a_filter_reads_as_it_is_written(values: list[str], exclude: bool) -> None:
    written = Filter("team", tuple(values), exclude)
    assert parse_filters(str(written)) == (written,)
