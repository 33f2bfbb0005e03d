"""The pages of budgets: how all of them stand, and one with its grants, its windows and what may be changed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode

from outlay.core.budget import CAPS, MODES
from outlay.core.calendar import DAYS, PERIODS
from outlay.core.envelope import ENVELOPE_KEYS
from outlay.faces import formats
from outlay.faces.budgets import NO_PART
from outlay.faces.web.bullets import bullet
from outlay.faces.web.visit import Visit
from outlay.metrics.measures import UNKNOWN

WINDOWS_SHOWN = 13
LINES_SHOWN = 20
_CHOICES = {"mode": MODES, "fail": ("open", "closed"), "unpriced": ("refuse", "allow")}
_WARN_PERCENT = 70

Row = Mapping[str, Any]


def budgets_page(visit: Visit) -> dict[str, Any]:
    """Every budget as it stands, those nearest their limit first, and the form for a new one."""
    listed = visit.control.budgets()
    rows = sorted(listed["rows"], key=lambda row: -(row["used_percent"] or 0))
    full = sum(row["state"] == "over" for row in rows)
    near = sum(row["state"] != "over" and (row["used_percent"] or 0) >= _WARN_PERCENT for row in rows)
    return {
        "rows": [_row(row) for row in rows],
        "lede": _lede(listed["total"]["budgets"], full, near),
        "left_out": listed["total"]["balances_left_out"],
        "keys": ENVELOPE_KEYS,
        "periods": PERIODS,
        "modes": MODES,
        "pending": visit.control.overrides("pending")["total"]["requests"],
    }


def budget_page(visit: Visit, name: str) -> dict[str, Any]:
    """One budget: balances, grants, windows, the form that changes it, and its lines of the audit log."""
    desk = visit.control
    shown, history = desk.budget(name), desk.budget_history(name)
    total, currency = shown["total"], shown["total"]["currency"]
    windows = [row for row in history["rows"] if row["part"] == (shown["rows"][0]["part"] if shown["rows"] else "")]
    return {
        "name": name,
        "rows": [_row(row) for row in shown["rows"]],
        "told": total,
        "caps": [(cap, total["caps"].get(cap, "")) for cap in CAPS],
        "choices": _CHOICES,
        "scope": ", ".join(f"{key}={value}" for key, value in total["scope"].items()) or "everything",
        "sessions_href": _sessions_href(total["scope"]),
        "grants": [_grant(grant, currency, visit.now) for grant in reversed(history["total"]["grants"])],
        "windows": [_window(row, currency) for row in windows[-WINDOWS_SHOWN:]],
        "trail": desk.audit({"subject": [name], "top": [str(LINES_SHOWN)]})["rows"][::-1]
        if visit.caller.may("admin")
        else [],
        "overrides": desk.overrides("", name)["rows"][:10],
    }


def address_of(name: str) -> str:
    """Where a budget is shown."""
    return f"/budgets/{quote(name, safe='/')}"


def _lede(count: int, full: int, near: int) -> str:
    if not count:
        return "No budget is set: agents may spend what they like."
    parts = [f"{count} {'budget' if count == 1 else 'budgets'} in force"]
    if full:
        parts.append(f"{full} used up")
    if near:
        parts.append(f"{near} above {_WARN_PERCENT} %")
    if not full and not near:
        parts.append(f"all below {_WARN_PERCENT} %")
    return ", ".join(parts) + "."


def _row(row: Row) -> dict[str, Any]:
    amounts = {key: Decimal(row[key]) for key in ("limit", "spent", "held", "presumed", "left")}
    held = amounts["held"] + amounts["presumed"]
    used = row["used_percent"]
    tone = "bad" if row["state"] == "over" else "warn" if (used or 0) >= _WARN_PERCENT else "good"
    words = (
        f"{_money(row, 'spent')} spent"
        + (f", {formats.money(str(held), row['currency'])} held" if held else "")
        + f" of {_money(row, 'limit')}"
    )
    return {
        "name": row["name"],
        "href": address_of(row["name"]),
        "part": row["part"],
        "is_each": bool(row["part"]) and row["part"] != NO_PART,
        "scope": row["scope"],
        "window": row["window"],
        "mode": row["mode"],
        "spent": _money(row, "spent"),
        "held": formats.money(str(held), row["currency"]),
        "limit": _money(row, "limit"),
        "left": _money(row, "left"),
        "used": UNKNOWN if used is None else f"{used} %",
        "resets": "never" if row["resets"] is None else f"{row['resets'][:10]} {row['resets'][11:16]} UTC",
        "state": "used up" if row["state"] == "over" else "near" if (used or 0) >= _WARN_PERCENT else "ok",
        "tone": tone,
        "bar": bullet(amounts["spent"], held, amounts["limit"], words),
    }


def _money(row: Row, name: str) -> str:
    return formats.money(row[name], row["currency"])


def _grant(row: Row, currency: str, now: datetime) -> dict[str, Any]:
    ends = row["ends"]
    over = ends is not None and datetime.fromisoformat(ends) <= now
    return {
        "id": row["id"],
        "kind": row["kind"],
        "part": row["part"],
        "amount": formats.money(row["amount"], currency),
        "starts": (row["starts"] or row["created"])[:16].replace("T", " "),
        "ends": "each window" if ends is None else ends[:16].replace("T", " "),
        "by": row["granted_by"],
        "reason": row["reason"],
        "live": not over,
        "may_end": not over and row["kind"] in {"override", "transfer"},
    }


def _window(row: Row, currency: str) -> dict[str, Any]:
    spent, limit = Decimal(row["spent"]) + Decimal(row["presumed"]), Decimal(row["limit"])
    words = f"{formats.money(str(spent), currency)} of {formats.money(row['limit'], currency)}"
    return {"window": row["window"], "bar": bullet(spent, Decimal(0), limit, words, ()), "words": words}


def _sessions_href(scope: Mapping[str, str]) -> str:
    asked = {key: value for key, value in scope.items() if value != "*" and key in {"team", "feature", "environment"}}
    return "/sessions" + (f"?{urlencode(asked)}" if asked else "")


def kept(total: Row) -> dict[str, Any]:
    """A budget as `outlay budgets set` takes it, from how it is shown: what a form leaves out stays as it is."""
    plain = ("scope", "amount", "period", "zone", "start_month", "start_day", "mode", "fail", "unpriced", "currency")
    more = ("rollover_percent", "carry_overage", "reserve_percent", "owner", "ladder", "plan")
    said = {name: total[name] for name in (*plain, *more)}
    return {**said, "week_start": DAYS[total["week_start"]], **total["caps"]}
