"""Lease: what is asked, what is given or refused, and how a balance and a lease stand while it is decided."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from outlay.core.budget import Budget, Refusal, Standing
from outlay.core.calendar import LIFE, Calendar
from outlay.core.money import decimal_text

TTL_NS = 120 * 10**9
"""How long a lease lives without being renewed."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What somebody wants to do. `amount_nano` None is a price nobody knows; `least_nano` is what would do at a pinch.

    `envelope` has the envelope's keys and `session`, the root of the session tree. `parent` is the lease to draw from.
    `counts` are what else is used: steps, tool_calls, width; `depth` is how deep the asker is. `final` may use the
    reserve, to end cleanly.
    """

    envelope: Mapping[str, str]
    amount_nano: int | None
    least_nano: int | None = None
    parent: str = ""
    counts: Mapping[str, int] = field(default_factory=lambda: {"steps": 1})
    depth: int = 0
    final: bool = False
    holder: str = ""
    ttl_ns: int = TTL_NS


@dataclass(frozen=True, slots=True)
class Grant:
    """The answer to an Ask: a lease of `amount_nano`, or the refusal. `over` names soft budgets that are exceeded."""

    lease: str
    amount_nano: int
    refusal: Refusal | None = None
    bound: Standing | None = None
    over: tuple[str, ...] = ()
    expires_ns: int = 0


@dataclass(slots=True)
class Node:
    """One balance that binds a decision."""

    budget: Budget
    part: str
    start_ns: int
    end_ns: int
    limit_nano: int = 0
    limit_version: int = -1
    limit_until_ns: int = 0
    spent_nano: int = 0
    held_nano: int = 0
    presumed_nano: int = 0
    opened_ns: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The key of the balance."""
        return key_of(self.budget.id, self.start_ns, self.part)

    @property
    def standing(self) -> Standing:
        """How it stands."""
        return Standing(
            self.budget,
            self.part,
            self.start_ns,
            self.end_ns,
            self.limit_nano,
            self.spent_nano,
            self.held_nano,
            self.presumed_nano,
        )

    def free_nano(self, *, final: bool) -> int:
        """What may be given; the reserve only to a final step."""
        kept = 0 if final else self.limit_nano * self.budget.reserve_percent // 100
        return self.standing.left_nano - kept


@dataclass(frozen=True, slots=True)
class Held:
    """A lease as it is stored."""

    id: str
    parent: str
    state: str
    keys: tuple[str, ...]
    held_nano: int
    lent_nano: int
    settled_nano: int
    presumed_nano: int
    expires_ns: int
    closed_ns: int


def key_of(budget_id: int, start_ns: int, part: str) -> str:
    """The key of a balance."""
    return f"{budget_id}:{start_ns}:{part}"


def budget_of(row: Sequence[Any]) -> Budget:
    """A budget from its row, in the order of `_FIELDS`."""
    calendar = Calendar(*row[3:8])
    return Budget(
        row[0],
        row[1],
        json.loads(row[2]),
        calendar,
        row[8],
        row[9],
        row[10],
        row[11],
        row[12],
        bool(row[13]),
        row[14],
        json.loads(row[15]),
        json.loads(row[16]),
        row[17],
    )


def refusal_of(node: Node, reason: str, what: str, asked: int, limit: int, used: int) -> Refusal:
    """The refusal of one balance: what is used up, and whether waiting helps."""
    money = what == "usd"
    held = node.held_nano + node.presumed_nano if money else 0
    left = node.standing.left_nano if money else max(0, limit - used)
    resets = None if (node.start_ns, node.end_ns) == LIFE else node.end_ns
    # Money that is held may come back soon: it is worth a short wait, as the end of the window is not.
    soon = money and reason == "budget" and node.held_nano > 0
    return Refusal(
        reason,
        node.budget.name,
        node.budget.calendar.label(node.start_ns),
        what,
        asked,
        limit,
        used,
        held,
        left,
        resets,
        retryable=soon,
        retry_after_s=1 if soon else 0,
        ask=node.budget.owner or "whoever administers Outlay",
        currency=node.budget.currency,
    )


def refusal_text(refusal: Refusal) -> str:
    """A refusal in one sentence, for a person or a model."""
    where = f'the budget "{refusal.budget}"' + (f" for {refusal.window}" if refusal.window not in {"", "life"} else "")
    if refusal.reason == "unpriced":
        return f"{where} is hard, and what this call costs is not known"
    if refusal.what != "usd":
        return (
            f"{where} allows {refusal.limit} {refusal.what.replace('_', ' ')}; {refusal.limit - refusal.left} are used"
        )
    said = {name: decimal_text(getattr(refusal, name)) for name in ("asked", "limit", "spent", "held", "left")}
    return (
        f"{where} is used up: {said['asked']} {refusal.currency} asked, {said['left']} left of {said['limit']} "
        f"({said['spent']} spent, {said['held']} held)"
    )
