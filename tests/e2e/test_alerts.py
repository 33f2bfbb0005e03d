"""Alerts over a month of simulated time, through servers that fail; and through a process that is killed on the way.

What should be told is worked out here anew, from local dates and whole percents, and not asked of the code under test.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from e2e.processes import chat, settled, told, up
from otlp_wire import request, span
from outlay.control import budgets as stored
from outlay.control import outbox
from outlay.control.alerts import list_alerts
from outlay.control.channels import set_channel
from outlay.control.leases import Leases
from outlay.control.outbox import CLAIM_NS
from outlay.control.place import open_control
from outlay.control.policies import set_policy
from outlay.control.store import ControlStore
from outlay.core.budget import Budget
from outlay.core.calendar import Calendar
from outlay.core.lease import Ask
from outlay.core.money import NANO
from outlay.core.period import ns_of
from outlay.delivery.courier import Courier
from outlay.delivery.kinds import message_id
from outlay.delivery.places import networks
from outlay.delivery.post import Post
from outlay.faces.control_desk import ControlDesk
from outlay.govern.alert_rules import POLICY
from outlay.govern.channels import read_channel
from outlay.govern.watch import watch
from receivers import LOOPBACK, Inbox, mail_inbox, web_inbox

STEP = timedelta(hours=11)
POST = Post(networks(LOOPBACK), deadline_s=60)  # a busy machine is no server that hangs


def _fiscal_month(day: date) -> date:
    return day.replace(day=10) if day.day >= 10 else (day.replace(day=1) - timedelta(days=1)).replace(day=10)


def _week(day: date) -> date:
    return day - timedelta(days=(day.weekday() + 1) % 7)  # weeks from Sunday


def _fiscal_quarter(day: date) -> date:
    month = (day.month - 2) % 12 // 3 * 3 + 2  # quarters from February
    year = day.year - (day.month < 2)
    return date(year, month if day.month >= 2 else 11, 1)


@dataclass
class Expected:
    """A budget, and what should be told of it: its window by local date, its levels, and when each was passed."""

    name: str
    calendar: Calendar
    limit: int
    begins: Callable[[date], date]
    spent: dict[date, int] = field(default_factory=dict)
    told: dict[date, int] = field(default_factory=dict)

    def spend(self, amount: int, at: datetime) -> tuple[date, int] | None:
        """The window and the level that is passed now; None if none is."""
        window = self.begins(at.astimezone(ZoneInfo(self.calendar.zone)).date())
        self.spent[window] = self.spent.get(window, 0) + amount
        percent = 100 * self.spent[window] // self.limit
        level = percent - percent % 10 if percent >= 100 else 90 if percent >= 90 else 70 if percent >= 70 else 0
        if level <= self.told.get(window, 0):
            return None
        self.told[window] = level
        return window, level


def company() -> list[Expected]:
    return [
        Expected("day", Calendar("day", "Europe/Berlin"), 40, lambda day: day),
        Expected("far day", Calendar("day", "Pacific/Auckland"), 45, lambda day: day),
        Expected("week", Calendar("week", "America/New_York", week_start=6), 260, _week),
        Expected("fiscal month", Calendar("month", "Europe/Berlin", start_day=10), 1300, _fiscal_month),
        Expected("month", Calendar("month"), 1100, lambda day: day.replace(day=1)),
        Expected("quarter", Calendar("quarter", "Australia/Lord_Howe", start_month=2), 1500, _fiscal_quarter),
    ]


@pytest.mark.parametrize("start", [datetime(2026, 10, 5, tzinfo=UTC), datetime(2026, 3, 6, 3, tzinfo=UTC)])
def test_a_month_over_changing_clocks_and_fiscal_ends_tells_each_thing_once_and_on_time(
    control: ControlStore, start: datetime
) -> None:
    chance, budgets = random.Random(4), company()
    for item in budgets:
        wanted = Budget(0, item.name, {"team": "a"}, item.calendar, "observe")
        stored.set_budget(control, stored.Wanted(wanted, item.limit * NANO), "me", now_ns=ns_of(start))
    set_policy(control, POLICY, {"rules": [{"actual": [70, 90], "forecast": None}]}, "me")
    expected: list[tuple[str, int, int]] = []
    with web_inbox(lambda _: chance.choice([200, 200, 200, 500, 503, "close"])) as inbox, mail_inbox() as mailbox:
        channels(control, inbox, mailbox.port)
        desk, couriers, at = Leases(control), [Courier(control, POST) for _ in range(2)], start
        while at < start + timedelta(days=36):
            now = ns_of(at)
            amount = chance.randint(2, 30)
            assert desk.settle(desk.decide(Ask({"team": "a"}, amount * NANO), now).lease, amount * NANO, now)
            for item in budgets:
                passed = item.spend(amount, at)
                if passed is not None:
                    expected.append((item.name, passed[1], now))
            watch(control, None, now)
            if chance.random() < 0.3:  # another server, or the same one started again
                watch(control, None, now)
            chance.choice(couriers).round(now)
            mailbox.refuse[:] = [451] * chance.randint(0, 1)
            at += STEP
        mailbox.refuse.clear()
        while waiting := [item for item in outbox.messages(control, limit=10**6) if item.state == "waiting"]:
            couriers[0].round(max(item.due_ns for item in waiting))
        for courier in couriers:
            courier.stop()
        taken = Counter(headers["webhook-id"] for headers, _ in inbox.taken())
        attempts = len(inbox.got)
    rows = list_alerts(control, limit=10**6)
    fired = [(row.budget, int(row.key.rpartition(":")[2]), row.fired_ns) for row in rows]
    assert sorted(fired) == sorted(expected), "each once, at the first look after it was passed"
    assert len(expected) > 60
    assert taken == Counter({message_id(f"{row.key}@hook"): 1 for row in rows}), "each delivered once"
    assert attempts > 1.3 * len(rows), "the server did fail"
    assert len(mailbox.letters) == len(rows)


def channels(store: ControlStore, inbox: Inbox, port: int) -> None:
    hook = {"name": "hook", "kind": "webhook", "url": inbox.url, "secret": "k"}
    mail = {"name": "mail", "kind": "email", "host": "localhost", "port": port, "tls": "none"}
    set_channel(store, read_channel(hook), "me")
    set_channel(store, read_channel({**mail, "from": "o@example.com", "to": ["ops@example.com"]}), "me")


DOOMED = """
import sys
from outlay.control.store import ControlStore
from outlay.delivery.courier import Courier
from outlay.govern.watch import watch
store, now = ControlStore(sys.argv[1]), int(sys.argv[2])
print("told", watch(store, None, now), flush=True)
if sys.argv[3] == "before":
    input()
