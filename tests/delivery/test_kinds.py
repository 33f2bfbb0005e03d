"""Each kind of channel, against a real server of its kind."""

from __future__ import annotations

import base64
import email
import hashlib
import hmac
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from outlay.control.channels import Channel, masked
from outlay.delivery.kinds import deliver, message_id
from outlay.delivery.places import networks
from outlay.delivery.post import Post
from outlay.govern.channels import read_channel
from receivers import LOOPBACK, certificate, mail_inbox, web_inbox

POST = Post(networks(LOOPBACK))
KEY = "1:0::spent:7:90"
PAYLOAD: dict[str, Any] = {
    "type": "budget.actual",
    "severity": "warning",
    "title": "onboarding has used 90 % of 12,000 USD <2026-11> & more",
    "at": "2026-11-20T10:00:00Z",
    "budget": "onboarding",
    "currency": "USD",
    "limit": "12000",
    "spent": "10800",
    "left": "1200",
    "owner": "ann@example.com",
    "note": "",
    "link": "https://outlay.example.com/sessions?team=onboarding",
}


def channel(**said: Any) -> Channel:
    return read_channel({"name": "ops", **said})


def test_slack_gets_one_text_with_its_marks_escaped() -> None:
    with web_inbox() as inbox:
        assert deliver(POST, channel(kind="slack", secret=inbox.url), KEY, PAYLOAD).ok
    ((_, said),) = inbox.taken()
    first, figures, *_ = said["text"].split("\n")
    assert first == "onboarding has used 90 % of 12,000 USD &lt;2026-11&gt; &amp; more"
    assert figures == "spent 10800 USD, limit 12000 USD, left 1200 USD"


@pytest.mark.parametrize("secret", ["whsec_" + base64.b64encode(b"k" * 24).decode(), "just words, not base64"])
def test_a_webhook_is_signed_so_that_its_receiver_can_check_it(secret: str) -> None:
    with web_inbox() as inbox:
        assert deliver(POST, channel(kind="webhook", url=inbox.url, secret=secret), KEY, PAYLOAD).ok
    ((headers, said),) = inbox.taken()
    assert said["data"] == PAYLOAD
    assert headers["webhook-id"] == said["id"] == message_id(KEY)
    key = base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()
    body = json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    right = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{right}"


def test_pagerduty_gets_an_event_that_it_can_tell_from_another() -> None:
    with web_inbox(lambda _: 202) as inbox:
        assert deliver(POST, channel(kind="pagerduty", url=inbox.url, secret="r" * 32), KEY, PAYLOAD).ok
    ((_, _, said),) = inbox.got
    assert (said["routing_key"], said["event_action"], said["dedup_key"]) == ("r" * 32, "trigger", message_id(KEY))
    assert (said["payload"]["severity"], said["payload"]["source"]) == ("warning", "budget:onboarding")
    assert said["payload"]["custom_details"]["spent"] == "10800"
    assert said["links"][0]["href"] == PAYLOAD["link"]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl on this machine makes a certificate")
@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_e_mail_goes_over_tls_to_the_owner_and_those_named(
    tls: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = certificate(tmp_path)
    monkeypatch.setenv("MAIL_PASSWORD", "hush")
    with mail_inbox(files, at_once=tls == "tls") as mailbox:
        said = {"kind": "email", "host": "localhost", "port": mailbox.port, "tls": tls, "user": "outlay"}
        to = channel(
            **said, secret="env:MAIL_PASSWORD", **{"from": "o@example.com", "to": ["owner", "ops@example.com"]}
        )
        post = Post((), lambda *_: ["127.0.0.1"])
        stranger = deliver(post, to, KEY, PAYLOAD)
        assert not stranger.ok
        assert "certificate is not good" in stranger.said
        assert not mailbox.logins, "no password goes to whom nobody vouches for"
        monkeypatch.setenv("SSL_CERT_FILE", str(files[0]))
        assert deliver(post, to, KEY, PAYLOAD).ok
        assert deliver(post, to, KEY, {**PAYLOAD, "owner_left": True}).ok
    assert mailbox.secret == [True, True]
    assert base64.b64decode(mailbox.logins[0]) == b"\0outlay\0hush"
    letter, later = (email.message_from_string(text) for text in mailbox.letters)
    assert letter["to"] == "ann@example.com, ops@example.com"
    assert later["to"] == "ops@example.com"
    assert letter["message-id"] == later["message-id"] == f"<{message_id(KEY)}@example.com>"
    assert "90 %" in letter["subject"]


def test_no_name_from_telemetry_writes_a_header() -> None:
    with mail_inbox() as mailbox:
        said = {"kind": "email", "host": "localhost", "port": mailbox.port, "tls": "none", "to": "ops@example.com"}
        odd = {**PAYLOAD, "title": "run\r\nBcc: all@example.com\n\nhello"}
        assert deliver(POST, channel(**said, **{"from": "o@example.com"}), KEY, odd).ok
    letter = email.message_from_string(mailbox.letters[0])
    assert letter["bcc"] is None
    assert letter["subject"] == "[warning] run  Bcc: all@example.com  hello"


def test_a_relay_that_refuses_says_so_and_what_may_get_better_is_tried_again() -> None:
    with mail_inbox() as mailbox:
        said = {"kind": "email", "host": "localhost", "port": mailbox.port, "tls": "none", "to": "ops@example.com"}
        to = channel(**said, **{"from": "o@example.com"})
        mailbox.refuse[:] = [450, 550]
        for final in (False, True):
            outcome = deliver(POST, to, KEY, PAYLOAD)
            assert (outcome.ok, outcome.final) == (False, final)
        assert deliver(POST, to, KEY, PAYLOAD).ok
    assert len(mailbox.letters) == 1


def test_a_secret_that_is_not_where_it_should_be_is_said_and_tried_again(tmp_path: Path) -> None:
    for secret in ("env:NOT_SET_ANYWHERE", f"file:{tmp_path / 'missing'}"):
        outcome = deliver(POST, channel(kind="slack", secret=secret), KEY, PAYLOAD)
        assert (outcome.ok, outcome.final) == (False, False)
        assert "NOT_SET_ANYWHERE" in outcome.said or "cannot be read" in outcome.said
    (tmp_path / "there").write_text("https://10.0.0.1/x\n")
    assert deliver(POST, channel(kind="slack", secret=f"file:{tmp_path / 'there'}"), KEY, PAYLOAD).final


def test_a_channel_is_shown_without_what_is_secret_of_it() -> None:
    slack = channel(kind="slack", secret="https://hooks.slack.com/services/T0/B0/hush")
    assert masked(slack)["secret"] == "https://hooks.slack.com/…"
    assert "hush" not in repr(slack)
    hook = channel(kind="webhook", url="https://user-hooks.example/hush?token=hush", secret="hush")
    assert "hush" not in json.dumps(masked(hook)).replace("user-hooks", "")
    assert masked(channel(kind="slack", secret="env:SLACK"))["secret"] == "env:SLACK"
