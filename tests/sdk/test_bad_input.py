"""What an application says wrongly, or not at all, and a server that is away for an hour: docs/sdk.md, line by line."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest

import outlay
from outlay.sdk import courier
from outlay.sdk.courier import Courier, Parcel
from outlay.sdk.destination import Answer, Destination, Whereabouts
from outlay.sdk.spool import Spool
from sdk_agents import environment
from sdk_facts import Fact, facts_in, outcomes_in

Recorded = Callable[[], list[Fact]]
HOUR_S = 3_600


def test_an_unknown_key_is_a_tag(recorded: Recorded) -> None:
    with outlay.session(team="a", tean="b", Tier="pro"):
        outlay.usage("inside", "tool")
    facts = {fact["name"]: fact for fact in recorded()}
    assert (facts["inside"]["team"], facts["inside"]["user_tier"]) == ("a", None)
    assert facts["inside"]["tags"] == {"tean": "b", "Tier": "pro"}


def test_a_value_of_ten_kilobytes_loses_itself_only(recorded: Recorded, caplog: pytest.LogCaptureFixture) -> None:
    large = "x" * 10_000
    with caplog.at_level(logging.WARNING, "outlay"), outlay.session(team="a", feature=large, own=large):
        with outlay.step(large, kind="tool", provider=large, model=large, more=large):
            pass
        outlay.usage(large, "tool", response_id=large)
    facts = recorded()
    assert {(fact["team"], fact["feature"]) for fact in facts} == {("a", None)}
    assert len(facts) == 3
    assert all(large not in str(fact) for fact in facts)
    assert large not in caplog.text, "nor is it in the log"


def test_a_session_completed_twice_says_both_and_the_later_word_is_later(recorded: Recorded, spool: Path) -> None:
    with outlay.session(id="s") as session:
        session.complete("failed")
    session.complete("done", value=1)
    recorded()
    first, second = outcomes_in(spool)
    assert [(one["task_id"], one["status"]) for one in (first, second)] == [("s", "failed"), ("s", "done")]
    assert first["at_ns"] < second["at_ns"]


def test_a_session_that_is_never_completed_nor_left_has_its_steps_and_no_outcome(tmp_path: Path) -> None:
    script = """
import os, outlay
outlay.init(instrument=False)
session = outlay.session(team="a", id="s").__enter__()
outlay.usage("inside", "tool")
outlay.flush()
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", script], env=environment(tmp_path), check=False, timeout=60)
    assert done.returncode == 0
    assert [(fact["name"], fact["session_id"], fact["team"]) for fact in facts_in(tmp_path / "spool")] == [
        ("inside", "s", "a")
    ]
    assert outcomes_in(tmp_path / "spool") == []


def test_a_server_that_is_down_for_an_hour_is_asked_seldom_and_gets_everything_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock of the test: a batch every ten seconds, more of them than memory may hold."""
    clock = SimpleNamespace(now=0.0)
    tries: list[float] = []
    got: list[bytes] = []

    class Line:
        def post(self, _to: Destination, body: bytes) -> Answer:
            tries.append(clock.now)
            if clock.now < HOUR_S:
                return Answer(0, remark="connection refused")
            got.append(body)
            return Answer(200)

    monkeypatch.setattr(courier, "Line", Line)
    monkeypatch.setattr(courier, "time", SimpleNamespace(monotonic=lambda: clock.now, time_ns=time.time_ns))
    spool = Spool(tmp_path)
    sender = Courier(Whereabouts(tmp_path, "http://127.0.0.1:9", ""), spool)
    bodies: list[bytes] = []
    while clock.now < HOUR_S + 120:
        if clock.now % 10 == 0:
            bodies.append(os.urandom(60_000))
            sender.take(Parcel(spool.put(bodies[-1], sync=False), bodies[-1], 60_000))
            sender._waiting.append(sender._inbox.get())  # type: ignore[arg-type] # what its thread does
        sender._deliver()
        assert sender._held_bytes <= courier.HELD_BYTES_MAX
        clock.now += 1
        if clock.now == HOUR_S:
            assert len(spool.waiting()) == len(bodies) == HOUR_S / 10
            assert "connection refused" in sender.trouble
    down = [at for at in tries if at < HOUR_S]
    assert len(down) < HOUR_S / 20
    assert max(later - earlier for earlier, later in pairwise(down)) <= courier.BACK_OFF_MAX_S * 1.25 + 1
    assert b"".join(got) == b"".join(bodies)
    assert sender.counts.delivered == len(bodies)
    assert (spool.waiting(), sender.trouble) == ([], "")
