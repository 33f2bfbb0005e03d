"""Orders about leases as programs bring them: what is asked, what is answered, and how a refusal is told.

Amounts travel as exact decimal texts in whole units of the currency; a number is read through its shortest text.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from outlay.control.leases import Leases
from outlay.control.store import ControlStore
from outlay.core.budget import SCOPE_KEYS, Refusal
from outlay.core.envelope import VALUE_CHARACTERS_MAX
from outlay.core.errors import InputError, LeaseError, OutlayError, nearest
from outlay.core.lease import TTL_NS, Ask, Grant, Held, refusal_text
from outlay.core.money import decimal_text, nano_of
from outlay.core.period import moment_of
from outlay.core.quote import Call
from outlay.core.stop import Stop
from outlay.faces.plain import Reply, reply

REFUSED_STATUS = 402
TTL_S_MAX = 3600
TOKENS_MAX = 10**9
AMOUNT_NANO_MAX = 10**18
COUNTED = ("steps", "tool_calls", "width")
LISTED_MAX = 500

Amount = str | int | float
_ONE_STEP = {"steps": 1}


class Decide(msgspec.Struct, forbid_unknown_fields=True):
    """What `POST /api/v1/decide` takes."""

    envelope: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    session: str = ""
    provider: str = ""
    model: str = ""
    step: str = ""
    input_tokens: int = 0
    max_tokens: int | None = None
    answers: int = 1
    metered: bool = False
    can_clamp: bool = True
    can_swap: bool = True
    estimate_usd: Amount | None = None
    least_usd: Amount | None = None
    chunk: bool = False
    final: bool = False
    parent: str = ""
    counts: dict[str, int] = msgspec.field(default_factory=dict[str, int])
    depth: int = 0
    ttl_s: int = TTL_NS // 10**9
    id: str = ""


class Settle(msgspec.Struct, forbid_unknown_fields=True):
    """What `POST /api/v1/settle` takes."""

    lease: str
    amount_usd: Amount


class Return(msgspec.Struct, forbid_unknown_fields=True):
    """What `POST /api/v1/return` takes."""

    lease: str


class Renew(msgspec.Struct, forbid_unknown_fields=True):
    """What `POST /api/v1/renew` takes: part of it may be spent, and more may be drawn."""

    lease: str
    spent_usd: Amount | None = None
    more_usd: Amount | None = None
    ttl_s: int = TTL_NS // 10**9


class BudgetRefusedError(OutlayError):
    """Money was not given: what bound, how much is left, when it begins anew, whether to try again, whom to ask."""

    code = "budget"
    status = REFUSED_STATUS

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal_text(refusal), hint=_next_step(refusal))
        self.refusal = refusal
        self.headers = ((b"retry-after", str(refusal.retry_after_s).encode()),) if refusal.retryable else ()
        self.fields: dict[str, Any] = {"refusal": refusal_fields(refusal)}


def ask_of(said: Decide, holder: str, teams: tuple[str, ...] | None) -> Ask:
    """The Ask of a request. Raises InputError; 403 for a team that the key may not decide for."""
    envelope = _envelope(said)
    if teams is not None and envelope.get("team") not in teams:
        raise _not_yours(envelope.get("team", ""), teams)
    if not 0 <= said.input_tokens <= TOKENS_MAX or not 1 <= said.answers <= 1_000 or not 0 <= said.depth <= 1_000:
        raise InputError("input_tokens, answers and depth are whole numbers within reason", hint="0 to 1,000,000,000")
    if said.max_tokens is not None and not 0 <= said.max_tokens <= TOKENS_MAX:
        raise InputError(f"max_tokens cannot be {said.max_tokens}", hint="0 to 1,000,000,000, or left out")
    if said.counts:
        _check_counts(said.counts)
    call = None
    if said.model:
        call = Call(
            said.provider,
            said.model,
            said.step,
            said.input_tokens,
            said.max_tokens,
            said.answers,
            said.metered,
            said.can_clamp,
            said.can_swap,
        )
    return Ask(
        envelope,
        None if said.estimate_usd is None else amount_of(said.estimate_usd, "estimate_usd"),
        None if said.least_usd is None else amount_of(said.least_usd, "least_usd"),
        said.parent,
        said.counts or _ONE_STEP,
        said.depth,
        said.final,
        holder,
        ttl_of(said.ttl_s),
        call,
        said.chunk,
        said.id,
    )


def _check_counts(counts: Mapping[str, int]) -> None:
    for name, count in counts.items():
        if name not in COUNTED:
            raise InputError(f'nothing counts "{name}"', hint=nearest(name, COUNTED))
        if not 0 <= count <= TOKENS_MAX:
            raise InputError(f"{name} cannot be {count}", hint="a whole number from 0")


def _envelope(said: Decide) -> Mapping[str, str]:
    envelope = said.envelope
    if said.session:
        envelope["session"] = said.session
    for key, value in envelope.items():
        if key not in SCOPE_KEYS:
            raise InputError(f'an envelope has no "{key}"', hint=nearest(key, SCOPE_KEYS))
        if not value or len(value) > VALUE_CHARACTERS_MAX:
            raise InputError(f"{key} must be a text of 1 to {VALUE_CHARACTERS_MAX} characters", hint="or left out")
    return envelope


def amount_of(value: Amount, name: str) -> int:
    """Nano-units of an amount of 0 or more. Raises InputError."""
    try:
        nano = nano_of(value)
    except ValueError as error:
        raise InputError(f"{name}: {error}", hint='a decimal text like "0.0125"') from error
    if not 0 <= nano <= AMOUNT_NANO_MAX:
        raise InputError(f"{name} cannot be {value}", hint="0 to 1,000,000,000")
    return nano


def ttl_of(ttl_s: int) -> int:
    """Nanoseconds of a time to live. Raises InputError."""
    if not 1 <= ttl_s <= TTL_S_MAX:
        raise InputError(f"ttl_s cannot be {ttl_s}", hint=f"1 to {TTL_S_MAX} seconds; renew what takes longer")
    return ttl_s * 10**9


def may_touch(row: Held, teams: tuple[str, ...] | None) -> None:
    """Raises InputError (403) for a lease of a team that the key may not decide for."""
    if teams is not None and row.envelope.get("team") not in teams:
        raise _not_yours(row.envelope.get("team", ""), teams)


def _not_yours(team: str, teams: tuple[str, ...]) -> InputError:
    refused = InputError(
        f'this key may not decide for the team "{team}"' if team else "this key decides for its teams only",
        hint=f"its teams: {', '.join(teams)}",
    )
    refused.status = 403
    return refused


def grant_fields(grant: Grant) -> dict[str, Any]:
    """The answer to a decision that gave money. Raises BudgetRefusedError for one that did not."""
    if grant.refusal is not None:
        raise BudgetRefusedError(grant.refusal)
    amount, each = grant.amount_nano, grant.call_nano
    amount_usd = decimal_text(amount)
    told: dict[str, Any] = {
        "lease": grant.lease,
        "amount_usd": amount_usd,
        "expires_ns": grant.expires_ns,
        "max_tokens": grant.max_tokens,
        "model": grant.model,
        "chunk": grant.chunk,
        "call_usd": amount_usd if each == amount else decimal_text(each),
        "over": grant.over,
    }
    if grant.bound is not None:
        told["budget"], told["left_usd"] = grant.bound.budget.name, decimal_text(grant.bound.left_nano)
    if grant.stop is not None:
        told["stop"] = stop_fields(grant.stop)
    return told


def stop_fields(stop: Stop) -> dict[str, Any]:
    """A stop as a program is told of it."""
    return {"level": stop.level, "scope": dict(stop.scope), "reason": stop.reason, "by": stop.set_by}


def refusal_fields(refusal: Refusal) -> dict[str, Any]:
    """A refusal for a program: amounts as exact texts where money was short, whole numbers for everything else."""
    counted = ("asked", "limit", "spent", "held", "left")
    money = refusal.what == "usd"
    numbers = {name: getattr(refusal, name) for name in counted}
    return {
        "reason": refusal.reason,
        "budget": refusal.budget,
        "window": refusal.window,
        "what": refusal.what,
        **{name: decimal_text(value) if money else value for name, value in numbers.items()},
        "currency": refusal.currency,
        "resets": None if refusal.resets_ns is None else moment_of(refusal.resets_ns).isoformat(),
        "retryable": refusal.retryable,
        "retry_after_s": refusal.retry_after_s,
        "ask": refusal.ask,
        "said": refusal.said,
    }


def _next_step(refusal: Refusal) -> str:
    if refusal.retryable:
        return f"try again in {refusal.retry_after_s} s: money that is held may come back"
    if refusal.reason == "unpriced":
        return "outlay prices add, or let the budget allow what nobody knows the price of"
    when = "" if refusal.resets_ns is None else f"; it begins anew at {moment_of(refusal.resets_ns):%Y-%m-%d %H:%M} UTC"
    return f"ask {refusal.ask}{when}"


def list_reply(store: ControlStore, budget: str = "") -> Reply:
    """The leases that live, those that expire first on top; of one budget where it is named."""
    from outlay.control.budgets import list_budgets, named_budget

    wanted = named_budget(list_budgets(store), budget).id if budget else None
    now = time.time_ns()
    rows = [_row(row, now) for row in Leases(store).live(wanted, LISTED_MAX)]
    held = sum(nano_of(row["held"]) for row in rows)
    return reply({"budget": budget}, rows, {"leases": len(rows), "held": decimal_text(held)})


def return_reply(store: ControlStore, lease: str, actor: str) -> Reply:
    """Gives a lease back in its owner's place, with a line in the audit log. Raises LeaseError."""
    row = Leases(store).take_back(lease, actor)
    if row is None:
        raise LeaseError(f'the lease "{lease}" is over', hint="outlay leases list shows those that live")
    return reply({"lease": lease}, (), {"returned": decimal_text(row.free_nano)})


def _row(row: Mapping[str, Any], now_ns: int) -> dict[str, Any]:
    envelope = json.loads(row["envelope"])
    return {
        "lease": row["id"],
        "parent": row["parent"],
        "holder": row["holder"],
        "for": ", ".join(f"{key} {value}" for key, value in sorted(envelope.items())),
        "held": decimal_text(row["held_nano"]),
        "lent": decimal_text(row["lent_nano"]),
        "spent": decimal_text(row["settled_nano"]),
        "created": moment_of(row["created_ns"]).isoformat(timespec="seconds"),
        "expires_in_s": max(0, (row["expires_ns"] - now_ns) // 10**9),
    }
