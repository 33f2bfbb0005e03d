"""Exceptions on the command line and over the API, end to end on a real store."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from faces.double import FakeHouse
from outlay.control.keyring import Keyring
from outlay.control.keys import ApiKey, digest_of
from outlay.control.place import open_control
from outlay.control.store import ControlStore
from outlay.faces.api.app import build_app
from outlay.faces.cli.main import run
from outlay.faces.control_desk import ControlDesk

KEYS = {
    "agent": ApiKey("agent", ("decide",), ("onboarding",)),
    "other": ApiKey("other", ("decide",), ("search",)),
    "boss": ApiKey("boss", ("admin",)),
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    assert run(["budgets", "set", "--team", "onboarding", "--month", "100", "--home", str(tmp_path)]) == 0
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert run([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_command_line_asks_shows_and_does_not_let_one_decide_alone(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = ("--home", str(home))
    why = "backlog after the outage"
    made = said(capsys, "overrides", "request", "onboarding", "--amount", "50", "--until", "7d", "--reason", why, *at)
    assert (made["total"]["amount"], made["total"]["state"]) == ("50", "pending")
    assert run(["overrides", "approve", "1", *at]) == 4
    assert "somebody else has to decide" in capsys.readouterr().err
    with open_control(home) as store:
        ControlDesk(store, "cli:boss").decide_override("1", "approve", {"amount": "20", "note": "half for now"})
    shown = said(capsys, "overrides", "show", "1", *at)
    assert (shown["total"]["approved"], shown["total"]["decided_by"]) == ("20", "cli:boss")
    assert [line["action"] for line in shown["rows"]] == ["override.request", "override.approve"]
    assert said(capsys, "budgets", "show", "onboarding", *at)["rows"][0]["limit"] == "120"
    assert said(capsys, "overrides", "end", "1", *at)["total"]["state"] == "ended"
    assert said(capsys, "overrides", "list", "--state", "ended", *at)["total"]["requests"] == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["request", "onbording", "--amount", "1", "--until", "7d", "--reason", "x"], "onboarding"),
        (["request", "onboarding", "--amount", "-1", "--until", "7d", "--reason", "x"], "more than 0"),
        (["request", "onboarding", "--amount", "1", "--until", "2020-01-01", "--reason", "x"], "before it begins"),
        (["request", "onboarding", "--amount", "1", "--until", "soon", "--reason", "x"], "is no end"),
        (["request", "onboarding", "--amount", "1", "--until", "7d", "--reason", " "], "reason"),
        (["show", "x"], "no number"),
        (["show", "7"], "no request 7"),
        (["list", "--state", "won"], "withdrawn"),
    ],
)
def test_bad_input_says_what_is_valid(
    home: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    assert run(["overrides", *words, "--home", str(home)]) == 1
    assert says in capsys.readouterr().err


def test_a_policy_file_names_who_decides(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = ("--home", str(home))
    file = home / "policy.toml"
    file.write_text('deny_after_hours = 24\n[[rules]]\nbudget = "onb*"\napprovers = ["key:boss"]\nup_to = 10.5\n')
    told = said(capsys, "overrides", "policy", str(file), *at)
    assert (told["total"]["deny_after_hours"], told["rows"][0]["up_to"]) == (24, "10.5")
    said(capsys, "overrides", "request", "onboarding", "--amount", "11", "--until", "7d", "--reason", "x", *at)
    assert said(capsys, "overrides", "show", "1", *at)["total"]["approvers"] == ["key:boss"]
    with open_control(home) as store:
        with pytest.raises(Exception, match="so much"):
            ControlDesk(store, "key:boss").decide_override("1", "approve", {})
        assert (
            ControlDesk(store, "key:boss").decide_override("1", "approve", {"amount": 10})["total"]["approved"] == "10"
        )
    file.write_text("deny_after = 24\n")
    assert run(["overrides", "policy", str(file), *at]) == 1
    assert "deny_after_hours" in capsys.readouterr().err
    file.write_text("")
    assert said(capsys, "overrides", "policy", str(file), *at)["total"]["default"] is True


def call(store: ControlStore, who: str, method: str, path: str, body: object = None) -> httpx2.Response:
    async def ask() -> httpx2.Response:
        ring = Keyring(None, {digest_of(name): key for name, key in KEYS.items()})
        app = build_app(FakeHouse(control=store), keyring=ring, key_needed=True)
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://books.example") as client:
            return await client.request(method, path, headers={"authorization": f"Bearer {who}"}, json=body)

    return asyncio.run(ask())


def test_an_agent_asks_and_somebody_else_decides_over_the_api(home: Path) -> None:
    wanted = {"budget": "onboarding", "amount": "12.50", "reason": "one more document", "until": "2d"}
    with open_control(home) as store:
        assert call(store, "other", "POST", "/api/v1/overrides", wanted).status_code == 403
        made = call(store, "agent", "POST", "/api/v1/overrides", wanted)
        assert made.status_code == 200, made.text
        assert made.json()["total"]["requested_by"] == "key:agent"
        assert call(store, "agent", "POST", "/api/v1/overrides/1/approve", {}).status_code == 403
        given = call(store, "boss", "POST", "/api/v1/overrides/1/approve", {"note": "fine"})
        assert (given.status_code, given.json()["total"]["state"]) == (200, "approved")
        again = call(store, "boss", "POST", "/api/v1/overrides/1/deny", {})
        assert again.status_code == 400
        assert again.headers["content-type"].startswith("application/problem+json")
        assert call(store, "boss", "GET", "/api/v1/overrides/9").status_code == 404
        assert call(store, "boss", "POST", "/api/v1/override-policy", {"x": 1}).status_code == 400
