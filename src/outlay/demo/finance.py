"""What the company allows itself: budgets that grew with it, and targets for what a finished task may cost.

Amounts are dollars. They are set once, into a store that has none, and dated back to when they would have been made, so
that the months before have their budgets; the audit log says truthfully that all of it was set today.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from outlay.control.budgets import list_budgets, set_budget
from outlay.control.store import ControlStore
from outlay.control.targets import Target, decide, list_targets, set_targets
from outlay.core.money import nano_of
from outlay.core.period import ns_of
from outlay.govern.budget_words import read_budget
from outlay.govern.targets import quarter_at

ACTOR = "demo"

COMPANY = ((13, 18_500), (10, 20_500), (7, 22_500), (4, 25_000), (0, 26_500))
"""The budget of everything, by how many months ago it was set."""
TEAMS = {
    "platform": ((13, 6_500), (4, 8_600)),
    "documents": ((13, 4_600), (3, 5_250)),
    "labs": ((13, 4_000), (4, 6_000)),
    "onboarding": ((13, 2_400), (4, 2_800)),
    "sales-assist": ((13, 2_000),),
    "support": ((13, 500),),
}

TARGETS = {
    "code-migrator": "15.50",
    "contract-review": "8.25",
    "research-synthesis": "15.00",
    "kyc-onboarding": "4.60",
    "lead-research": "5.00",
    "incident-triage": "4.90",
    "market-scout": "5.00",
    "ticket-resolver": "0.45",
    "refund-agent": "0.90",
    "meeting-prep": "0.42",
    "invoice-extraction": "0.055",
}
"""What a completed task may cost this quarter; one feature has no target yet."""
EASED_PERCENT = 108
"""The quarter before was allowed so much of it."""
DECISIONS = {
    "kyc-onboarding": "At most three tries of the address check; look again in eight weeks.",
    "contract-review": "Clauses instead of whole documents, as the router was meant to send.",
}


def settle(store: ControlStore, now: datetime) -> bool:
    """Sets budgets and targets as of `now`; False where there are some already."""
    if list_budgets(store) or list_targets(store):
        return False
    for scope, steps in ({}, COMPANY), *(({"team": team}, steps) for team, steps in TEAMS.items()):
        for months, amount in steps:
            said = {**scope, "month": amount, "mode": "soft" if scope else "observe", "owner": scope.get("team", "cfo")}
            said["name"] = scope.get("team", "company")
            set_budget(store, read_budget(said), ACTOR, now_ns=ns_of(_months_before(now, months)))
    quarter = quarter_at(now)
    present = [Target(feature, quarter.name, nano_of(amount)) for feature, amount in TARGETS.items()]
    earlier = [
        Target(target.feature, quarter.before.name, target.amount_nano * EASED_PERCENT // 100) for target in present
    ]
    set_targets(store, [*earlier, *present], ACTOR)
    for feature, decision in DECISIONS.items():
        decide(store, feature, quarter.before.name, decision, ACTOR)
    return True


def _months_before(now: datetime, months: int) -> datetime:
    """The first day of the month so many before that of `now`; the present moment for none."""
    if not months:
        return now
    place = now.year * 12 + now.month - 1 - months
    return datetime(place // 12, place % 12 + 1, 1, tzinfo=UTC) + timedelta(hours=9)
