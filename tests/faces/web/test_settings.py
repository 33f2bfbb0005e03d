"""The page of settings: keys are made and revoked, the policy is changed, the audit log is shown, each by role."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from faces.web.test_budgets import send, visitor
from outlay.faces.control_desk import ControlDesk
from outlay.house import House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with House.open(tmp_path) as opened:
        yield opened


@pytest.fixture
def desk(house: House) -> ControlDesk:
    return ControlDesk(house.control, "test")


def test_a_key_is_made_shown_once_and_revoked(house: House, desk: ControlDesk) -> None:
    client = visitor(house, "administrator")
    client.get("/settings")
    page = send_key(client, name="ana", role="lead", teams="support, labs", expires="90d")
    assert page.status_code == 200
    secret = re.search(r"<code>(outlay_[\w-]{43})</code>", page.text)
    assert secret is not None
    row = next(row for row in desk.keys()["rows"] if row["name"] == "ana")
    assert (row["role"], row["teams"]) == ("lead", "support, labs")
    again = client.get("/settings").text
    assert "ana" in again
    assert secret.group(1) not in again
    assert send(client, "/settings", do="revoke", name="ana").status_code == 303
    assert "ana" not in [item["name"] for item in desk.keys()["rows"]]


def send_key(client: object, **fields: str) -> object:
    page = client.get("/settings")
    token = re.search(r'name="form_token" value="([^"]+)"', page.text)
    assert token is not None
    return client.post("/settings/keys", data={**fields, "form_token": token.group(1)})


def test_only_an_administrator_sees_keys_and_the_log(house: House) -> None:
    for role in ("viewer", "lead", "finops"):
        client = visitor(house, role)
        page = client.get("/settings").text
        assert "Make a key" not in page
        assert "Audit log" not in page
        assert ("Put it into force" in page) == (role == "finops")
        assert send(client, "/settings", do="revoke", name="viewer").status_code == 403


def test_a_policy_that_cannot_be_used_is_shown_again_as_it_was_typed(house: House, desk: ControlDesk) -> None:
    client = visitor(house)
    for text, said in (("{", "not JSON"), ('{"rules": [{"budget": "*"}]}', "names no approvers"), ("[]", "an object")):
        refused = send(client, "/settings", do="policy", policy=text)
        assert refused.status_code == 400
        assert said in refused.text
    policy = '{"deny_after_hours": 24, "rules": [{"budget": "team-*", "approvers": ["key:finance"], "up_to": 500}]}'
    assert send(client, "/settings", do="policy", policy=policy).status_code == 303
    assert desk.override_policy()["total"]["deny_after_hours"] == 24
    page = client.get("/settings").text
    assert "key:finance, up to 500" in page
    assert "policy.set" in page
    assert send(client, "/settings", do="nothing").status_code == 400


def test_an_address_mistyped_is_answered_in_kind(house: House) -> None:
    client = visitor(house)
    page = client.get("/budgts", headers={"accept": "text/html"})
    assert page.status_code == 404
    assert "did you mean &#34;/budgets&#34;?" in page.text
    program = client.get("/budgts")
    assert program.status_code == 404
    assert program.json()["detail"] == "there is nothing at /budgts"
    assert client.get("/api/v1/rebuild").status_code == 405
