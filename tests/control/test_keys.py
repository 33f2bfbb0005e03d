"""API keys: what is kept, what a key may do, when it ends, and how soon a server notices."""

from __future__ import annotations

import re
import threading
import time

import pytest
from sqlalchemy import text

from outlay.control import audit, keyring
from outlay.control.keyring import Keyring
from outlay.control.keys import (
    ApiKey,
    digest_of,
    list_keys,
    live_keys,
    make_key,
    mark_used,
    revoke_key,
    take_over,
)
from outlay.control.store import ControlStore
from outlay.core.errors import InputError


def test_a_key_is_found_by_its_secret_and_nothing_else(control: ControlStore) -> None:
    secret, key = make_key(control, "ci", ["write", "read"], ["search", "billing"], actor="cli:ann")
    ring = Keyring(control)
    assert ring.find(secret) == key
    assert ring.find(secret + "x") is None
    assert ring.find("") is None
    assert (key.permissions, key.teams, key.created_by) == (("write", "read"), ("search", "billing"), "cli:ann")


def test_what_a_key_says_is_kept_and_listed(control: ControlStore) -> None:
    secret, key = make_key(control, "ci", ["write"], actor="me", tags={"team": " platform ", "environment": "ci"})
    assert key.tags == {"team": "platform", "environment": "ci"}
    assert Keyring(control).find(secret) == key
    assert list_keys(control) == (key,)


@pytest.mark.parametrize(
    ("permissions", "teams", "tags", "what"),
    [
        (["write"], [], {"agent": "bot"}, 'a key says nothing about "agent"'),
        (["write"], [], {"tean": "a"}, 'a key says nothing about "tean"'),
        (["write"], [], {"team": "x" * 10_000}, "is no team"),
        (["write"], [], {"team": "(untagged)"}, "is no team"),
        (["read"], [], {"team": "a"}, "this one writes nothing"),
        (["write"], ["a"], {"team": "b"}, "may not write it"),
    ],
)
def test_a_key_says_only_what_it_may(
    control: ControlStore, permissions: list[str], teams: list[str], tags: dict[str, str], what: str
) -> None:
    with pytest.raises(InputError, match=re.escape(what)):
        make_key(control, "ci", permissions, teams, actor="me", tags=tags)


def test_the_secret_is_nowhere_in_the_store(control: ControlStore) -> None:
    secret, _ = make_key(control, "ci", actor="me")
    revoke_key(control, "ci", actor="me")
    with control.reading() as connection:
        for table in ("api_keys", "audit_log"):
            held = str(connection.execute(text(f"SELECT * FROM {table}")).all())
            assert secret not in held
            assert table == "api_keys" or digest_of(secret) not in held


@pytest.mark.parametrize(
    ("permissions", "may", "may_not"),
    [
        (["write"], ["write"], ["read", "decide", "admin"]),
        (["read", "decide"], ["read", "decide"], ["write", "admin"]),
        (["admin"], ["write", "read", "decide", "admin"], []),
    ],
)
def test_a_key_may_what_it_was_given(permissions: list[str], may: list[str], may_not: list[str]) -> None:
    key = ApiKey("x", tuple(permissions))
    assert all(key.may(item) for item in may)
    assert not any(key.may(item) for item in may_not)


