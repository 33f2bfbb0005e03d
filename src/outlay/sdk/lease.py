"""Lease: money set aside for a block of work, from which the calls and the sub-agents inside it draw.

What it draws on is the till, or the lease around it. A block that needs more than was thought gets more as long as the
budgets have some; `limit_nano` is where it may not go beyond.
"""

from __future__ import annotations

import threading
from decimal import Decimal

from outlay.core.budget import Refusal
from outlay.core.money import NANO, nano_of
from outlay.core.quote import quote_amount
from outlay.sdk.chunks import Account, Hold, Need
from outlay.sdk.till import Till

USD = Decimal(NANO)

FINAL_CALLS_MAX = 3
"""Calls of a wrap-up that no cap counts."""


class Lease:
    """Money for a block: what is left of it, what was spent, and how to say what it cost.

    `metered` amounts are those of calls that Outlay saw inside the block. `final` may use the reserve.
    """

    def __init__(
        self, till: Till | None, account: Account | None, outer: Lease | None, limit_nano: int | None, *, final: bool
    ) -> None:
        self.final = final
        self.calls = 0
        self.kind = ""  # what the cost of the whole is learned under
        self.over = False
        self._till = till
        self._account = account
        self._outer = outer
        self._limit_nano = limit_nano
        self._holds: list[Hold] = []
        self._held_nano = self._lent_nano = self._spent_nano = self._elsewhere_nano = 0
        self._lock = threading.RLock()

    # ---- what the application sees ---------------------------------------------------------------------------------

    @property
    def amount_usd(self) -> Decimal:
        """What is set aside at present, spent or not."""
        return Decimal(self._held_nano) / USD

    @property
    def spent_usd(self) -> Decimal:
        """What was metered inside so far."""
        return Decimal(self._spent_nano + self._elsewhere_nano) / USD

    @property
    def left_usd(self) -> Decimal:
        """What is set aside and neither spent nor held by a call that is under way."""
        return Decimal(max(0, self.free_nano)) / USD

    def settle(self, amount_usd: Decimal | float | str | None = None) -> bool:
        """The work is over and cost this much, all of it; what was metered inside is part of it, and counts if more.

        More than was set aside counts in full. False if it was settled, or given back, before. Raises ValueError for
        what is no amount.
        """
        said = 0 if amount_usd is None else nano_of(amount_usd)
        if said < 0:
            raise ValueError(f"what was spent cannot be less than 0: {amount_usd}")
        with self._lock:
            if self.over:
                return False
            self.over = True
            cost = max(self._spent_nano, said - self._elsewhere_nano)
        self._pay(cost)
        if self._till is not None and self.kind and cost:
            self._till.learn(self.kind, cost + self._elsewhere_nano)
        return True

    # ---- what those inside draw ------------------------------------------------------------------------------------

    @property
    def free_nano(self) -> int:
        """What nobody inside has spent or holds."""
        return self._held_nano - self._lent_nano - self._spent_nano

    def covers(self, account: Account | None) -> bool:
        """Whether every budget that binds somebody inside binds this lease too: then its money is theirs."""
        if account is None or account.pool is None:
            return True
        own = [] if self._account is None else [(each[0].id, each[1]) for each in self._account.bound]
        return all((each[0].id, each[1]) in own for each in account.bound)

    def open(self, amount_nano: int, need: Need) -> Refusal | None:
        """Sets the first amount aside; why not, if not."""
        if self._limit_nano is not None:
            amount_nano = min(amount_nano, self._limit_nano)
        if self._outer is not None:
            refusal = self._outer.lend(amount_nano)
            if refusal is None:
                self._held_nano = amount_nano
            return refusal
        if self._till is None or self._account is None:
            self._held_nano = amount_nano
            return None
        held = self._till.hold(self._account, need)
        if isinstance(held, Refusal):
            return held
        self._holds.append(held)
        self._held_nano = held.amount_nano if held.chunk is not None else amount_nano
        return None

    def lend(self, amount_nano: int) -> Refusal | None:
        """Gives a part to somebody inside, and sets more aside where there is not enough."""
        with self._lock:
            missing = amount_nano - self.free_nano
            if missing > 0 and (refusal := self._grow(missing, amount_nano)) is not None:
                return refusal
            self._lent_nano += amount_nano
            return None

    def paid(self, lent_nano: int, cost_nano: int) -> None:
        """Somebody inside is done with what was lent, and spent this much."""
        with self._lock:
            self._lent_nano -= lent_nano
            self._spent_nano += cost_nano
            late = self.over
        if late and cost_nano:  # a call that outlived the block it began in
            self._pay(cost_nano)

    def paid_elsewhere(self, cost_nano: int) -> None:
        """Something inside was paid from money of its own."""
        with self._lock:
            self._elsewhere_nano += cost_nano

    def room_nano(self) -> int | None:
        """What those inside may still get without anybody being asked; None for no limit known."""
        if self._limit_nano is None:
            return None
        return self._limit_nano - self._lent_nano - self._spent_nano - self._elsewhere_nano

    def _grow(self, missing_nano: int, asked_nano: int) -> Refusal | None:
        room = self.room_nano()
        if room is not None and room < asked_nano:
            return self.full(asked_nano)
        if self._outer is not None:
            refusal = self._outer.lend(missing_nano)
        elif self._till is None or self._account is None:
            refusal = None
        elif self._holds and self._holds[0].chunk is not None:
            refusal = None if self._till.more(self._holds[0], missing_nano) else self._again(missing_nano)
        else:
            refusal = self._again(missing_nano)
        if refusal is None:
            self._held_nano += missing_nano
        return refusal

    def _again(self, amount_nano: int) -> Refusal | None:
        """Another hold, or why not."""
        assert self._till is not None and self._account is not None  # noqa: PT018 - one thought
        need = Need(quote_amount(amount_nano, None), None, amount_nano, final=self.final)
        held = self._till.hold(self._account, need)
        if isinstance(held, Refusal):
            return held
        self._holds.append(held)
        return None

    def full(self, asked_nano: int) -> Refusal:
        """Why it goes no further."""
        limit = self._limit_nano or 0
        spent = self._spent_nano + self._elsewhere_nano
        return Refusal(
            "budget",
            "max_usd of the guard",
            "",
            "usd",
            asked_nano,
            limit,
            spent,
            self._lent_nano,
            limit - spent - self._lent_nano,
            None,
            retryable=self._lent_nano > 0,
            retry_after_s=int(self._lent_nano > 0),
            ask="whoever wrote the guard",
        )

    def _pay(self, cost_nano: int) -> None:
        """Settles what is held, in the order in which it was taken; what was more than that goes with the last."""
        if self._outer is not None:
            held, self._held_nano = self._held_nano, 0
            self._outer.paid(held, cost_nano)
            return
        till, account = self._till, self._account
        if till is None or account is None:
            return
        holds, self._holds = self._holds, []
        if not holds and cost_nano:  # nothing had been set aside: it is written down all the same
            more = till.hold(account, Need(quote_amount(0, 0), None, 0, final=True))
            holds = [] if isinstance(more, Refusal) else [more]
        holds = [hold for hold in holds if hold.chunk is not None]
        for number, hold in enumerate(holds, 1):
            part = cost_nano if number == len(holds) else min(cost_nano, hold.amount_nano)
            cost_nano -= part
            till.settle(hold, part)
