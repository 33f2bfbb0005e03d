"""Which page each role is led to first, for every face."""

from __future__ import annotations

from typing import TYPE_CHECKING

from outlay.control.policies import policy_of, set_policy
from outlay.faces.plain import Reply, reply
from outlay.govern.views import DEFAULTS, POLICY, read_views, views_in_force

if TYPE_CHECKING:
    from outlay.control.store import ControlStore


def views_reply(store: ControlStore) -> Reply:
    """The first view of every role, and whether it is the default."""
    held = views_in_force(store)
    rows = [{"role": role, "view": view, "default": view == DEFAULTS[role]} for role, view in held.items()]
    return reply({}, rows, {"roles": len(rows)})


def set_views(store: ControlStore, said: object, actor: str) -> Reply:
    """Sets the first view of some roles; an empty object goes back to the defaults."""
    wanted = read_views(said)
    held = policy_of(store, POLICY) or {}
    changed = set_policy(store, POLICY, {**held, **wanted} if wanted else None, actor)
    told = views_reply(store)
    told["total"]["changed"] = changed
    return told
