"""The page of alerts: what was told and how that goes, what waits for a decision, what is stopped, rules, channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from outlay.core.budget import SCOPE_KEYS
from outlay.core.errors import InputError
from outlay.core.stop import LEVELS
from outlay.faces.web.budgets import address_of
from outlay.faces.web.visit import Order, Visit
from outlay.govern.actions import WORDS

TOLD_SHOWN = 50
DEAD_SHOWN = 5
_TONES = {"critical": "bad", "warning": "warn"}
_STATES = {"sent": "good", "waiting": "warn", "dead": "bad"}
_HERE = "/alerts"

Row = Mapping[str, Any]


def alerts_page(visit: Visit) -> dict[str, Any]:
    """What the template needs; `budget` of the address leaves only what was told of that one."""
    desk, budget = visit.control, visit.asked.get("budget", "").strip()
    told = desk.alerts.told(budget, str(TOLD_SHOWN))
    actions = desk.stops.actions()["rows"]
    return {
        "budget": budget,
        "rows": [_told(row) for row in told["rows"]],
        "waiting": told["total"]["waiting"],
        "dead": [_dead(row) for row in desk.alerts.log("dead", "", str(DEAD_SHOWN))["rows"]],
        "dead_count": told["total"]["dead"],
        "pending": [_action(row) for row in actions if row["state"] == "pending"],
        "running": [_action(row) for row in actions if row["state"] == "in force"],
        "stops": [{**row, "until": _moment(row["until"]) or "until lifted"} for row in desk.stops.stops()["rows"]],
        "rules": [_rule(row) for row in desk.alerts.rules()["rows"]],
        "channels": [_channel(row) for row in desk.alerts.channels()["rows"]],
        "keys": SCOPE_KEYS,
        "levels": [(level, WORDS[level]) for level in reversed(LEVELS)],
    }


def change_alerts(order: Order) -> str:
    """Decides about an action, stops, lifts, or has a message sent again, as the button said."""
    what, number = order.fields.get("do", ""), order.fields.get("number", "")
    order.demand("govern" if what == "retry" else "approve")
    desk = order.control
    match what:
        case "approve" | "deny":
            named = {str(row["action"]): str(row["budget"]) for row in desk.stops.actions()["rows"]}
            order.caller.demand_budget(desk, named.get(number, ""))
            desk.stops.decide(number, what, {})
        case "lift":
            _demand_all_teams(order)
            desk.stops.lift(number)
        case "stop":
            _demand_all_teams(order)
            said = {order.fields.get("key", ""): order.fields.get("value", "")} if order.fields.get("key") else {}
            desk.stops.stop({**said, **order.said("level", "reason", "until")})
        case "retry":
            desk.alerts.retry({"message": number} if number else {"all": True})
        case _:
            raise InputError(f'"{what}" is nothing this page does', hint="approve, deny, stop, lift or retry")
    return _HERE


def _demand_all_teams(order: Order) -> None:
    """A key of some teams stops by the API, where it names its team."""
    if order.caller.teams is not None:
        refused = InputError("a key of one team stops and lifts over the API only", hint="POST /api/v1/stops")
        refused.status = 403
        raise refused


def _told(row: Row) -> dict[str, Any]:
    return {
        "at": _moment(row["fired"]),
        "severity": row["severity"],
        "tone": _TONES.get(row["severity"], ""),
        "title": row["title"],
        "budget": row["budget"],
        "href": row["sessions"],
        "budget_href": address_of(row["budget"]),
        "sent": [(name, state, _STATES[state]) for name, state in row["messages"].items()],
        "note": row["note"],
    }


def _dead(row: Row) -> dict[str, Any]:
    return {**row, "at": _moment(row["created"])}


def _action(row: Row) -> dict[str, Any]:
    return {**row, "until": _moment(row["until"]) or "its end", "budget_href": address_of(str(row["budget"]))}


def _rule(row: Row) -> dict[str, str]:
    def share(name: str) -> str:
        return "–" if row[name] is None else f"{row[name]} %"

    return {
        "budget": str(row["budget"]),
        "actual": ", ".join(f"{level} %" for level in row["actual"]) or "–",
        "every": str(row["every"] or "–"),
        "forecast": share("forecast"),
        "unpriced": share("unpriced"),
        "unattributed": share("unattributed"),
        "refused": "yes" if row["refused"] else "–",
        "actions": ", ".join(row["actions"]) or "–",
    }


def _channel(row: Row) -> dict[str, str]:
    quiet = row.get("quiet")
    return {
        "name": str(row["name"]),
        "kind": str(row["kind"]),
        "where": str(row.get("url") or ", ".join(row.get("to", ())) or row["secret"]),
        "secret": str(row["secret"]),
        "quiet": f"{quiet['from']} to {quiet['to']}, {quiet['zone']}" if quiet else "never",
    }


def _moment(text: str | None) -> str:
    return "" if not text else f"{text[:10]} {text[11:16]}"
