"""Alerts over the API: what was told, the rules, the channels, the delivery log."""

from __future__ import annotations

from typing import Any

from outlay.faces.api.endpoints import Body, Call, Endpoint, Parameter
from outlay.faces.plain import Reply

_ID = Parameter("id", "the channel's name", place="path", needed=True)
_NAME = Parameter("name", "the channel's name", place="path", needed=True)
_TOP = Parameter("top", "at most so many; 100 if left out")
_RULES: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "rules": {"type": "array", "items": {"type": "object"}, "description": "what is told of which budget"},
        "routes": {"type": "array", "items": {"type": "object"}, "description": "who hears what"},
        "fallback": {"type": "array", "items": {"type": "string"}, "description": "channels for what no route takes"},
        "left": {"type": "array", "items": {"type": "string"}, "description": "owners who left"},
        "page": {"type": "string", "description": "where the page is, for links"},
    },
}
_CHANNEL: dict[str, Any] = {
    "type": "object",
    "required": ["name", "kind"],
    "properties": {
        "name": {"type": "string"},
        "kind": {"enum": ["slack", "webhook", "email", "pagerduty"]},
        "secret": {"type": "string", "description": "or env:NAME, file:/path; never shown again"},
        "url": {"type": "string", "description": "webhook, pagerduty"},
        "host": {"type": "string", "description": "email: the SMTP server"},
        "port": {"type": "integer"},
        "tls": {"enum": ["starttls", "tls", "none"]},
        "user": {"type": "string"},
        "from": {"type": "string"},
        "to": {"type": "array", "items": {"type": "string"}, "description": "addresses; the word owner"},
        "quiet": {"type": "object", "description": "from, to, zone, days, urgent"},
    },
}
_RETRY: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "message": {"type": "integer", "description": "its number in the log"},
        "all": {"type": "boolean", "description": "every dead one"},
    },
}


def _one(call: Call, name: str) -> str:
    return str(call.params.get(name, [""])[-1])


def _told(call: Call) -> Reply:
    return call.control.alerts.told(_one(call, "budget"), _one(call, "top"))


def _rules(call: Call) -> Reply:
    return call.control.alerts.rules()


def _set_rules(call: Call) -> Reply:
    return call.control.alerts.set_rules(call.json())


def _channels(call: Call) -> Reply:
    return call.control.alerts.channels()


def _set_channel(call: Call) -> Reply:
    return call.control.alerts.set_channel(call.json_object())


def _remove_channel(call: Call) -> Reply:
    return call.control.alerts.remove_channel(call.path["id"])


def _test(call: Call) -> Reply:
    return call.control.alerts.try_channel(call.path["name"])


def _log(call: Call) -> Reply:
    return call.control.alerts.log(_one(call, "state"), _one(call, "message"), _one(call, "top"))


def _retry(call: Call) -> Reply:
    return call.control.alerts.retry(call.json_object())


def _run(call: Call) -> Reply:
    return call.desk.watch_budgets()


ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/v1/alerts",
        "What was told of budgets, the newest first, and how it is going on each channel",
        _told,
        (Parameter("budget", "only of this budget"), _TOP),
        room="alerts",
    ),
    Endpoint(
        "POST",
        "/api/v1/alerts/run",
        "Look at every budget now and deliver what is due; a server does so by itself",
        _run,
        body=Body("an empty object"),
        room="alerts",
    ),
    Endpoint("GET", "/api/v1/alerts/rules", "What is told of each budget", _rules, room="alerts"),
    Endpoint(
        "POST",
        "/api/v1/alerts/rules",
        "Change what is told, and who hears it; an empty object goes back to the default",
        _set_rules,
        body=Body("the rules", schema=_RULES),
        room="alerts",
    ),
    Endpoint("GET", "/api/v1/alerts/channels", "The channels, without what is secret", _channels, room="alerts"),
    Endpoint(
        "POST",
        "/api/v1/alerts/channels",
        "Make a channel, or change the one of its name",
        _set_channel,
        body=Body("the channel", schema=_CHANNEL),
        room="alerts",
    ),
    Endpoint("DELETE", "/api/v1/alerts/channels/{id}", "Take a channel away", _remove_channel, (_ID,), room="alerts"),
    Endpoint(
        "POST",
        "/api/v1/alerts/channels/{name}/test",
        "Send a message to a channel now",
        _test,
        (_NAME,),
        body=Body("an empty object"),
        room="alerts",
    ),
    Endpoint(
        "GET",
        "/api/v1/alerts/log",
        "Messages with how far they are; of one of them each attempt",
        _log,
        (
            Parameter("state", "waiting, sent or dead"),
            Parameter("message", "each attempt at the message of this number"),
            _TOP,
        ),
        room="alerts",
    ),
    Endpoint(
        "POST",
        "/api/v1/alerts/retry",
        "Make a message due again, or every dead one",
        _retry,
        body=Body("which", schema=_RETRY),
        room="alerts",
    ),
)
