"""Races: threads, processes, random endings and kill -9 on the real stores: no cap is passed, no lease is leaked."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from outlay.control import budgets, rates
from outlay.control.leases import Leases, book_of
from outlay.control.store import ControlStore
from outlay.control.tables import leases
from outlay.core.budget import Budget, Standing
from outlay.core.estimate import SAMPLES_LEAST, kind_of
from outlay.core.lease import Ask
from outlay.core.quote import Call
from outlay.core.rate import Rate

WORKER = Path(__file__).with_name("lease_worker.py")
WORST = 1_040
USUAL = 300
CAP = 20_000


def _url(control: ControlStore) -> str:
    return control.engine.url.render_as_string(hide_password=False)


def _ready(control: ControlStore, *, history: bool = True) -> Budget:
    rates.fill(control, [("acme", "dear", False, Rate(2_000_000, 4_000_000, 10_000_000))], "test")
    budgets.set_budget(control, budgets.Wanted(Budget(0, "team", {"team": "search"}), CAP), "me")
    budgets.set_budget(control, budgets.Wanted(Budget(0, "company", {}), 10 * CAP), "me")
    if history:
        with control.writing() as connection:
            book_of(connection).learn(kind_of({}, "dear", ""), [USUAL] * SAMPLES_LEAST, time.time_ns())
    return next(item for item in budgets.list_budgets(control) if item.name == "team")


def _standing(control: ControlStore, budget: Budget) -> Standing:
    return budgets.standings(control, budget)[0]


def _work(control: ControlStore, workers: int, calls: int, ttl_s: float, killed: int = 0) -> list[dict[str, Any]]:
    """What all workers told; those that are killed are so while they hold a lease."""
    command = [sys.executable, str(WORKER), _url(control)]
    processes = [
        subprocess.Popen(
            [*command, str(seed), str(calls), str(ttl_s)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for seed in range(workers)
    ]
    told: list[dict[str, Any]] = []

    def listen(process: subprocess.Popen[str], victim: bool) -> None:
        assert process.stdout is not None
        for number, line in enumerate(process.stdout):
            told.append(json.loads(line))
            if victim and number == 3:
                process.kill()
                break

    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == '"ready"\n'
    listeners = [
        threading.Thread(target=listen, args=(process, number < killed)) for number, process in enumerate(processes)
    ]
    for process, listener in zip(processes, listeners, strict=True):
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
        listener.start()
    for listener in listeners:
        listener.join()
    for number, process in enumerate(processes):
        ended = process.wait(60)
        assert ended == (-9 if number < killed else 0)
        process.stdin.close()  # type: ignore[union-attr]
        process.stdout.close()  # type: ignore[union-attr]
    return told


def test_c14_c16_c19_four_processes_share_one_cap_and_use_nine_tenths_before_a_refusal(control: ControlStore) -> None:
    budget = _ready(control)
    told = _work(control, workers=4, calls=100, ttl_s=120)
    refusals = [item["refused"] for item in told if "refused" in item]
    assert len(refusals) == 4, "each went on until money was gone"
    assert all(item["spent"] + item["held"] >= 0.9 * item["limit"] for item in refusals)
    standing = _standing(control, budget)
    assert 0.9 * CAP <= standing.spent_nano <= CAP
    assert (standing.held_nano, standing.presumed_nano, standing.beyond_nano) == (0, 0, 0)


def test_c14_kill_9_in_mid_lease_leaks_nothing_after_its_time(control: ControlStore) -> None:
    budget = _ready(control)
    _work(control, workers=4, calls=12, ttl_s=1, killed=2)
    live = Leases(control).live()  # where the machine is slow, those who live have brought some of them home
    time.sleep(max([0.0, *((row["expires_ns"] - time.time_ns()) / 1e9 for row in live)]) + 0.01)
    assert Leases(control).sweep() == len(live)
    standing = _standing(control, budget)
    assert standing.held_nano == 0, "no lease is leaked"
    assert Leases(control).live() == []
    assert standing.spent_nano + standing.presumed_nano <= CAP
    with control.reading() as connection:
        dead = connection.execute(select(leases.c.presumed_nano).where(leases.c.state == "expired")).scalars().all()
    assert standing.presumed_nano == sum(dead), "what the dead held is presumed spent"
    assert len(dead) >= 1


@pytest.mark.parametrize("history", [False, True])
def test_c14_sixty_four_threads_at_once_never_pass_the_cap(control: ControlStore, *, history: bool) -> None:
    budget = _ready(control, history=history)
    desk, gate = Leases(control), threading.Barrier(64)
    given: list[int] = []
    failures: list[BaseException] = []
    ask = Ask({"team": "search"}, call=Call("acme", "dear", input_tokens=10, max_tokens=100))

    def work() -> None:
        try:
            gate.wait()
            grant = desk.decide(ask)
            if grant.lease:
                given.append(grant.amount_nano)
                desk.settle(grant.lease, min(USUAL, grant.amount_nano))
        except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    standing = _standing(control, budget)
    assert standing.spent_nano == sum(min(USUAL, amount) for amount in given) <= CAP
    assert standing.held_nano == 0


def test_c16_an_estimate_too_high_refuses_nothing_that_fits(control: ControlStore) -> None:
    """The worst case alone would let 18 in at a time; by what is billed three times as many are."""
    budget = _ready(control)
    ask = Ask({"team": "search"}, call=Call("acme", "dear", input_tokens=10, max_tokens=100))
    desk, held = Leases(control), []
    while (grant := desk.decide(ask)).lease:  # all in flight at once
        held.append(grant)
    assert sum(item.amount_nano for item in held) >= 0.9 * CAP
    for item in held:
        desk.settle(item.lease, min(USUAL, item.amount_nano))
    assert desk.decide(ask).lease or _standing(control, budget).spent_nano >= 0.9 * CAP


def test_c15_an_estimate_too_low_is_corrected_by_what_is_billed(control: ControlStore) -> None:
    """The input is counted as 10 tokens and billed as 400: after twenty calls what is billed is what is held."""
    budget = _ready(control, history=False)
    ask = Ask({"team": "search"}, call=Call("acme", "dear", input_tokens=10, max_tokens=20))
    billed, desk = 1_800, Leases(control)
    while (grant := desk.decide(ask)).lease:
        desk.settle(grant.lease, billed)
    standing = _standing(control, budget)
    assert standing.spent_nano <= CAP, "beyond its leases, and still within the cap"
    assert standing.spent_nano >= 0.9 * CAP
    assert standing.spent_nano <= standing.limit_nano + standing.beyond_nano
