"""Who calls: the guard finds out and puts it into the request's scope, the doors and endpoints judge by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from outlay.control.keys import ApiKey, Permission
from outlay.faces.actors import ACTOR_HEADER, LOOPBACK, clean_actor, key_actor
from outlay.faces.refused import RefusedError, Scope

_SCOPE_NAME = "outlay.caller"
_ACTOR = ACTOR_HEADER.encode()


if TYPE_CHECKING:
    from outlay.faces.control_desk import ControlDesk
    from outlay.normalize.writers import Sender


@dataclass(frozen=True, slots=True)
class Caller:
    """A request's holder: its name in the audit log, and its key; without one, it is this machine and may do all."""

    actor: str = LOOPBACK
    key: ApiKey | None = None

    @property
    def teams(self) -> tuple[str, ...] | None:
        """The teams it may write and decide for; None is all."""
        return self.key.teams or None if self.key is not None else None

    @property
    def sender(self) -> Sender | None:
        """As whom it sends facts; None without a key."""
        if self.key is None:
            return None
        from outlay.normalize.writers import Sender

        return Sender(self.key.name, self.key.teams, self.key.tags)

    def may(self, permission: str) -> bool:
        """Whether it may do this."""
        return self.key is None or self.key.may(permission)

    def refusal(self, permission: str) -> RefusedError | None:
        """Why it may not do this; None if it may."""
        if self.key is None or self.may(permission):
            return None
        return RefusedError(
            403,
            f'the key "{self.key.name}" may not {Permission(permission)}',
            detail=[f"it may: {', '.join(self.key.permissions)}"],
            hint=f"outlay keys add NAME --may {permission}",
            headers=[(b"www-authenticate", f'Bearer error="insufficient_scope", scope="{permission}"'.encode())],
        )

    def demand(self, permission: str) -> None:
        """Raises RefusedError if it may not do this."""
        refusal = self.refusal(permission)
        if refusal is not None:
            raise refusal

    def demand_budget(self, desk: ControlDesk, name: str) -> None:
        """Raises RefusedError if its key is bound to teams and this budget is of none of them."""
        if self.teams is None or not name:
            return
        if desk.budget(name)["total"]["scope"].get("team") not in self.teams:
            raise RefusedError(403, f"this key is for {', '.join(self.teams)} only", hint="use a key of that team")


STRANGER = Caller("nobody", ApiKey("nobody", ()))
"""Who has shown no key where one is needed, at a door that is open to all; may do nothing."""


def caller_for(scope: Scope, key: ApiKey | None, *, own: bool) -> Caller:
    """The caller of a request that has come through the guard; `own` requests may name who typed the command."""
    named = ""
    if own:
        named = next((clean_actor(value.decode("latin-1")) for name, value in scope["headers"] if name == _ACTOR), "")
    if key is None:
        return Caller(named or LOOPBACK)
    return Caller(named or key_actor(key.name), key)


def set_caller(scope: Scope, caller: Caller) -> None:
    """Notes the caller in the scope."""
    scope[_SCOPE_NAME] = caller


def caller_of(scope: Scope) -> Caller:
    """The caller of a request."""
    caller: Caller = scope[_SCOPE_NAME]
    return caller
