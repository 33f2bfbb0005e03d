"""Questions and orders about exceptions, for every face."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from outlay.control import audit
from outlay.control import overrides as stored
from outlay.control.budgets import list_budgets, named_budget
from outlay.control.overrides import STATES, OverrideRow
from outlay.control.policies import policy_of, set_policy
from outlay.control.store import ControlStore
from outlay.core.errors import InputError, nearest
from outlay.faces.audit import line_row
from outlay.faces.orders import amount_of, end_ns, known_fields, text_of
from outlay.faces.plain import Reply, plain, reply
from outlay.govern import overrides as govern

REQUEST_FIELDS = ("budget", "amount", "reason", "until", "part")
DECISION_FIELDS = ("amount", "note")
_AMOUNTS = "more than 0, at most 1,000,000,000"


def list_reply(store: ControlStore, state: str, budget: str) -> Reply:
    """Requests, the newest first. Raises InputError for a state there is not."""
    if state and state not in STATES:
        raise InputError(f'no request is ever "{state}"', hint=nearest(state, STATES))
    govern.sweep(store)
    rows = stored.list_overrides(store, state=state, budget=budget)
    pending = sum(row.state == stored.PENDING for row in rows)
    return reply(
        {"state": state, "budget": budget}, [_shown(row) for row in rows], {"requests": len(rows), "pending": pending}
    )


def show_reply(store: ControlStore, number: str) -> Reply:
    """One request: what was asked, who may decide, and its trail in the audit log."""
    govern.sweep(store)
    row = stored.find_override(store, _number(number))
    policy = govern.policy_in_force(store)
    held = [budget for budget in list_budgets(store) if budget.name == row.budget]
    rules = govern.rules_for(policy, held[0]) if held else []
    approvers = govern.approvers_of(rules, held[0]) if rules else ["whoever may approve"]
    with store.reading() as connection:
        trail = [line_row(line) for line in audit.lines(connection, subject=stored.subject_of(row.id))]
    waits = row.requested_ns + policy.deny_after_ns if row.state == stored.PENDING else None
    left = govern.left_of(policy, held[0]) if held else []
    total = {**_shown(row), "approvers": approvers, "approvers_left": left, "denied_at_ns": waits}
    return reply({"override": row.id}, trail, total)


def request_override(store: ControlStore, said: Mapping[str, Any], actor: str) -> Reply:
    """Asks for more money for a budget until a moment."""
    known_fields(said, REQUEST_FIELDS, "a request")
    name, reason, until = (text_of(said, field, needed=True) for field in ("budget", "reason", "until"))
    named_budget(list_budgets(store), name)
    part = text_of(said, "part")
    until_ns = end_ns(until, datetime.now(UTC))
    assert until_ns is not None, "an empty text was refused"
    row = stored.request(
        store,
        name,
        amount_of(said.get("amount"), _AMOUNTS),
        reason=reason,
        until_ns=until_ns,
        actor=actor,
        part=json.dumps(part.split("/"), ensure_ascii=False) if part else "",
    )
    return show_reply(store, str(row.id))


def decide_override(store: ControlStore, number: str, verdict: str, said: Mapping[str, Any], actor: str) -> Reply:
    """Approves (all or a part), denies, withdraws or ends; `verdict` is the word for it."""
    known_fields(said, DECISION_FIELDS, "a decision")
    place, note = _number(number), text_of(said, "note")
    govern.sweep(store)
    policy = govern.policy_in_force(store)
    amount = None if said.get("amount") is None else amount_of(said["amount"], _AMOUNTS)
    match verdict:
        case "approve":
            judge = govern.judge_of(policy, actor, amount)
            stored.approve(store, place, actor=actor, judge=judge, amount_nano=amount, note=note)
        case "deny":
            stored.deny(store, place, actor=actor, judge=govern.judge_of(policy, actor, 0), note=note)
        case "withdraw":
            stored.withdraw(store, place, actor=actor)
        case "end":
            stored.end(store, place, actor=actor, note=note)
        case _:
            raise InputError(f'"{verdict}" is no decision', hint="approve, deny, withdraw or end")
    return show_reply(store, number)


def policy_reply(store: ControlStore) -> Reply:
    """Who may decide, and how long a request may wait."""
    policy = govern.policy_in_force(store)
    rows = [plain(rule) for rule in policy.rules]
    hours = policy.deny_after_ns // (3600 * 10**9)
    return reply({}, rows, {"deny_after_hours": hours, "default": policy_of(store, govern.POLICY) is None})


def set_override_policy(store: ControlStore, said: object, actor: str) -> Reply:
    """Puts a policy into force, judged whole before anything is written; an empty object goes back to the default."""
    govern.read_policy(said)
    changed = set_policy(store, govern.POLICY, plain(said) if said else None, actor)
    told = policy_reply(store)
    told["total"]["changed"] = changed
    return told


def _shown(row: OverrideRow) -> dict[str, Any]:
    return {**plain(row), "part": "/".join(json.loads(row.part)) if row.part else ""}


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise InputError(f'"{text}" is no number of a request', hint="outlay overrides list")
    return int(text)
