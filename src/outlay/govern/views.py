"""Views: which page each role is led to first."""

from __future__ import annotations

from collections.abc import Mapping

from outlay.control.keys import ROLES
from outlay.control.policies import policy_of
from outlay.control.store import ControlStore
from outlay.core.errors import InputError, nearest

POLICY = "views"
"""The name under which they are kept."""

VIEWS = ("overview", "tactical", "strategic", "executive")
LOCAL = "local"
"""Whoever sits at this machine, or comes with a key that fits no role."""

DEFAULTS: Mapping[str, str] = {
    LOCAL: "overview",
    "viewer": "executive",
    "lead": "strategic",
    "finops": "strategic",
    "administrator": "tactical",
}


def views_in_force(store: ControlStore) -> dict[str, str]:
    """The first view of every role."""
    said = policy_of(store, POLICY)
    return {**DEFAULTS, **(read_views(said) if said else {})}


def read_views(said: object) -> dict[str, str]:
    """First views somebody wrote, by role. Raises InputError that says what is valid."""
    if not isinstance(said, Mapping):
        raise InputError("first views are an object", hint='like {"viewer": "executive"}')
    roles = (LOCAL, *ROLES)
    for role, view in said.items():
        if role not in roles:
            raise InputError(f'no role is called "{role}"', hint=nearest(str(role), roles))
        if view not in VIEWS:
            raise InputError(f'no view is called "{view}"', hint=nearest(str(view), VIEWS))
    return {str(role): str(view) for role, view in said.items()}
