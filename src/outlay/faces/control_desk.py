"""The desk of the control store: budgets, exceptions, keys and the audit log, for every face.

The store is shared between processes, so a command opens it beside a running server and needs not ask it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from outlay.faces import audit, budgets, digests, keys, leases, overrides, targets, views
from outlay.faces.alerts import AlertsDesk
from outlay.faces.stops import StopsDesk

if TYPE_CHECKING:
    from outlay.control.store import ControlStore
    from outlay.faces.desk import Params
    from outlay.faces.plain import Reply
    from outlay.pricing.book import PriceBook


class ControlDesk:
    """Orders to one control store, in the name of one actor. `prices` opens the price book that decisions go by."""

    def __init__(self, store: ControlStore, actor: str, prices: Callable[[], PriceBook] | None = None) -> None:
        self.store = store
        self.actor = actor
        self._prices = prices

    @property
    def alerts(self) -> AlertsDesk:
        """What is told of budgets, and to whom."""
        return AlertsDesk(self.store, self.actor)

    @property
    def stops(self) -> StopsDesk:
        """What is stopped, and what followed when money ran short."""
        return StopsDesk(self.store, self.actor)

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

    def budgets(self) -> Reply:
        """Every budget as it stands."""
        return budgets.list_reply(self.store)

    def budget(self, name: str) -> Reply:
        """One budget, with its grants."""
        return budgets.show_reply(self.store, name)

    def budget_history(self, name: str) -> Reply:
        """Every window a budget has had."""
        return budgets.history_reply(self.store, name)

    def set_budget(self, said: object, expect: str = "") -> Reply:
        """Makes a budget or changes it; with `expect` only one that is still of this version."""
        told = budgets.set_budget(self.store, said, self.actor, expect)
        self._refresh_rates()
        return told

    def remove_budget(self, name: str) -> Reply:
        """Takes a budget out of force."""
        return budgets.remove_budget(self.store, name, self.actor)

    def apply_budgets(self, said: object, *, dry_run: bool, prune: bool) -> Reply:
        """Puts a file of budgets into force."""
        told = budgets.apply_budgets(self.store, said, self.actor, dry_run=dry_run, prune=prune)
        if not dry_run:
            self._refresh_rates()
        return told

    def grant_budget(self, name: str, said: Mapping[str, Any]) -> Reply:
        """Gives a budget more until a moment."""
        return budgets.grant_budget(self.store, name, said, self.actor)

    def end_grant(self, number: str) -> Reply:
        """Ends a grant now."""
        return budgets.end_grant(self.store, number, self.actor)

    def leases(self, budget: str = "") -> Reply:
        """The leases that live, of one budget where it is named."""
        return leases.list_reply(self.store, budget)

    def return_lease(self, lease: str) -> Reply:
        """Gives a lease back in its owner's place."""
        return leases.return_reply(self.store, lease, self.actor)

    def overrides(self, state: str = "", budget: str = "") -> Reply:
        """Requests for exceptions, the newest first."""
        return overrides.list_reply(self.store, state, budget)

    def override(self, number: str) -> Reply:
        """One request with its trail."""
        return overrides.show_reply(self.store, number)

    def request_override(self, said: Mapping[str, Any]) -> Reply:
        """Asks for more money for a budget until a moment."""
        return overrides.request_override(self.store, said, self.actor)

    def decide_override(self, number: str, verdict: str, said: Mapping[str, Any]) -> Reply:
        """Approves, denies, withdraws or ends."""
        return overrides.decide_override(self.store, number, verdict, said, self.actor)

    def _refresh_rates(self) -> None:
        """An agent without a server prices its worst case by what stands in the store."""
        if self._prices is not None:
            from outlay.govern.rates import refresh_if_needed

            refresh_if_needed(self.store, self._prices())

    def views(self) -> Reply:
        """Which page each role is led to first."""
        return views.views_reply(self.store)

    def set_views(self, said: object) -> Reply:
        """Changes which page some roles are led to first."""
        return views.set_views(self.store, said, self.actor)

    def targets(self, quarter: str = "") -> Reply:
        """The targets as they were set."""
        return targets.list_reply(self.store, quarter)

    def set_target(self, said: Mapping[str, Any]) -> Reply:
        """Sets what a completed task of a feature may cost in a quarter."""
        return targets.set_target(self.store, said, self.actor)

    def decide_target(self, feature: str, said: Mapping[str, Any]) -> Reply:
        """Writes down what the review of a quarter decided."""
        return targets.decide_target(self.store, feature, said, self.actor)

    def remove_target(self, feature: str, quarter: str) -> Reply:
        """Takes a target away."""
        return targets.remove_target(self.store, feature, quarter, self.actor)

    def override_policy(self) -> Reply:
        """Who may decide."""
        return overrides.policy_reply(self.store)

    def set_override_policy(self, said: object) -> Reply:
        """Changes who may decide."""
        return overrides.set_override_policy(self.store, said, self.actor)

    def digests(self) -> Reply:
        """Which view goes to which channel every week or month."""
        return digests.digests_reply(self.store)

    def set_digests(self, said: object) -> Reply:
        """Changes which digests are sent."""
        return digests.set_digests(self.store, said, self.actor)
