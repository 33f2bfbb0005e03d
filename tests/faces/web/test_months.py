"""The views of a month over invented books: what they ask, what they say, and what they never make up."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from faces.web.doubles import NOW, Miniature, company, work
from outlay.control.place import open_control
from outlay.control.store import ControlStore
from outlay.core.period import Grain
from outlay.faces.api.guard import Guard
from outlay.faces.control_desk import ControlDesk
from outlay.faces.web import pages
from outlay.faces.web.months import parse_month
from outlay.metrics.query import check

VIEWS = ("/strategic", "/executive", "/targets")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ControlStore]:
    with open_control(tmp_path) as opened:
        yield opened


@pytest.fixture
def desk(store: ControlStore) -> ControlDesk:
    return ControlDesk(store, "test")


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch) -> None:
    class Frozen(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return NOW.astimezone(tz)

    monkeypatch.setattr(pages, "datetime", Frozen)


def daily(days: int = 400, **facts: Any) -> list[dict[str, Any]]:
    """Ten dollars and a finished task a day; a fifth of it is retries."""
    rows = []
    for place in range(days):
        rows += [work(place, "8", task="done", **facts), work(place, "2", "retries", **facts)]
    return rows


def browser(books: Miniature, store: ControlStore) -> TestClient:
    books.control = store  # type: ignore[attr-defined]
    return TestClient(Guard(Starlette(routes=pages.routes(books)), None, key_needed=False), base_url="http://127.0.0.1")  # type: ignore[arg-type]


def words_of(books: Miniature, store: ControlStore, path: str) -> str:
    answer = browser(books, store).get(path)
    assert answer.status_code == 200, answer.text
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", answer.text)))


@pytest.mark.parametrize("view", VIEWS)
def test_every_question_is_one_the_metrics_know_and_there_are_few(store: ControlStore, view: str) -> None:
    books = Miniature()
    words_of(books, store, view)
    for query in books.asked:
        check(query)
    assert len(books.asked) <= 18, "each is a statement, and the page shall be there at once"
    narrowed = Miniature()
    words_of(narrowed, store, f"{view}?team=documents")
    assert all(query.where for query in narrowed.asked if query.period.start_ns is not None)


def test_the_strategic_page_says_who_passes_the_budget_and_when(store: ControlStore, desk: ControlDesk) -> None:
    desk.set_budget({"team": "onboarding", "month": "270"})
    desk.set_budget({"month": "1000", "name": "company", "mode": "observe"})
    told = words_of(Miniature(daily()), store, "/strategic")
    assert "Week 48, month to date 1 to 23 November. onboarding will pass its budget on 27 November." in told
    assert re.search(r"will be over by \$3\d\.", told)
    assert "light ticks are its alerts at 70, 80, 90 %" in told
    assert "they multiply inference by 1.25×" in told
    assert "4 of 5 such months" in told


def test_without_a_budget_nothing_is_judged_and_a_word_leads_to_one(store: ControlStore) -> None:
    told = words_of(Miniature(daily()), store, "/strategic")
    assert "no budget" in told
    assert "set a budget" in told
    assert "pass its budget" not in told
    assert "no target" in told


def test_a_target_is_beside_its_feature_with_a_verdict(store: ControlStore, desk: ControlDesk) -> None:
    desk.set_target({"feature": "kyc-onboarding", "amount": "9.7", "quarter": "2026-Q4"})
    assert "$9.70 3 % over" in words_of(Miniature(daily()), store, "/strategic")
    desk.set_target({"feature": "kyc-onboarding", "amount": "8", "quarter": "2026-Q4"})
    assert "$8.00 25 % over" in words_of(Miniature(daily()), store, "/strategic")
    desk.set_target({"feature": "kyc-onboarding", "amount": "10", "quarter": "2026-Q4"})
    assert "$10.00 met" in words_of(Miniature(daily()), store, "/strategic")


def test_the_month_in_one_paragraph(store: ControlStore, desk: ControlDesk) -> None:
    desk.set_budget({"month": "1000", "name": "company", "mode": "observe"})
    desk.set_budget({"team": "onboarding", "month": "250"})
    told = words_of(Miniature(daily()), store, "/executive")
    assert "November should close at $304 , $696 under budget , almost certainly." in told
    assert "Each dollar of agent cost supports $15 of outcome value." in told
    assert "An outcome costs what it did a year ago." in told
    assert "onboarding will exceed its budget by $53" in told
    assert "Onboarding customer activated" in told


def test_a_month_that_is_over_is_told_as_it_was(store: ControlStore) -> None:
    told = words_of(Miniature(daily()), store, "/executive?month=2026-10")
    assert "October closed at $310" in told
    assert "the month is over: this is what it cost" in told
    assert "should close" not in told
    assert "1 to 31 October 2026." in words_of(Miniature(daily()), store, "/strategic?month=2026-10")


def test_what_is_not_measured_yet_is_said_to_be_so_and_never_nothing(store: ControlStore) -> None:
    told = words_of(Miniature(daily(20)), store, "/executive")
    assert "Not measured yet: no provider's bill can be imported so far" in told
    assert "The level is not measured yet" in told
    assert "no bill" in told
    assert "There is no month a year ago to compare an outcome with." in told
    assert "no year before" in told
    young = words_of(Miniature(daily(2)), store, "/executive")
    assert "three whole days are needed" in young


def test_narrowed_views_have_no_budgets_as_those_bind_all_of_the_work(store: ControlStore, desk: ControlDesk) -> None:
    desk.set_budget({"month": "1000", "name": "company"})
    assert "budgets stand against the whole" in words_of(Miniature(daily()), store, "/executive?environment=production")
    assert "$1,000" not in words_of(Miniature(daily()), store, "/strategic?environment=production")


@pytest.mark.parametrize("view", VIEWS)
def test_a_name_with_markup_is_text_and_an_empty_month_is_a_word(store: ControlStore, view: str) -> None:
    name = '<script>alert("x")</script>'
    facts = {"team": name, "feature": name, "product_line": name, "task_type": name, "provider": name}
    html = browser(Miniature(daily(40, **facts)), store).get(view).text
    assert "<script>alert" not in html
    assert "&lt;script&gt;" in html
    empty = words_of(Miniature([]), store, view)
    assert "Nothing is metered in November 2026" in empty or "No feature cost anything in 2026-Q4" in empty


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/strategic?month=2026-13", "is no month"),
        ("/executive?month=2027-01", "has not begun"),
        ("/targets?quarter=2026-Q5", "is no quarter"),
        ("/sessions?since=2026-11-20&until=2026-11-19", "ends before it begins"),
        ("/sessions?since=someday", "not a time"),
    ],
)
def test_a_wrong_address_is_answered_with_what_is_right(store: ControlStore, path: str, told: str) -> None:
    answer = browser(Miniature(), store).get(path)
    assert answer.status_code == 400
    assert told in answer.text


def test_a_quarter_to_come_shows_what_waits_for_it(store: ControlStore, desk: ControlDesk) -> None:
    desk.set_target({"feature": "kyc-onboarding", "amount": "0.9", "quarter": "2027-Q1", "note": "as agreed"})
    told = words_of(Miniature(), store, "/targets?quarter=2027-Q1")
    assert "2027-Q1 begins on 1 January 2027" in told
    assert "kyc-onboarding $0.90 as agreed" in told


def test_the_review_says_what_moved_it_and_keeps_what_was_decided(store: ControlStore, desk: ControlDesk) -> None:
    rows = [
        row | {"cost": row["cost"] * 2} if row["time"] < datetime(2026, 10, 1, tzinfo=UTC) else row for row in daily()
    ]
    desk.set_target({"feature": "kyc-onboarding", "amount": "12", "quarter": "2026-Q4"})
    desk.decide_target("kyc-onboarding", {"quarter": "2026-Q4", "decision": "keep the new cache"})
    told = words_of(Miniature(rows), store, "/targets")
    assert "2026-Q4, 1 October to 23 November: 1 met." in told
    assert "$10.00 cheaper a task; most of it inference (−$8.00)." in told
    assert "Decided: keep the new cache" in told


def test_a_bar_leads_to_its_sessions(store: ControlStore) -> None:
    client = browser(Miniature(company()), store)
    href = re.findall(r'class="hit" href="([^"]+)" aria-label="W47', client.get("/strategic").text)[0].replace(
        "&amp;", "&"
    )
    assert href == "/sessions?since=2026-11-16T00%3A00%3A00Z&until=2026-11-23T00%3A00%3A00Z"
    page = re.sub(r"<[^>]+>", " ", client.get(href).text)
    assert "16 Nov 2026 to 23 Nov 2026" in page


def test_the_same_days_of_the_month_before() -> None:
    choice = parse_month({}, NOW, "/strategic")
    assert choice.before.start_ns == int(datetime(2026, 10, 1, tzinfo=UTC).timestamp()) * 10**9
    assert (
        choice.before.end_ns
        == int((datetime(2026, 10, 1, tzinfo=UTC) + (choice.now - choice.start)).timestamp()) * 10**9
    )
    march = parse_month({}, datetime(2026, 3, 31, 12, tzinfo=UTC), "/strategic")
    assert march.before.end_ns == int(datetime(2026, 3, 1, tzinfo=UTC).timestamp()) * 10**9, "February is shorter"
    assert len(choice.months) == 13
    assert choice.months[0] == datetime(2025, 11, 1, tzinfo=UTC) == choice.year_ago[0]
    assert choice.window.grain is Grain.WEEK
    assert choice.buckets[-1] == datetime(2026, 11, 23, tzinfo=UTC)
    assert choice.buckets[0] == choice.buckets[-1] - timedelta(weeks=11)


def test_a_second_look_within_a_minute_asks_the_same_questions(store: ControlStore) -> None:
    first = parse_month({}, NOW.replace(second=3), "/strategic")
    assert first == parse_month({}, NOW.replace(second=41), "/strategic"), "so its answers can be kept"


def test_the_first_page_is_the_one_the_role_wants(store: ControlStore, desk: ControlDesk) -> None:
    client = browser(Miniature(company()), store)
    assert "Overview" in client.get("/").text
    desk.set_views({"local": "executive"})
    answer = client.get("/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/executive")
    assert "<h1>Overview</h1>" in client.get("/?period=7d").text, "an address of the overview stays one"
    assert "<h1>Overview</h1>" in client.get("/overview").text
