"""Stopping a session from its page, and letting it go on: what `outlay stop` does."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from outlay.core.errors import InputError
from outlay.faces.web.visit import Order, Visit


def stop_told(visit: Visit, root: str) -> dict[str, Any]:
    """Whether a tree of sessions is stopped, by whom and why; `stop` is None where nothing stops it."""
    scope = f"session={root}"
    live = [row for row in visit.control.stops.stops()["rows"] if row["scope"] == scope]
    return {"root": root, "stop": live[0] if live else None}


def change_stop(order: Order) -> str:
    """Stops the tree of a session, or lets it go on, as the button said."""
    order.demand("govern")
    session, what = order.fields.get("session", ""), order.fields.get("do", "")
    if what == "stop":
        reason = order.fields.get("reason") or "stopped on its page"
        order.control.stops.stop({"session": session, "reason": reason, **order.said("until")})
    elif what == "lift":
        order.control.stops.lift(order.fields.get("stop", ""))
    else:
        raise InputError(f'"{what}" is nothing that can be done to a session', hint="stop or lift")
    return f"/sessions/{quote(order.place['id'], safe='')}#stop"
