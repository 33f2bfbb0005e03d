"""The gatekeeper: budgets on the path of every metered call, without a line in the agent.

Before a call it holds what such calls cost, or the worst case; lowers the ceiling, takes a cheaper model, waits a
moment, or refuses. While an answer streams it holds more, or cuts it. Afterwards it settles for what was recorded.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from outlay.core.budget import Refusal
from outlay.core.estimate import Estimate, kind_of
from outlay.core.money import nano_of
from outlay.core.quote import Call, Quote, quote_call
from outlay.core.rate import PER_TOKENS, Rate
from outlay.sdk import caps
from outlay.sdk.chunks import Account, Hold, Need
from outlay.sdk.desk import UnreachableError
from outlay.sdk.exceeded import BudgetExceeded
from outlay.sdk.gate import PendingCall
from outlay.sdk.guard import PAUSE_MAX_S, PAUSE_S, WAIT_S
from outlay.sdk.lease import FINAL_CALLS_MAX, Lease
from outlay.sdk.step import Step
from outlay.sdk.till import Till

ONE_STEP = {"steps": 1}
SHORT_TOKENS = 2_000
"""Of a shorter request each byte may be a token, in the worst case; a longer one is estimated half too low at most."""

AHEAD = 8
"""A stream that needs more than it holds asks for one part in this many of it at once, so that it asks seldom."""

_NEVER_SENT = frozenset({"connection"})
_HUNG_UP = frozenset({"cancelled", "timeout"})
_WITHOUT_OUTPUT = frozenset({"embeddings", "rerank", "retrieval"})


@dataclass(slots=True, eq=False)
class _Held:
    """What a call holds: of the till, or `lent_nano` of the lease around it. `usual_nano` is what such calls cost."""

    account: Account | None
    hold: Hold | None
    lease: Lease | None
    lent_nano: int
    rate: Rate | None
    kind: str
    input_tokens: int
    usual_nano: int | None = None

    @property
    def amount_nano(self) -> int:
        """How much."""
        return self.lent_nano + (self.hold.amount_nano if self.hold is not None else 0)


class BudgetGate:
    """See `gate.Gate`."""

    def __init__(self, till: Till) -> None:
        self._till = till
        self._key = id(self)

    # ---- before ----------------------------------------------------------------------------------------------------

    def before(self, call: PendingCall) -> None:
        """Holds money, or raises BudgetExceeded."""
        refusal, until, pause = self._try(call), 0.0, PAUSE_S
        while refusal is not None:
            until = until or time.monotonic() + WAIT_S
            if not refusal.retryable or time.monotonic() >= until:
                raise self._refused(refusal)
            self._till.counts.waited += 1
            time.sleep(pause)
            refusal, pause = self._try(call), min(PAUSE_MAX_S, pause * 2)

    async def before_async(self, call: PendingCall) -> None:
        """The same, waiting without blocking the loop."""
        refusal, until, pause = self._try(call), 0.0, PAUSE_S
        while refusal is not None:
            until = until or time.monotonic() + WAIT_S
            if not refusal.retryable or time.monotonic() >= until:
                raise self._refused(refusal)
            self._till.counts.waited += 1
            await asyncio.sleep(pause)
            refusal, pause = self._try(call), min(PAUSE_MAX_S, pause * 2)

    def _refused(self, refusal: Refusal) -> BudgetExceeded:
        self._till.counts.refused += 1
        return BudgetExceeded(refusal)

    def _try(self, call: PendingCall) -> Refusal | None:
        till, run = self._till, call.context.run
        account = till.account(run)
        if (refused := caps.refused(run)) is not None:
            return refused
        lease: Lease | None = run.lease
        if account is None and lease is None:
            return None
        try:
            held = self._draw(call, account, lease)
        except UnreachableError:  # nobody says what it costs
            held = till.unasked(account) if account is not None else Hold(None, 0)
        if isinstance(held, Refusal):
            return held
        if isinstance(held, Hold):
            held = _Held(account, held, None, 0, None, "", call.input_tokens_estimate)
        call.held[self._key] = held
        return None

    def _draw(self, call: PendingCall, account: Account | None, lease: Lease | None) -> _Held | Refusal:
        """Holds what the call needs, of whatever there is to draw on."""
        kind, usual = self._known(call, call.model, account)
        asked = _call_of(call, usual)
        rate = self._till.rate(asked.provider, asked.model)
        quote = quote_call(asked, asked.model, rate, usual, None)
        counts, final = ONE_STEP, False
        if lease is not None and lease.final:
            final, lease.calls = True, lease.calls + 1
            counts = {} if lease.calls <= FINAL_CALLS_MAX else ONE_STEP
        depth = caps.depth(call.context) if account is not None and account.pool and account.pool.is_counted else 0
        need = Need(quote, asked, None, None, counts, depth, final, kind, began_ns=call.context.run.began_ns)
        if lease is not None and not final and not lease.over and lease.covers(account):
            held = self._from_lease(call, account, lease, need, rate)
            if isinstance(held, _Held) and usual is not None:
                held.usual_nano = usual.usual_nano
            return held
        if account is None:
            return _Held(None, None, None, 0, rate, kind, asked.input_tokens)
        hold = self._till.hold(account, need)
        if isinstance(hold, Refusal):
            return hold
        if hold.model and call.swap(hold.model):
            self._till.counts.swapped += 1
            kind, usual = self._known(call, hold.model, account)
            rate = self._till.rate(call.provider, hold.model)
            hold.kind = hold.kind and kind
        if hold.max_tokens is not None and call.clamp(hold.max_tokens):
            self._till.counts.clamped += 1
        known = None if usual is None else usual.usual_nano
        return _Held(account, hold, lease, 0, rate, kind, call.input_tokens_estimate, known)

    def _from_lease(
        self, call: PendingCall, account: Account | None, lease: Lease, need: Need, rate: Rate | None
    ) -> _Held | Refusal:
        """Of the money that is set aside around the call; what is counted is counted all the same."""
        hold: Hold | None = None
        quote = need.quote
        if account is not None:
            if quote.wanted_nano is None or account.stop is not None or (account.pool and account.pool.is_counted):
                unit = Quote(None, "", None, None if quote.wanted_nano is None else 0)
                asked = Need(unit, None, unit.wanted_nano, None, need.counts, need.depth, began_ns=need.began_ns)
                counted = self._till.hold(account, asked)
                if isinstance(counted, Refusal):
                    return counted
                self._till.settle(counted, 0)
            hold = Hold(None, 0)
        wanted = quote.wanted_nano or 0
        refusal: Refusal | None = lease.full(wanted)
        fitted: tuple[int, int | None] | None = None
        for limit in (lease.room_nano(), lease.free_nano):  # with more than is set aside, else with what is
            fitted = (wanted, None) if limit is None else quote.fit(limit)
            if fitted is not None and (refusal := lease.lend(fitted[0])) is None:
                break
        if refusal is not None or fitted is None:
            return refusal or lease.full(wanted)
        if fitted[1] is not None and call.clamp(fitted[1]):
            self._till.counts.clamped += 1
        return _Held(account, hold, lease, fitted[0], rate, need.kind, call.input_tokens_estimate)

    def _known(self, call: PendingCall, model: str, account: Account | None) -> tuple[str, Estimate | None]:
        envelope = {} if account is None else account.envelope
        kind = kind_of(envelope, model, call.context.purpose or call.operation)
        return kind, self._till.usual(kind)

    # ---- while it streams ------------------------------------------------------------------------------------------

    def on_chunk(self, call: PendingCall, output_tokens: int) -> bool:
        """False once the answer costs more than there is, or its run is stopped."""
        held: _Held | None = call.held.get(self._key)
        if held is None:
            return True
        account = self._till.account(call.context.run)
        if account is not None and account.stop is not None and account.stop.level == "stop":
            return self._cut()
        if held.rate is None or held.rate.free:
            return True
        cost = held.rate.worst_nano(held.input_tokens, output_tokens)
        missing = cost - held.amount_nano
        if missing <= 0 or self._more(held, missing + held.amount_nano // AHEAD) or self._more(held, missing):
            return True
        return self._cut()

    def _cut(self) -> bool:
        self._till.counts.cut += 1
        return False

    def _more(self, held: _Held, amount_nano: int) -> bool:
        if held.lent_nano or held.hold is None:
            if held.lease is None or held.lease.lend(amount_nano) is None:
                held.lent_nano += amount_nano
                return True
            return False
        return self._till.more(held.hold, amount_nano)

    # ---- afterwards ------------------------------------------------------------------------------------------------

    def settle(self, call: PendingCall, steps: Sequence[Step]) -> None:
        """Settles for what was recorded of the call; nothing recorded, nothing was sent."""
        held: _Held | None = call.held.pop(self._key, None)
        if held is None:
            return
        cost = sum(self._cost_of(step, held) for step in steps)
        answered = any(step.tokens for step in steps)
        if held.lent_nano or (held.lease is not None and held.hold is None):
            assert held.lease is not None  # lent by whom
            held.lease.paid(held.lent_nano, cost)
            if answered and held.kind and cost:
                self._till.learn(held.kind, cost)
            return
        if held.lease is not None:
            held.lease.paid_elsewhere(cost)
        if held.hold is not None:
            if not answered:
                held.hold.kind = ""  # what was cut off teaches nothing
            self._till.settle(held.hold, cost)

    def _cost_of(self, step: Step, held: _Held) -> int:
        """What one recorded step cost, in nano-units: what it says itself, else by the rate of its model."""
        if step.cost is not None and step.currency in {"", "USD"}:
            return nano_of(step.cost)
        if not step.http_status and step.error_type in _HUNG_UP:
            return held.usual_nano or held.amount_nano  # it was sent, and is made and billed all the same
        if not step.tokens:
            unknown = step.http_status < 300 and step.error_type not in _NEVER_SENT
            return held.amount_nano if unknown and not step.units else 0
        rate = self._rate_of(step, held)
        if rate is None:
            return held.amount_nano
        tokens = step.tokens
        written = tokens.get("cache_write_tokens") or (
            tokens.get("cache_write_5m_tokens", 0) + tokens.get("cache_write_1h_tokens", 0)
        )
        plain = tokens.get("input_tokens", 0) - written
        if rate.long_from_tokens and tokens.get("input_tokens", 0) > rate.long_from_tokens:
            return rate.worst_nano(tokens.get("input_tokens", 0), tokens.get("output_tokens", 0))
        nano_per_mtok = (
            plain * rate.input_nano_per_mtok
            + written * rate.dearest_input_nano_per_mtok
            + tokens.get("output_tokens", 0) * rate.output_nano_per_mtok
        )
        return rate.call_nano - (-nano_per_mtok // PER_TOKENS)

    def _rate_of(self, step: Step, held: _Held) -> Rate | None:
        """The rate of the model that served the step; the one that was asked for where nobody knows it."""
        try:
            served = self._till.rate(step.provider, step.model_served) if step.model_served else None
            return served or self._till.rate(step.provider, step.model_requested) or held.rate
        except UnreachableError:
            return held.rate


def _call_of(call: PendingCall, usual: Estimate | None) -> Call:
    """The call as a quote needs it. Without history each byte of a short request may be a token."""
    tokens = call.input_tokens_estimate
    if usual is None:
        tokens = tokens * 4 if tokens <= SHORT_TOKENS else max(SHORT_TOKENS * 4, tokens * 3 // 2)
    silent = call.operation in _WITHOUT_OUTPUT
    return Call(
        call.provider,
        call.model,
        call.context.purpose or call.operation,
        tokens,
        0 if silent else call.max_tokens,
        call.answers,
        metered=call.stream,
        can_clamp=call.can_clamp and not silent,
        can_swap=call.can_swap,
    )
