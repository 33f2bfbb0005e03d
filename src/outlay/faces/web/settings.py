"""The page of settings: keys, who may decide about exceptions, and the audit log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from outlay.control.keys import ROLES
from outlay.core.errors import InputError
from outlay.faces.web.visit import Answer, Order, Visit
from outlay.govern.views import DEFAULTS, VIEWS

LINES_SHOWN = 30

Row = Mapping[str, Any]


def settings_page(visit: Visit, made: Row | None = None) -> dict[str, Any]:
    """Keys and the audit log for whoever may administer; the policy for everyone. `made` is a key just made."""
    desk, admin = visit.control, visit.caller.may("admin")
    policy = desk.override_policy()
    return {
        "keys": [_key(row) for row in desk.keys()["rows"]] if admin else [],
        "roles": {role: ", ".join(may) for role, may in ROLES.items()},
        "made": made,
        "views": desk.views()["rows"],
        "view_names": VIEWS,
        "rules": [_rule(row) for row in policy["rows"]],
        "deny_after_hours": policy["total"]["deny_after_hours"],
        "default_policy": policy["total"]["default"],
        "policy": _written(policy),
        "lines": [_line(row) for row in desk.audit({"top": [str(LINES_SHOWN)]})["rows"][::-1]] if admin else [],
    }


def change_settings(order: Order) -> str:
    """Revokes a key or puts a policy into force, as the button said."""
    what = order.fields.get("do", "")
    match what:
        case "revoke":
            order.demand("admin")
            order.control.remove_key(order.fields.get("name", ""))
        case "policy":
            order.demand("govern")
            order.control.set_override_policy(_said(order.fields.get("policy", "")))
        case "views":
            order.demand("admin")
            order.control.set_views({role: order.fields[role] for role in DEFAULTS if order.fields.get(role)})
        case _:
            raise InputError(f'"{what}" is no setting', hint="revoke, policy or views")
    return "/settings"


def make_key(order: Order) -> Answer:
    """Makes a key; its secret is shown on the page that answers and nowhere else."""
    order.demand("admin")
    said = order.said("name", "role", "expires")
    teams = [team.strip() for team in order.fields.get("teams", "").split(",") if team.strip()]
    made = order.control.add_key({**said, "teams": teams})["rows"][0]
    return lambda visit: visit.page("settings.html", "/settings", **settings_page(visit, made))


def _said(text: str) -> Any:
    try:
        return json.loads(text or "{}")
    except ValueError as error:
        raise InputError(f"the policy is not JSON: {error}", hint='like {"deny_after_hours": 24}') from error


def _written(policy: Mapping[str, Any]) -> str:
    if policy["total"]["default"]:
        return "{}"
    rules = [{key: value for key, value in row.items() if value is not None} for row in policy["rows"]]
    return json.dumps(
        {"deny_after_hours": policy["total"]["deny_after_hours"], "rules": rules}, indent=2, ensure_ascii=False
    )


def _rule(row: Row) -> dict[str, str]:
    return {
        "budget": row["budget"],
        "approvers": ", ".join(row["approvers"]),
        "up_to": "any amount" if row["up_to"] is None else f"up to {row['up_to']}",
    }


def _key(row: Row) -> dict[str, Any]:
    return {
        **row,
        "expires": (row["expires"] or "never")[:16].replace("T", " "),
        "used": (row["used"] or "never")[:16].replace("T", " "),
        "what": row["role"] or row["may"],
    }


def _line(row: Row) -> dict[str, str]:
    return {
        "number": row["number"],
        "at": row["at"][:16].replace("T", " "),
        "actor": row["actor"],
        "action": row["action"],
        "subject": row["subject"],
    }
