"""Alerts on the command line and over the API, end to end on a real store."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from faces.double import FakeHouse
from outlay.control import audit
from outlay.control.keyring import Keyring
from outlay.control.keys import ApiKey, digest_of
from outlay.control.leases import Leases
from outlay.control.place import open_control
from outlay.control.store import ControlStore
from outlay.core.lease import Ask
from outlay.core.money import NANO
from outlay.delivery.places import VARIABLE
from outlay.faces.api.app import build_app
from outlay.faces.cli.main import run
from outlay.govern.watch import watch
from receivers import web_inbox

KEYS = {"reader": ApiKey("reader", ("read",)), "boss": ApiKey("boss", ("govern", "read"))}
HUSH = "https://hooks.slack.com/services/T0/B0/hush"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    assert run(["budgets", "set", "--name", "a", "--team", "a", "--life", "100", "--home", str(tmp_path)]) == 0
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert run([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def spend(store: ControlStore, amount: int) -> None:
    desk = Leases(store)
    desk.settle(desk.decide(Ask({"team": "a"}, amount * NANO // 100)).lease, amount * NANO)


def test_from_a_channel_to_a_delivered_alert_on_the_command_line(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    at = ("--home", str(place))
    with web_inbox() as inbox:
        made = said(capsys, "alerts", "channels", "add", "bot", "--webhook", inbox.url, *at)
        assert made["total"]["secret"].startswith("whsec_")
        assert "secret-path" not in json.dumps(made["rows"])
        assert run(["alerts", "test", "bot", *at]) == 1
        told = capsys.readouterr().out
        assert "this machine itself" in told
        monkeypatch.setenv(VARIABLE, "127.0.0.1/32")
        assert said(capsys, "alerts", "test", "bot", *at)["total"]["ok"] is True
        with open_control(place) as store:
            spend(store, 95)
        assert said(capsys, "alerts", "run", *at)["total"]["alerts"] == 1
        told = said(capsys, "alerts", "list", *at)
        assert (told["rows"][0]["kind"], told["rows"][0]["messages"]) == ("actual", {"bot": "sent"})
        assert len(inbox.taken()) == 2
    log = said(capsys, "alerts", "log", *at)["rows"]
    assert [row["state"] for row in log] == ["sent", "sent", "dead"]
    attempts = said(capsys, "alerts", "log", "--message", "1", *at)["rows"]
    assert [(row["attempt"], row["ok"]) for row in attempts] == [(1, False)]
    assert said(capsys, "alerts", "retry", "--dead", *at)["total"]["messages"] == 1
    assert run(["alerts", "channels", "remove", "bot", *at]) == 0


def test_rules_from_a_file_are_judged_whole(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = ("--home", str(place))
    file = place / "alerts.toml"
    file.write_text('fallback = ["ops"]\n[[rules]]\nbudget = "a"\nactual = [50, 75]\nevery = 12.5\n')
    assert run(["alerts", "rules", str(file), *at]) == 1
    assert 'no channel is called "ops"' in capsys.readouterr().err
    assert run(["alerts", "channels", "add", "ops", "--slack", HUSH, *at]) == 0
    (row,) = said(capsys, "alerts", "rules", str(file), *at)["rows"]
    assert (row["actual"], row["every"], row["forecast"], row["usual"]) == ([50, 75], "12.5", 100, False)
    assert run(["alerts", "channels", "remove", "ops", *at]) == 1
    assert "still name" in capsys.readouterr().err
    file.write_text("")
    assert said(capsys, "alerts", "rules", str(file), *at)["rows"][0]["actual"] == [70, 90]


def test_no_secret_is_in_an_answer_or_in_the_audit_log(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = ("--home", str(place))
    for words in (
        ("ops", "--slack", HUSH),
        ("hook", "--webhook", "https://example.com/hush?x=hush", "--secret", "hush-key"),
        ("pager", "--pagerduty", "hush-routing"),
        ("mail", "--email", "a@b.c", "--host", "h", "--from", "o@b.c", "--user", "u", "--secret", "hush-password"),
    ):
        made = json.dumps(said(capsys, "alerts", "channels", "add", *words, *at))
        assert "hush" not in made
    assert "hush" not in json.dumps(said(capsys, "alerts", "channels", "list", *at))
    with open_control(place) as store, store.reading() as connection:
        trail = [line for line in audit.lines(connection) if line.action == "channel.set"]
        assert len(trail) == 4
        assert "hush" not in json.dumps([[line.before, line.after] for line in trail])
        assert all(line.after["secret_changed"] for line in trail)


def test_a_change_keeps_the_secret_that_is_not_said_again(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = ("--home", str(place))
    said(capsys, "alerts", "channels", "add", "hook", "--webhook", "https://example.com/", "--secret", "mine", *at)
    words = ("--webhook", "https://example.com/", "--quiet", "22:00-07:00", "--zone", "Europe/Berlin")
    changed = said(capsys, "alerts", "channels", "add", "hook", *words, *at)
    assert (changed["total"], changed["rows"][0]["secret"]) == ({"changed": True}, "(set)")
    assert changed["rows"][0]["quiet"]["zone"] == "Europe/Berlin"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["channels", "add", "x"], 2, "--slack"),
        (["channels", "add", "x", "--slack", "a", "--pagerduty", "b"], 2, "one of"),
        (["channels", "add", "x", "--slack", "nonsense"], 1, "no web address"),
        (["channels", "remove", "x"], 1, "no channel"),
        (["test", "x"], 1, "no channel"),
        (["log", "--state", "lost"], 1, "waiting"),
        (["log", "--top", "0"], 1, "1 to 1000"),
        (["log", "--message", "x"], 1, "no number"),
        (["retry"], 1, "which message"),
        (["retry", "7"], 1, "no message 7"),
    ],
)
def test_bad_input_says_what_is_valid(
    place: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, says: str
) -> None:
    assert run(["alerts", *words, "--home", str(place)]) == code
    assert says in capsys.readouterr().err


def call(store: ControlStore, who: str, method: str, path: str, body: object = None) -> httpx2.Response:
    async def ask() -> httpx2.Response:
        ring = Keyring(None, {digest_of(name): key for name, key in KEYS.items()})
        app = build_app(FakeHouse(control=store), keyring=ring, key_needed=True)
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://books.example") as client:
            return await client.request(method, path, headers={"authorization": f"Bearer {who}"}, json=body)

    return asyncio.run(ask())


def test_the_api_tells_readers_and_lets_those_who_govern_change(place: Path) -> None:
    channel = {"name": "ops", "kind": "slack", "secret": HUSH}
    with open_control(place) as store:
        assert call(store, "reader", "POST", "/api/v1/alerts/channels", channel).status_code == 403
        made = call(store, "boss", "POST", "/api/v1/alerts/channels", channel)
        assert made.status_code == 200, made.text
        bad = call(store, "boss", "POST", "/api/v1/alerts/rules", {"rules": [{"actual": [0]}]})
        assert (bad.status_code, bad.headers["content-type"]) == (400, "application/problem+json")
        assert call(store, "boss", "POST", "/api/v1/alerts/rules", {"fallback": ["ops"]}).status_code == 200
        assert call(store, "boss", "DELETE", "/api/v1/alerts/channels/none").status_code == 404
        spend(store, 91)
        assert call(store, "reader", "GET", "/api/v1/alerts").json()["rows"] == []
        watch(store, None, time.time_ns())
        (told,) = call(store, "reader", "GET", "/api/v1/alerts?budget=a").json()["rows"]
        assert told["messages"] == {"ops": "waiting"}
        (message,) = call(store, "reader", "GET", "/api/v1/alerts/log?state=waiting").json()["rows"]
        again = call(store, "boss", "POST", "/api/v1/alerts/retry", {"message": message["message"]})
        assert again.json()["total"] == {"messages": 1}
        for path in ("/api/v1/alerts/channels", "/api/v1/alerts/rules", "/api/v1/alerts", "/api/v1/alerts/log"):
            assert "hush" not in call(store, "reader", "GET", path).text
