"""Who may ask what: every endpoint and door asks for a permission, and nothing goes through without it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest

from faces.double import FakeHouse
from outlay.control.keyring import Keyring
from outlay.control.keys import ApiKey, digest_of, new_secret
from outlay.control.store import ControlStore
from outlay.faces.api.app import ENDPOINTS, build_app
from outlay.faces.wire import CONTENT_TYPE, pack
from outlay.normalize.writers import Sender
from outlay.sources.facts import Batch, facts_of, outcomes_of

FAR = "http://books.example"
NEAR = "http://127.0.0.1:4318"
SECRET = new_secret()
DOORS = [("POST", "/v1/traces", "write"), ("GET", "/", "read"), ("GET", "/openapi.json", "read")]
EVERY = [(item.method, item.path.replace("{id}", "x"), item.permission) for item in ENDPOINTS] + DOORS


def ring(*permissions: str, teams: tuple[str, ...] = (), name: str = "mine") -> Keyring:
    """A ring that knows `SECRET` with these permissions, and one other key."""
    other = ApiKey("another", ("admin",))
    return Keyring(None, {digest_of(SECRET): ApiKey(name, permissions, teams), digest_of(new_secret()): other})


def ask(
    path: str, method: str = "GET", keys: Keyring | None = None, house: Any = None, *, far: bool = True, **options: Any
) -> httpx2.Response:
    async def run() -> httpx2.Response:
        app = build_app(house or FakeHouse(), keyring=keys, key_needed=far, own_name="this home")
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url=FAR if far else NEAR) as client:
            return await client.request(method, path, **options)

    return asyncio.run(run())


def bearer(secret: str = SECRET, **more: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}", **more}


def test_beyond_loopback_every_request_needs_a_key() -> None:
    keys = ring("admin")
    for method, path, _ in EVERY:
        answer = ask(path, method, keys)
        assert answer.status_code == 401, path
        assert "Bearer" in answer.headers["www-authenticate"]
    for wrong in ("Bearer no", "Basic no", "Basic bm8=", f"Digest {SECRET}", "Bearer"):
        assert ask("/api/v1/spend", keys=keys, headers={"authorization": wrong}).status_code == 401
    assert ask("/api/v1/spend", keys=keys, headers=bearer()).status_code == 200
    assert ask("/api/v1/spend", keys=keys, auth=("anyone", SECRET)).status_code == 200
    assert ask("/healthz", keys=keys).status_code == 200
    assert ask("/api/v1/spend", keys=Keyring(None), headers=bearer()).status_code == 401


@pytest.mark.parametrize(("method", "path", "permission"), EVERY, ids=str)
def test_a_key_without_the_permission_is_refused_and_told_which(method: str, path: str, permission: str) -> None:
    others = {"write", "read", "decide"} - {permission}
    answer = ask(path, method, ring(*others), headers=bearer())
    assert answer.status_code == 403, answer.text
    said = answer.json()
    assert said["detail"] == f'the key "mine" may not {permission}'
    assert permission in said["hint"]
    assert "insufficient_scope" in answer.headers["www-authenticate"]


@pytest.mark.parametrize(("method", "path", "permission"), EVERY, ids=str)
def test_a_key_with_the_permission_is_not_refused(method: str, path: str, permission: str) -> None:
    for held in (permission, "admin"):
        assert ask(path, method, ring(held), headers=bearer()).status_code not in {401, 403}


def test_orders_need_more_than_questions() -> None:
    needed = {(item.method, item.path): item.permission for item in ENDPOINTS}
    assert needed["POST", "/api/v1/prices/overrides"] == "govern"
    assert needed["POST", "/api/v1/rebuild"] == "admin"
    assert needed["GET", "/api/v1/keys"] == "admin"
    assert needed["POST", "/api/v1/facts"] == needed["POST", "/api/v1/outcomes"] == "write"
    assert needed["GET", "/api/v1/spend"] == "read"


def test_loopback_needs_no_key_but_a_key_that_is_sent_counts() -> None:
    assert ask("/api/v1/spend", far=False).status_code == 200
    assert ask("/api/v1/spend", keys=ring("write"), far=False, headers=bearer("unknown")).status_code == 200
    assert ask("/api/v1/spend", keys=ring("write"), far=False, headers=bearer()).status_code == 403


def test_a_key_and_its_teams_reach_the_intake() -> None:
    house = FakeHouse()
    headers = bearer(**{"content-type": "application/json"})
    for teams in ((), ("search", "billing")):
        ask("/v1/traces", "POST", ring("write", teams=teams), house, content=b'{"resourceSpans":[]}', headers=headers)
    ask("/v1/traces", "POST", None, house, far=False, content=b'{"resourceSpans":[]}', headers=headers)
    assert house.intake.senders == [Sender("mine"), Sender("mine", ("search", "billing")), None]


def test_a_key_with_tags_says_them_of_facts_that_name_none() -> None:
    house = FakeHouse()
    key = ApiKey("ci", ("write",), tags={"team": "platform", "environment": "ci"})
    facts = [
        {"fact_id": str(number), "source": "x", "start_ns": 10**18, "operation": "chat", "team": team}
        for number, team in enumerate(["search", None])
    ]
    ring_of_one = Keyring(None, {digest_of(SECRET): key})
    batch = Batch(facts_of(facts), outcomes_of([]), received=2)
    headers = bearer(**{"content-type": CONTENT_TYPE})
    assert ask("/api/v1/facts", "POST", ring_of_one, house, content=pack(batch), headers=headers).status_code == 200
    rows = house.posted[0].facts.select(["team", "environment", "api_key"]).to_pylist()
    assert rows == [
        {"team": "search", "environment": "ci", "api_key": "ci"},
        {"team": "platform", "environment": "ci", "api_key": "ci"},
    ]


def test_facts_of_other_teams_are_refused_and_the_rest_goes_through() -> None:
    house = FakeHouse()
    rows = [
        {"fact_id": str(number), "source": "x", "start_ns": 10**18, "operation": "chat", "team": team}
        for number, team in enumerate(["search", "billing", "billing", None])
    ]
    batch = Batch(facts_of(rows), outcomes_of([]), received=4)
    headers = bearer(**{"content-type": CONTENT_TYPE})
    keys = ring("write", teams=("search",))
    said = ask("/api/v1/facts", "POST", keys, house, content=pack(batch), headers=headers).json()
    assert (said["total"]["received"], said["total"]["posted"], said["total"]["refused"]) == (4, 2, 2)
    (problem,) = said["coverage"]["problems"]
    assert problem["where"] == 'team "billing"'
    assert problem["what"].startswith("2 facts refused")
    assert house.posted[0].facts.column("team").to_pylist() == ["search", "search"], "the key's only team"


def test_outcomes_of_other_teams_are_refused() -> None:
    house = FakeHouse()
    rows = [{"task_id": str(number), "status": "done", "team": team} for number, team in enumerate(["a", "b", "c"])]
    keys = ring("write", teams=("a", "b"))
    said = ask("/api/v1/outcomes", "POST", keys, house, json=rows, headers=bearer()).json()
    assert (said["total"]["received"], said["total"]["refused"]) == (3, 1)
    assert house.posted[0].outcomes.column("team").to_pylist() == ["a", "b"]


@pytest.fixture
def house(tmp_path: Path) -> Any:
    """A house with a control store of its own."""
    with ControlStore(f"sqlite:///{tmp_path / 'control.sqlite'}") as store:
        yield FakeHouse(control=store)


def test_keys_are_made_listed_and_revoked_over_the_api(house: Any) -> None:
    keys = ring("admin", name="root")
    said = {"name": "agents", "may": ["write", "decide"], "teams": ["support"], "expires": "90d"}
    made = ask("/api/v1/keys", "POST", keys, house, json=said, headers=bearer()).json()["rows"][0]
    assert made["key"].startswith("outlay_")
    (listed,) = ask("/api/v1/keys", keys=keys, house=house, headers=bearer()).json()["rows"]
    assert (listed["name"], listed["may"], listed["teams"]) == ("agents", "write, decide", "support")
    assert "key" not in listed
    assert ask("/api/v1/keys/agents", "DELETE", keys, house, headers=bearer()).status_code == 200
    assert ask("/api/v1/keys/agents", "DELETE", keys, house, headers=bearer()).status_code == 400
    lines = ask("/api/v1/audit", keys=keys, house=house, headers=bearer()).json()["rows"]
    assert [(line["actor"], line["action"]) for line in lines] == [("key:root", "key.add"), ("key:root", "key.revoke")]
    verdict = ask("/api/v1/audit/verify", keys=keys, house=house, headers=bearer()).json()["total"]
    assert verdict["holds"]
    assert verdict["lines"] == 2


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({}, "which name"),
        ({"name": 5}, "which name"),
        ({"name": "x", "may": ["wirte"]}, "wirte"),
        ({"name": "x", "may": 5}, "may must be a list"),
        ({"name": "x", "expires": "someday"}, "someday"),
        ({"name": "x", "expires": "1999-01-01"}, "expired"),
        ({"name": "x", "expires": 5}, "expires must be"),
        ({"name": "x", "scope": "all"}, 'no field "scope"'),
    ],
)
def test_a_bad_order_for_a_key_says_what_is_wrong(house: Any, said: dict[str, object], named: str) -> None:
    answer = ask("/api/v1/keys", "POST", ring("admin"), house, json=said, headers=bearer())
    assert answer.status_code == 400
    assert named in answer.json()["detail"]


def test_who_typed_a_command_is_believed_from_this_home_only(house: Any) -> None:
    def actor(keys: Keyring | None, *, far: bool) -> str:
        headers = bearer(**{"x-outlay-actor": "cli:ann\x7f"})
        number = len(ask("/api/v1/audit", keys=keys, house=house, far=far, headers=headers).json()["rows"])
        ask("/api/v1/keys", "POST", keys, house, far=far, json={"name": f"k{number}"}, headers=headers)
        rows = ask("/api/v1/audit", keys=keys, house=house, far=far, headers=headers).json()["rows"]
        return str(rows[-1]["actor"])

    assert actor(None, far=False) == "cli:ann"
    assert actor(ring("admin", name="this home"), far=True) == "cli:ann"
    assert actor(ring("admin", name="ci"), far=True) == "key:ci"
