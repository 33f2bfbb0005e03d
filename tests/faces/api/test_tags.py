"""The API of tags, over a real home."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.tagging import POLICY, troubled_home

from outlay.faces.api.app import build_app
from outlay.house import House

TOML = {"content-type": "application/toml"}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    troubled_home(tmp_path)
    with House(tmp_path) as house:
        yield house


def ask(house: House, method: str, path: str, **options: Any) -> Any:
    async def call() -> Any:
        transport = httpx2.ASGITransport(build_app(house), raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:4318") as client:
            return await client.request(method, f"/api/v1/tags{path}", **options)

    return asyncio.run(call())


def test_the_whole_way_over_http(house: House) -> None:
    score = ask(house, "GET", "?by=team").json()
    assert score["total"]["tag_compliance"] == "0.5"
    assert score["total"]["level"] == "level 1"
    assert len(score["coverage"]["causes"]) == 5
    trial = ask(house, "PUT", "/policy?from=always&trial=yes", content=POLICY, headers=TOML).json()
    assert trial["query"] == {"from": "always", "to": "", "trial": True}
    assert ask(house, "GET", "/policy").json()["rows"] == []
    done = ask(house, "PUT", "/policy?from=always", content=POLICY, headers=TOML).json()
    assert done["rows"] == trial["rows"]
    (adopted,) = ask(house, "GET", "/policy").json()["rows"]
    assert (adopted["number"], adopted["from"], adopted["to"]) == (1, None, None)
    rule = {"name": "bots", "match": {"agent": ["bot-*"]}, "set": {"team": "support"}, "from": "2026-01-01"}
    assert ask(house, "POST", "/rules", json=rule).status_code == 200
    applied = ask(house, "POST", "/apply", json={"from": "2026-09", "trial": "no"}).json()
    assert [row["after"] for row in applied["rows"]] == ["support"]
    (told,) = ask(house, "GET", "/rules").json()["rows"]
    assert (told["name"], told["match"], told["usages"]) == ("bots", "agent=bot-*", 1)
    assert ask(house, "DELETE", "/rules/bots").status_code == 200
    causes = ask(house, "GET", "/causes?key=team&top=3").json()
    assert causes["total"] == {"causes": 3}
    assert {row["hint"] != "" for row in causes["rows"]} == {True}
    again = house.rebuild()
    assert again.matches, again.differences


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "named"),
    [
        ("PUT", "/policy", {"content": "[keys.tean]", "headers": TOML}, 400, "the tag policy has 1 problem"),
        ("PUT", "/policy?trial=maybe", {"content": POLICY, "headers": TOML}, 400, 'trial is "maybe"'),
        ("PUT", "/policy", {"json": {}}, 415, "application/json"),
        ("PUT", "/policy?form=x", {"content": POLICY, "headers": TOML}, 400, 'unknown parameter "form"'),
        ("POST", "/policy/check", {"json": {}}, 415, "application/json"),
        ("POST", "/apply", {"json": {}}, 400, "from when?"),
        ("POST", "/apply", {"json": {"from": 3}}, 400, "from is a text"),
        ("POST", "/apply", {"json": {"form": "x"}}, 400, 'the period has no field "form"'),
        ("POST", "/rules", {"json": {"name": "x"}}, 400, "a rule needs match"),
        ("POST", "/rules", {"json": {"nme": "x"}}, 400, 'a rule has no field "nme"'),
        ("DELETE", "/rules/x", {}, 404, 'no rule is called "x"'),
        ("GET", "?measures=cost", {}, 400, 'unknown parameter "measures"'),
        ("GET", "/causes?top=0", {}, 400, 'top is "0"'),
    ],
)
def test_a_bad_request_is_told_and_changes_nothing(
    house: House, method: str, path: str, options: dict[str, Any], status: int, named: str
) -> None:
    answer = ask(house, method, path, **options)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert named in answer.json()["detail"]
    assert not house.policies.timeline.adopted


def test_a_policy_may_be_checked_without_being_adopted(house: House) -> None:
    said = ask(house, "POST", "/policy/check", content="[keys.tean]\n", headers=TOML).json()
    assert said["total"]["problems"] == 1
    assert said["rows"][0]["where"] == "tags.toml:1"
    assert ask(house, "POST", "/policy/check", content=POLICY, headers=TOML).json()["rows"] == []
