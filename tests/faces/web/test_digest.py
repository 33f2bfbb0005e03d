"""Digests: the figures of the pages, once to each channel when they are due, as letters a mail program can show."""

from __future__ import annotations

import email
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.message import Message

import pytest

from faces.web.test_budgets import send, visitor
from outlay.control import outbox
from outlay.core.errors import InputError
from outlay.core.period import ns_of
from outlay.delivery.courier import Courier
from outlay.delivery.places import networks
from outlay.delivery.post import Post
from outlay.demo.run import bodies, prepare
from outlay.faces.control_desk import ControlDesk
from outlay.faces.web.digest import post_digests
from outlay.govern.digests import Digest
from outlay.house import House
from receivers import LOOPBACK, mail_inbox

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)  # a Monday


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    home = tmp_path_factory.mktemp("home")
    prepare(home)
    with House.open(home) as opened:
        for body, _ in bodies(7, NOW - timedelta(hours=2), range(1, 3)):
            assert opened.intake.submit(body, "protobuf").result(timeout=120).refused == 0
        opened.intake.settle()
        yield opened


def read(text: str) -> Message:
    return email.message_from_bytes(text.encode())


def channel(house: House, name: str, port: int) -> None:
    said = {"name": name, "kind": "email", "host": "127.0.0.1", "port": port, "tls": "none"}
    ControlDesk(house.control, "test").alerts.set_channel({**said, "from": "o@example.com", "to": ["ann@example.com"]})


def test_each_is_sent_once_with_the_figures_of_the_page(house: House) -> None:
    desk = ControlDesk(house.control, "test")
    desk.set_budget({"team": "platform", "month": "900"})
    with mail_inbox() as mailbox:
        channel(house, "mail", mailbox.port)
        desk.set_digests([{"every": "week", "channel": "mail"}, {"every": "month", "channel": "mail"}])
        assert post_digests(house, NOW) == 1, "the month's was due four weeks ago, which is too late"
        assert post_digests(house, NOW + timedelta(minutes=1)) == 0
        assert post_digests(house, datetime(2026, 12, 1, 8, 0, tzinfo=UTC)) == 2, "the month's, and the next week's"
        courier = Courier(house.control, Post(networks(LOOPBACK)))
        courier.round(ns_of(NOW + timedelta(days=9)))
        courier.stop()
    assert {message.state for message in outbox.messages(house.control)} == {"sent"}
    letters = {letter["subject"].partition(": $")[0]: letter for text in mailbox.letters if (letter := read(text))}
    assert set(letters) == {"Agents in week 47", "Agents in week 48", "Agents in November 2026"}
    weekly = letters["Agents in week 47"]
    plain, html = (part.get_payload(decode=True).decode() for part in weekly.get_payload())
    client = visitor(house)
    total = client.get("/api/v1/spend?since=2026-11&until=2026-12-01&measures=cost").json()["total"]["cost"]
    assert f"${round(float(total)):,}" in plain
    assert "Cost per completed task" in html
    assert "platform" in html
    for foreign in ("<script", "<link", "light-dark", "<svg", "src="):
        assert foreign not in html


@pytest.mark.parametrize(
    ("every", "zone", "now", "due"),
    [
        ("week", "UTC", "2026-11-30T07:59", "2026-11-23T08:00"),
        ("week", "UTC", "2026-11-30T08:00", "2026-11-30T08:00"),
        ("week", "Europe/Berlin", "2026-10-26T06:59", "2026-10-19T06:00"),  # the clocks went back the day before
        ("week", "Europe/Berlin", "2026-10-26T07:00", "2026-10-26T07:00"),
        ("month", "UTC", "2026-12-01T07:59", "2026-11-01T08:00"),
        ("month", "UTC", "2027-01-01T08:00", "2027-01-01T08:00"),
        ("month", "America/New_York", "2026-03-31T23:00", "2026-03-01T13:00"),
    ],
)
def test_when_one_is_due(every: str, zone: str, now: str, due: str) -> None:
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert f"{Digest(every, 'mail', 8, zone).due(moment):%Y-%m-%dT%H:%M}" == due


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"every": "day", "channel": "mail"}, "week or month"),
        ({"every": "week", "channel": "nobody"}, "no channel"),
        ({"every": "week", "channel": "mail", "hour": 24}, "hour is 24"),
        ({"every": "week", "channel": "mail", "zone": "Mars/Olympus"}, "Mars"),
        ({"every": "week", "channel": "mail", "houre": 1}, "houre"),
        ("week", "is not an object"),
    ],
)
def test_what_cannot_be_sent_is_refused_whole(house: House, said: object, why: str) -> None:
    channel(house, "mail", 25)
    desk = ControlDesk(house.control, "test")
    before = desk.digests()["rows"]
    with pytest.raises(InputError) as refused:
        desk.set_digests([{"every": "month", "channel": "mail"}, said])
    assert why in f"{refused.value.message} {refused.value.hint}"
    assert desk.digests()["rows"] == before


def test_a_session_is_stopped_from_its_page_and_let_go(house: House) -> None:
    client = visitor(house)
    session = client.get("/api/v1/sessions?top=1&since=2026-11").json()["rows"][0]["session"]
    page = f"/sessions/{session}"
    assert "Stop it now" in client.get(page).text
    assert send(client, page, do="stop", session=session, reason="it loops").status_code == 303
    shown = client.get(page).text
    assert "it loops" in shown
    assert "Stop it now" not in shown
    desk = ControlDesk(house.control, "test")
    (row,) = desk.stops.stops()["rows"]
    assert (row["scope"], row["level"], row["by"]) == (f"session={session}", "stop", "loopback")
    assert send(client, page, do="lift", stop=str(row["stop"])).status_code == 303
    assert desk.stops.stops()["rows"] == []
    assert send(client, page, do="pause").status_code == 400