def test_a_key_ends_when_it_was_said_to(control: ControlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time_ns()
    secret, _ = make_key(control, "short", actor="me", expires_ns=now + 10**12)
    ring = Keyring(control)
    assert ring.find(secret) is not None
    monkeypatch.setattr(keyring.time, "time_ns", lambda: now + 10**12)
    assert ring.find(secret) is None


def test_a_revoked_key_is_refused_and_its_name_is_free(control: ControlStore) -> None:
    secret, _ = make_key(control, "ci", actor="me")
    ring = Keyring(control)
    revoke_key(control, "ci", actor="me")
    ring.refresh()
    assert ring.find(secret) is None
    again, _ = make_key(control, "ci", actor="me")
    ring.refresh()
    assert ring.find(again) is not None
    assert [key.name for key in list_keys(control)] == ["ci"]
    assert len(list_keys(control, revoked=True)) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "printable"),
        ({"name": "x" * 101}, "100"),
        ({"name": "x", "permissions": ["wirte"]}, "wirte"),
        ({"name": "x", "permissions": []}, "nothing"),
        ({"name": "x", "permissions": ["read"], "teams": ["a"]}, "teams"),
        ({"name": "x", "permissions": ["admin"], "teams": ["a"]}, "teams"),
        ({"name": "x", "permissions": ["write", "admin"], "teams": ["a"]}, "no team"),
        ({"name": "x", "permissions": ["write"], "teams": [" "]}, "no team"),
        ({"name": "x", "expires_ns": 1}, "expired"),
    ],
)
def test_a_key_that_makes_no_sense_is_refused(tmp_path: object, arguments: dict[str, object], said: str) -> None:
    with ControlStore(f"sqlite:///{tmp_path}/c.sqlite") as store:
        with pytest.raises(InputError, match=said):
            make_key(store, **{"actor": "me", **arguments})  # type: ignore[arg-type]
        assert not list_keys(store)


def test_two_keys_of_one_name_cannot_live_at_once(control: ControlStore) -> None:
    refused: list[InputError] = []

    def add() -> None:
        try:
            make_key(control, "same", actor="me")
        except InputError as error:
            refused.append(error)

    threads = [threading.Thread(target=add) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 4
    assert len(list_keys(control)) == 1


def test_revoking_what_is_not_there_says_so(control: ControlStore) -> None:
    with pytest.raises(InputError, match='no key named "x"'):
        revoke_key(control, "x", actor="me")


def test_keys_from_elsewhere_are_taken_over_once_and_stay_revoked(control: ControlStore) -> None:
    make_key(control, "ci", actor="me")
    hashed = {digest_of("one"): "ci", digest_of("two"): "other"}
    assert take_over(control, hashed, actor="server") == 2
    assert take_over(control, hashed, actor="server") == 0
    assert [key.name for key in list_keys(control)] == ["ci", "ci 2", "other"]
    assert Keyring(control).find("one") is not None
    revoke_key(control, "ci 2", actor="me")
    assert take_over(control, hashed, actor="server") == 0
    assert Keyring(control).find("one") is None


def test_every_change_is_in_the_audit_log(control: ControlStore) -> None:
    make_key(control, "ci", ["write"], ["a"], actor="cli:ann")
    revoke_key(control, "ci", actor="key:root")
    with control.reading() as connection:
        lines = list(audit.lines(connection))
        assert audit.verify(connection).ok
    assert [(line.actor, line.action, line.subject) for line in lines] == [
        ("cli:ann", "key.add", "ci"),
        ("key:root", "key.revoke", "ci"),
    ]
    assert lines[0].before is None
    assert lines[0].after == lines[1].before == {"permissions": ["write"], "teams": ["a"], "expires_ns": None}


def test_a_running_server_notices_by_itself(control: ControlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring, "REFRESH_S", 0.02)
    ring = Keyring(control, {digest_of("own"): ApiKey("this home", ("admin",))})
    ring.start()
    try:
        secret, _ = make_key(control, "late", actor="me")
        deadline = time.monotonic() + 30
        while ring.find(secret) is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert ring.find(secret) is not None
        assert ring.find("own") is not None
    finally:
        ring.close()
    (key,) = list_keys(control)
    assert key.used_ns is not None


def test_while_the_store_is_away_the_known_keys_count(control: ControlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    secret, _ = make_key(control, "ci", actor="me")
    monkeypatch.setattr(keyring, "REFRESH_S", 0.02)
    failing = threading.Event()

    def gone(_: ControlStore) -> dict[str, ApiKey]:
        failing.set()
        raise InputError("gone")

    ring = Keyring(control)
    monkeypatch.setattr(keyring, "live_keys", gone)
    ring.start()
    try:
        assert failing.wait(30)
        assert ring.find(secret) is not None
    finally:
        ring.close()


def test_the_last_use_is_written_down(control: ControlStore) -> None:
    secret, _ = make_key(control, "ci", actor="me")
    mark_used(control, {digest_of(secret): 42})
    assert live_keys(control)[digest_of(secret)].used_ns == 42
