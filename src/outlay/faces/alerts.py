"""Questions and orders about alerts, for every face: what was told, the rules, the channels, and the way out."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from outlay.control import alerts as stored
from outlay.control import channels as kept
from outlay.control import outbox
from outlay.control.budgets import list_budgets
from outlay.control.channels import masked
from outlay.control.policies import policy_of, set_policy
from outlay.core.budget import Budget
from outlay.core.errors import InputError, nearest
from outlay.faces.plain import Reply, plain, reply
from outlay.govern.alert_rules import POLICY, Rules, check_channels, default_of, read_rules, rules_in_force
from outlay.govern.alerts import part_text
from outlay.govern.channels import read_channel

if TYPE_CHECKING:
    from outlay.control.store import ControlStore

TOP, TOP_MAX = 100, 1000


class AlertsDesk:
    """Orders about alerts to one control store, in the name of one actor."""

    def __init__(self, store: ControlStore, actor: str) -> None:
        self._store = store
        self._actor = actor

    def told(self, budget: str = "", top: str = "") -> Reply:
        """What was told, the newest first, with how it is going on each channel."""
        rows = [_told(row) for row in stored.list_alerts(self._store, budget=budget, limit=top_of(top))]
        return reply({"budget": budget}, rows, {"alerts": len(rows), **outbox.counts(self._store)})

    def rules(self) -> Reply:
        """What is told of each budget, who hears it, and what follows."""
        rules = rules_in_force(self._store)
        rows = [{"budget": budget.name, **_rule(rules, budget)} for budget in list_budgets(self._store)]
        said = policy_of(self._store, POLICY)
        return reply({}, rows, {"default": said is None, "said": said or {}})

    def set_rules(self, said: object) -> Reply:
        """Puts rules into force, judged whole before anything is written; an empty object goes back to the default."""
        rules = read_rules(said)
        check_channels(rules, [channel.name for channel in kept.list_channels(self._store)])
        changed = set_policy(self._store, POLICY, plain(said) if said else None, self._actor)
        answer = self.rules()
        answer["total"]["changed"] = changed
        return answer

    def channels(self) -> Reply:
        """The channels, without what is secret of them."""
        rows = [masked(channel) for channel in kept.list_channels(self._store)]
        return reply({}, rows, {"channels": len(rows)})

    def set_channel(self, said: Mapping[str, Any]) -> Reply:
        """Makes a channel or changes the one of its name. A secret that is left out stays; a webhook's is made."""
        words = dict(said)
        held = next((item for item in kept.list_channels(self._store) if item.name == words.get("name")), None)
        made = ""
        if not words.get("secret"):
            if held is not None and held.kind == words.get("kind") and held.secret:
                words["secret"] = held.secret
            elif words.get("kind") == "webhook":
                words["secret"] = made = "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
        channel = read_channel(words)
        changed = kept.set_channel(self._store, channel, self._actor)
        return reply({}, [masked(channel)], {"changed": changed, **({"secret": made} if made else {})})

    def remove_channel(self, name: str) -> Reply:
        """Takes a channel away. Raises InputError (404); 400 while a rule still names it."""
        kept.channel_named(self._store, name)
        rules = rules_in_force(self._store)
        if name in {*rules.fallback, *(item for route in rules.routes for item in route.channels)}:
            raise InputError(f'rules still name the channel "{name}"', hint="outlay alerts rules FILE, then again")
        kept.remove_channel(self._store, name, self._actor)
        return reply({"channel": name}, (), {"removed": 1})

    def try_channel(self, name: str) -> Reply:
        """Sends a message to a channel now and says how that went."""
        from outlay.delivery.courier import try_channel

        message, outcome = try_channel(self._store, name, self._actor)
        row = {"channel": name, "message": message.id, "ok": outcome.ok, "said": outcome.said}
        return reply({"channel": name}, [row], {"ok": outcome.ok})

    def log(self, state: str = "", message: str = "", top: str = "") -> Reply:
        """Messages with how far they are, or each attempt at one of them."""
        if state and state not in outbox.STATES:
            raise InputError(f'no message is ever "{state}"', hint=nearest(state, outbox.STATES))
        if message:
            lines = outbox.attempts(self._store, message=number_of(message), limit=top_of(top))
            return reply({"message": message}, [plain(line) for line in lines], {"attempts": len(lines)})
        rows = [_message(item) for item in outbox.messages(self._store, state=state, limit=top_of(top))]
        return reply({"state": state}, rows, {"messages": len(rows), **outbox.counts(self._store)})

    def retry(self, said: Mapping[str, Any]) -> Reply:
        """Makes a message due again, or every dead one (`all`)."""
        number = said.get("message")
        if number is None and said.get("all") is not True:
            raise InputError("say which message, or all dead ones", hint="outlay alerts retry 7, or --dead")
        again = outbox.retry(
            self._store, None if number is None else number_of(str(number)), self._actor, time.time_ns()
        )
        return reply({}, [_message(item) for item in again], {"messages": len(again)})


def number_of(text: str) -> int:
    """The number of a message or an action. Raises InputError."""
    if not text.isdecimal() or len(text) > 18:
        raise InputError(f'"{text}" is no number', hint="outlay alerts log lists them")
    return int(text)


def top_of(text: str) -> int:
    """How many rows are wanted. Raises InputError."""
    if text and not (text.isdecimal() and 1 <= int(text[:9]) <= TOP_MAX):
        raise InputError(f'"{text}" rows', hint=f"1 to {TOP_MAX}")
    return int(text) if text else TOP


def _told(row: stored.AlertRow) -> dict[str, Any]:
    return {
        "fired_ns": row.fired_ns,
        "severity": row.severity,
        "title": row.title,
        "budget": row.budget,
        "part": part_text(row.part),
        "kind": row.kind,
        "window": row.content["window"],
        "sent": ", ".join(f"{name} {state}" for name, state in row.messages.items()) or "nobody",
        "note": row.note,
        "messages": row.messages,
        "sessions": row.content["sessions"],
        "link": row.content.get("link", ""),
    }


def _message(item: outbox.Message) -> dict[str, Any]:
    return {
        "message": item.id,
        "channel": item.channel,
        "title": item.payload.get("title", ""),
        "state": item.state,
        "attempts": item.attempts,
        "last_error": item.last_error,
        "created_ns": item.created_ns,
        "due_ns": item.due_ns if item.state == outbox.WAITING else None,
        "sent_ns": item.sent_ns,
    }


def _rule(rules: Rules, budget: Budget) -> dict[str, Any]:
    rule = rules.of(budget)
    every = f"{rule.every_percent}%" if rule.every_percent else plain({"every_nano": rule.every_nano})["every"]
    steps = [f"{step.percent} % {step.level}{' after approval' if step.approval else ''}" for step in rule.actions]
    return {
        "actual": list(rule.actual),
        "every": every,
        "forecast": rule.forecast,
        "unpriced": rule.unpriced,
        "unattributed": rule.unattributed,
        "refused": rule.refused,
        "actions": steps,
        "usual": rule == default_of(budget),
    }
