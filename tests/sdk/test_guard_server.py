"""Guards and calls against a server: leases in chunks over HTTP, with a key that may decide and nothing else."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest

import outlay
from budgeting import figures, live_leases, put, put_rates, soon, standing, standings, stop
from e2e.processes import Server, told, up
from obliging_provider import Obliging, obliging_provider
from outlay.sdk import gatekeeper, guard, keeper, office, recorder, setup, wire
from outlay.sdk.desk import UnreachableError
from outlay.sdk.desk.line import Line
from outlay.sdk.desk.server import ServerDesk
from outlay.sdk.destination import Destination
from outlay.sdk.wire.attempts import failures


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of the server."""
    return tmp_path_factory.mktemp("server") / "home"


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[Server]:
    """A server with budgets and rates; what the tests do to one budget does not touch another's."""
    home = place
    put(home, "search", 10, {"team": "search"}, owner="ann@example.com")
    put(home, "small", 0.0001, {"team": "small"})
    put(home, "each run", 5, {"team": "capped", "session": "*"}, caps={"steps": 3})
    put(home, "shut", 10, {"team": "shut"}, fail="closed")
    put(home, "loops", 10, {"team": "loops"})
    with up(home) as running:
        put_rates(home)
        yield running


@pytest.fixture
def home(server: Server, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An agent on another machine: a home of its own, and the address of the server; the server's home is given."""
    for name in ("TAGS", "CONTEXT", "CONTROL_URL", "API_KEY"):
        monkeypatch.delenv(f"OUTLAY_{name}", raising=False)
    monkeypatch.setenv("OUTLAY_HOME", str(tmp_path / "agent"))
    monkeypatch.setenv("OUTLAY_ENDPOINT", server.url)
    monkeypatch.setattr(keeper, "IDLE_NS", 50_000_000)
    monkeypatch.setattr(keeper, "TICK_S", 0.03)
    monkeypatch.setattr(guard, "WAIT_S", 0.3)
    monkeypatch.setattr(gatekeeper, "WAIT_S", 0.3)
    monkeypatch.setattr(recorder, "record", lambda _: None)
    failures.forget()
    setup.forget()
    outlay.init(runtime=False, hosts={"127.0.0.1": "openai"})
    yield place
    office.office.close()
    wire.uninstall()
    wire.settings.configure()
    outlay.shutdown()
    setup.forget()


@pytest.fixture
def provider() -> Iterator[Obliging]:
    """A provider that keeps to its ceilings."""
    with obliging_provider() as running:
        yield running


def call(provider: Obliging, **more: Any) -> httpx2.Response:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 100, **more}
    return httpx2.post(provider.url, json=body, timeout=30)


def test_guards_are_given_in_chunks_and_settled_at_the_server(home: Path) -> None:
    before = standing(home, "search").spent_nano
    with outlay.session(team="search"):
        for _ in range(64):
            with outlay.guard(estimate_usd="0.001") as lease:
                lease.settle(amount_usd="0.001")
    assert outlay.guard_status().statements <= 8
    assert soon(lambda: standing(home, "search").spent_nano - before == 64_000_000)
    assert soon(lambda: figures(home, "search")[1] == 0)
    with outlay.session(team="search"), pytest.raises(outlay.BudgetExceeded) as caught:
        outlay.guard(estimate_usd=50, wait_s=0).__enter__()
    assert (caught.value.refusal.budget, caught.value.refusal.ask) == ("search", "ann@example.com")


def test_a_guard_grows_at_the_server(home: Path) -> None:
    with outlay.session(team="search"), outlay.guard(estimate_usd=1) as outer:
        with outlay.guard(estimate_usd="2.5") as inner:
            inner.settle(amount_usd="0.5")
        assert str(outer.spent_usd) == "0.5"
    assert soon(lambda: live_leases(home) == 0)


