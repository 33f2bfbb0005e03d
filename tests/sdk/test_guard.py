"""Guards: money set aside before work begins, over every budget that binds it, in one process and in many."""

from __future__ import annotations

import asyncio
import gc
import json
import multiprocessing
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

import outlay
from budgeting import figures, lift, live_leases, put, soon, standing, standings, stop
from outlay.core.errors import InputError
from outlay.sdk import guard as guards
from outlay.sdk import keeper, office, setup, tags
from outlay.sdk.exceeded import fields_of, refusal_from


@pytest.fixture
def home(spool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home without budgets yet; what is asked there is over with the test, and what is idle goes back sooner."""
    monkeypatch.setattr(keeper, "IDLE_NS", 50_000_000)
    monkeypatch.setattr(keeper, "TICK_S", 0.03)
    yield tmp_path / "home"
    office.office.close()


def anew() -> None:
    """As another process would begin."""
    office.office.close()
    setup.forget()
    outlay.init(instrument=False, runtime=False)


def spent(home: Path, name: str, usd: float) -> bool:
    return soon(lambda: figures(home, name) == (usd, 0))


def test_what_was_set_aside_is_settled_for_what_it_cost(home: Path) -> None:
    put(home, "search", 10, {"team": "search"})
    with outlay.guard(team="search", feature="answers", estimate_usd="0.50") as lease:
        assert lease.amount_usd == Decimal("0.5")
        assert standing(home, "search").held_nano >= 500_000_000
        assert lease.settle(amount_usd="0.3")
        assert not lease.settle(amount_usd="0.3"), "settled twice counts once"
    assert spent(home, "search", 0.3)
    assert live_leases(home) == 0


def test_leaving_without_a_word_or_with_an_exception_gives_it_back(home: Path) -> None:
    put(home, "search", 10, {"team": "search"})
    with outlay.guard(team="search", estimate_usd=2):
        pass
    with pytest.raises(ZeroDivisionError), outlay.guard(team="search", estimate_usd=2):
        _ = 1 / 0
    assert spent(home, "search", 0)
    assert live_leases(home) == 0


def test_shutting_down_gives_back_what_nobody_holds_and_leaves_the_rest(home: Path) -> None:
    put(home, "search", 1, {"team": "search"})
    with outlay.guard(team="search", estimate_usd="0.001") as lease:
        lease.settle(amount_usd="0.001")
    assert live_leases(home) == 1, "the rest of its chunk is kept for the next one"
    outlay.shutdown()
    assert (live_leases(home), figures(home, "search")) == (0, (0.001, 0))
    with outlay.guard(team="search", estimate_usd="0.001") as lease:
        outlay.shutdown()
        assert live_leases(home) == 1
        lease.settle(amount_usd="0.001")
    outlay.shutdown()
    assert (live_leases(home), figures(home, "search")) == (0, (0.002, 0))


def test_more_than_was_set_aside_counts_in_full(home: Path) -> None:
    put(home, "search", 1, {"team": "search"})
    with outlay.guard(team="search", estimate_usd="0.1") as lease:
        lease.settle(amount_usd=3)
    assert spent(home, "search", 3)


def test_a_refusal_says_what_a_program_and_a_model_need(home: Path) -> None:
    put(home, "onboarding", 1, {"team": "onboarding"}, owner="ann@example.com")
    with pytest.raises(outlay.BudgetExceeded) as caught, outlay.guard(team="onboarding", estimate_usd=2):
        pytest.fail("work began")
    refusal = caught.value.refusal
    assert (refusal.reason, refusal.budget, refusal.left, refusal.retryable) == ("budget", "onboarding", 10**9, False)
    assert str(caught.value) == 'the budget "onboarding" is used up: 2 USD asked, 1 left of 1 (0 spent, 0 held)'
    assert caught.value.hint == "ask ann@example.com"
    status, headers, body = caught.value.as_answer()
    said = json.loads(body)
    assert (status, headers["x-should-retry"], said["refusal"]["left"]) == (402, "false", "1")
    assert refusal_from(said["refusal"]) == refusal
    assert refusal_from(fields_of(refusal)) == refusal
    assert pickle.loads(pickle.dumps(caught.value)).refusal == refusal


def test_every_budget_above_must_agree_and_the_session_is_inherited(home: Path) -> None:
    put(home, "company", 100)
    put(home, "search", 5, {"team": "search"})
    put(home, "each run", 1, {"session": "*"})
    with outlay.session(team="search", id="s-1"), pytest.raises(outlay.BudgetExceeded, match="each run"):
        outlay.guard(estimate_usd=2).__enter__()
    with outlay.session(team="search", id="s-1"), outlay.guard(estimate_usd="0.5") as lease:
        lease.settle(amount_usd="0.5")
    assert spent(home, "company", 0.5)
    assert spent(home, "search", 0.5)
    assert spent(home, "each run", 0.5)


def test_an_inner_guard_draws_on_the_outer_ones_money(home: Path) -> None:
    put(home, "search", 10, {"team": "search"})
    with outlay.guard(team="search", estimate_usd=4, max_usd=5) as outer:
        asked = outlay.guard_status().statements
        with outlay.agent("helper"), outlay.guard(estimate_usd=1) as inner:
            inner.settle(amount_usd="0.25")
        assert outlay.guard_status().statements == asked, "no desk is asked for what is set aside already"
        assert (outer.spent_usd, outer.left_usd) == (Decimal("0.25"), Decimal("3.75"))
        with outlay.guard(estimate_usd="4.5"):
            assert outer.amount_usd == Decimal("4.75")
        with pytest.raises(outlay.BudgetExceeded, match="max_usd"):
            outlay.guard(estimate_usd="4.8").__enter__()
    assert spent(home, "search", 0.25)


def test_a_budget_that_the_outer_guard_does_not_know_is_asked_all_the_same(home: Path) -> None:
    put(home, "search", 10, {"team": "search"})
    put(home, "each run", 1, {"session": "*"})
    with outlay.guard(team="search", estimate_usd=4), outlay.session(id="s-2"):
        with outlay.guard(estimate_usd="0.4") as lease:
            lease.settle(amount_usd="0.4")
        with pytest.raises(outlay.BudgetExceeded, match="each run"):
            outlay.guard(estimate_usd="0.7").__enter__()
    assert spent(home, "each run", 0.4)
    assert spent(home, "search", 0.4)


def test_it_is_a_decorator_and_works_in_coroutines(home: Path) -> None:
    put(home, "search", 1, {"team": "search"})

    @outlay.guard(team="search", estimate_usd="0.4")
    def work() -> str:
        return outlay.current_envelope().team

    async def many() -> list[str]:
        async def one(number: int) -> str:
            async with outlay.guard(team="search", estimate_usd="0.3", wait_s=3) as lease:
                await asyncio.sleep(0.01)
                lease.settle(amount_usd="0.05")
                return str(number)

        return await asyncio.gather(*[one(number) for number in range(12)])

    assert work() == "search"
    assert asyncio.run(many()) == [str(number) for number in range(12)], "those for whom there is no room now wait"
    assert soon(lambda: abs(figures(home, "search")[0] - 0.6) < 1e-9)
    assert outlay.guard_status().refused == 0


def test_without_budgets_nothing_is_asked_and_nothing_is_made(home: Path) -> None:
    with outlay.guard(team="search", estimate_usd=5) as lease:
        lease.settle(amount_usd=4)
    assert not (home / "control.sqlite").exists()
    put(home, "billing", 1, {"team": "billing"})
    with outlay.session(team="search"), outlay.guard(estimate_usd=50):
        pass
    assert outlay.guard_status().statements == 0
    assert outlay.guard_status().asked == 0


@pytest.mark.parametrize("wrong", [{"estimate_usd": -1}, {"estimate_usd": "NaN"}, {"max_usd": "much"}, {"steps": -1}])
def test_what_cannot_be_meant_is_refused_at_once(home: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        outlay.guard(**wrong)  # type: ignore[arg-type]
    with outlay.guard() as lease, pytest.raises(ValueError, match="less than 0"):
        lease.settle(amount_usd=-1)


def test_most_guards_need_no_statement(home: Path) -> None:
    put(home, "search", 1000, {"team": "search"})
    for _ in range(320):
        with outlay.guard(team="search", estimate_usd="0.001") as lease:
            lease.settle(amount_usd="0.001")
    assert outlay.guard_status().statements <= 20
    assert soon(lambda: abs(figures(home, "search")[0] - 0.32) < 1e-9 and figures(home, "search")[1] == 0)


def test_a_guard_without_an_estimate_holds_what_such_blocks_cost_before(home: Path) -> None:
    put(home, "search", 100, {"team": "search"})
    for _ in range(25):
        with outlay.guard(team="search", feature="digest") as lease:
            lease.settle(amount_usd="0.4")
    office.office.close()
    anew()
    with outlay.guard(team="search", feature="digest") as lease:
        assert lease.amount_usd == Decimal("0.4")


def test_steps_of_a_session_are_counted_and_a_wrap_up_is_not(home: Path) -> None:
    put(home, "each run", 1, {"session": "*"}, caps={"steps": 3}, reserve_percent=10)
    with outlay.session(id="s-3"):
        for _ in range(3):
            with outlay.guard(estimate_usd="0.1") as lease:
                lease.settle(amount_usd="0.1")
        with pytest.raises(outlay.BudgetExceeded, match="allows 3 steps; 3 are used"):
            outlay.guard(estimate_usd="0.1").__enter__()
        with outlay.wrap_up() as last:
            last.settle(amount_usd="0.02")
    with outlay.session(id="s-4"), outlay.guard(estimate_usd="0.1"):
        pass
    assert sorted(each.spent_nano for each in standings(home, "each run")) == [0, 320_000_000]


def test_tool_calls_depth_and_width_are_capped_where_they_begin(home: Path) -> None:
    put(home, "each run", 1, {"session": "*"}, caps={"tool_calls": 2, "depth": 2, "width": 3})
    with outlay.session(id="s-5"):
        for _ in range(2):
            with outlay.step("search", kind="tool"):
                pass
        with pytest.raises(outlay.BudgetExceeded, match="2 tool calls"), outlay.step("search", kind="tool"):
            pytest.fail("the tool ran")
        with (
            outlay.agent("a"),
            outlay.agent("b"),
            pytest.raises(outlay.BudgetExceeded, match="depth"),
            outlay.agent("c"),
        ):
            pytest.fail("too deep")
        with outlay.agent("d"):
            pass
        with pytest.raises(outlay.BudgetExceeded, match="3 width"), outlay.agent("e"):
            pytest.fail("too many")


def test_a_stop_reaches_live_money_and_is_lifted_again(home: Path) -> None:
    put(home, "search", 10, {"team": "search"})
    with outlay.session(team="search", feature="answers"):
        with outlay.guard(estimate_usd="0.1") as lease:
            lease.settle(amount_usd="0.1")
        number = stop(home, {"feature": "answers"}, reason="it loops")

        said: list[str] = []

        def stopped() -> bool:
            try:
                with outlay.guard(estimate_usd="0.1"):
                    return False
            except outlay.BudgetExceeded as error:
                said.append(str(error))
                return True

        assert soon(stopped, 2)
        assert said == ["work is stopped for feature answers, ordered by ann (it loops)"]
        with outlay.guard(feature="other", estimate_usd="0.1"):
            pass
        lift(home, number)
        assert soon(lambda: not stopped(), 2)


def test_no_new_sessions_and_no_new_agents(home: Path) -> None:
    put(home, "search", 10, {"team": "search"})
    with outlay.session(team="search"):
        with outlay.guard(estimate_usd="0.1") as lease:
            lease.settle(amount_usd="0.1")
        stop(home, {"team": "search"}, "no_sessions")
        till = office.office.till
        assert till is not None
        till.look(time.time_ns())
        with outlay.guard(estimate_usd="0.1"):
            pass
        with pytest.raises(outlay.BudgetExceeded, match="may begin"), outlay.agent("helper"):
            pytest.fail("an agent began")
    with pytest.raises(outlay.BudgetExceeded, match="no new session"), outlay.session(team="search"):
        pytest.fail("a session began")
    with outlay.session(team="billing"):
        pass


@pytest.mark.parametrize("fail", ["open", "closed"])
def test_what_happens_while_nobody_can_be_asked_is_the_budgets_word(
    home: Path, fail: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(home, "search", 10, {"team": "search"}, fail=fail, caps={"steps": 100})
    with outlay.guard(team="search", estimate_usd="0.1"):
        pass
    tags._said.clear()
    monkeypatch.setattr("outlay.sdk.desk.local.BUSY_S", 0.05)
    office.office.till.desk.close()  # type: ignore[union-attr]
    blocker = sqlite3.connect(home / "control.sqlite", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    try:
        if fail == "closed":
            with pytest.raises(outlay.BudgetExceeded, match="lets nothing pass unasked") as caught:
                outlay.guard(team="search", estimate_usd="0.1", wait_s=0).__enter__()
            assert (caught.value.refusal.reason, caught.value.refusal.retryable) == ("unreachable", True)
            assert outlay.guard_status().failed_closed == 1
        else:
            with outlay.guard(team="search", estimate_usd="0.1") as lease:
                lease.settle(amount_usd="0.1")
            assert outlay.guard_status().failed_open == 1
        assert caplog.text.count("budgets cannot be asked") == 1
    finally:
        blocker.execute("ROLLBACK")
        blocker.close()
    office.office.till._down_ns = 0  # type: ignore[union-attr]
    with outlay.guard(team="search", estimate_usd="0.1"):
        pass


def test_threads_never_spend_more_than_there_is(home: Path) -> None:
    put(home, "search", 1, {"team": "search"})
    passed: list[int] = []

    def work() -> None:
        for _ in range(10):
            try:
                with outlay.guard(team="search", estimate_usd="0.02", wait_s=0.5) as lease:
                    lease.settle(amount_usd="0.02")
                    passed.append(1)
            except outlay.BudgetExceeded:
                continue

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert soon(lambda: figures(home, "search")[1] == 0)
    assert len(passed) == 50
    assert standing(home, "search").spent_nano == 10**9


WORK = """
import os, sys, outlay
outlay.init(instrument=False, runtime=False)
passed = refused_first = 0
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[1])):
    try:
        with outlay.guard(team="search", estimate_usd="0.01") as lease:
            lease.settle(amount_usd="0.01")
            passed += 1
    except outlay.BudgetExceeded as error:
        refused_first = refused_first or error.refusal.spent + error.refusal.held
        break
