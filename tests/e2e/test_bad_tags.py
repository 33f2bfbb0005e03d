"""Bad tags through the door: each kind has one answer, nothing is lost and nothing is made up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otlp_wire import counter, metrics_request, request, span
from outlay.house import House
from outlay.ledger.intake import Receipt
from outlay.metrics.query import parse_query
from outlay.normalize.writers import Sender

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-5.4", "gen_ai.usage.input_tokens": 10}
HOUR_NS = 3_600 * 10**9
STRICT = b'[keys.team]\nallowed = ["search"]\nmode = "reject"\n'
WIDER = b'[keys.team]\nallowed = ["search", "serch"]\nmode = "reject"\n'


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with House(tmp_path) as house:
        yield house


def told(house: House, *spans: Any, sender: Sender | None = None) -> Receipt:
    """What the sender of these spans is told; they are settled then."""
    receipt = house.intake.submit(request(spans).SerializeToString(), "protobuf", sender=sender).result()
    house.intake.settle()
    return receipt


def rows(house: House, names: str) -> list[tuple[Any, ...]]:
    table = house.books.rows(f"SELECT {names} FROM usages ORDER BY time, fact_key")
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def test_an_unknown_key_is_a_free_tag_where_it_says_so_and_else_nothing(house: House) -> None:
    receipt = told(
        house, span(1, {**CHAT, "outlay.tag.project": "apollo", "made.up.key": "x", "outlay.team": "search"})
    )
    assert receipt.refused == 0
    assert rows(house, "team, tags") == [("search", '{"project":"apollo"}')]
    house.adopt_policy(b'[tags]\nunknown = "drop"\n', None, None, "test")
    assert rows(house, "team, tags") == [("search", "")]
    assert house.rebuild().matches


def test_ten_kilobytes_are_no_team_and_their_usage_stays(house: House) -> None:
    for number, length in ((1, 10_240), (2, 300)):
        receipt = told(house, span(number, {**CHAT, "outlay.team": "x" * length, "outlay.feature": "answers"}))
        assert receipt.refused == 0
    assert rows(house, "team, feature, in_uncached") == [("(untagged)", "answers", 10)] * 2
    problems = [*receipt.problems, *house.intake.problems()]
    assert any("team" in problem.what and "256" in problem.what + problem.hint for problem in problems)
    assert not any("x" * 100 in problem.what + problem.where + problem.hint for problem in problems)


def test_the_sender_of_ten_kilobytes_is_told(house: House) -> None:
    receipt = told(house, span(1, {**CHAT, "outlay.team": "x" * 10_240}))
    (problem,) = receipt.problems
    assert problem.what == "attribute outlay.team dropped: longer than 1024 bytes"
    assert problem.hint == "a tag names something, it carries no content"


def test_clocks_hours_apart_change_neither_sums_nor_whose_it_is(house: House) -> None:
    now_ns = time.time_ns()
    for number, ahead_ns in ((1, 0), (2, 5 * HOUR_NS), (3, -7 * HOUR_NS)):
        said = {**CHAT, "session.id": "s"} | ({"outlay.team": "search"} if number == 1 else {})
        start_ns = now_ns + ahead_ns
        changes = {"start_time_unix_nano": start_ns, "end_time_unix_nano": start_ns + 10**9}
        assert told(house, span(number, said, **changes, **({} if number == 1 else {"parent": 1}))).refused == 0
    assert sorted(rows(house, "team, session_id, in_uncached")) == [("search", "s", 10)] * 3
    start_ns = now_ns + 3 * 24 * HOUR_NS
    far = span(9, {**CHAT}, start_time_unix_nano=start_ns, end_time_unix_nano=start_ns + 1)
    told(house, far)
    assert len(rows(house, "team")) == 3
    assert any("clock" in problem.what for problem in house.intake.problems())


def test_a_session_that_contradicts_itself_keeps_each_word_and_is_named(house: House) -> None:
    said = {**CHAT, "session.id": "quarrel"}
    told(
        house,
        span(1, said),
        span(2, {**said, "outlay.team": "search"}, parent=1),
        span(3, {**said, "outlay.team": "ads"}),
    )
    teams = sorted(team for (team,) in rows(house, "team"))
    assert teams in (["ads", "ads", "search"], ["ads", "search", "search"])
    (finding,) = house.tag_findings(parse_query({"measures": ["cost"]}))
    assert (finding.kind, finding.count) == ("contradictory tags", 1)
    assert "quarrel" in finding.what
    assert house.rebuild().matches


def test_a_key_without_right_to_a_team_is_told_which_it_may_write(house: House) -> None:
    spans = [span(1, {**CHAT, "outlay.team": "ads"}), span(2, {**CHAT, "outlay.team": "search"}), span(3, CHAT)]
    receipt = told(house, *spans, sender=Sender("collector", ("search",)))
    assert receipt.refused == 1
    (problem,) = receipt.problems
    assert (problem.where, problem.hint) == ('team "ads"', "this key may write: search")
    assert rows(house, "team, api_key") == [("search", "collector")] * 2
    counters = house.counters()
    assert (counters["received"], counters["posted"], counters["refused"]) == (3, 2, 1)


def test_the_totals_of_a_metric_that_a_policy_refused_come_back_whole(house: House) -> None:
    house.adopt_policy(STRICT, None, None, "test")
    start_ns = time.time_ns() - HOUR_NS
    for value, after_ns in ((40, 60 * 10**9), (100, 120 * 10**9)):
        points = [(value, {"type": "input", "model": "gemini-2.5-pro", "team": "serch"})]
        made = counter("gemini_cli.token.usage", *points, start_ns=start_ns, at_ns=start_ns + after_ns, cumulative=True)
        body = metrics_request([made], {"service.name": "gemini"}).SerializeToString()
        house.intake.submit(body, "protobuf", "metrics").result()
    house.intake.settle()
    assert rows(house, "team") == []
    assert house.refused_by_policy() > 0
    report = house.adopt_policy(WIDER, None, None, "test")
    assert report.came_back > 0
    assert rows(house, "team, in_uncached") == [("serch", 100)]
    assert house.refused_by_policy() == 0
    assert all(check.ok for check in house.doctor() if check.name in ("sums", "lines", "rollups", "counters"))
    assert house.rebuild().matches
