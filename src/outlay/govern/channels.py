"""Channels from words: what each kind needs, and when one is quiet."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from email.utils import parseaddr
from typing import Any
from urllib.parse import urlsplit

from outlay.control.channels import KINDS, REFERENCES, Channel
from outlay.core.calendar import DAYS, zone_of
from outlay.core.errors import InputError, nearest
from outlay.core.period import ns_of

OWNER = "owner"
"""As a recipient of e-mail: the owner of the budget, where that is an address."""

PAGERDUTY = "https://events.pagerduty.com/v2/enqueue"
TLS = ("starttls", "tls", "none")
_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_FIELDS: dict[str, dict[str, str]] = {
    "slack": {"secret": "the webhook's address, https://hooks.slack.com/services/…"},
    "webhook": {"url": "where to post, https://…", "secret": "the signing key, whsec_… in base64"},
    "pagerduty": {"secret": "the integration's routing key", "url": f"{PAGERDUTY} if left out"},
    "email": {
        "host": "the SMTP server",
        "port": "587 with starttls, 465 with tls, 25 without",
        "tls": ", ".join(TLS),
        "user": "for the server, if it asks",
        "secret": "the password",
        "from": "the sender's address",
        "to": "addresses; the word owner is the owner of the budget",
    },
}
_COMMON = {"name": "what it is called", "kind": ", ".join(KINDS), "quiet": "hours in which it is not disturbed"}
_QUIET_FIELDS = {
    "from": "22:00",
    "to": "07:00",
    "zone": "an IANA zone",
    "days": "whole days that are quiet too: [saturday, sunday]",
    "urgent": "whether what is critical waits as well: now or wait",
}


def read_channel(said: object) -> Channel:
    """A channel somebody described. Raises InputError that says what is wrong and what is valid."""
    if not isinstance(said, Mapping):
        raise InputError("a channel is an object", hint='{"name": "ops", "kind": "slack", "secret": "https://…"}')
    words: dict[str, Any] = {str(name): value for name, value in said.items() if value is not None}
    kind = str(words.get("kind", ""))
    if kind not in KINDS:
        raise InputError(f'there is no kind of channel "{kind}"', hint=nearest(kind, KINDS))
    for name in words:
        if name not in {*_COMMON, *_FIELDS[kind]}:
            raise InputError(f'a channel of kind {kind} has no field "{name}"', hint=nearest(name, _FIELDS[kind]))
    name = str(words.get("name", ""))
    if not _NAME.fullmatch(name):
        raise InputError(f'"{name}" is no name of a channel', hint="letters, digits, . _ -, at most 64")
    settings = {key: words[key] for key in _FIELDS[kind] if key != "secret" and key in words}
    secret = words.get("secret", "")
    if not isinstance(secret, str) or not secret.isprintable() or len(secret) > 2000:
        raise InputError("a secret is a printable text", hint="or env:NAME, file:/path")
    _CHECKS[kind](settings, secret)
    if "quiet" in words:
        settings["quiet"] = _quiet(words["quiet"])
    return Channel(name, kind, settings, secret)


def quiet_until(quiet: Mapping[str, Any] | None, now_ns: int, severity: str = "info") -> int:
    """When a message may be told: now, or at the end of the quiet time that holds now. Never before now."""
    if not quiet or (severity == "critical" and quiet.get("urgent", "now") == "now"):
        return now_ns
    due = now_ns
    for _ in range(16):  # a quiet night may be followed by quiet days: a week of them at most, else it is never loud
        ends = _end_of_quiet(quiet, due)
        if ends <= due:
            break
        due = ends
    return due


def _end_of_quiet(quiet: Mapping[str, Any], at_ns: int) -> int:
    """The end of the quiet stretch that holds a moment; the moment itself where none does."""
    zone = zone_of(str(quiet["zone"]))
    local = datetime.fromtimestamp(at_ns // 10**9, UTC).astimezone(zone)
    begins, ends = time.fromisoformat(quiet["from"]), time.fromisoformat(quiet["to"])
    if DAYS[local.weekday()] in quiet.get("days", ()):
        return _after(datetime.combine(local.date() + timedelta(days=1), time(), zone), at_ns)
    now = local.time()
    if begins <= now < ends:
        return _after(datetime.combine(local.date(), ends, zone), at_ns)
    if begins > ends and now < ends:
        return _after(datetime.combine(local.date(), ends, zone), at_ns)
    if begins > ends and now >= begins:
        return _after(datetime.combine(local.date() + timedelta(days=1), ends, zone), at_ns)
    return at_ns


def _after(wall: datetime, at_ns: int) -> int:
    """A wall-clock time as a moment; where clocks go back it comes twice, and the one that lies ahead is meant."""
    first = ns_of(wall.astimezone(UTC))
    return first if first > at_ns else ns_of(wall.replace(fold=1).astimezone(UTC))


def _quiet(said: object) -> dict[str, Any]:
    if not isinstance(said, Mapping):
        raise InputError("quiet hours are an object", hint='{"from": "22:00", "to": "07:00", "zone": "Europe/Berlin"}')
    words: dict[str, Any] = {str(name): value for name, value in said.items()}
    for name in words:
        if name not in _QUIET_FIELDS:
            raise InputError(f'quiet hours have no field "{name}"', hint=nearest(name, _QUIET_FIELDS))
    try:
        begins, ends = (time.fromisoformat(str(words[name])) for name in ("from", "to"))
        zone_of(str(words.get("zone", "UTC")))
    except (KeyError, ValueError) as error:
        raise InputError(f"quiet hours: {error}", hint='from: "22:00", to: "07:00", zone: "Europe/Berlin"') from error
    if begins == ends or begins.tzinfo or ends.tzinfo:
        raise InputError("quiet hours begin and end at two wall-clock times", hint='from: "22:00", to: "07:00"')
    days = words.get("days", [])
    if not isinstance(days, (list, tuple)) or any(day not in DAYS for day in days) or len(set(days)) >= len(DAYS):
        raise InputError(f"quiet days: {days!r}", hint=f"some of {', '.join(DAYS)}, not all")
    if words.get("urgent", "now") not in {"now", "wait"}:
        raise InputError(f"urgent: {words['urgent']!r}", hint="now or wait")
    return {
        "from": f"{begins:%H:%M}",
        "to": f"{ends:%H:%M}",
        "zone": str(words.get("zone", "UTC")),
        "days": [str(day) for day in days],
        "urgent": words.get("urgent", "now"),
    }


def check_url(url: object, what: str) -> str:
    """An address that may be posted to, as far as its words go. Raises InputError."""
    if not isinstance(url, str) or not url.isprintable() or len(url) > 2000 or " " in url:
        raise InputError(f"{what} is no address", hint="https://host/path")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InputError(f"{what} is no address: {error}", hint="https://host/path") from error
    if parts.scheme not in {"https", "http"} or not parts.hostname or port == 0:
        raise InputError(f"{what} is no web address", hint="https://host/path")
    if parts.username or parts.password:
        raise InputError(f"{what} holds a user or a password", hint="a signing key goes into secret")
    return url


def _slack(_: dict[str, Any], secret: str) -> None:
    if not secret:
        raise InputError("a slack channel needs the address of its webhook", hint="--slack https://hooks.slack.com/…")
    if not secret.startswith(REFERENCES):
        check_url(secret, "the address of the webhook")


def _webhook(settings: dict[str, Any], secret: str) -> None:
    check_url(settings.get("url"), "the webhook's url")
    if not secret:
        raise InputError(
            "a webhook needs a signing key", hint="left out on the command line, one is made and shown once"
        )


def _pagerduty(settings: dict[str, Any], secret: str) -> None:
    check_url(settings.setdefault("url", PAGERDUTY), "the url")
    if not secret:
        raise InputError("a pagerduty channel needs the routing key of its integration")


def _email(settings: dict[str, Any], secret: str) -> None:
    host = settings.get("host")
    if not isinstance(host, str) or not re.fullmatch(r"[A-Za-z0-9.:-]{1,255}", host):
        raise InputError(f"host: {host!r} is no name of a server", hint="smtp.example.com")
    tls = settings.setdefault("tls", "starttls")
    if tls not in TLS:
        raise InputError(f'tls: "{tls}"', hint=nearest(str(tls), TLS))
    port = settings.setdefault("port", _PORTS[tls])
    if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65536:
        raise InputError(f"port: {port!r}", hint="587")
    if tls == "none" and (secret or settings.get("user")):
        raise InputError("a password is not sent in the clear", hint="tls: starttls")
    to = settings.get("to", [])
    to = [to] if isinstance(to, str) else to
    if not isinstance(to, (list, tuple)) or not to:
        raise InputError("an email channel needs recipients", hint="to: [finops@example.com, owner]")
    for address in (settings.get("from"), *(item for item in to if item != OWNER)):
        if not is_address(address):
            raise InputError(f"{address!r} is no e-mail address", hint="from and to: name@example.com")
    if all(item == OWNER for item in to):
        raise InputError(
            "somebody must read what has no owner, or one who left", hint="to: [owner, finops@example.com]"
        )
    settings["to"] = [str(item) for item in to]


def is_address(said: object) -> bool:
    """Whether a text is one e-mail address and nothing else."""
    return (
        isinstance(said, str)
        and parseaddr(said)[1] == said
        and said.isprintable()
        and re.fullmatch(r"[^@\s,;<>\"]+@[^@\s,;<>\"]+", said) is not None
    )


_CHECKS = {"slack": _slack, "webhook": _webhook, "pagerduty": _pagerduty, "email": _email}