print(passed, refused_first, flush=True)
"""


def test_processes_share_one_cap_and_leave_nothing_parked(home: Path) -> None:
    put(home, "search", 4, {"team": "search"})
    surroundings = {**os.environ, "OUTLAY_HOME": str(home)}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", WORK, "400"],
            env=surroundings,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    told = [process.communicate(timeout=60)[0].split() for process in started]
    passed = sum(int(each[0]) for each in told)
    assert standing(home, "search").spent_nano == passed * 10_000_000 <= 4 * 10**9
    assert passed >= 380
    assert all(int(each[1]) >= 3_600_000_000 for each in told if int(each[1])), "first refused with 90 % in use"
    assert live_leases(home) == 0


KILLED = """
import outlay, time
from outlay.sdk import office
outlay.init(instrument=False, runtime=False)
till = office.till()
till.ttl_ns = till.desk._ttl_ns = 300_000_000
with outlay.guard(team="search", estimate_usd="0.5") as lease:
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_process_that_is_killed_leaks_nothing_after_its_leases_time_to_live(home: Path) -> None:
    put(home, "search", 8, {"team": "search"})
    surroundings = {**os.environ, "OUTLAY_HOME": str(home)}
    process = subprocess.Popen([sys.executable, "-c", KILLED], env=surroundings, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    assert live_leases(home) == 1
    process.send_signal(signal.SIGKILL)
    process.communicate()

    def brought_home() -> bool:
        with outlay.guard(team="search", estimate_usd="1.5") as lease:  # more than a chunk: the desk is asked
            lease.settle(amount_usd=0)
        return standing(home, "search").presumed_nano > 0

    assert soon(brought_home)
    assert soon(lambda: live_leases(home) == 0)
    assert standing(home, "search").held_nano == 0


def test_a_fork_has_no_part_of_its_parents_money(home: Path) -> None:
    put(home, "search", 10, {"team": "search"})
    with outlay.guard(team="search", estimate_usd=1) as lease:
        child = multiprocessing.get_context("fork").Process(target=_in_the_child)
        child.start()
        child.join(20)
        assert child.exitcode == 0
        lease.settle(amount_usd="0.5")
    del lease
    gc.collect()
    assert soon(lambda: figures(home, "search") == (0.75, 0))


def _in_the_child() -> None:
    with outlay.guard(team="search", estimate_usd=2, final=True) as lease:
        lease.settle(amount_usd="0.25")
    office.office.close()


def test_the_desk_is_told_later_what_it_could_not_be_told_at_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(home, "search", 10, {"team": "search"})
    monkeypatch.setattr(guards, "WAIT_S", 0.1)
    monkeypatch.setattr("outlay.sdk.desk.local.BUSY_S", 0.05)
    with outlay.guard(team="search", estimate_usd=9) as lease:
        office.office.till.desk.close()  # type: ignore[union-attr]
        blocker = sqlite3.connect(home / "control.sqlite", isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        lease.settle(amount_usd=8)
        blocker.execute("ROLLBACK")
        blocker.close()
    assert spent(home, "search", 8)
