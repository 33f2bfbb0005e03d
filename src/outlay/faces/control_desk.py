"""The desk of the control store: keys and the audit log, for every face.

The store is shared between processes, so a command opens it beside a running server and needs not ask it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from outlay.faces import audit, keys

if TYPE_CHECKING:
    from outlay.control.store import ControlStore
    from outlay.faces.desk import Params
    from outlay.faces.plain import Reply


class ControlDesk:
    """Orders to one control store, in the name of one actor."""

    def __init__(self, store: ControlStore, actor: str) -> None:
        self.store = store
        self.actor = actor

    def keys(self, *, revoked: bool = False) -> Reply:
        """The keys, without their secrets."""
        return keys.keys_reply(self.store, revoked=revoked)

    def add_key(self, said: Mapping[str, Any]) -> Reply:
        """Makes a key."""
        return keys.add_key(self.store, said, self.actor)

    def remove_key(self, name: str) -> Reply:
        """Revokes a key."""
        return keys.remove_key(self.store, name, self.actor)

    def audit(self, params: Params) -> Reply:
        """Lines of the audit log."""
        return audit.audit_lines(self.store, params)

    def verify_audit(self, expect: str) -> Reply:
        """Whether the audit log is as it was written."""
        return audit.audit_verdict(self.store, expect)
