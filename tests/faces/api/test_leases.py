"""Leases over HTTP: one door for decide, settle, return and renew, on either store."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from outlay.control import budgets, rates
from outlay.control.keyring import Keyring
from outlay.control.keys import ApiKey, digest_of
from outlay.control.leases import Leases
from outlay.control.stops import Stops
from outlay.control.store import ControlStore
from outlay.core.budget import Budget
from outlay.core.errors import StoreError
from outlay.core.money import NANO
from outlay.core.rate import Rate
from outlay.faces.api.app import build_app
from outlay.faces.api.lease_words import BODY_BYTES_MAX
from outlay.faces.api.leases import LeaseDoor
from outlay.house import House

HOST = "http://127.0.0.1:4318"
CALL = {"provider": "acme", "model": "dear", "input_tokens": 10, "max_tokens": 100}
WORST = "0.00104"


@pytest.fixture
def app(control: ControlStore) -> Any:
    rates.fill(
        control,
        [
            ("acme", "dear", False, Rate(2 * NANO, 4 * NANO, 10 * NANO)),
            ("acme", "cheap", False, Rate(NANO, NANO, NANO)),
            ("home", "llama*", True, Rate(0, 0, 0)),
        ],
        "test",
    )
    return LeaseDoor(lambda: control)


def put(control: ControlStore, usd: float, scope: dict[str, str] | None = None, **more: Any) -> Budget:
    more.setdefault("reserve_percent", 0)
    wanted = Budget(0, more.pop("name", "all"), scope or {}, **more)
    budgets.set_budget(control, budgets.Wanted(wanted, int(usd * NANO)), "me")
    return next(item for item in budgets.list_budgets(control) if item.name == wanted.name)


class Caller:
    """Sends requests through the guard to the door."""

    def __init__(self, app: Any, keyring: Keyring | None = None, secret: str = "") -> None:
        from outlay.faces.api.guard import Guard

        self._app = Guard(app, keyring, key_needed=keyring is not None)
        self._headers = {"authorization": f"Bearer {secret}"} if secret else {}

    def __call__(self, path: str, *, content: bytes | None = None, headers: Any = None, **said: Any) -> Any:
        return self.many([(path, said)], content=content, headers=headers)[0]

    def many(self, orders: list[tuple[str, Any]], content: bytes | None = None, headers: Any = None) -> list[Any]:
        async def run() -> list[Any]:
            transport = httpx2.ASGITransport(self._app, raise_app_exceptions=False)
            async with httpx2.AsyncClient(transport=transport, base_url=HOST, headers=self._headers) as client:
                options = {"content": content, "headers": headers} if content is not None else None
                return list(
                    await asyncio.gather(
                        *(client.post(f"/api/v1/{path}", **(options or {"json": said})) for path, said in orders)
                    )
                )

        return asyncio.run(run())


def answered(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(answer: Any, status: int = 402) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.json()


def test_a_call_is_decided_then_settled_for_what_it_cost(control: ControlStore, app: Any) -> None:
    budget = put(control, 1, {"team": "search"}, name="search", owner="ann@example.com")
    ask = Caller(app)
    given = answered(ask("decide", envelope={"team": "search"}, session="s", **CALL))
    assert (given["amount_usd"], given["max_tokens"], given["model"], given["over"]) == (WORST, None, "", [])
    assert (given["budget"], given["left_usd"], given["chunk"]) == ("search", "0.99896", False)
    assert given["expires_ns"] > time.time_ns()
    assert answered(ask("settle", lease=given["lease"], amount_usd="0.0005")) == {
        "lease": given["lease"],
        "settled": True,
    }
    assert answered(ask("settle", lease=given["lease"], amount_usd=0.0005))["settled"] is False
    assert answered(ask("return", lease=given["lease"]))["returned"] is False
    (standing,) = budgets.standings(control, budget)
    assert (standing.spent_nano, standing.held_nano) == (500_000, 0)


def test_a_refusal_says_everything_to_a_program_and_one_sentence_to_a_model(control: ControlStore, app: Any) -> None:
    put(control, 0.002, {"team": "search"}, name="search", owner="ann@example.com")
    ask = Caller(app)
    held = answered(ask("decide", envelope={"team": "search"}, estimate_usd="0.0015"))
    said = refused(answer := ask("decide", envelope={"team": "search"}, estimate_usd="0.001"))
    told = said["refusal"]
    assert {key: told[key] for key in ("reason", "budget", "what", "asked", "limit", "spent", "held", "left")} == {
        "reason": "budget",
        "budget": "search",
        "what": "usd",
        "asked": "0.001",
        "limit": "0.002",
        "spent": "0",
        "held": "0.0015",
        "left": "0.0005",
    }
    assert (told["retryable"], told["retry_after_s"], told["ask"]) == (True, 1, "ann@example.com")
    assert answer.headers["retry-after"] == "1"
    assert told["resets"].endswith("+00:00")
    assert 'the budget "search"' in said["detail"]
    assert "0.001 USD asked, 0.0005 left of 0.002" in said["detail"]
    assert said["type"].endswith("#budget")
    answered(ask("settle", lease=held["lease"], amount_usd="0.002"))
    assert refused(ask("decide", envelope={"team": "search"}, estimate_usd="0.001"))["refusal"]["retryable"] is False
    assert refused(ask("decide", envelope={"team": "search"}, provider="acme", model="new"))["refusal"]["reason"] == (
        "unpriced"
    )


def test_more_is_drawn_and_part_is_spent_while_it_works(control: ControlStore, app: Any) -> None:
    budget = put(control, 1)
    ask = Caller(app)
    lease = answered(ask("decide", estimate_usd="0.5"))["lease"]
    assert answered(ask("renew", lease=lease, spent_usd="0.2"))["amount_usd"] == "0.3"
    assert answered(ask("renew", lease=lease, more_usd="0.4"))["amount_usd"] == "0.7"
    last = answered(ask("renew", lease=lease, more_usd="0.4", ttl_s=600))
    assert (last["amount_usd"], "refusal" in last) == ("0.8", False)
    assert answered(ask("renew", lease=lease, more_usd="0.1"))["refusal"]["left"] == "0"
    Stops(control).set({}, "stop", "boss", reason="runaway")
    assert answered(ask("renew", lease=lease))["stop"]["reason"] == "runaway"
    assert refused(ask("decide", estimate_usd="0.1"))["refusal"]["reason"] == "stopped"
    answered(ask("return", lease=lease))
    refused(ask("renew", lease=lease), 404)
    assert budgets.standings(control, budget)[0].spent_nano == NANO // 5


def test_a_crowd_is_decided_together_and_none_passes_the_cap(control: ControlStore, app: Any) -> None:
    budget = put(control, 0.01)
    ask = Caller(app)
    answers = ask.many([("decide", {"estimate_usd": "0.001", "id": f"call {number % 30}"}) for number in range(90)])
    given = [answer.json() for answer in answers if answer.status_code == 200]
    assert len({item["lease"] for item in given}) == 10
    assert len(given) == 30, "the same id is answered with the same lease, also in one crowd"
    (standing,) = budgets.standings(control, budget)
    assert (standing.held_nano, standing.left_nano) == (NANO // 100, 0)
    ask.many([("settle", {"lease": item["lease"], "amount_usd": "0.0009"}) for item in given])
    assert budgets.standings(control, budget)[0].spent_nano == 9 * NANO // 1000


WRONG = (
    ("decide", b"", 400, "not JSON"),
    ("decide", b"[]", 400, "Expected `object`"),
    ("decide", b'{"amount": 1}', 400, "unknown field `amount`"),
    ("decide", b'{"envelope": {"planet": "mars"}}', 400, 'no "planet"'),
    ("decide", b'{"envelope": {"team": ""}}', 400, "1 to 256 characters"),
    ("decide", b'{"estimate_usd": "NaN"}', 400, "finite"),
    ("decide", b'{"estimate_usd": -1}', 400, "cannot be -1"),
    ("decide", b'{"estimate_usd": "1e18"}', 400, "out of range"),
    ("decide", b'{"estimate_usd": "lots"}', 400, "not an amount"),
    ("decide", b'{"max_tokens": -5, "model": "m"}', 400, "max_tokens"),
    ("decide", b'{"input_tokens": 99999999999}', 400, "within reason"),
    ("decide", b'{"counts": {"money": 1}}', 400, "nothing counts"),
    ("decide", b'{"counts": {"steps": -1}}', 400, "cannot be -1"),
    ("decide", b'{"ttl_s": 0}', 400, "ttl_s"),
    ("decide", b'{"parent": "nobody"}', 404, "no lease"),
    ("settle", b'{"lease": "nobody", "amount_usd": "1"}', 404, "no lease"),
    ("settle", b'{"lease": "x"}', 400, "missing required field"),
    ("settle", b'{"lease": "x", "amount_usd": "-0.1"}', 400, "cannot be"),
    ("return", b'{"lease": "nobody"}', 404, "no lease"),
    ("renew", b'{"lease": "nobody"}', 404, "no lease"),
    ("decide", b" " * (BODY_BYTES_MAX + 1), 413, "64 KiB"),
)


def test_what_cannot_be_used_is_refused_by_name(tmp_path: Path) -> None:
    with ControlStore(f"sqlite:///{tmp_path / 'control.sqlite'}") as store:
        ask = Caller(LeaseDoor(lambda: store))
        for path, body, status, text in WRONG:
            said = refused(ask(path, content=body, headers={"content-type": "application/json"}), status)
            assert text in said["detail"], body


def test_only_json_is_read_and_only_post_is_answered(control: ControlStore, app: Any) -> None:
    refused(Caller(app)("decide", content=b"{}", headers={"content-type": "text/plain"}), 415)

    async def get() -> Any:
        transport = httpx2.ASGITransport(Caller(app)._app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url=HOST) as client:
            return await client.get("/api/v1/decide")

    assert refused(asyncio.run(get()), 405)


def test_a_key_decides_for_its_teams_only(control: ControlStore, app: Any) -> None:
    put(control, 1)
    ring = Keyring(
        None,
        {
            digest_of("mine"): ApiKey("mine", ("decide",), ("search",)),
            digest_of("any"): ApiKey("any", ("decide",)),
            digest_of("other"): ApiKey("other", ("write", "read")),
        },
    )
    mine, anyone, other = (Caller(app, ring, secret) for secret in ("mine", "any", "other"))
    given = answered(mine("decide", envelope={"team": "search"}, estimate_usd="0.1"))
    foreign = answered(anyone("decide", envelope={"team": "billing"}, estimate_usd="0.1"))
    for answer in (
        mine("decide", envelope={"team": "billing"}, estimate_usd="0.1"),
        mine("decide", estimate_usd="0.1"),
        mine("settle", lease=foreign["lease"], amount_usd="0"),
        mine("return", lease=foreign["lease"]),
        mine("renew", lease=foreign["lease"]),
        other("decide", envelope={"team": "search"}, estimate_usd="0.1"),
    ):
        refused(answer, 403)
    assert answered(mine("settle", lease=given["lease"], amount_usd="0.1"))["settled"]
    assert answered(anyone("return", lease=foreign["lease"]))["returned"]


@pytest.mark.parametrize(("fail", "status"), [("open", 200), ("closed", 402)])
def test_c17_a_store_that_is_down_lets_pass_or_refuses_as_the_budget_says(
    control: ControlStore, app: Any, fail: str, status: int
) -> None:
    put(control, 1, fail=fail)
    answered(Caller(app)("decide", estimate_usd="0.1"))
    teller = app._crowd._teller
    teller.answer = lambda *_args, **_more: (_ for _ in ()).throw(StoreError("the control store is gone"))
    answer = Caller(app)("decide", estimate_usd="0.1")
    assert answer.status_code == status
    if status == 200:
        assert answer.json() == {"lease": "", "amount_usd": "0", "unasked": True, "over": []}
    else:
        assert answer.json()["refusal"]["reason"] == "unreachable"
        assert answer.json()["refusal"]["retryable"]
    assert refused(Caller(app)("settle", lease="x", amount_usd="1"), 500)["detail"] == "the control store is gone"


def test_what_lives_is_listed_and_given_back_in_its_owners_place(control: ControlStore, app: Any) -> None:
    budget = put(control, 1, {"team": "search"}, name="search")
    given = answered(Caller(app)("decide", envelope={"team": "search"}, estimate_usd="0.4"))
    from outlay.faces.control_desk import ControlDesk

    desk = ControlDesk(control, "cli:boss")
    (row,) = desk.leases("search")["rows"]
    assert (row["lease"], row["held"], row["for"]) == (given["lease"], "0.4", "team search")
    assert desk.leases()["total"] == {"leases": 1, "held": "0.4"}
    assert desk.return_lease(given["lease"])["total"] == {"returned": "0.4"}
    assert budgets.standings(control, budget)[0].held_nano == 0
    assert [row["actor"] for row in desk.audit({})["rows"] if row["action"] == "lease.return"] == ["cli:boss"]
    assert desk.leases()["rows"] == []


def test_leases_long_over_are_forgotten_and_what_was_spent_is_not(control: ControlStore, app: Any) -> None:
    budget = put(control, 1)
    ask, desk = Caller(app), Leases(control)
    old, live = (answered(ask("decide", estimate_usd="0.1"))["lease"] for _ in range(2))
    answered(ask("settle", lease=old, amount_usd="0.1"))
    assert desk.forget(time.time_ns() - 10**12) == 0
    assert desk.forget(time.time_ns() + 10**9) == 1
    assert [row["id"] for row in desk.live()] == [live]
    assert budgets.standings(control, budget)[0].spent_nano == NANO // 10


def test_the_whole_application_answers_at_this_door(home: Any) -> None:
    with House.open(home) as house:
        caller = Caller(build_app(house))
        assert answered(caller("decide", envelope={"team": "x"}, estimate_usd="0.1"))["lease"]
        assert refused(caller("settle", lease="none", amount_usd="0"), 404)
