"""The page of alerts over a real control store: what it tells, what its forms do, and what they refuse."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from faces.web.visiting import send, visitor
from outlay.control.leases import Leases
from outlay.core.lease import Ask
from outlay.core.money import NANO
from outlay.faces.control_desk import ControlDesk
from outlay.govern.watch import watch
from outlay.house import House

HUSH = "https://hooks.slack.com/services/T0/B0/hush"
LADDER = [{"at": 90, "do": "stop", "approval": True}]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with House.open(tmp_path) as opened:
        yield opened


@pytest.fixture
def desk(house: House) -> ControlDesk:
    desk = ControlDesk(house.control, "test")
    desk.set_budget({"name": "support", "team": "support", "life": "100", "mode": "observe"})
    desk.alerts.set_channel({"name": "ops", "kind": "slack", "secret": HUSH})
    desk.alerts.set_rules({"rules": [{"actions": LADDER}], "left": ["nobody"]})
    leases = Leases(house.control)
    leases.settle(leases.decide(Ask({"team": "support"}, 95 * NANO)).lease, 95 * NANO)
    assert watch(house.control, None, time.time_ns()) == 2
    return desk


def words(client: TestClient, path: str = "/alerts") -> str:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    assert "hush" not in answer.text
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text))


def test_an_empty_page_says_what_to_do(house: House) -> None:
    page = words(visitor(house))
    assert "Nothing was told yet" in page
    assert "outlay alerts channels add ops" in page


def test_the_page_tells_what_was_told_to_whom_and_what_waits(house: House, desk: ControlDesk) -> None:
    page = words(visitor(house))
    assert "support has used 95 % of 100 USD, past 90 % warning ops waiting" in page
    assert "Then work is stopped until its end. May be decided by whoever may approve." in page
    assert "https://hooks.slack.com/…" in page
    assert '<a href="/sessions?team=support"' in visitor(house).get("/alerts").text
    assert "Nothing was told of other yet" in words(visitor(house), "/alerts?budget=other")


def test_a_decision_on_the_page_puts_an_action_into_force_and_a_lift_ends_it(house: House, desk: ControlDesk) -> None:
    client = visitor(house)
    assert send(client, "/alerts", do="approve", number="1").headers["location"] == "/alerts"
    assert "support has used 95 % of its limit" in words(client)
    assert desk.stops.actions()["rows"][0]["state"] == "in force"
    assert send(client, "/alerts", do="approve", number="1").status_code == 400
    stop = desk.stops.stops()["rows"][0]["stop"]
    assert send(client, "/alerts", do="lift", number=str(stop)).status_code == 303
    assert "Nothing is stopped." in words(client)


def test_a_session_is_stopped_from_the_page(house: House, desk: ControlDesk) -> None:
    client = visitor(house)
    said = {"do": "stop", "key": "session", "value": "run-<7>", "level": "stop", "reason": "loops"}
    assert send(client, "/alerts", **said).status_code == 303
    page = client.get("/alerts").text
    assert "run-&lt;7&gt;" in page
    refused = Leases(house.control).decide(Ask({"session": "run-<7>"}, 1)).refusal
    assert refused is not None
    assert refused.said == "loops"


WRONG: tuple[tuple[dict[str, str], str], ...] = (
    ({"do": "stop", "key": "session", "value": "", "reason": "x"}, "session"),
    ({"do": "stop", "key": "session", "value": "x"}, "reason"),
    ({"do": "stop", "key": "planet", "value": "x", "reason": "x"}, "planet"),
    ({"do": "stop", "key": "session", "value": "x", "reason": "x", "level": "pause"}, "pause"),
    ({"do": "lift", "number": "99"}, "99"),
    ({"do": "deny", "number": "99"}, "99"),
    ({"do": "retry", "number": "99"}, "99"),
    ({"do": "dance"}, "dance"),
)


def test_what_cannot_be_done_is_said(house: House, desk: ControlDesk) -> None:
    client = visitor(house)
    for fields, said in WRONG:
        answer = send(client, "/alerts", **fields)
        assert answer.status_code in {400, 404}, fields
        assert said in answer.text, fields


def test_who_only_looks_sees_no_button_and_may_press_none(house: House, desk: ControlDesk) -> None:
    viewer = visitor(house, "viewer")
    page = viewer.get("/alerts").text
    assert 'value="approve"' not in page
    assert 'value="stop"' not in page
    for do in ("approve", "lift", "stop", "retry"):
        assert send(viewer, "/alerts", do=do, number="1").status_code == 403
    lead = visitor(house, "lead")
    said = {"do": "stop", "key": "session", "value": "x", "level": "stop", "reason": "x"}
    assert send(lead, "/alerts", **said).status_code == 403
    assert send(lead, "/alerts", do="deny", number="1").status_code == 303
