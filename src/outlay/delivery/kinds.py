"""Kinds of channels: a message in the shape each of them takes, sent once."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from outlay import __version__
from outlay.control.channels import Channel
from outlay.core.errors import InputError
from outlay.delivery.email import send_email
from outlay.delivery.post import Outcome, Post

AGENT = f"outlay/{__version__}"
_SECRET_BYTES_MAX = 4096


def deliver(post: Post, channel: Channel, key: str, payload: Mapping[str, Any]) -> Outcome:
    """Sends one message to one channel, once; never raises for what cannot be helped by trying another way.

    `key` is the message's own, by which a receiver knows one that comes again.
    """
    try:
        secret = secret_of(channel)
    except InputError as error:
        return Outcome(ok=False, said=error.message)
    return _SENDERS[channel.kind](post, channel, secret, key, payload)


def secret_of(channel: Channel) -> str:
    """The secret itself: as it stands, or from where it says (`env:NAME`, `file:/path`). Raises InputError."""
    said = channel.secret
    if said.startswith("env:"):
        found = os.environ.get(said[4:])
        if not found:
            raise InputError(f"the variable {said[4:]} of the channel {channel.name} is not set")
        return found
    if said.startswith("file:"):
        try:
            with Path(said[5:]).open("rb") as file:
                return file.read(_SECRET_BYTES_MAX).decode().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"the file {said[5:]} of the channel {channel.name} cannot be read") from error
    return said


def message_id(key: str) -> str:
    """A message's id for the world: the same for each attempt, and no guess at what it is about."""
    return f"msg_{hashlib.sha256(key.encode()).hexdigest()[:32]}"


def text_of(payload: Mapping[str, Any]) -> str:
    """A message as plain text: what happened, the figures, what to do next."""
    lines = [str(payload["title"])]
    if payload.get("text"):
        lines.append(str(payload["text"]))
    if payload.get("limit") is not None:
        currency = payload.get("currency", "")
        figures = [f"{name} {payload[name]} {currency}" for name in ("spent", "limit", "left") if payload.get(name)]
        lines.append(", ".join(figures))
    if payload.get("forecast"):
        lines.append(f"at this rate: {payload['forecast']} {payload.get('currency', '')}")
    for name, word in (("resets", "resets"), ("owner", "owner"), ("note", "note"), ("next", "next"), ("link", "see")):
        if payload.get(name):
            lines.append(f"{word}: {payload[name]}")
    return "\n".join(lines)


def signature(secret: str, name: str, at_s: int, body: bytes) -> str:
    """The signature of a body as Standard Webhooks defines it: HMAC-SHA256 over id, time and body."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = secret.encode()
    signed = f"{name}.{at_s}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def _slack(post: Post, channel: Channel, secret: str, key: str, payload: Mapping[str, Any]) -> Outcome:
    del channel, key
    text = text_of(payload).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return post.send(secret, _json({"text": text}), {"user-agent": AGENT})


def _webhook(post: Post, channel: Channel, secret: str, key: str, payload: Mapping[str, Any]) -> Outcome:
    name, at_s = message_id(key), int(time.time())
    data = {key: value for key, value in payload.items() if key != "html"}  # for people only
    body = _json({"type": payload["type"], "timestamp": payload["at"], "id": name, "data": data})
    headers = {
        "user-agent": AGENT,
        "webhook-id": name,
        "webhook-timestamp": str(at_s),
        "webhook-signature": signature(secret, name, at_s, body),
    }
    return post.send(str(channel.settings["url"]), body, headers)


def _pagerduty(post: Post, channel: Channel, secret: str, key: str, payload: Mapping[str, Any]) -> Outcome:
    event: dict[str, Any] = {
        "routing_key": secret,
        "event_action": "trigger",
        "dedup_key": message_id(key),
        "client": "Outlay",
        "payload": {
            "summary": str(payload["title"])[:1024],
            "source": f"budget:{payload.get('budget', '')}",
            "severity": payload["severity"],
            "timestamp": payload["at"],
            "component": payload.get("budget", ""),
            "class": payload["type"],
            "custom_details": {name: value for name, value in payload.items() if value is not None and name != "html"},
        },
    }
    if payload.get("link"):
        event["links"] = [{"href": payload["link"], "text": "The sessions of this budget"}]
    return post.send(str(channel.settings["url"]), _json(event), {"user-agent": AGENT})


def _email(post: Post, channel: Channel, secret: str, key: str, payload: Mapping[str, Any]) -> Outcome:
    return send_email(post, channel.settings, secret, message_id(key), payload, text_of(payload))


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


_SENDERS: dict[str, Callable[[Post, Channel, str, str, Mapping[str, Any]], Outcome]] = {
    "slack": _slack,
    "webhook": _webhook,
    "pagerduty": _pagerduty,
    "email": _email,
}
