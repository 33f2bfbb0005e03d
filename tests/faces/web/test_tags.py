"""The page of tags over real books whose tags go wrong in every way there is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from tests.tagging import POLICY, troubled_home

from outlay.faces.api.guard import Guard
from outlay.faces.web import pages
from outlay.house import House

RULE = """
[[rule]]
name = "bots"
match = { agent = "bot-*" }
set = { team = "support" }

[[require]]
keys = ["feature"]
environment = "prod*"
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    home = tmp_path_factory.mktemp("home")
    troubled_home(home)
    with House(home) as house:
        yield house


def page_of(house: House, status: int = 200, **asked: str) -> str:
    guarded = Guard(Starlette(routes=pages.routes(house)), None, key_needed=False)
    answer = TestClient(guarded, base_url="http://127.0.0.1").get("/tags", params={"period": "13m", **asked})
    assert answer.status_code == status
    return answer.text


def words_of(html: str) -> str:
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)))


def table_of(html: str, caption: str) -> list[str]:
    """The rows of a table in words."""
    (table,) = re.findall(rf"<caption[^>]*>{caption}</caption>.*?<tbody>(.*?)</tbody>", html, re.DOTALL)
    return [words_of(row).strip() for row in re.findall(r"<tr>.*?</tr>", table, re.DOTALL)]


def test_without_a_policy_a_team_is_asked_for_and_each_loss_has_its_cause(house: House) -> None:
    html = page_of(house)
    words = words_of(html)
    assert "Every usage needs a team." in words
    assert "No policy has been adopted" in words
    causes = table_of(html, "Cost without a valid tag by cause")
    wanted = (
        "missing at the root tag",
        "lost in thread or queue carry",
        "lost in sub-agent hand",
        "emitter never tags tag",
    )
    assert all(any(row.startswith(words) for row in causes) for words in wanted), "each with what to do about it"
    assert sum(int(row.rsplit(" ", 2)[1]) for row in causes) == 5
    assert "contradictory tags" in words


def test_the_figures_are_those_of_the_command(house: House) -> None:
    from outlay.faces import formats
    from outlay.faces.desk import HouseDesk

    total = HouseDesk(house).tags({"since": ["400d"]})["total"]
    words = words_of(page_of(house))
    assert f"Tagged cost {formats.share(total['tag_compliance'])}" in words
    assert f"Without a team {formats.money(total['unattributed_cost'])}" in words


def test_a_policy_its_rules_owners_and_adoptions_are_told_in_words(house: House) -> None:
    house.adopt_policy((POLICY + RULE).encode(), None, None, "cli:ann")
    html = page_of(house)
    words = words_of(html)
    assert "valid: search, support; in lower case; search team means search; another value is kept and told" in words
    assert "Usages of environment prod* need a feature." in words
    (rule,) = table_of(html, "Rules in force")
    assert rule.startswith("bots agent=bot-* team=support always open 1 $1.00")
    (owner,) = table_of(html, "Owners")
    assert owner == "search team Ann Lee ann@example.com"
    (adoption,) = table_of(html, "Adoptions of policies")
    assert "cli:ann always open" in adoption
    teams = table_of(html, "Tagged cost by team")
    assert any(row.startswith("search Ann Lee 100") for row in teams)
    assert any(row.startswith("serch nobody named 0") for row in teams)
    assert "unknown value serch" in words


def test_a_figure_leads_to_the_sessions_behind_it(house: House) -> None:
    html = page_of(house)
    for address in {unescape(link) for link in re.findall(r'href="(/sessions[?/][^"]*)"', html)}:
        guarded = Guard(Starlette(routes=pages.routes(house)), None, key_needed=False)
        answer = TestClient(guarded, base_url="http://127.0.0.1").get(address)
        assert answer.status_code == 200, address
        assert "No session in" not in answer.text, address


def test_another_key_is_explained_and_an_unknown_one_is_refused(house: House) -> None:
    assert "Why feature is missing" in words_of(page_of(house, key="feature"))
    assert 'no tag is called "tean"' in words_of(page_of(house, 400, key="tean"))
