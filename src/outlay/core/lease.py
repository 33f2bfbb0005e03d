"""Lease: what is asked, what is given or refused, and how a lease stands in the store.

None of them is changed once it is made. They are not frozen, because making a frozen one takes six times as long, and
each decision makes several.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from outlay.core.balance import Node
from outlay.core.budget import Refusal, Standing
from outlay.core.calendar import LIFE
from outlay.core.money import decimal_text
from outlay.core.quote import Call
from outlay.core.stop import Stop

TTL_NS = 120 * 10**9
"""How long a lease lives without being renewed."""

CHUNK_CALLS = 32
"""For about so many calls a chunk is given at once, so that most calls need not ask."""

CHUNK_SHARE = 8
"""But never more than one part in this many of what is free: others want to work too."""


def _one_step() -> Mapping[str, int]:
    return {"steps": 1}


@dataclass(slots=True)
class Ask:
    """What somebody wants to do: money for a `call`, or an amount, or both.

    `amount_nano` is what the caller expects; None leaves it to what was learned and the rates, and without a `call` it
    is a price nobody knows. `least_nano` is what would do at a pinch. `envelope` has the envelope's keys and `session`,
    the root of the session tree. `parent` is the lease to draw from. `counts` are what else is used: steps, tool_calls,
    width; `depth` is how deep the asker is. `final` may use the reserve, to end cleanly. `chunk` asks for money for
    several such calls. The same `id` asked again is answered with the same lease. `began_ns` is when the session began,
    where the asker knows: a stop for new sessions lets those pass that were there before.
    """

    envelope: Mapping[str, str]
    amount_nano: int | None = None
    least_nano: int | None = None
    parent: str = ""
    counts: Mapping[str, int] = field(default_factory=_one_step)
    depth: int = 0
    final: bool = False
    holder: str = ""
    ttl_ns: int = TTL_NS
    call: Call | None = None
    chunk: bool = False
    id: str = ""
    began_ns: int = 0


@dataclass(slots=True)
class Grant:
    """The answer to an Ask: a lease of `amount_nano`, or the refusal. `over` names soft budgets that are exceeded.

    `max_tokens` is the ceiling the call must be clamped to, None for as it is. `model` is another model that must take
    the place of the one asked for, empty for that one. `chunk` says that it is for several calls, each of which may
    hold `call_nano` of it. `bound` is the hard balance with the least left, as it stands with this lease. `stop` is an
    order that is only told.
    """

    lease: str
    amount_nano: int
    refusal: Refusal | None = None
    bound: Standing | None = None
    over: tuple[str, ...] = ()
    expires_ns: int = 0
    max_tokens: int | None = None
    model: str = ""
    chunk: bool = False
    call_nano: int = 0
    stop: Stop | None = None

    @property
    def retry_after_s(self) -> int:
        """After how many seconds it may be worth to ask again; 0 where it is not."""
        return self.refusal.retry_after_s if self.refusal is not None else 0


@dataclass(slots=True)
class Held:
    """A lease as it is stored. `own` are the balances it holds money of by itself, not through its parent."""

    id: str
    parent: str
    state: str
    envelope: Mapping[str, str]
    keys: tuple[str, ...]
    own: tuple[str, ...]
    kind: str
    max_tokens: int | None
    model: str
    chunk: bool
    call_nano: int
    held_nano: int
    lent_nano: int
    settled_nano: int
    presumed_nano: int
    expires_ns: int
    closed_ns: int

    @property
    def free_nano(self) -> int:
        """What its owner may still spend or lend."""
        return self.held_nano - self.lent_nano if self.state == "live" else 0


def refusal_of(node: Node, reason: str, what: str, asked: int, limit: int, used: int) -> Refusal:
    """The refusal of one balance: what is used up, and whether waiting helps."""
    money = what == "usd"
    held = node.held_nano + node.presumed_nano if money else 0
    left = node.standing.left_nano if money else max(0, limit - used)
    resets = None if (node.start_ns, node.end_ns) == LIFE else node.end_ns
    # Money that is held may come back soon: it is worth a short wait, as the end of the window is not.
    soon = reason == "unreachable" or (money and reason == "budget" and node.held_nano > 0)
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


def refusal_of_parent(parent: Held, asked: int) -> Refusal:
    """The refusal of a lease to lend more than it has."""
    return Refusal(
        "budget",
        f"lease {parent.id}",
        "",
        "usd",
        asked,
        parent.held_nano + parent.settled_nano,
        parent.settled_nano,
        parent.lent_nano,
        parent.free_nano,
        None,
        retryable=False,
        retry_after_s=0,
        ask="the agent that holds the lease",
    )


def refusal_of_stop(stop: Stop) -> Refusal:
    """The refusal of an order to stop."""
    scope = ", ".join(f"{key} {value}" for key, value in stop.scope.items()) or "everything"
    return Refusal(
        "stopped",
        scope,
        "",
        stop.level,
        asked=0,
        limit=0,
        spent=0,
        held=0,
        left=0,
        resets_ns=None if stop.until_ns >= LIFE[1] else stop.until_ns,
        retryable=False,
        retry_after_s=0,
        ask=stop.set_by,
        said=stop.reason,
    )


_STOPPED = {
    "no_agents": "no new sub-agent may begin",
    "no_sessions": "no new session may begin",
    "stop": "work is stopped",
}


def refusal_text(refusal: Refusal) -> str:
    """A refusal in one sentence, for a person or a model."""
    if refusal.reason == "stopped":
        why = f" ({refusal.said})" if refusal.said else ""
        return f"{_STOPPED.get(refusal.what, refusal.what)} for {refusal.budget}, ordered by {refusal.ask}{why}"
    where = f'the budget "{refusal.budget}"' + (f" for {refusal.window}" if refusal.window not in {"", "life"} else "")
    if refusal.reason == "unreachable":
        return f"whether {where} has money left cannot be asked now, and it lets nothing pass unasked"
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
