"""The pages of sessions: the list, one of them, two side by side."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from pathlib import Path
from urllib.parse import quote

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from faces.web.doubles import NOW, Miniature
from metrics.books import Books, usage
from outlay.control.store import ControlStore
from outlay.core.errors import QueryError
from outlay.faces import formats
from outlay.faces.api.guard import Guard
from outlay.faces.web import pages
from outlay.faces.web.steps import STEPS_SHOWN
from outlay.metrics.session import SessionDetail, session_detail
from outlay.metrics.steps import StepsAsked

BEGAN = NOW.replace(tzinfo=None) - timedelta(hours=2)
FOREIGN = "a/b <script>alert(1)</script> 🧾"


class WithSessions(Miniature):
    """The miniature company, with sessions that can be opened, and a control store in which nothing is stopped."""

    control: ControlStore

    def session(self, session_id: str, steps: StepsAsked | None = None) -> SessionDetail:
        return session_detail(BOOKS, session_id, steps)


def step(session: str, place: int, cost: int | None, **stated: object) -> dict[str, object]:
    when = {"time": BEGAN + timedelta(seconds=place), "session_id": session, "duration_ms": 900}
    return usage(cost, **{**when, "feature": "kyc", "team": "onboarding", "model_id": "gpt-5.4", **stated})


BOOKS = Books(
    [
        *[step("long", place, 1_000_000) for place in range(STEPS_SHOWN + 20)],
        step("one", 0, 2_000_000_000),
        step("one", 5, 8_000_000_000, centre="retries", failed=True, error_type="timeout", attempt=1),
        step("one", 9, 30_000_000, counted=False, why_not_counted="told_twice"),
        step("unpriced", 0, None),
        step(FOREIGN, 0, 5, name="<b>bold</b>", operation="tool", centre="tools"),
        step("child", 3, 1_000_000, parent_session_id="one"),
    ]
)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[TestClient]:
    books = WithSessions()
    with ControlStore(f"sqlite:///{tmp_path / 'control.sqlite'}") as books.control:
        yield TestClient(
            Guard(Starlette(routes=pages.routes(books)), None, key_needed=False), base_url="http://127.0.0.1"
        )


def led_to(html: str, word: str) -> str:
    """The address behind a link."""
    (found,) = re.findall(rf'<a href="([^"]+)"[^>]*>{re.escape(word)}</a>', html)
    return unescape(found)


def words_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_the_list_shows_the_dearest_and_leads_to_them(browser: TestClient) -> None:
    page = browser.get("/sessions?period=13m")
    assert page.status_code == 200
    assert 'href="/sessions/kyc-775"' in page.text
    assert "Top spenders" in page.text
    assert [browser.get(f"/sessions?order={order}").status_code for order in ("usages", "retries")] == [200, 200]


@pytest.mark.parametrize(("asked", "says"), [("order=costs", "cost"), ("outcome=won", "done"), ("period=x", "30d")])
def test_a_choice_there_is_not_says_what_there_is(browser: TestClient, asked: str, says: str) -> None:
    page = browser.get(f"/sessions?{asked}")
    assert page.status_code == 400
    assert says in page.text


def test_an_id_typed_into_the_field_opens_that_session(browser: TestClient) -> None:
    found = browser.get("/sessions", params={"id": f" {FOREIGN} "}, follow_redirects=False)
    assert found.status_code == 303
    assert found.headers["location"] == "/sessions/" + quote(FOREIGN, safe="")
    assert browser.get("/sessions", params={"id": FOREIGN}).status_code == 200


def test_a_session_says_what_it_cost_and_why(browser: TestClient) -> None:
    page = words_of(browser.get("/sessions/one").text)
    for words in ("$10.00", "$8.00 (80.0 %) went to retries and failure recovery: 1 step", "attempt 2", "timeout"):
        assert words in page, words
    assert "not counted: told twice" in page
    assert "With its sub-agents $10.00" in page
    assert "0.002 USD" not in page
    assert "priced" in page


def test_a_session_without_a_price_says_so_and_never_zero(browser: TestClient) -> None:
    page = words_of(browser.get("/sessions/unpriced").text)
    assert "(unpriced)" in page
    assert "$0" not in page


def test_a_long_session_has_pages_and_each_shows_its_steps(browser: TestClient) -> None:
    first = browser.get("/sessions/long").text
    assert first.count("<tr><td>") == STEPS_SHOWN
    assert f"steps 1 to {STEPS_SHOWN} of {STEPS_SHOWN + 20}" in first
    second = browser.get(led_to(first, "next")).text
    assert f"steps {STEPS_SHOWN + 1} to {STEPS_SHOWN + 20} of" in second
    assert ">next</a>" not in second
    back = browser.get(led_to(second, "previous")).text
    assert f"steps 1 to {STEPS_SHOWN} of" in back
    assert ">previous</a>" not in back
    assert f"steps 1 to {STEPS_SHOWN} of" in browser.get(led_to(second, "first")).text
    assert "no such step" in browser.get("/sessions/long?after=9999999999999999.9").text


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("after=x", "take next or previous of an earlier answer"),
        ("after=1", "take next or previous of an earlier answer"),
        ("before=999999999999999999.1", "no step lies at"),
        ("order=dear", "steps cannot be ordered by"),
        ("only=odd", "no steps are called"),
        ("after=1.1&before=1.1", "leave one of them out"),
    ],
)
def test_a_place_in_a_session_that_cannot_be_is_said(browser: TestClient, asked: str, says: str) -> None:
    page = browser.get(f"/sessions/long?{asked}")
    assert page.status_code == 400
    assert says in page.text


def test_the_dearest_and_the_odd_steps_are_one_click_away(browser: TestClient) -> None:
    page = browser.get("/sessions/one").text
    dearest = words_of(browser.get(led_to(page, "The dearest first")).text)
    assert dearest.index("$8.00") < dearest.rindex("$2.00")
    failed = browser.get(led_to(page, "Failed: 1")).text
    assert failed.count("<tr><td>") == 1
    assert "steps 1 to 1 of 1" in failed
    assert "Without a price:" not in page


def test_names_from_telemetry_are_text(browser: TestClient) -> None:
    page = browser.get("/sessions/" + quote(FOREIGN, safe="")).text
    assert "<script>alert" not in page
    assert "<b>bold" not in page
    assert "🧾" in page


def test_two_sessions_stand_side_by_side(browser: TestClient) -> None:
    page = words_of(browser.get("/compare", params={"a": "one", "b": "long"}).text)
    assert "$10.00" in page
    assert formats.nano((STEPS_SHOWN + 20) * 1_000_000) in page
    assert f"in {STEPS_SHOWN + 20} calls" in page
    assert "Compare" in browser.get("/compare?a=one").text


def test_a_session_nobody_knows_is_a_page_that_says_the_way_out(browser: TestClient) -> None:
    for address in ("/sessions/nobody", "/compare?a=one&b=nobody"):
        page = browser.get(address)
        assert page.status_code == 404
        assert "nobody" in page.text
    with pytest.raises(QueryError):
        WithSessions().session("nobody")
