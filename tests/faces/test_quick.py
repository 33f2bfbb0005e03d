"""The short way in for orders: over real sockets it answers as uvicorn's own way does, whatever is sent."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from outlay.control import budgets, keys
from outlay.control.keyring import Keyring
from outlay.control.keys import ApiKey, digest_of
from outlay.control.store import ControlStore
from outlay.core.budget import Budget
from outlay.core.errors import StoreError
from outlay.faces import quick
from outlay.faces.api.guard import Guard
from outlay.faces.api.lease_words import BODY_BYTES_MAX
from outlay.faces.api.leases import LeaseDoor
from outlay.faces.quick import QuickHttp, quick_http

DECIDE = {"envelope": {"team": "search"}, "estimate_usd": "0.1"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ControlStore]:
    with ControlStore(f"sqlite:///{tmp_path / 'control.sqlite'}") as opened:
        wanted = Budget(0, "all", {}, reserve_percent=0)
        budgets.set_budget(opened, budgets.Wanted(wanted, 10**9), "me")
        yield opened


@contextmanager
def served(
    door: LeaseDoor, keyring: Keyring | None = None, within: Any = None, *, keep_alive_s: int = 60
) -> Iterator[tuple[int, list[str]]]:
    """The port, and which way each order went; `within` is another application than the door of orders."""
    ways: list[str] = []

    class Watched(LeaseDoor):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            ways.append("long")
            await door(scope, receive, send)

    guard = Guard(within or Watched(lambda: pytest.fail("not asked")), keyring, key_needed=keyring is not None)
    protocol: type[QuickHttp] = quick_http(guard, door)
    config = uvicorn.Config(
        guard,
        port=0,
        http=protocol,
        lifespan="off",
        log_level="error",
        server_header=False,
        timeout_keep_alive=keep_alive_s,
    )
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield listener.getsockname()[1], ways
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive(), "it ends although orders were at hand"


def spelled(
    path: str, said: Any = None, *, method: str = "POST", headers: tuple[str, ...] = (), body: bytes = b""
) -> bytes:
    content = body or json.dumps(said).encode()
    named = {line.split(":")[0].lower() for line in headers}
    lines = [f"{method} {path} HTTP/1.1", *headers]
    lines += [] if "host" in named else ["Host: 127.0.0.1"]
    lines += [] if "content-type" in named else ["Content-Type: application/json"]
    lines += [] if named & {"content-length", "transfer-encoding"} else [f"Content-Length: {len(content)}"]
    return "\r\n".join([*lines, "", ""]).encode() + content


def sent(port: int, *pieces: bytes, answers: int = 1) -> list[tuple[int, dict[str, str], Any]]:
    """Status, headers and JSON of each answer on one connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
        for piece in pieces:
            line.sendall(piece)
        stream = line.makefile("rb")
        return [heard(stream) for _ in range(answers)]


def heard(stream: Any) -> tuple[int, dict[str, str], Any]:
    """The next answer."""
    status = int(stream.readline().split()[1])
    while status == 100:
        stream.readline()
        status = int(stream.readline().split()[1])
    headers = dict(line.decode().strip().lower().split(": ", 1) for line in iter(stream.readline, b"\r\n"))
    return status, headers, json.loads(stream.read(int(headers["content-length"])) or b"null")


