"""Guard: `with outlay.guard(team=…, estimate_usd=…) as lease:`, money set aside before work begins, by hand.

Model calls that are metered ask by themselves (`gatekeeper.py`); a guard is for what nothing meters, and for setting
aside the money of a whole block, so that it is refused before it begins and not in the middle.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from types import FrameType

from outlay.core.budget import Refusal
from outlay.core.errors import InputError
from outlay.core.estimate import kind_of
from outlay.core.money import nano_of
from outlay.core.quote import quote_amount
from outlay.sdk import attachment, caps, office
from outlay.sdk.block import Block
from outlay.sdk.chunks import Counts, Need
from outlay.sdk.context import Context, current, under
from outlay.sdk.exceeded import BudgetExceeded
from outlay.sdk.lease import Lease
from outlay.sdk.setup import ensure
from outlay.sdk.tags import envelope_of
from outlay.sdk.till import Till

WAIT_S = 2.0
"""How long a guard or a call waits for money that others hold and may give back."""

PAUSE_S = 0.02
PAUSE_MAX_S = 0.25
STEP = "guard"


class GuardBlock(Block[Lease]):
    """A guard, not yet begun: `with`, `async with`, or in front of a function."""

    __slots__ = (
        "_amount",
        "_context",
        "_estimate",
        "_final",
        "_lease",
        "_limit",
        "_made",
        "_process",
        "_steps",
        "_wait_s",
        "_words",
    )

    def __init__(
        self,
        words: Mapping[str, object],
        estimate: int | None,
        limit: int | None,
        steps: int,
        wait_s: float,
        *,
        final: bool,
    ) -> None:
        self._words = words
        self._estimate = estimate
        self._limit = limit
        self._steps = steps
        self._wait_s = wait_s
        self._final = final
        self._amount = 0
        self._process = 0
        self._lease: Lease | None = None
        self._context: Context | None = None
        self._made: attachment.Attachment | None = None

    def _again(self) -> GuardBlock:
        return GuardBlock(self._words, self._estimate, self._limit, self._steps, self._wait_s, final=self._final)

    def _open(self, caller: FrameType) -> Lease:
        refusal, until, pause = self._try(), time.monotonic() + self._wait_s, PAUSE_S
        while refusal is not None:
            if not refusal.retryable or time.monotonic() >= until:
                raise self._refused(refusal)
            time.sleep(pause)
            refusal, pause = self._try(), min(PAUSE_MAX_S, pause * 2)
        return self._begun(caller)

    async def __aenter__(self) -> Lease:
        caller = attachment.frame_at(1)
        refusal, until, pause = self._try(), time.monotonic() + self._wait_s, PAUSE_S
        while refusal is not None:
            if not refusal.retryable or time.monotonic() >= until:
                raise self._refused(refusal)
            await asyncio.sleep(pause)
            refusal, pause = self._try(), min(PAUSE_MAX_S, pause * 2)
        return self._begun(caller)

    def _try(self) -> Refusal | None:
        ensure()
        outer = current()
        if (refusal := caps.refused(outer.run)) is not None and not self._final:
            return refusal
        own = envelope_of({}, self._words) if self._words else None
        envelope = outer.run.envelope if own is None else own.inherit(outer.run.envelope)
        inside = under(outer, envelope, None)
        run = inside.run
        till = office.till()
        account = None if till is None else till.account(run)
        around = outer.run.lease if isinstance(outer.run.lease, Lease) else None
        if around is not None and (self._final or around.over or not around.covers(account)):
            around = None
        amount = self._estimate or 0
        if self._estimate is None and till is not None and account is not None:
            amount = self._learned(till, kind_of(account.envelope, "", STEP))
        counts = {"steps": self._steps} if self._steps else {}
        need = Need(quote_amount(amount, None), None, amount, counts=counts, final=self._final, began_ns=run.began_ns)
        lease = Lease(till, account, around, self._limit, final=self._final)
        lease.kind = kind_of(account.envelope, "", STEP) if account is not None and not self._final else ""
        refusal = lease.open(amount, need)
        if refusal is None:
            run.lease = lease
            self._lease = lease
            self._context = inside
        elif till is not None:
            till.counts.waited += refusal.retryable
        return refusal

    @staticmethod
    def _learned(till: Till, kind: str) -> int:
        try:
            usual = till.usual(kind)
        except Exception:  # noqa: BLE001 - the budgets say by themselves what happens while nobody can be asked
            return 0
        return 0 if usual is None else usual.usual_nano

    @staticmethod
    def _refused(refusal: Refusal) -> BudgetExceeded:
        till = office.till()
        if till is not None:
            till.counts.refused += 1
        return BudgetExceeded(refusal)

    def _begun(self, caller: FrameType) -> Lease:
        assert self._lease is not None and self._context is not None  # noqa: PT018 - one thought
        self._made, self._process = attachment.attach(self._context, caller), os.getpid()
        return self._lease

    def _shut(self, error: BaseException | None) -> None:
        made, lease = self._made, self._lease
        if made is None or lease is None:
            return
        self._made = self._lease = None
        attachment.detach(made)
        made.here.run.ended = True
        if self._process != os.getpid():
            return  # a child process leaves the block too: the money is its parent's
        lease.settle()
        found = BudgetExceeded.of(error)
        if found is not None and found is not error:
            raise found from error


def guard(
    *,
    estimate_usd: Decimal | float | str | None = None,
    max_usd: Decimal | float | str | None = None,
    steps: int | None = None,
    final: bool = False,
    wait_s: float = WAIT_S,
    team: str | None = None,
    feature: str | None = None,
    **words: object,
) -> GuardBlock:
    """Sets money aside for a block, over every budget that binds it; raises BudgetExceeded where there is none.

    `estimate_usd` is what the block will cost, as far as anybody knows: it is set aside at once and grows with what
    happens inside; left out, it is what such blocks cost before. `max_usd` is where it may not go. `steps` is for how
    many calls it counts (1 with an estimate). `final` may use what is kept for a clean end. `wait_s` is how long it
    waits for money that is held elsewhere. Words of the envelope are inherited from the session around it.

    Settle it with what it cost (`lease.settle(amount_usd=…)`). Left without, it cost what was metered inside, and the
    rest goes back; so it does when an exception leaves it. Inside another guard it draws on that one's money.
    """
    said = {**words, "team": team, "feature": feature}
    said = {key: value for key, value in said.items() if value is not None}
    estimate, limit = _amount("estimate_usd", estimate_usd), _amount("max_usd", max_usd)
    counted = steps if steps is not None else int(estimate is not None)
    if counted < 0:
        raise InputError(f"steps is {counted}", hint="0 or more")
    return GuardBlock(said, estimate, limit, counted, wait_s, final=final)


def wrap_up() -> GuardBlock:
    """A block in which an agent that was refused may end its work: `with outlay.wrap_up(): …`.

    Its calls may use the reserve of the budgets (5 % unless they say otherwise), and the first few are counted by no
    cap. A stop refuses them too.
    """
    return GuardBlock({}, 0, None, 0, WAIT_S, final=True)


def guard_status() -> Counts:
    """What budgets were asked and answered in this process so far."""
    till = office.till()
    return Counts() if till is None else replace(till.counts)


def _amount(name: str, value: Decimal | float | str | None) -> int | None:
    if value is None:
        return None
    try:
        nano = nano_of(value)
    except ValueError as error:
        raise InputError(f"{name}: {error}", hint="US dollars, like 0.05") from error
    if nano < 0:
        raise InputError(f"{name} is less than 0: {value}", hint="US dollars, like 0.05")
    return nano
