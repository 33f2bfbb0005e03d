"""The courier, on both stores: everything arrives, whoever carries it, whatever fails on the way."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from typing import Any

from outlay.control import outbox
from outlay.control.alerts import post as put
from outlay.control.channels import Channel, remove_channel, set_channel
from outlay.control.store import ControlStore
from outlay.core.period import ns_of
from outlay.delivery.courier import ATTEMPTS_MAX, Courier, try_channel, wait_s
from outlay.delivery.places import networks
from outlay.delivery.post import Outcome, Post
from outlay.govern.channels import read_channel
from receivers import LOOPBACK, web_inbox

POST = Post(networks(LOOPBACK), deadline_s=5)
NOW = 1_795_600_000 * 10**9
SECOND = 10**9


def put_messages(store: ControlStore, count: int, channel: str = "ops", now: int = NOW, **more: Any) -> None:
    with store.writing() as connection:
        for number in range(count):
            payload = {"type": "budget.actual", "severity": "info", "title": f"{number}", "at": "x", **more}
            put(connection, f"m{number}@{channel}", "actual", json.dumps(payload), channel, now, now)


def hook(store: ControlStore, url: str, **said: Any) -> Channel:
    channel = read_channel({"name": "ops", "kind": "webhook", "url": url, "secret": "k", **said})
    set_channel(store, channel, "me")
    return channel


def test_two_couriers_deliver_each_message_once(control: ControlStore) -> None:
    with web_inbox() as inbox:
        hook(control, inbox.url)
        put_messages(control, 40)
        couriers = [Courier(control, POST) for _ in range(2)]
        threads = [threading.Thread(target=courier.round, args=(NOW,)) for courier in couriers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for courier in couriers:
            courier.stop()
    assert sorted(int(said["data"]["title"]) for _, said in inbox.taken()) == list(range(40))
    assert {message.state for message in outbox.messages(control)} == {"sent"}


def test_what_fails_is_tried_again_later_each_time_with_the_same_id(control: ControlStore) -> None:
    with web_inbox(lambda number: 200 if number == 3 else 503) as inbox:
        hook(control, inbox.url)
        put_messages(control, 1)
        courier, now, waits = Courier(control, POST), NOW, []
        while (message := outbox.messages(control)[0]).state == "waiting":
            waits.append(message.due_ns - now)
            now = message.due_ns
            courier.round(now)
        courier.stop()
    assert waits[0] == 0
    assert all(most // 2 <= wait / SECOND <= most for most, wait in zip((5, 10, 20), waits[1:], strict=True))
    assert len({headers["webhook-id"] for _, headers, _ in inbox.got}) == 1
    log = outbox.attempts(control)
    assert [(line.attempt, line.ok, line.said) for line in reversed(log)] == [
        (1, False, "503 ok"),
        (2, False, "503 ok"),
        (3, False, "503 ok"),
        (4, True, "200 ok"),
    ]


def test_after_a_day_a_message_is_dead_until_somebody_asks_for_it(control: ControlStore) -> None:
    with web_inbox(lambda number: 500 if number < ATTEMPTS_MAX else 200) as inbox:
        hook(control, inbox.url)
        put_messages(control, 1)
        courier, now = Courier(control, POST), NOW
        while (message := outbox.messages(control)[0]).state == "waiting":
            now = message.due_ns
            courier.round(now)
        assert (message.state, message.attempts, message.last_error) == ("dead", ATTEMPTS_MAX, "500 ok")
        assert 12 * 3600 < (now - NOW) / SECOND < 25 * 3600
        assert outbox.counts(control) == {"waiting": 0, "dead": 1}
        assert len(outbox.retry(control, message.id, "me", now)) == 1
        courier.round(now)
        courier.stop()
    assert outbox.messages(control)[0].state == "sent"


def test_what_cannot_work_is_not_tried_again(control: ControlStore) -> None:
    with web_inbox(lambda _: 410) as inbox:
        hook(control, inbox.url)
        put_messages(control, 1)
        courier = Courier(control, POST)
        courier.round(NOW)
        courier.stop()
        assert len(inbox.got) == 1
    (message,) = outbox.messages(control)
    assert (message.state, message.last_error) == ("dead", "410 ok")


def test_a_server_that_dies_while_it_delivers_loses_nothing(control: ControlStore) -> None:
    """Claimed and never answered for: after a minute another takes it up."""
    with web_inbox() as inbox:
        hook(control, inbox.url)
        put_messages(control, 3)
        assert len(outbox.claim(control, NOW)) == 3
        courier = Courier(control, POST)
        assert courier.round(NOW + 59 * SECOND) == 0
        assert courier.round(NOW + 60 * SECOND) == 3
        courier.stop()
    assert len(inbox.taken()) == 3


def test_a_channel_that_is_gone_makes_its_messages_dead_and_they_say_so(control: ControlStore) -> None:
    hook(control, "https://hooks.example/x")
    put_messages(control, 1)
    remove_channel(control, "ops", "me")
    courier = Courier(control, POST)
    courier.round(NOW)
    courier.stop()
    (message,) = outbox.messages(control)
    assert (message.state, message.last_error) == ("dead", "the channel is not there any more")


def test_a_message_that_fails_into_quiet_hours_waits_for_the_morning(control: ControlStore) -> None:
    quiet = {"from": "22:00", "to": "07:00", "zone": "Europe/Berlin"}
    with web_inbox() as inbox:
        hook(control, inbox.url, quiet=quiet)
        late = ns_of(datetime(2026, 10, 24, 21, tzinfo=UTC))
        morning = late + 9 * 3600 * SECOND  # the night in which clocks go back has an hour more
        put_messages(control, 1, now=late)
        courier = Courier(control, POST)
        courier.round(late)
        (message,) = outbox.messages(control)
        assert (message.state, message.attempts, message.due_ns) == ("waiting", 0, morning)
        with control.writing() as connection:
            payload = json.dumps({"type": "budget.over", "severity": "critical", "title": "x", "at": "x"})
            put(connection, "urgent@ops", "over", payload, "ops", late, late)
        courier.round(late)
        courier.round(morning)
        courier.stop()
    assert [said["data"]["severity"] for _, said in inbox.taken()] == ["critical", "info"]


def test_a_channel_that_hangs_rests_and_holds_up_no_other(control: ControlStore) -> None:
    with web_inbox(lambda _: "hang") as slow, web_inbox() as quick:
        hook(control, slow.url)
        set_channel(control, read_channel({"name": "b", "kind": "webhook", "url": quick.url, "secret": "k"}), "me")
        put_messages(control, 30)
        put_messages(control, 3, channel="b")
        courier = Courier(control, Post(networks(LOOPBACK), deadline_s=0.3))
        courier.round(NOW)
        courier.stop()
        assert len(quick.taken()) == 3
        assert len(slow.got) <= 4, "what is at hand when it hangs; the rest waits"
    waiting = [message for message in outbox.messages(control) if message.state == "waiting"]
    assert len(waiting) == 30
    assert sum(message.attempts for message in waiting) == len(slow.got)


def test_a_message_that_cannot_be_said_holds_up_no_other(control: ControlStore) -> None:
    with web_inbox() as inbox:
        hook(control, inbox.url)
        with control.writing() as connection:
            put(connection, "odd@ops", "actual", json.dumps({"severity": "info"}), "ops", NOW - 1, NOW)
        put_messages(control, 3)
        courier = Courier(control, POST)
        courier.round(NOW)
        courier.stop()
        assert len(inbox.taken()) == 3
    (odd,) = (message for message in outbox.messages(control) if message.state == "waiting")
    assert (odd.attempts, odd.last_error) == (1, "it cannot be said: KeyError")


def test_waits_grow_to_an_hour_and_are_never_all_the_same() -> None:
    no = Outcome(ok=False, said="500")
    for attempt, most in ((1, 5), (5, 80), (11, 3600), (30, 3600)):
        waits = {wait_s(attempt, no) for _ in range(200)}
        assert most // 2 <= min(waits) <= max(waits) <= most
        assert len(waits) > 1
    assert wait_s(1, Outcome(ok=False, said="429", after_s=600)) == 600


def test_a_test_goes_out_at_once_and_is_in_the_log(control: ControlStore) -> None:
    with web_inbox(lambda number: 200 if number == 0 else 500) as inbox:
        hook(control, inbox.url, quiet={"from": "00:00", "to": "23:59"})
        _, outcome = try_channel(control, "ops", "cli:ann", POST)
        assert outcome.ok
        assert "cli:ann" in inbox.taken()[0][1]["data"]["title"]
        message, outcome = try_channel(control, "ops", "cli:ann", POST)
    assert not outcome.ok
    assert [(line.message, line.ok) for line in outbox.attempts(control)] == [
        (message.id, False),
        (message.id - 1, True),
    ]
    assert outbox.messages(control)[0].state == "dead"
