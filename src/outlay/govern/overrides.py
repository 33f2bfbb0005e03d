"""Exceptions: who may decide one, how long it may wait, and what was spent of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from outlay.control import overrides as stored
from outlay.control.alerts import revoked_keys
from outlay.control.overrides import Judge, OverrideRow
from outlay.control.policies import policy_of
from outlay.control.store import ControlStore
from outlay.core.budget import Budget
from outlay.core.errors import InputError, nearest
from outlay.core.money import nano_of
from outlay.core.period import NS_PER_SECOND
from outlay.govern.alert_rules import rules_in_force

POLICY = "overrides"
"""The name under which the policy is kept."""

OWNER = "owner"
"""As an approver: the owner of the budget, whom `outlay budgets set --owner` names."""

DENY_AFTER_HOURS = 72
_HOURS_MAX = 24 * 365
_FIELDS = {"deny_after_hours": "hours after which what nobody decided is denied", "rules": "who may decide what"}
_RULE_FIELDS = {
    "budget": "the name of a budget, or a pattern like team-*",
    "approvers": "actors or patterns like key:finance or cli:*, and the word owner",
    "up_to": "the largest amount they may approve; no limit if left out",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may decide requests for the budgets of one name or pattern, up to an amount."""

    budget: str
    approvers: tuple[str, ...]
    up_to_nano: int | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """The first rule that matches a budget and reaches the amount decides; without one, whoever may approve."""

    deny_after_ns: int = DENY_AFTER_HOURS * 3600 * NS_PER_SECOND
    rules: tuple[Rule, ...] = ()
    left: tuple[str, ...] = ()  # who is not here any more: a rule of whom only such are approvers holds no longer


def policy_in_force(store: ControlStore) -> Policy:
    """The policy of this company, with who is known to have left: named in the rules of alerts, or a revoked key."""
    said = policy_of(store, POLICY)
    policy = Policy() if said is None else read_policy(said)
    gone = (*rules_in_force(store).left, *(f"key:{name}" for name in sorted(revoked_keys(store))))
    return replace(policy, left=gone)


def read_policy(said: object) -> Policy:
    """A policy somebody wrote. Raises InputError that says what is wrong and what is valid."""
    if not isinstance(said, Mapping):
        raise InputError("a policy is an object", hint='like {"deny_after_hours": 24, "rules": [...]}')
    _known(said, _FIELDS, "the policy of overrides")
    hours = said.get("deny_after_hours", DENY_AFTER_HOURS)
    if not isinstance(hours, int) or isinstance(hours, bool) or not 1 <= hours <= _HOURS_MAX:
        raise InputError(f"deny_after_hours is {hours}", hint=f"a whole number from 1 to {_HOURS_MAX}")
    rules = said.get("rules", [])
    if not isinstance(rules, list):
        raise InputError("rules is a list", hint='[{"budget": "*", "approvers": ["owner"]}]')
    return Policy(hours * 3600 * NS_PER_SECOND, tuple(_rule(number, rule) for number, rule in enumerate(rules, 1)))


def judge_of(policy: Policy, actor: str, amount_nano: int | None = None) -> Judge:
    """Whether an actor may decide: never who asked, and only whom the policy names."""

    def why_not(row: OverrideRow, budget: Budget) -> str:
        if row.requested_by == actor:
            return f"{actor} asked for this, so somebody else has to decide"
        asked = row.amount_nano if amount_nano is None else amount_nano
        rules = rules_for(policy, budget)
        if not rules:
            return ""
        named = [rule for rule in rules if any(_is(actor, approver, budget) for approver in rule.approvers)]
        if not named:
            return (
                f"{actor} is not among those who decide about {budget.name}: {', '.join(approvers_of(rules, budget))}"
            )
        if not any(rule.up_to_nano is None or asked <= rule.up_to_nano for rule in named):
            return f"{actor} may not approve so much for {budget.name}"
        return ""

    return why_not


def why_not_decide(policy: Policy, actor: str, budget: Budget) -> str:
    """Why somebody may not decide about what follows from a budget; empty if they may."""
    rules = rules_for(policy, budget)
    if not rules or any(_is(actor, approver, budget) for rule in rules for approver in rule.approvers):
        return ""
    return f"{actor} is not among those who decide about {budget.name}: {', '.join(approvers_of(rules, budget))}"


def approvers_of(rules: Sequence[Rule], budget: Budget) -> list[str]:
    """The names of those who may decide about a budget; the word owner becomes a name where there is one."""
    names = [approver for rule in rules for approver in rule.approvers]
    return sorted({budget.owner if name == OWNER and budget.owner else name for name in names})


def rules_for(policy: Policy, budget: Budget) -> list[Rule]:
    """The rules that match a budget, without those whose approvers all left."""
    here = [rule for rule in policy.rules if fnmatchcase(budget.name, rule.budget)]
    return [rule for rule in here if not all(_left(policy, approver, budget) for approver in rule.approvers)]


def left_of(policy: Policy, budget: Budget) -> list[str]:
    """The approvers of a budget that left."""
    names = (name for rule in policy.rules if fnmatchcase(budget.name, rule.budget) for name in rule.approvers)
    return sorted({budget.owner if name == OWNER else name for name in names if _left(policy, name, budget)})


def _left(policy: Policy, approver: str, budget: Budget) -> bool:
    name = budget.owner if approver == OWNER else approver
    return bool(name) and name in policy.left


def sweep(store: ControlStore, now_ns: int | None = None) -> int:
    """Denies what waited too long and closes what has run out; whoever looks at budgets or exceptions does so first."""
    return stored.sweep(store, policy_in_force(store).deny_after_ns, now_ns)


def _is(actor: str, approver: str, budget: Budget) -> bool:
    if approver == OWNER:
        return bool(budget.owner) and actor in {budget.owner, f"cli:{budget.owner}", f"key:{budget.owner}"}
    return fnmatchcase(actor, approver)


def _rule(number: int, said: Any) -> Rule:
    where = f"rule {number}"
    if not isinstance(said, Mapping):
        raise InputError(f"{where} is not an object", hint='{"budget": "*", "approvers": ["owner"]}')
    _known(said, _RULE_FIELDS, where)
    approvers = said.get("approvers")
    if (
        not isinstance(approvers, list)
        or not approvers
        or not all(isinstance(item, str) and item for item in approvers)
    ):
        raise InputError(f"{where} names no approvers", hint='approvers: ["owner", "key:finance"]')
    budget = said.get("budget", "*")
    if not isinstance(budget, str) or not budget:
        raise InputError(f"{where}: budget must be a name or a pattern", hint='budget: "*"')
    up_to = said.get("up_to")
    try:
        limit = None if up_to is None else nano_of(up_to)
    except ValueError as error:
        raise InputError(f"{where}: {error}", hint="up_to: 5000") from error
    return Rule(budget, tuple(approvers), limit)


def _known(said: Mapping[Any, Any], fields: Mapping[str, str], what: str) -> None:
    for key in said:
        if key not in fields:
            raise InputError(f'{what} has no field "{key}"', hint=nearest(str(key), fields))
