"""Budgets on the path of metered calls: held, clamped, swapped, waited for, refused, cut, and settled for the bill."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

import outlay
from budgeting import GPT, MINI, figures, live_leases, put, put_rates, soon, standing, stop
from frameworks.environments import python_of
from obliging_provider import Obliging, obliging_provider
from outlay.core.money import NANO
from outlay.sdk import gatekeeper, guard, keeper, office, recorder, setup, wire
from outlay.sdk.wire.attempts import failures

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
MESSAGES = [{"role": "user", "content": "where is my parcel"}]


@pytest.fixture
def provider() -> Iterator[Obliging]:
    """A provider that keeps to its ceilings."""
    with obliging_provider() as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home with rates and no budgets yet, and a process whose calls are metered."""
    for name in ("ENDPOINT", "API_KEY", "TAGS", "CONTEXT", "CONTROL_URL"):
        monkeypatch.delenv(f"OUTLAY_{name}", raising=False)
    monkeypatch.setenv("OUTLAY_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(keeper, "IDLE_NS", 50_000_000)
    monkeypatch.setattr(keeper, "TICK_S", 0.03)
    monkeypatch.setattr(guard, "WAIT_S", 0.3)
    monkeypatch.setattr(gatekeeper, "WAIT_S", 0.3)
    failures.forget()
    setup.forget()
    put_rates(tmp_path / "home")
    outlay.init(runtime=False, hosts={"127.0.0.1": "openai"})
    yield tmp_path / "home"
    office.office.close()
    wire.uninstall()
    wire.settings.configure()
    outlay.shutdown()
    setup.forget()


@pytest.fixture
def steps(home: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is recorded."""
    recorded: list[Any] = []
    monkeypatch.setattr(recorder, "record", recorded.append)
    return recorded


def call(provider: Obliging, long: int = 50, **more: Any) -> httpx2.Response:
    body = {"model": "gpt-4o", "messages": MESSAGES, "user": str(long), **more}
    return httpx2.post(provider.url, json=body, timeout=30)


def cost(bills: list[Any]) -> int:
    rates = {"gpt-4o": GPT, "gpt-4o-mini": MINI}
    return sum(rates[b.model].worst_nano(b.input_tokens, b.output_tokens) for b in bills if b.model in rates)


def settled(home: Path, name: str, nano: int) -> bool:
    return soon(lambda: standing(home, name).spent_nano == nano and standing(home, name).held_nano == 0)


def test_a_call_is_settled_for_what_it_was_billed(home: Path, provider: Obliging) -> None:
    put(home, "search", 1, {"team": "search"})
    with outlay.session(team="search"):
        for _ in range(3):
            assert call(provider, max_tokens=100).status_code == 200
    assert settled(home, "search", cost(provider.bills))
    assert live_leases(home) == 0
    assert outlay.guard_status().failed_open == 0


def test_who_is_not_bound_is_not_asked(home: Path, provider: Obliging) -> None:
    put(home, "billing", 0.000001, {"team": "billing"})
    with outlay.session(team="search"):
        assert call(provider).status_code == 200
    assert outlay.guard_status().asked == 0


def test_a_ceiling_is_lowered_to_what_is_left(home: Path, provider: Obliging) -> None:
    put(home, "search", 0.003, {"team": "search"})
    with outlay.session(team="search"):
        first = call(provider, long=2000, max_tokens=2000).json()
    assert 64 <= first["usage"]["completion_tokens"] < 300
    assert outlay.guard_status().clamped == 1
    assert settled(home, "search", cost(provider.bills))
    assert standing(home, "search").spent_nano <= 3_000_000


def test_a_cheaper_model_takes_the_place_where_the_ladder_has_one(
    home: Path, provider: Obliging, steps: list[Any]
) -> None:
    put(home, "search", 0.0008, {"team": "search"}, ladder={"gpt-4o": "gpt-4o-mini"})
    with outlay.session(team="search"):
        assert call(provider, max_tokens=400).status_code == 200
    assert [bill.model for bill in provider.bills] == ["gpt-4o-mini"]
    assert outlay.guard_status().swapped == 1
    assert settled(home, "search", cost(provider.bills))
    (step,) = [step for step in steps if step.operation == "chat"]
    assert step.model_requested == "gpt-4o-mini"


def test_a_refused_call_is_not_sent_and_says_why(home: Path, provider: Obliging) -> None:
    put(home, "search", 0.0001, {"team": "search"}, owner="ann@example.com")
    with outlay.session(team="search"):
        answer = call(provider, max_tokens=400)
    assert (answer.status_code, answer.headers["x-outlay-refused"]) == (402, "true")
    refusal = answer.json()["refusal"]
    assert (refusal["budget"], refusal["left"], refusal["ask"]) == ("search", "0.0001", "ann@example.com")
    assert not provider.bills
    assert figures(home, "search") == (0, 0)


def test_a_refusal_is_passed_on_by_whoever_passes_on_the_bytes_of_answers(home: Path, provider: Obliging) -> None:
    put(home, "search", 0.0001, {"team": "search"})
    asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": "x"}], "max_tokens": 400}

    async def relayed() -> tuple[int, bytes]:
        async with httpx2.AsyncClient() as client, client.stream("POST", provider.url, json=asked) as answer:
            return answer.status_code, b"".join([piece async for piece in answer.aiter_raw()])

    with outlay.session(team="search"):
        with httpx2.Client() as client, client.stream("POST", provider.url, json=asked) as answer:
            raw = b"".join(answer.iter_raw())
        status, again = asyncio.run(relayed())
    assert json.loads(raw)["refusal"]["budget"] == "search"
    assert (status, len(again), answer.headers["content-length"]) == (402, len(raw), str(len(raw)))


def test_a_guard_around_it_turns_the_clients_error_into_ones_own(home: Path, provider: Obliging) -> None:
    put(home, "search", 0.0001, {"team": "search"})
    with pytest.raises(outlay.BudgetExceeded) as caught, outlay.guard(team="search"):
        call(provider, max_tokens=400).raise_for_status()
    assert caught.value.refusal.budget == "search"
    assert isinstance(caught.value.__cause__, httpx2.HTTPStatusError)
    assert outlay.BudgetExceeded.of(caught.value.__cause__) is not None
    assert outlay.BudgetExceeded.of(ValueError("no")) is None


def test_a_model_without_a_price_is_refused_under_a_hard_budget_and_a_free_one_never(
    home: Path, provider: Obliging
) -> None:
    put(home, "search", 0.001, {"team": "search"})
    with outlay.session(team="search"):
        answer = call(provider, model="gpt-99")
        assert (answer.status_code, answer.json()["refusal"]["reason"]) == (402, "unpriced")
        with outlay.guard(estimate_usd="0.001") as lease:
            lease.settle(amount_usd="0.001")
        assert soon(lambda: figures(home, "search") == (0.001, 0))
        assert call(provider, max_tokens=10).status_code == 402
        assert call(provider, model="llama-3").status_code == 200, "free by declaration"
    put(home, "search", 0.001, {"team": "search"}, unpriced="allow")
    put(home, "billing", 0.001, {"team": "billing"}, unpriced="allow")
    office.office.till.look(2**61)  # type: ignore[union-attr]
    with outlay.session(team="billing"):
        assert call(provider, model="gpt-99").status_code == 200


def test_a_call_waits_for_money_that_comes_back(
    home: Path, provider: Obliging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gatekeeper, "WAIT_S", 5.0)
    put(home, "search", 0.005, {"team": "search"})
    provider.delay_s = 0.3
    with outlay.session(team="search"), ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: call(provider, long=20, max_tokens=300).status_code, range(8)))
    assert answers == [200] * 8
    assert outlay.guard_status().waited > 0
    assert settled(home, "search", cost(provider.bills))


def test_upstream_failures_hold_nothing_afterwards(home: Path, provider: Obliging) -> None:
    put(home, "search", 0.01, {"team": "search"})
    provider.fails = True
    with outlay.session(team="search"):
        for _ in range(5):
            assert call(provider, max_tokens=300).status_code == 500
        with pytest.raises(httpx2.ConnectError):
            httpx2.post("http://127.0.0.1:9/v1/chat/completions", json={"model": "gpt-4o", "messages": MESSAGES})
    assert settled(home, "search", 0)
    assert live_leases(home) == 0


def teach(provider: Obliging, long: int, **more: Any) -> None:
    """Lets it be known what such calls cost."""
    with outlay.session(team="teaching", feature="answers"):
        for _ in range(25):
            call(provider, long=long, **more)
    begin_anew()
    provider.bills.clear()


def begin_anew() -> None:
    """As another process would."""
    office.office.close()
    setup.forget()
    outlay.init(runtime=False, hosts={"127.0.0.1": "openai"})


@pytest.mark.parametrize("usage", [True, False], ids=["with usage", "without"])
def test_a_stream_is_cut_within_a_chunk_of_its_money(
    home: Path, provider: Obliging, steps: list[Any], usage: bool
) -> None:
    put(home, "teaching", 100, {"team": "teaching"})
    teach(provider, 20)
    put(home, "search", 0.002, {"team": "search"})
    provider.pace_s = 0.002
    asked: dict[str, Any] = {"model": "gpt-4o", "messages": MESSAGES, "user": "5000", "stream": True}
    if usage:
        asked["stream_options"] = {"include_usage": True}
    text = ""
    with outlay.session(team="search", feature="answers"):
        steps.clear()
        with httpx2.stream("POST", provider.url, json=asked, timeout=30) as answer:
            for line in answer.iter_lines():
                text += line
    words = text.count("abcd")
    assert outlay.guard_status().cut == 1
    assert 180 < words <= 200, "what had arrived is the agent's"
    assert provider.bills[0].sent < 400, "the provider was told to stop"
    assert soon(lambda: standing(home, "search").held_nano == 0)
    assert 1_900_000 <= standing(home, "search").spent_nano <= 2_000_000 + 2 * 10_000
    (step,) = [step for step in steps if step.operation == "chat"]
    assert (step.error_type, step.tokens["output_tokens"]) == ("budget", words)


def test_a_stream_that_is_let_go_is_settled_for_what_had_come(home: Path, provider: Obliging) -> None:
    put(home, "search", 1, {"team": "search"})
    provider.pace_s = 0.005
    asked = {"model": "gpt-4o", "messages": MESSAGES, "user": "5000", "stream": True, "max_tokens": 5000}

    async def impatient() -> int:
        words = 0
        async with httpx2.AsyncClient() as client, client.stream("POST", provider.url, json=asked) as answer:
            async for line in answer.aiter_lines():
                words += line.count("abcd")
                if words >= 20:
                    break
        return words

    with outlay.session(team="search"):
        words = asyncio.run(impatient())
    assert soon(lambda: standing(home, "search").held_nano == 0)
    assert standing(home, "search").spent_nano >= words * 10_000
    assert standing(home, "search").spent_nano < (words + 40) * 10_000 + 10**6


def test_a_stop_cuts_a_stream_that_runs(home: Path, provider: Obliging) -> None:
    put(home, "search", 100, {"team": "search"})
    provider.pace_s = 0.01
    asked = {"model": "gpt-4o", "messages": MESSAGES, "user": "1500", "stream": True, "max_tokens": 1500}
    begun = time.monotonic()
    with outlay.session(team="search", feature="answers"):
        with httpx2.stream("POST", provider.url, json=asked, timeout=30) as answer:
            for number, _ in enumerate(answer.iter_lines()):
                if number == 20:
                    stop(home, {"feature": "answers"})
        assert time.monotonic() - begun < 6
        assert call(provider).status_code == 402
    assert outlay.guard_status().cut == 1


def test_a_session_cap_counts_calls_and_leaves_a_reserve_for_the_end(home: Path, provider: Obliging) -> None:
    put(home, "each run", 0.01, {"session": "*"}, caps={"steps": 5}, reserve_percent=5)
    with outlay.session(team="search"):
        answers = [call(provider, long=5, max_tokens=50) for _ in range(7)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [402] * 2
        assert answers[-1].json()["refusal"]["what"] == "steps"
        with outlay.wrap_up():
            assert call(provider, long=5, max_tokens=20).status_code == 200
    with outlay.session(team="search"):
        assert call(provider, long=5, max_tokens=50).status_code == 200


def test_calls_inside_a_guard_draw_on_its_money_and_sub_agents_too(home: Path, provider: Obliging) -> None:
    put(home, "search", 1, {"team": "search"})
    with outlay.session(team="search"), outlay.guard(estimate_usd="0.1", max_usd="0.1") as lease:
        call(provider, max_tokens=100)
        with outlay.agent("helper"):
            call(provider, max_tokens=100)
        assert int(lease.spent_usd * NANO) == cost(provider.bills)
        assert call(provider, long=20_000, max_tokens=20_000).json()["usage"]["completion_tokens"] < 10_000
        assert lease.left_usd < lease.amount_usd
    assert settled(home, "search", cost(provider.bills))


@pytest.mark.parametrize("way", ["threads", "tasks"])
def test_a_burst_uses_nearly_all_and_never_more(
    home: Path, provider: Obliging, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """64 at once, room for 18; what is sent is billed four times what its length says, and answers end early."""
    monkeypatch.setattr(gatekeeper, "WAIT_S", 1.0)
    provider.input_tokens = 100
    each = GPT.worst_nano(100, 60)
    put(home, "teaching", 100, {"team": "teaching"})
    teach(provider, 60, max_tokens=400)
    provider.delay_s = 0.2
    put(home, "search", each * 18 / NANO, {"team": "search"})
    body = {"model": "gpt-4o", "messages": MESSAGES, "user": "60", "max_tokens": 400}
    limits = httpx2.Limits(max_connections=64)

    async def tasks() -> list[int]:
        async with httpx2.AsyncClient(limits=limits, timeout=30) as client:
            answers = await asyncio.gather(*[client.post(provider.url, json=body) for _ in range(64)])
        return [answer.status_code for answer in answers]

    def threads() -> list[int]:
        with httpx2.Client(limits=limits, timeout=30) as client, ThreadPoolExecutor(64) as pool:
            return [done.status_code for done in pool.map(lambda _: client.post(provider.url, json=body), range(64))]

    with outlay.session(team="search", feature="answers"):
        codes = threads() if way == "threads" else asyncio.run(tasks())
    assert soon(lambda: standing(home, "search").held_nano == 0)
    found = standing(home, "search")
    assert found.spent_nano == cost(provider.bills)
    assert 0.9 * found.limit_nano <= found.spent_nano <= found.limit_nano
    assert set(codes) == {200, 402}
    assert live_leases(home) == 0


def test_budgets_that_come_later_are_noticed_by_a_process_that_runs(home: Path, provider: Obliging) -> None:
    with outlay.session(team="search"):
        assert call(provider, max_tokens=400).status_code == 200
        put(home, "search", 0.0001, {"team": "search"})
        assert soon(lambda: call(provider, max_tokens=400).status_code == 402, 3)


def test_real_clients_get_the_refusal_at_once_and_never_try_again(
    tmp_path: Path, provider: Obliging, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    put_rates(home)
    put(home, "search", 0.0001, {"team": "search"})
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OUTLAY_HOME": str(home)}
    command = [str(python_of("clients")), "-W", "ignore", str(HERE / "budget_runs.py"), str(provider.port)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found) == 7
    for name, told in found.items():
        assert told["budget"] == "search", (name, told)
        assert 'the budget "search" is used up' in told["said"], name
        assert told["in a guard"] == "BudgetExceeded", name
    assert {found[name]["status"] for name in ("openai", "openai_stream", "openai_async", "anthropic")} == {402}
    assert found["aiohttp"]["raised"] == "BudgetExceeded"
    assert not provider.bills
