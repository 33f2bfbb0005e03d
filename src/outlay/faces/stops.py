"""Questions and orders about stops and actions, for every face: the switch that ends work, and what rules ask for."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from outlay.control import actions as stored
from outlay.control.actions import STATES, ActionRow
from outlay.control.budgets import list_budgets
from outlay.control.stops import Stops
from outlay.core.budget import SCOPE_KEYS
from outlay.core.calendar import LIFE
from outlay.core.errors import InputError, nearest
from outlay.core.stop import Stop
from outlay.faces.orders import end_ns, known_fields, text_of
from outlay.faces.plain import Reply, reply
from outlay.govern.actions import WORDS
from outlay.govern.alerts import part_text
from outlay.govern.budget_words import scope_text
from outlay.govern.overrides import approvers_of, policy_in_force, rules_for, why_not_decide

if TYPE_CHECKING:
    from outlay.control.store import ControlStore

STOP_FIELDS = (*SCOPE_KEYS, "everything", "level", "reason", "until")


class StopsDesk:
    """Orders about stops and actions to one control store, in the name of one actor."""

    def __init__(self, store: ControlStore, actor: str) -> None:
        self._store = store
        self._actor = actor

    def stops(self) -> Reply:
        """The stops in force."""
        rows = [_stop(stop) for stop in Stops(self._store).live()]
        return reply({}, rows, {"stops": len(rows)})

    def stop(self, said: Mapping[str, Any]) -> Reply:
        """Orders a stop, at once and for whatever runs. Raises InputError."""
        known_fields(said, STOP_FIELDS, "a stop")
        scope = {key: text_of(said, key, needed=True) for key in SCOPE_KEYS if said.get(key) is not None}
        if not scope and said.get("everything") is not True:
            raise InputError("say what to stop", hint="--session, --agent, --feature, --team …, or --everything")
        if scope and said.get("everything"):
            raise InputError("everything has no scope", hint="leave one out")
        until = end_ns(text_of(said, "until"), datetime.now(UTC))
        level = text_of(said, "level") or "stop"
        reason = text_of(said, "reason", needed=True)
        made = Stops(self._store).set(scope, level, self._actor, reason=reason, until_ns=until)
        return reply({}, [_stop(made)], {"stops": 1})

    def lift(self, number: str) -> Reply:
        """Takes a stop back. Raises InputError (404)."""
        if not number.isdecimal() or len(number) > 18:
            raise InputError(f'"{number}" is no number of a stop', hint="outlay stops lists them")
        Stops(self._store).lift(int(number), self._actor)
        return reply({"stop": int(number)}, (), {"lifted": 1})

    def actions(self, state: str = "") -> Reply:
        """Actions, the newest first, with who may decide about those that wait. Raises InputError."""
        if state and state not in STATES:
            raise InputError(f'no action is ever "{state}"', hint=nearest(state, STATES))
        rows = [self._row(row) for row in stored.list_actions(self._store, state=state)]
        return reply({"state": state}, rows, {"actions": len(rows)})

    def decide(self, number: str, verdict: str, said: Mapping[str, Any]) -> Reply:
        """Says yes or no to an action that waits; only whom the policy of exceptions names may. Raises InputError."""
        known_fields(said, ("note",), "a decision")
        if not number.isdecimal() or len(number) > 18:
            raise InputError(f'"{number}" is no number of an action', hint="outlay actions lists them")
        if verdict not in {"approve", "deny"}:
            raise InputError(f'"{verdict}" is no decision', hint="approve or deny")
        row = stored.find_action(self._store, int(number))
        budget = next((budget for budget in list_budgets(self._store) if budget.id == row.budget_id), None)
        if budget is None:
            raise InputError(f'the budget "{row.budget}" is not there any more', hint="outlay actions list")
        why = why_not_decide(policy_in_force(self._store), self._actor, budget)
        if why:
            refused = InputError(why, hint="outlay actions list says who may decide")
            refused.status = 403
            raise refused
        note = text_of(said, "note")
        approve = verdict == "approve"
        done = stored.decide(self._store, row.id, approve=approve, actor=self._actor, note=note, now_ns=time.time_ns())
        return reply({"action": row.id}, [self._row(done)], {"state": done.state})

    def _row(self, row: ActionRow) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "action": row.id,
            "budget": row.budget,
            "part": part_text(row.part),
            "level": row.level,
            "does": WORDS[row.level],
            "percent": row.percent,
            "state": row.state,
            "why": row.reason,
            "created_ns": row.created_ns,
            "until_ns": None if row.until_ns >= LIFE[1] else row.until_ns,
            "decided_by": row.decided_by,
            "decided_ns": row.decided_ns,
            "reversed_by": row.reversed_by,
            "reversed_ns": row.reversed_ns,
            "stop": row.stop_id,
        }
        if row.state == stored.PENDING:
            budget = next((budget for budget in list_budgets(self._store) if budget.id == row.budget_id), None)
            rules = [] if budget is None else rules_for(policy_in_force(self._store), budget)
            shown["approvers"] = approvers_of(rules, budget) if budget and rules else ["whoever may approve"]
        return shown


def _stop(stop: Stop) -> dict[str, Any]:
    return {
        "stop": stop.id,
        "scope": scope_text(stop.scope),
        "team": stop.scope.get("team"),
        "level": stop.level,
        "does": WORDS[stop.level],
        "reason": stop.reason,
        "by": stop.set_by,
        "set_ns": stop.set_ns,
        "until_ns": None if stop.until_ns >= LIFE[1] else stop.until_ns,
    }