Courier(store).round(now)
"""


@pytest.mark.skipif(os.name != "posix", reason="kills a process the POSIX way")
@pytest.mark.parametrize("when", ["before", "while"])
def test_a_server_that_is_killed_between_telling_and_delivering_loses_nothing(
    control: ControlStore, control_url: str, when: str
) -> None:
    now = ns_of(datetime(2026, 11, 26, 12, tzinfo=UTC))
    wanted = Budget(0, "a", {"team": "a"}, Calendar("life"), "observe")
    stored.set_budget(control, stored.Wanted(wanted, 100 * NANO), "me", now_ns=now)
    desk = Leases(control)
    desk.settle(desk.decide(Ask({"team": "a"}, 95 * NANO), now).lease, 95 * NANO, now)
    with web_inbox(lambda number: "hang" if number == 0 and when == "while" else 200) as inbox:
        set_channel(control, read_channel({"name": "hook", "kind": "webhook", "url": inbox.url, "secret": "k"}), "me")
        surroundings = {**os.environ, "OUTLAY_WEBHOOKS_MAY_REACH": LOOPBACK}
        words = [sys.executable, "-c", DOOMED, control_url, str(now), when]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stdin=subprocess.PIPE, env=surroundings) as doomed:
            assert doomed.stdout is not None
            assert doomed.stdout.readline() == b"told 1\n"
            while when == "while" and not inbox.got:
                time.sleep(0.01)
            doomed.send_signal(signal.SIGKILL)
            doomed.wait()
        assert watch(control, None, now + 1) == 0, "it is told already"
        courier = Courier(control, Post(networks(LOOPBACK)))
        courier.round(now + CLAIM_NS)
        courier.stop()
        assert len(inbox.taken()) == 1
        assert len({headers["webhook-id"] for _, headers, _ in inbox.got}) == 1
    assert [message.state for message in outbox.messages(control)] == ["sent"]


def test_a_server_tells_what_its_books_say(tmp_path: Path) -> None:
    """The whole way: spans over OTLP, the books, the true-up, the look, the message, the webhook."""
    with web_inbox(lambda number: 503 if number == 0 else 200) as inbox:
        with open_control(tmp_path) as store:
            desk = ControlDesk(store, "me")
            desk.alerts.set_channel({"name": "hook", "kind": "webhook", "url": inbox.url})
            desk.set_budget({"name": "support", "team": "support", "life": "0.01"})
        spans = [span(number, dict(chat(number)) | {"outlay.team": "support"}) for number in range(1, 5)]
        with up(tmp_path, f"import os; os.environ['OUTLAY_WEBHOOKS_MAY_REACH'] = '{LOOPBACK}'") as server:
            assert server.send(request(spans).SerializeToString())[0] == 200
            settled(server)
            assert told(tmp_path, "alerts", "run")["total"]["alerts"] == 1  # the command asks the server
            for _ in range(600):
                if inbox.taken():
                    break
                time.sleep(0.05)
        (_, said), *more = inbox.taken()
    assert not more
    assert said["type"] == "budget.over"
    assert said["data"]["title"].startswith("support has used 11")
    with open_control(tmp_path) as store:
        (row,) = list_alerts(store)
        assert row.messages == {"hook": "sent"}
        assert [line.ok for line in outbox.attempts(store)] == [True, False]
