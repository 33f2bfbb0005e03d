"""What the forms about budgets do. Each is an order that command line and API know too."""

from __future__ import annotations

from typing import Any

from outlay.core.budget import CAPS
from outlay.core.errors import InputError
from outlay.faces.web.budgets import address_of, kept
from outlay.faces.web.visit import Order

_CHANGED = ("amount", "mode", "fail", "unpriced", "owner", "zone", "rollover_percent", "reserve_percent", *CAPS)
_EMPTIED = ("owner", *CAPS)
"""Fields that an empty box takes away."""


def make_budget(order: Order) -> str:
    """Makes a budget: one envelope key and value, an amount a period, a mode."""
    order.demand("govern")
    key, value = order.fields.get("key", ""), order.fields.get("value", "")
    said: dict[str, Any] = order.said("name", "amount", "period", "mode", "owner")
    if key and value:
        said["scope"] = {key: value}
    elif key:
        raise InputError(f"which {key} shall it be for?", hint="a name, or * for a balance each")
    shown = order.control.set_budget(said, "none")
    return address_of(shown["query"]["budget"])


def change_budget(order: Order) -> str:
    """Changes a budget, gives it more, ends a grant or takes it out of force, as the button said."""
    order.demand("govern")
    name, what = order.place["id"], order.fields.get("do", "")
    match what:
        case "change":
            total = order.control.budget(name)["total"]
            said = {**kept(total), "name": name}
            for field in _CHANGED:
                if order.fields.get(field):
                    said[field] = order.fields[field]
                elif field in _EMPTIED and field in order.fields:
                    said.pop(field, None)
            seen = order.fields.get("seen", "")
            if not seen:
                raise InputError("the form does not say which version it was made from", hint="load the page again")
            order.control.set_budget(said, seen)
        case "grant":
            order.control.grant_budget(name, order.said("amount", "until", "reason", "part", "to"))
        case "end":
            order.control.end_grant(order.fields.get("grant", ""))
        case "remove":
            if order.fields.get("sure") != name:
                raise InputError(f'type "{name}" to take it out of force', hint="nothing was changed")
            order.control.remove_budget(name)
            return "/budgets"
        case _:
            raise InputError(f'"{what}" is nothing a budget can do', hint="change, grant, end or remove")
    return address_of(name)
