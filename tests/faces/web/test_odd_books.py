"""Every page over odd books: empty ones, all within one second, names of markup and emoji; and without a script."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import escape
from html.parser import HTMLParser
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from many_facts import batch_of, many_calls
from outlay.core.outcome import OutcomeStatus
from outlay.core.period import ns_of
from outlay.faces.api.app import build_app
from outlay.faces.control_desk import ControlDesk
from outlay.faces.web.pages import PAGES, routes
from outlay.house import House
from outlay.sources.facts import Batch, facts_of, outcomes_of

ODD = '<script>alert(1)</script> "o\'" & 🧾 שלום {{ 7 * 7 }}'
AT = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=20)
SECOND = f"since={AT:%Y-%m-%dT%H:%M:%SZ}&until={AT + timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}"
PLAIN = [path for path in PAGES if "{" not in path]
TIMED = ("/overview", "/sessions", "/tags", f"/features/{quote(ODD, safe='')}")


def browser_of(house: House) -> TestClient:
    return TestClient(build_app(house, routes(house)), base_url="http://127.0.0.1")


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with House.open(tmp_path_factory.mktemp("empty")) as house:
        yield browser_of(house)


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Twenty calls within one second; everything that has a name has the odd one."""
    with House.open(tmp_path_factory.mktemp("odd")) as house:
        names = ("team", "feature", "agent", "customer", "user", "product_line", "environment", "session_id", "name")
        calls = many_calls(20, AT, step_us=40_000, **dict.fromkeys(names, ODD), retry_reason=ODD, error_type=ODD)
        unpriced = many_calls(2, AT, first=20, model_requested=ODD, provider=ODD, parent_session_id=ODD, session_id="b")
        done = {"task_id": ODD, "session_ids": [ODD], "status": OutcomeStatus.DONE.value, "at_ns": ns_of(AT)}
        outcome = outcomes_of([{"outcome_key": b"o" * 16, "source": "table:many", "task_type": ODD, **done}])
        for facts in (calls, unpriced):
            assert house.post_facts(batch_of(facts)).refused == 0
        house.post_facts(Batch(facts=facts_of([]), outcomes=outcome, received=1))
        house.intake.settle()
        desk = ControlDesk(house.control, "test")
        desk.set_budget({"team": ODD, "month": "5", "name": ODD, "owner": ODD})
        desk.request_override({"budget": ODD, "amount": "5", "reason": ODD, "until": "7d"})
        desk.set_target({"feature": ODD, "amount": "1", "note": ODD})
        house.watch()
        yield browser_of(house)


def deep(path: str) -> str:
    """The address of the page of one thing, under the odd name."""
    return path.replace("{id:path}", quote(ODD, safe="")).replace("{id}", "1")


def words_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page[page.index("<main") :]))


@pytest.mark.parametrize("path", PLAIN)
def test_a_page_over_nothing_is_whole_and_says_so_in_words(empty: TestClient, path: str) -> None:
    page = empty.get(path)
    assert page.status_code == 200
    words = words_of(page.text)
    assert len(words) > 40
    assert not re.search(r"\bNone\b|\bnan\b|Infinity|Traceback", words)


@pytest.mark.parametrize("path", [*PLAIN, *(deep(path) for path in PAGES if "{" in path)])
def test_names_of_markup_and_emoji_are_text_on_every_page(odd: TestClient, path: str) -> None:
    page = odd.get(path)
    assert page.status_code == 200
    assert "<script>alert" not in page.text
    assert "alert(1)</script>" not in page.text
    assert " 49" not in words_of(page.text).split("שלום")[-1][:4]
    assert not re.search(r"\son\w+=", page.text)
    for href in re.findall(r'href="([^"]*)"', page.text):
        assert "<" not in href
        assert not href.startswith("javascript:")


def test_the_odd_name_is_shown_as_it_is(odd: TestClient) -> None:
    for path in ("/overview", "/strategic", "/sessions", "/budgets", "/targets", "/prices"):
        assert str(escape(ODD)).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in odd.get(path).text, path


@pytest.mark.parametrize("path", TIMED)
def test_a_period_of_one_second_has_its_figures(odd: TestClient, path: str) -> None:
    page = odd.get(f"{path}?{SECOND}")
    assert page.status_code == 200
    assert "$0.0" in words_of(page.text)


@pytest.mark.parametrize("path", ["/overview", "/sessions", "/tags"])
def test_a_period_of_no_length_is_refused_in_words(odd: TestClient, path: str) -> None:
    page = odd.get(f"{path}?since=2026-11-01&until=2026-11-01")
    assert page.status_code == 400
    assert "the period ends before it begins" in page.text


class Controls(HTMLParser):
    """Forms with their buttons and fields, and what stands outside of any form."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[tuple[dict[str, str | None], list[str]]] = []
        self.outside: list[tuple[str, dict[str, str | None]]] = []
        self._within = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        if tag == "form":
            self._within = True
            self.forms.append((said, []))
        elif tag in ("button", "input", "select", "textarea"):
            if self._within:
                self.forms[-1][1].append("submit" if tag == "button" else tag)
            else:
                self.outside.append((tag, said))

    def handle_endtag(self, tag: str) -> None:
        self._within = self._within and tag != "form"


@pytest.mark.parametrize("path", [*PLAIN, *(deep(path) for path in PAGES if "{" in path)])
def test_every_control_works_without_a_script(odd: TestClient, path: str) -> None:
    page = odd.get(path)
    controls = Controls()
    controls.feed(page.text)
    assert all("submit" in within for _, within in controls.forms)
    assert all(form.get("method") in ("get", "post") for form, _ in controls.forms)
    assert [(tag, "hidden" in said) for tag, said in controls.outside] == [("button", True)], "only the theme's button"
    assert page.text.count("<script") == 1
