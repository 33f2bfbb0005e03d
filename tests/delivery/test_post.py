"""One attempt: to addresses that may be reached, within its limit, by servers that misbehave."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from outlay.core.errors import InputError
from outlay.delivery.places import VARIABLE, RefusedPlaceError, judged, networks
from outlay.delivery.post import Post
from receivers import LOOPBACK, certificate, web_inbox

HERE = networks(LOOPBACK)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.9.10",
        "10.0.0.1",
        "172.16.5.4",
        "192.168.1.1",
        "100.64.0.1",
        "100.100.100.200",
        "169.254.169.254",
        "168.63.129.16",
        "0.0.0.0",
        "255.255.255.255",
        "224.0.0.1",
        "192.0.2.1",
        "::1",
        "::",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "2001:db8::1",
    ],
)
def test_nothing_goes_to_an_address_that_is_not_public(address: str) -> None:
    with pytest.raises(RefusedPlaceError, match="nothing is sent there") as refused:
        judged("hooks.example", [address], ())
    assert VARIABLE in refused.value.hint


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:4700::1111", "64:ff9b::808:808"])
def test_public_addresses_may_be_reached(address: str) -> None:
    assert judged("hooks.example", [address], ()) == [address]


def test_one_bad_address_among_good_ones_is_enough() -> None:
    with pytest.raises(RefusedPlaceError, match=r"10\.0\.0\.1"):
        judged("hooks.example", ["93.184.216.34", "10.0.0.1"], ())


def test_a_setting_names_the_networks_that_may_be_reached_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "10.1.0.0/16, fd00::/8")
    assert judged("x", ["10.1.2.3", "fd00::1"], networks()) == ["10.1.2.3", "fd00::1"]
    with pytest.raises(RefusedPlaceError):
        judged("x", ["10.2.0.1"], networks())
    with pytest.raises(InputError, match=VARIABLE):
        networks("the office")


def test_a_mail_relay_may_be_private_but_never_a_clouds_inside() -> None:
    assert judged("relay", ["10.0.0.25", "127.0.0.1"], (), inside=True)
    for address in ("169.254.169.254", "::ffff:169.254.169.254", "168.63.129.16", "fe80::1"):
        with pytest.raises(RefusedPlaceError):
            judged("relay", [address], (), inside=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "[::1]", "[::ffff:127.0.0.1]"])
def test_no_spelling_of_this_machine_gets_through(host: str) -> None:
    outcome = Post().send(f"https://{host}:1/x", b"{}", {})
    assert (outcome.ok, outcome.final) == (False, True)


def test_what_was_judged_is_connected_to_whatever_the_name_means_by_then() -> None:
    """A name that means a public address when it is judged and this machine when it is connected to."""
    asked: list[str] = []

    def rebinding(host: str, _: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.9.9.9"]

    with web_inbox() as inbox:
        port = int(inbox.url.split(":")[2].split("/")[0])
        assert Post(HERE, rebinding).send(f"http://rebind.example:{port}/", b"{}", {}).ok
    assert asked == ["rebind.example"], "looked up once"
    assert inbox.got[0][1]["host"] == f"rebind.example:{port}"


def test_http_goes_to_named_networks_only() -> None:
    outcome = Post((), lambda *_: ["93.184.216.34"]).send("http://hooks.example/", b"{}", {})
    assert (outcome.final, outcome.said) == (True, "http is not private: use https")


def test_a_name_that_cannot_be_looked_up_is_tried_again() -> None:
    outcome = Post().send("https://nowhere.invalid/", b"{}", {})
    assert (outcome.ok, outcome.final) == (False, False)
    assert "nowhere.invalid" in outcome.said


@pytest.mark.parametrize(
    ("status", "final", "after_s"),
    [(500, False, 0), (503, False, 0), (408, False, 0), (429, False, 120), (404, True, 0), (401, True, 0)],
)
def test_what_may_get_better_is_tried_again(status: int, final: bool, after_s: int) -> None:
    with web_inbox(lambda _: status) as inbox:
        outcome = Post(HERE).send(inbox.url, b"{}", {})
    assert (outcome.ok, outcome.final, outcome.after_s) == (False, final, after_s)
    assert outcome.said.startswith(str(status))
    assert "secret-path" not in outcome.said


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(status: int) -> None:
    with web_inbox(lambda _: status) as inbox:
        outcome = Post(HERE).send(inbox.url, b"{}", {})
    assert (outcome.ok, outcome.final, len(inbox.got)) == (False, True, 1)
    assert "not followed" in outcome.said


@pytest.mark.parametrize("how", ["hang", "drip"])
def test_a_webhook_that_hangs_is_cut_off(how: str) -> None:
    with web_inbox(lambda _: how) as inbox:
        began = time.monotonic()
        outcome = Post(HERE, deadline_s=0.3).send(inbox.url, b"{}", {})
        assert time.monotonic() - began < 10
    assert (outcome.ok, outcome.final, outcome.said) == (False, False, "no answer within 0.3 s")


def test_a_server_that_hangs_up_is_tried_again() -> None:
    with web_inbox(lambda _: "close") as inbox:
        outcome = Post(HERE).send(inbox.url, b"{}", {})
    assert (outcome.ok, outcome.final) == (False, False)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl on this machine makes a certificate")
def test_a_certificate_is_checked_for_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = certificate(tmp_path)
    with web_inbox(tls=files) as inbox:
        stranger = Post(HERE).send(inbox.url, b"{}", {})
        assert not stranger.ok
        assert "certificate is not good" in stranger.said
        monkeypatch.setenv("SSL_CERT_FILE", str(files[0]))
        assert Post(HERE, lambda *_: ["127.0.0.1"]).send(inbox.url, b"{}", {}).ok
        other = inbox.url.replace("localhost", "other.example")
        wrong = Post(HERE, lambda *_: ["127.0.0.1"]).send(other, b"{}", {})
        assert not wrong.ok
        assert "certificate is not good" in wrong.said
