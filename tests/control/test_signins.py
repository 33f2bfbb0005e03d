"""Sign-ins: a browser's secret opens what its key opens, until the key, the sign-in or the day is over."""

from __future__ import annotations

import pytest
from sqlalchemy import select, update

from outlay.control.keyring import Keyring
from outlay.control.keys import make_key, revoke_key
from outlay.control.store import ControlStore
from outlay.control.tables import sign_ins


@pytest.fixture
def secret(control: ControlStore) -> str:
    return make_key(control, "ana", ("read",), actor="test")[0]


def test_a_browser_that_showed_a_key_is_known_to_every_server(control: ControlStore, secret: str) -> None:
    one, other = Keyring(control), Keyring(control)
    entered = one.sign_in(secret)
    assert entered is not None
    token, key = entered
    assert key.name == "ana"
    assert one.signed_in(token) == key
    other.refresh()
    assert other.signed_in(token) == key


def test_neither_the_key_nor_the_secret_of_the_browser_is_kept(control: ControlStore, secret: str) -> None:
    entered = Keyring(control).sign_in(secret)
    assert entered is not None
    with control.reading() as connection:
        rows = [tuple(row) for row in connection.execute(select(sign_ins))]
    assert len(rows) == 1
    assert entered[0] not in str(rows)
    assert secret not in str(rows)


def test_a_key_nobody_has_signs_nobody_in(control: ControlStore, secret: str) -> None:
    ring = Keyring(control)
    assert ring.sign_in(secret + "x") is None
    assert ring.sign_in("") is None
    assert ring.signed_in("") is None
    assert ring.signed_in("x" * 43) is None


def test_a_revoked_key_ends_its_sign_ins(control: ControlStore, secret: str) -> None:
    ring = Keyring(control)
    entered = ring.sign_in(secret)
    assert entered is not None
    revoke_key(control, "ana", actor="test")
    ring.refresh()
    assert ring.signed_in(entered[0]) is None


def test_signing_out_ends_it_everywhere(control: ControlStore, secret: str) -> None:
    one, other = Keyring(control), Keyring(control)
    entered = one.sign_in(secret)
    assert entered is not None
    one.sign_out(entered[0])
    other.refresh()
    assert one.signed_in(entered[0]) is None
    assert other.signed_in(entered[0]) is None


def test_a_sign_in_ends_by_itself_and_is_cleared_away(control: ControlStore, secret: str) -> None:
    ring = Keyring(control)
    entered = ring.sign_in(secret)
    assert entered is not None
    with control.writing() as connection:
        connection.execute(update(sign_ins).values(expires_ns=1))
    ring.refresh()
    assert ring.signed_in(entered[0]) is None
    ring.sign_in(secret)
    with control.reading() as connection:
        assert len(connection.execute(select(sign_ins)).all()) == 1
