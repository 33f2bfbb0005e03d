"""Every item of the three views leads to the sessions behind its marks, and these cost what the mark says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from starlette.testclient import TestClient

from many_facts import batch_of, many_calls
from outlay.demo.finance import settle
from outlay.demo.run import bodies, prepare
from outlay.faces.api.app import build_app
from outlay.faces.web.pages import routes
from outlay.house import House

ITEMS = {
    "active sessions by feature": ("/tactical", ">Active sessions by feature</caption>", ""),
    "token burn against baseline": ("/tactical", "Tokens an hour", "hit"),
    "retry rate by agent": ("/tactical", ">Retry rate by agent</caption>", ""),
    "error rate": ("/tactical", "Errors and guardrail rejections", "hit"),
    "guardrail rejection rate": ("/tactical", "<h2>Guardrail rejections</h2>", ""),
    "anomalies": ("/tactical", "<h2>Anomalies</h2>", ""),
    "cost per completed task by feature": ("/strategic", ">Cost per completed task by feature</caption>", "mark"),
    "team spend against budget": ("/strategic", ">Team spend against budget</caption>", "mark"),
    "weeks by cost centre": ("/strategic", "Where the money goes", "hit"),
    "model tier breakdown": ("/strategic", "Model tier by team", "mark"),
    "embedding and retrieval share": ("/strategic", "<h2>Embedding and retrieval</h2>", "hit"),
    "full cost against value": ("/executive", "<h2>Cost ÷ value</h2>", ""),
    "cost per business outcome": ("/executive", ">Cost per business outcome by product line</caption>", "mark"),
    "forecast against actual": ("/executive", "added up by day: ", "hit"),
    "thirteen months": ("/executive", "Full cost of thirteen months", "hit"),
    "year-over-year efficiency": ("/executive", "Cost per outcome against", "hit"),
}
"""Item → page, the words in front of its marks, and the class of the links that are its marks; empty: any link."""

WHOSE = {"team": "support", "feature": "loops", "agent": "looper"}
LISTED = '<th scope="row" class="id"><a href="/sessions/'


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """The pages over some days of now and of a year ago, and a session that repeats itself."""
    home = tmp_path_factory.mktemp("home")
    prepare(home)
    with House.open(home) as house:
        now = datetime.now(UTC) - timedelta(minutes=1)
        settle(house.control, now)
        days = (range(2), range(363, 365))
        taken = [house.intake.submit(body, "protobuf") for some in days for body, _ in bodies(7, now, some)]
        assert sum(future.result(timeout=120).refused for future in taken) == 0
        loop = many_calls(
            60, now - timedelta(hours=2), step_us=10**6, session_id="loop", retry_reason="timeout", **WHOSE
        )
        house.post_facts(batch_of(loop))
        house.intake.settle()
        yield TestClient(build_app(house, routes(house)), base_url="http://127.0.0.1")


def marks(page: str, words: str, kind: str) -> list[str]:
    """The addresses behind the marks of one item: the links after its words, up to the end of its card or number."""
    start = page.index(words)
    ends = [place for end in ("</section>", '<div class="number">') if (place := page.find(end, start)) > 0]
    links = re.findall(r'<a (?:class="([^"]*)" )?href="([^"]+)"', page[start : min(ends)])
    return [unescape(address) for name, address in links if name == kind or not kind]


@pytest.mark.parametrize("item", ITEMS)
def test_a_mark_opens_the_sessions_behind_it(browser: TestClient, item: str) -> None:
    path, words, kind = ITEMS[item]
    led = [address for address in marks(browser.get(path).text, words, kind) if address.startswith("/sessions")]
    assert led, item
    opened = [browser.get(address) for address in (led[0], *led[-3:])]
    assert {page.status_code for page in opened} == {200}
    assert any(LISTED in page.text or "Every step" in page.text for page in opened)


def in_all(browser: TestClient, address: str) -> str:
    """What the sessions behind an address cost, as their list says."""
    found = re.search(r"sessions, (\S+) in all", browser.get(address).text)
    assert found is not None
    return found[1]


def marked_rows(page: str, caption: str) -> list[tuple[str, str]]:
    """Address and first amount of the rows of a table that have a mark."""
    table = page[page.index(f">{caption}</caption>") :]
    rows = table[: table.index("</table>")].split("<tr>")
    found = [(re.search(r'class="mark" href="([^"]+)"', row), re.search(r">(\$[\d,.]+)<", row)) for row in rows]
    return [(unescape(address[1]), cost[1]) for address, cost in found if address and cost]


def test_the_sessions_behind_a_week_a_team_a_feature_and_a_product_line_cost_what_the_mark_says(
    browser: TestClient,
) -> None:
    strategic, executive = (browser.get(path).text for path in ("/strategic", "/executive"))
    week = re.findall(r'<a class="hit" href="([^"]+)" aria-label="W\d+, from [^:]+: (\$[\d,.]+), ', strategic)[-1]
    told = [
        (unescape(week[0]), week[1]),
        *marked_rows(strategic, "Team spend against budget")[:2],
        *marked_rows(strategic, "Cost per completed task by feature")[:2],
        *marked_rows(executive, "Cost per business outcome by product line")[:2],
    ]
    assert len(told) == 7
    assert [in_all(browser, address) for address, _ in told] == [cost for _, cost in told]


def test_the_cost_of_a_task_leads_to_why(browser: TestClient) -> None:
    page = browser.get("/strategic").text
    table = page[page.index(">Cost per completed task by feature</caption>") :]
    led = re.findall(r'<td class="figure strong"><a href="(/features/[^"]+)">', table)
    assert led
    assert '<ul class="told why">' in browser.get(unescape(led[-1])).text