@contextmanager
def connected(port: int) -> Iterator[Callable[[bytes], tuple[int, dict[str, str], Any]]]:
    """One connection on which each request waits for the answer to the one before."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as line, line.makefile("rb") as stream:

        def ask(request: bytes) -> tuple[int, dict[str, str], Any]:
            line.sendall(request)
            return heard(stream)

        yield ask


TOLD = {
    "in pieces": ((), 200, 1),
    "of no known length": (("Transfer-Encoding: chunked",), 200, 0),
    "longer than is gathered": ((), 200, 0),
    "of another host": (("Host: evil.example",), 421, 0),
    "asking first": (("Expect: 100-continue",), 200, 0),
}


@pytest.mark.parametrize("name", TOLD)
def test_telemetry_is_gathered_before_anybody_is_told_and_says_the_same(
    store: ControlStore, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers, status, messages = TOLD[name]
    body = bytes(range(256)) * 2_000
    if name == "longer than is gathered":
        monkeypatch.setattr(quick, "GATHERED_BYTES_MAX", len(body) - 1)
    heard: list[tuple[int, bytes]] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        pieces: list[bytes] = []
        while True:
            message = await receive()
            pieces.append(message["body"])
            if not message["more_body"]:
                break
        heard.append((len(pieces), b"".join(pieces)))
        answer = b'{"told": true}'
        lengths = [(b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": lengths})
        await send({"type": "http.response.body", "body": answer})

    with served(LeaseDoor(lambda: store), within=application) as (port, _):
        wire = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if name == "of no known length" else body
        asked = spelled("/v1/traces", headers=headers, body=wire)
        cut = [asked[place : place + 50_000] for place in range(0, len(asked), 50_000)]
        answers = [*sent(port, *cut), *sent(port, *cut)]
        assert [answer[0] for answer in answers] == [status] * len(answers)
    assert [said for _, said in heard] == [body] * (2 if status == 200 else 0)
    if messages:
        assert [count for count, _ in heard] == [messages] * 2


def plain(answer: tuple[int, dict[str, str], Any]) -> Any:
    """An answer without what differs each time, and which headers it has."""
    status, headers, body = answer
    changing = r'"(lease|request_id|expires_ns|left_usd|left|held)": ?("[0-9a-f.]+"|\d+)|[0-9.]+ (left|held)'
    return status, sorted(headers), re.sub(changing, "", json.dumps(body))


ODD = {
    "granted": (spelled("/api/v1/decide", DECIDE), "quick"),
    "refused": (spelled("/api/v1/decide", {**DECIDE, "estimate_usd": "5"}), "quick"),
    "no such lease": (spelled("/api/v1/settle", {"lease": "none", "amount_usd": 1}), "quick"),
    "no JSON": (spelled("/api/v1/decide", body=b"{"), "long"),
    "no body": (spelled("/api/v1/decide", headers=("Content-Length: 0",), body=b" ")[:-1], "long"),
    "an unknown field": (spelled("/api/v1/return", {"leese": "x"}), "long"),
    "a form": (spelled("/api/v1/decide", DECIDE, headers=("Content-Type: text/plain",)), "long"),
    "a charset": (
        spelled("/api/v1/decide", DECIDE, headers=("Content-Type: application/json; charset=utf-8",)),
        "long",
    ),
    "GET": (spelled("/api/v1/decide", DECIDE, method="GET"), "long"),
    "another host": (spelled("/api/v1/decide", DECIDE, headers=("Host: evil.example",)), "guard"),
    "another site": (spelled("/api/v1/decide", DECIDE, headers=("Origin: http://evil.example",)), "guard"),
    "too long": (spelled("/api/v1/decide", body=b'{"id": "' + b"x" * BODY_BYTES_MAX + b'"}'), "long"),
    "hangs up after it": (spelled("/api/v1/decide", DECIDE, headers=("Connection: close",)), "quick"),
    "asks first": (spelled("/api/v1/decide", DECIDE, headers=("Expect: 100-continue",)), "long"),
}


@pytest.mark.parametrize("name", ODD)
def test_the_short_way_answers_as_the_long_one_does(store: ControlStore, name: str) -> None:
    request, way = ODD[name]
    with served(LeaseDoor(lambda: store)) as (port, ways):
        (short,) = sent(port, request)
        assert ways == (["long"] if way == "long" else [])
        (long,) = sent(port, request.replace(b" HTTP/1.1", b"?x=1 HTTP/1.1", 1))
        assert plain(short) == plain(long)
        assert len(ways) == {"quick": 1, "long": 2, "guard": 0}[way]


@pytest.mark.parametrize("name", [name for name in ODD if name != "hangs up after it"])
def test_a_connection_that_is_known_is_answered_as_a_new_one(store: ControlStore, name: str) -> None:
    good, (odd, _) = spelled("/api/v1/decide", {**DECIDE, "estimate_usd": "0.05"}), ODD[name]
    with served(LeaseDoor(lambda: store)) as (port, _):
        sent(port, good)
        (alone,) = sent(port, odd)
        with connected(port) as ask:
            for request in (good, odd, odd, good, good):
                told = ask(request)
                if request is good:
                    assert (told[0], told[2]["amount_usd"]) == (200, "0.05")
                else:
                    assert plain(told) == plain(alone)


def test_a_head_that_comes_again_with_another_body_is_another_order(store: ControlStore) -> None:
    asked = ["0.001", "0.002", "0.003", "5.000", "0.004"]
    with served(LeaseDoor(lambda: store)) as (port, ways), connected(port) as ask:
        told = [ask(spelled("/api/v1/decide", {**DECIDE, "estimate_usd": amount})) for amount in asked]
        assert [each[0] for each in told] == [200, 200, 200, 402, 200]
        granted = [each[2] for each in told if each[0] == 200]
        assert [each["amount_usd"] for each in granted] == ["0.001", "0.002", "0.003", "0.004"]
        assert len({each["lease"] for each in granted}) == 4
        assert len({each[1]["x-request-id"] for each in told}) == 5
        assert ways == []


def test_a_known_head_whose_body_comes_in_two_pieces_waits_for_the_rest(store: ControlStore) -> None:
    request = spelled("/api/v1/decide", DECIDE)
    with served(LeaseDoor(lambda: store)) as (port, ways), connected(port) as ask:
        for _ in range(2):
            assert ask(request)[0] == 200
        with socket.create_connection(("127.0.0.1", port), timeout=20) as line, line.makefile("rb") as stream:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for at in (0, 40, len(request) - 3):
                line.sendall(request[at : {0: 40, 40: len(request) - 3}.get(at)])
            assert heard(stream)[0] == 200
            assert ways == []
            line.sendall(request + request)
            assert [heard(stream)[0] for _ in range(2)] == [200, 200]


def test_a_key_that_is_revoked_opens_nothing_to_a_head_that_is_known(store: ControlStore) -> None:
    secret, _ = keys.make_key(store, "agent", ("decide",), actor="me")
    request = spelled("/api/v1/decide", DECIDE, headers=(f"Authorization: Bearer {secret}",))
    keyring = Keyring(store)
    with served(LeaseDoor(lambda: store), keyring) as (port, _), connected(port) as ask:
        assert [ask(request)[0] for _ in range(3)] == [200, 200, 200]
        keys.revoke_key(store, "agent", actor="me")
        keyring.refresh()
        assert ask(request)[0] == 401


def test_more_heads_than_are_kept_are_all_answered(store: ControlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outlay.faces.quick.HEADS_MAX", 2)
    with served(LeaseDoor(lambda: store)) as (port, _), connected(port) as ask:
        said = {**DECIDE, "estimate_usd": "0.001"}
        for number in (*range(5), *range(5)):
            assert ask(spelled("/api/v1/decide", said, headers=(f"X-Trace: {number}",)))[0] == 200


def test_a_connection_on_which_nothing_is_asked_any_more_is_closed(store: ControlStore) -> None:
    request = spelled("/api/v1/decide", {**DECIDE, "estimate_usd": "0.001"})
    with (
        served(LeaseDoor(lambda: store), keep_alive_s=1) as (port, _),
        socket.create_connection(("127.0.0.1", port), timeout=20) as line,
        line.makefile("rb") as stream,
    ):
        for _ in range(3):
            line.sendall(request)
            assert heard(stream)[0] == 200
        assert stream.read() == b""


def test_a_body_in_pieces_and_in_chunks_is_one_order(store: ControlStore) -> None:
    request = spelled("/api/v1/decide", DECIDE)
    body = json.dumps(DECIDE).encode()
    chunked = spelled(
        "/api/v1/decide", headers=("Transfer-Encoding: chunked",), body=b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    )
    with served(LeaseDoor(lambda: store)) as (port, ways):
        assert sent(port, *(request[at : at + 7] for at in range(0, len(request), 7)))[0][0] == 200
        assert sent(port, chunked)[0][0] == 200
        assert ways == []


def test_requests_that_follow_without_waiting_are_answered_in_their_order(store: ControlStore) -> None:
    asked = [spelled("/api/v1/decide", {**DECIDE, "estimate_usd": f"0.00{number}"}) for number in range(1, 6)]
    with served(LeaseDoor(lambda: store)) as (port, _):
        told = sent(port, b"".join(asked), answers=5)
    assert [answer[2]["amount_usd"] for answer in told] == [f"0.00{number}" for number in range(1, 6)]


def test_a_key_is_asked_for_on_either_way(store: ControlStore) -> None:
    keys = {
        digest_of("good"): ApiKey("agent", ("decide",), teams=("search",)),
        digest_of("bad"): ApiKey("x", ("read",)),
    }
    with served(LeaseDoor(lambda: store), Keyring(None, keys)) as (port, _):
        for secret, team, status in (
            ("", "search", 401),
            ("bad", "search", 403),
            ("good", "other", 403),
            ("good", "search", 200),
        ):
            said = {**DECIDE, "envelope": {"team": team}}
            headers = (f"Authorization: Bearer {secret}",) if secret else ()
            short, long = (
                sent(port, spelled(f"/api/v1/decide{more}", said, headers=headers))[0] for more in ("", "?x")
            )
            assert (short[0], plain(short)) == (status, plain(long))


def test_who_is_gone_before_the_answer_harms_nobody(store: ControlStore) -> None:
    with served(LeaseDoor(lambda: store)) as (port, _):
        for _ in range(20):
            line = socket.create_connection(("127.0.0.1", port))
            line.sendall(spelled("/api/v1/decide", {**DECIDE, "estimate_usd": "0.001"}))
            line.close()
        assert sent(port, spelled("/api/v1/decide", DECIDE))[0][0] == 200


def test_a_store_that_fails_is_told_on_either_way(store: ControlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise StoreError("the store is gone")

    with served(LeaseDoor(lambda: store)) as (port, ways):
        sent(port, spelled("/api/v1/decide", DECIDE))
        monkeypatch.setattr("outlay.control.teller.Teller.answer", broken)
        (decided,) = sent(port, spelled("/api/v1/decide", DECIDE))
        assert (decided[0], decided[2]["unasked"]) == (200, True)
        (settled,) = sent(port, spelled("/api/v1/settle", {"lease": "x", "amount_usd": 0}))
        assert (settled[0], settled[2]["detail"]) == (500, "the store is gone")
        monkeypatch.setattr("outlay.control.teller.Teller.answer", lambda *_, **__: 1 / 0)
        assert sent(port, spelled("/api/v1/decide", DECIDE))[0][0] == 500
        monkeypatch.undo()
        assert sent(port, spelled("/api/v1/decide", DECIDE))[0][0] == 200, "one failure does not close the door"
        assert ways == []
