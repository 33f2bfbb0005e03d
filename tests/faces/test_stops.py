"""Stops and actions on the command line and over the API, end to end on a real store."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from faces.double import FakeHouse
from outlay.control.keyring import Keyring
from outlay.control.keys import ApiKey, digest_of
from outlay.control.leases import Leases
from outlay.control.place import open_control
from outlay.control.store import ControlStore
from outlay.core.lease import Ask
from outlay.core.money import NANO
from outlay.faces.api.app import build_app
from outlay.faces.cli.main import run
from outlay.govern.watch import watch

KEYS = {
    "reader": ApiKey("reader", ("read",)),
    "lead": ApiKey("lead", ("read", "approve"), ("a",)),
    "boss": ApiKey("boss", ("read", "approve", "govern")),
}


def said(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert run([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_stop_is_ordered_listed_and_taken_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = ("--home", str(tmp_path))
    made = said(capsys, "stop", "--session", "run-7", "--reason", "loops", *at)["rows"][0]
    assert (made["scope"], made["level"], made["until"]) == ("session=run-7", "stop", None)
    said(capsys, "stop", "--feature", "answers", "--level", "no_sessions", "--until", "2h", "--reason", "x", *at)
    rows = said(capsys, "stops", *at)["rows"]
    assert [row["scope"] for row in rows] == ["session=run-7", "feature=answers"]
    with open_control(tmp_path) as store:
        refused = Leases(store).decide(Ask({"session": "run-7"}, 1)).refusal
        assert refused is not None
        assert refused.said == "loops"
        assert said(capsys, "stop", "lift", str(made["stop"]), *at)["total"] == {"lifted": 1}
        assert Leases(store).decide(Ask({"session": "run-7"}, 1)).lease
    trail = said(capsys, "audit", "show", *at)["rows"]
    assert [line["action"] for line in trail] == ["stop.set", "stop.set", "stop.lift"]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["stop"], 2, "--reason"),
        (["stop", "--reason", "x"], 1, "what to stop"),
        (["stop", "--everything", "--team", "a", "--reason", "x"], 1, "leave one out"),
        (["stop", "--team", "a", "--level", "pause", "--reason", "x"], 1, "pause"),
        (["stop", "--team", "a", "--until", "2020-01-01", "--reason", "x"], 1, "before it begins"),
        (["stop", "lift", "9"], 1, "number 9"),
        (["stop", "lift", "x"], 1, "no number"),
        (["actions", "approve", "9"], 1, "no action 9"),
        (["actions", "deny", "x"], 1, "no number"),
        (["actions", "list", "--state", "done"], 1, "in force"),
    ],
)
def test_bad_input_says_what_is_valid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, says: str
) -> None:
    assert run([*words, "--home", str(tmp_path)]) == code
    assert says in capsys.readouterr().err


def rules(store: ControlStore) -> None:
    from outlay.faces.control_desk import ControlDesk

    desk = ControlDesk(store, "test")
    desk.set_budget({"name": "a", "team": "a", "life": "100", "mode": "observe"})
    desk.alerts.set_rules({"rules": [{"actions": [{"at": 90, "do": "stop", "approval": True}]}]})
    leases = Leases(store)
    leases.settle(leases.decide(Ask({"team": "a"}, 95 * NANO)).lease, 95 * NANO)
    watch(store, None, time.time_ns())


def test_an_action_is_approved_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = ("--home", str(tmp_path))
    with open_control(tmp_path) as store:
        rules(store)
        (row,) = said(capsys, "actions", "list", "--state", "pending", *at)["rows"]
        assert (row["level"], row["percent"], row["approvers"]) == ("stop", 90, ["whoever may approve"])
        done = said(capsys, "actions", "approve", "1", "--note", "enough", *at)
        assert done["total"] == {"state": "in force"}
        assert Leases(store).decide(Ask({"team": "a"}, 1)).refusal is not None
        assert run(["actions", "deny", "1", *at]) == 1
        assert "does not wait" in capsys.readouterr().err


def call(store: ControlStore, who: str, method: str, path: str, body: object = None) -> httpx2.Response:
    async def ask() -> httpx2.Response:
        ring = Keyring(None, {digest_of(name): key for name, key in KEYS.items()})
        app = build_app(FakeHouse(control=store), keyring=ring, key_needed=True)
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://books.example") as client:
            return await client.request(method, path, headers={"authorization": f"Bearer {who}"}, json=body)

    return asyncio.run(ask())


def test_the_api_lets_a_lead_stop_their_team_and_nobody_else_s(tmp_path: Path) -> None:
    with open_control(tmp_path) as store:
        rules(store)
        wanted = {"team": "a", "reason": "loops", "level": "no_agents"}
        assert call(store, "reader", "POST", "/api/v1/stops", wanted).status_code == 403
        assert call(store, "lead", "POST", "/api/v1/stops", {**wanted, "team": "b"}).status_code == 403
        assert call(store, "lead", "POST", "/api/v1/stops", {"session": "s", "reason": "x"}).status_code == 403
        made = call(store, "lead", "POST", "/api/v1/stops", wanted)
        assert made.status_code == 200, made.text
        other = call(store, "boss", "POST", "/api/v1/stops", {"everything": True, "reason": "x"}).json()["rows"][0]
        assert call(store, "lead", "DELETE", f"/api/v1/stops/{other['stop']}").status_code == 403
        assert call(store, "lead", "DELETE", f"/api/v1/stops/{made.json()['rows'][0]['stop']}").status_code == 200
        assert call(store, "boss", "DELETE", f"/api/v1/stops/{other['stop']}").status_code == 200
        assert call(store, "boss", "DELETE", "/api/v1/stops/99").status_code == 404
        assert call(store, "reader", "GET", "/api/v1/stops").json()["rows"] == []
        assert call(store, "reader", "GET", "/api/v1/actions?state=pending").json()["total"] == {"actions": 1}
        assert call(store, "reader", "POST", "/api/v1/actions/1/deny", {}).status_code == 403
        denied = call(store, "lead", "POST", "/api/v1/actions/1/deny", {"note": "not now"})
        assert denied.json()["total"] == {"state": "denied"}
        assert call(store, "boss", "POST", "/api/v1/actions/9/approve", {}).status_code == 404
