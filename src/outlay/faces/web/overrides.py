"""The pages of exceptions: what waits for a decision, one request with its trail, and the forms that ask and decide."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from outlay.control.overrides import STATES
from outlay.core.errors import InputError
from outlay.faces import formats
from outlay.faces.web.budgets import address_of
from outlay.faces.web.visit import Order, Visit

_TONES = {"pending": "warn", "approved": "good", "denied": "bad"}
_VERDICTS = ("approve", "deny", "withdraw", "end")

Row = Mapping[str, Any]


def overrides_page(visit: Visit) -> dict[str, Any]:
    """The requests, those that wait first, and the form that asks for one."""
    desk, state = visit.control, visit.asked.get("state", "").strip()
    rows = desk.overrides(state, "")["rows"]
    budgets = desk.budgets()["rows"]
    currencies = {row["name"]: row["currency"] for row in budgets}
    waiting = sorted(rows, key=lambda row: row["state"] != "pending")
    return {
        "rows": [_row(row, currencies.get(row["budget"], "USD")) for row in waiting],
        "states": STATES,
        "state": state,
        "budgets": list(dict.fromkeys(row["name"] for row in budgets)),
        "budget": visit.asked.get("budget", ""),
        "pending": sum(row["state"] == "pending" for row in rows),
    }


def override_page(visit: Visit, number: str) -> dict[str, Any]:
    """One request: what was asked, who may decide, what was decided, and its lines of the audit log."""
    shown = visit.control.override(number)
    total = shown["total"]
    pending, approved = total["state"] == "pending", total["state"] == "approved"
    mine = total["requested_by"] == visit.caller.actor
    return {
        "row": _row(total, "USD"),
        "amount": total["amount"],
        "approvers": ", ".join(total["approvers"]),
        "denied_at": _moment(total["denied_at"]),
        "mine": mine,
        "can_decide": pending and not mine and visit.caller.may("approve"),
        "can_withdraw": pending and mine,
        "can_end": approved and visit.caller.may("approve"),
        "trail": [
            {"at": _moment(line["at"]), "actor": line["actor"], "action": line["action"], "told": _told(line["after"])}
            for line in shown["rows"]
        ],
    }


def ask(order: Order) -> str:
    """Asks for more money for a budget until a moment."""
    order.demand("decide")
    order.caller.demand_budget(order.control, order.fields.get("budget", ""))
    shown = order.control.request_override(order.said("budget", "amount", "reason", "until", "part"))
    return f"/overrides/{shown['total']['id']}"


def decide(order: Order) -> str:
    """Approves all or a part, denies, withdraws or ends, as the button said."""
    number, verdict = order.place["id"], order.fields.get("do", "")
    if verdict not in _VERDICTS:
        raise InputError(f'"{verdict}" is no decision', hint="approve, deny, withdraw or end")
    order.demand("decide" if verdict == "withdraw" else "approve")
    order.caller.demand_budget(order.control, order.control.override(number)["total"]["budget"])
    said = order.said("amount", "note") if verdict == "approve" else order.said("note")
    order.control.decide_override(number, verdict, {} if verdict == "withdraw" else said)
    return f"/overrides/{quote(number)}"


def _row(row: Row, currency: str) -> dict[str, Any]:
    approved = row.get("approved")
    return {
        "id": row["id"],
        "href": f"/overrides/{row['id']}",
        "budget": row["budget"],
        "budget_href": address_of(row["budget"]),
        "part": row["part"],
        "amount": formats.money(row["amount"], currency),
        "approved": formats.money(approved, currency) if approved is not None else "",
        "reason": row["reason"],
        "until": _moment(row["until"]),
        "by": row["requested_by"],
        "at": _moment(row["requested"]),
        "state": row["state"],
        "tone": _TONES.get(row["state"], ""),
        "decided_by": row["decided_by"] or "",
        "decided": _moment(row["decided"]),
    }


def _moment(text: str | None) -> str:
    return "" if not text else f"{text[:10]} {text[11:16]}"


def _told(after: Any) -> str:
    if not isinstance(after, Mapping):
        return ""
    return ", ".join(f"{key} {value}" for key, value in after.items() if value not in ("", None))