def test_calls_are_held_refused_and_learned(home: Path, provider: Obliging) -> None:
    with outlay.session(team="search", feature="over there"):
        before = standing(home, "search").spent_nano
        for _ in range(3):
            assert call(provider, user="20").status_code == 200
        assert soon(lambda: standing(home, "search").spent_nano - before == 3 * (10 * 2_500 + 20 * 10_000))
    with outlay.session(team="small"):
        answer = call(provider)
    assert (answer.status_code, answer.json()["refusal"]["budget"]) == (402, "small")
    assert len(provider.bills) == 3


def test_caps_are_counted_by_the_server(home: Path, provider: Obliging) -> None:
    with outlay.session(team="capped"):
        codes = [call(provider, user="5").status_code for _ in range(4)]
        with outlay.wrap_up():
            codes.append(call(provider, user="5").status_code)
    assert codes == [200, 200, 200, 402, 200]
    assert len(standings(home, "each run")) == 1


def test_a_stop_at_the_server_reaches_the_agent(home: Path, provider: Obliging) -> None:
    with outlay.session(team="loops", feature="loops"):
        assert call(provider, user="5").status_code == 200
        stop(home, {"feature": "loops"})
        assert soon(lambda: call(provider, user="5").status_code == 402, 4)


def test_a_key_is_told_of_its_teams_budgets_and_of_nobody_elses(server: Server, place: Path) -> None:
    secret = told(place, "keys", "add", "agents", "--may", "decide", "--team", "search")["rows"][0]["key"]
    line = Line(lambda: Destination(server.url, secret))

    def is_known() -> bool:  # a server learns of a key within a second; on loopback an unknown one is none at all
        return {row["name"] for row in line.exchange("GET", "/api/v1/in-force")[1]["rows"]} == {"search"}

    assert soon(is_known, 4)
    status, said = line.exchange("GET", "/api/v1/in-force")
    assert status == 200
    status, again = line.exchange("GET", "/api/v1/in-force", {"known": said["total"]["version"]})
    assert (status, again["rows"]) == (200, [])
    kind = '["answers", "gpt-4o", "chat"]'
    for _ in range(2):
        status, _said = line.exchange(
            "POST", "/api/v1/costs", body=json.dumps({"kind": kind, "amounts": [7] * 15}).encode()
        )
        assert status == 200
    status, costs = line.exchange("GET", "/api/v1/costs", {"kind": kind, "provider": "openai", "model": "gpt-4o"})
    assert costs["total"]["usual"] == [7, 7, 30]
    assert costs["total"]["rate"][:3] == [2_500_000_000, 2_500_000_000, 10_000_000_000]
    for wrong in (
        {"kind": "", "amounts": [1]},
        {"kind": kind, "amounts": []},
        {"kind": kind, "amounts": [-1]},
        {"kinds": 1},
    ):
        status, problem = line.exchange("POST", "/api/v1/costs", body=json.dumps(wrong).encode())
        assert (status, bool(problem["title"])) == (400, True)
    line.close()


@pytest.mark.parametrize("team", ["shut", "search"])
def test_a_server_that_goes_away_fails_each_budget_its_own_way(
    home: Path, provider: Obliging, team: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with outlay.session(team=team):
        assert call(provider, user="5").status_code == 200
        till = office.office.till
        assert till is not None
        assert soon(lambda: not till.live)
        gone = Destination("http://127.0.0.1:9")
        monkeypatch.setattr(till.desk, "_where", lambda: gone)
        monkeypatch.setattr(gatekeeper, "WAIT_S", 0.05)
        till.desk.close()
        till.desk._local.__dict__.clear()  # type: ignore[attr-defined]
        assert call(provider, user="5", max_tokens=90_000).status_code == (402 if team == "shut" else 200)
    status = outlay.guard_status()
    assert (status.failed_closed > 0, status.failed_open > 0) == (team == "shut", team == "search")


def test_a_server_that_is_not_outlay_is_told_apart_from_one_without_budgets() -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        desk = ServerDesk(lambda: Destination(f"http://127.0.0.1:{other.server_port}"))
        assert desk.in_force(None) is None
        assert not desk.ready()  # it came while we waited: ask again
        with pytest.raises(UnreachableError, match="not as Outlay does"):
            desk.in_force(None)
        other.shutdown()
