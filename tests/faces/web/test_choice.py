"""What the reader picked: periods, buckets, addresses."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest

from outlay.core.errors import QueryError
from outlay.core.period import ns_of
from outlay.faces.web.choice import WINDOWS, parse_choice

NOW = datetime(2026, 11, 23, 14, 52, 7, 999, tzinfo=UTC)


@pytest.mark.parametrize("name", WINDOWS)
def test_windows_are_half_open_and_meet(name: str) -> None:
    choice = parse_choice({"period": name}, NOW)
    assert choice.period.end_ns == ns_of(NOW.replace(second=59, microsecond=0))
    assert choice.before.end_ns == choice.period.start_ns
    assert choice.before.start_ns is not None
    assert choice.period.start_ns is not None
    assert choice.period.start_ns - choice.before.start_ns == ns_of(choice.now) - choice.period.start_ns


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("24h", "2026-11-22T15:00", "2026-11-23T14:00"),
        ("7d", "2026-11-10T00:00", "2026-11-23T00:00"),
        ("30d", "2026-09-07T00:00", "2026-11-23T00:00"),
        ("90d", "2026-08-31T00:00", "2026-11-23T00:00"),
        ("13m", "2025-11-01T00:00", "2026-11-01T00:00"),
    ],
)
def test_buckets_begin_where_the_calendar_does(name: str, first: str, last: str) -> None:
    choice = parse_choice({"period": name}, NOW)
    assert len(choice.buckets) == choice.window.bars == len(set(choice.buckets))
    assert [f"{start:%Y-%m-%dT%H:%M}" for start in (choice.buckets[0], choice.buckets[-1])] == [first, last]


def test_an_unknown_period_names_the_nearest() -> None:
    with pytest.raises(QueryError) as caught:
        parse_choice({"period": "31d"}, NOW)
    assert "30d" in caught.value.hint


def test_an_address_keeps_the_choice_and_quotes_what_it_must() -> None:
    choice = parse_choice({"team": " Bücher & Söhne ", "period": "7d", "utm_source": "mail"}, NOW)
    address = urlsplit(choice.address(feature="a/b?c"))
    assert parse_qs(address.query) == {"period": ["7d"], "team": ["Bücher & Söhne"], "feature": ["a/b?c"]}
    assert "team" not in parse_qs(urlsplit(choice.address(team="")).query)
    assert [str(item) for item in choice.where] == ["team:Bücher & Söhne"]
