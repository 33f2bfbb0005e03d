"""Leasing: money set aside before work starts, decided over every budget that binds the call, all or none.

The statements stand in `core`, once, for the SDK (which has the standard library's sqlite3) and for the control store
(which has SQLAlchemy on SQLite or PostgreSQL): both hand in `run`, which executes one statement with `?` parameters
inside a writing transaction of theirs and returns its rows. Nothing here grows with what was spent: a decision touches
the balances of the budgets that bind it, by key.

    force = book.in_force(force)        what holds now, read again only where it changed
    grant = book.decide(force, ask, now_ns)
    book.settle(grant.lease, amount_nano, now_ns)
"""

from __future__ import annotations

from collections.abc import Sequence

from outlay.core.balance import Balances, Change
from outlay.core.budget import Budget, Standing
from outlay.core.deciding import Deciding
from outlay.core.errors import LeaseError
from outlay.core.estimate import Estimate, Estimates
from outlay.core.in_force import InForce, read_in_force
from outlay.core.lease import TTL_NS, Ask, Grant, Held
from outlay.core.rate import Rate, Rates, Run
from outlay.core.shelf import Shelf
from outlay.core.stop import Stop

LOCK = " FOR UPDATE"
"""What makes a reader hold a row, where the engine has such locks."""

SWEPT_MAX = 100
"""Leases of dead owners that are brought home before one decision."""


class Book:
    """The leases and balances of one store, within one writing transaction."""

    def __init__(
        self,
        run: Run,
        *,
        locks: bool = False,
        balances: Balances | None = None,
        estimates: Estimates | None = None,
        leases: Shelf | None = None,
    ) -> None:
        lock = LOCK if locks else ""
        self._run = run
        self._balances = Balances(run, lock) if balances is None else balances
        self._leases = Shelf(run, lock) if leases is None else leases
        self._estimates = Estimates(run, lock) if estimates is None else estimates
        self._rates = Rates(run)
        self._deciding: Deciding | None = None

    # ---- what holds ------------------------------------------------------------------------------------------------

    def in_force(self, known: InForce | None = None) -> InForce:
        """The budgets and stops that hold now; `known` itself while nothing changed."""
        return read_in_force(self._run, known)

    def version(self) -> int:
        """Counts up with every change of a budget."""
        return int(self._run("SELECT number FROM counters WHERE name = 'budgets'", ())[0][0])

    def budgets(self) -> tuple[Budget, ...]:
        """The budgets in force."""
        return self.in_force().budgets

    def stops(self, now_ns: int) -> tuple[Stop, ...]:
        """The stops in force at a moment."""
        return tuple(stop for stop in self.in_force().stops if now_ns < stop.until_ns)

    def rate(self, provider: str, model: str) -> Rate | None:
        """The rate of a model; None where nobody knows it."""
        return self._rates.find(provider, model)

    def estimate(self, kind: str) -> Estimate | None:
        """What calls of a kind cost; None while too few are known. See `estimate.kind_of`."""
        return self._estimates.find(kind)

    def estimate_nano(self, kind: str) -> int | None:
        """What a call of a kind usually costs at most, for 19 of 20; None while too few are known."""
        found = self._estimates.find(kind)
        return None if found is None else found.usual_nano

    def learn(self, kind: str, amounts_nano: int | Sequence[int], now_ns: int) -> None:
        """Takes over what calls of a kind were billed. Settling a lease for one call does so by itself."""
        self._estimates.learn(kind, [amounts_nano] if isinstance(amounts_nano, int) else amounts_nano, now_ns)

    def standing(self, budget: Budget, part: str, version: int, now_ns: int) -> Standing:
        """How one balance of a budget stands."""
        return self._balances.nodes([(budget, part, *budget.calendar.window(now_ns))], version, now_ns)[0].standing

    def lease(self, lease: str) -> Held:
        """A lease as it stands. Raises LeaseError if there never was one."""
        return self._leases.find(lease)

    # ---- orders ----------------------------------------------------------------------------------------------------

    def decide(self, force: InForce, ask: Ask, now_ns: int) -> Grant:
        """Gives a lease or says why not; a refusal moves no money. Raises LeaseError for a parent there never was."""
        return self._decides(force).decide(ask, now_ns)

    def draw(self, force: InForce, lease: str, amount_nano: int, now_ns: int) -> Grant:
        """More money for a lease that lives: as much as is free, up to this amount, or the refusal."""
        return self._decides(force).draw(self._leases.live(lease), amount_nano, now_ns)

    def _decides(self, force: InForce) -> Deciding:
        deciding = self._deciding
        if deciding is None or deciding.force is not force:
            deciding = Deciding(force, self._balances, self._leases, self._estimates, self._rates)
            self._deciding = deciding
        return deciding

    def settle(self, lease: str, amount_nano: int, now_ns: int) -> bool:
        """The work is over and cost this much, more than was held or less; False if it was settled before.

        A lease that had expired is settled all the same. Raises LeaseError if there never was one.
        """
        row = self._leases.find(lease)
        closed = self._close(row, amount_nano, "settled", now_ns)
        if closed and row.kind and not row.chunk:
            self._estimates.learn(row.kind, [row.settled_nano + amount_nano], now_ns)
        return closed

    def give_back(self, lease: str, now_ns: int) -> bool:
        """Nothing more was spent; False if the lease was over before. Raises LeaseError if there never was one."""
        return self._close(self._leases.find(lease), 0, "returned", now_ns)

    def spend(
        self, lease: str, amount_nano: int, now_ns: int, ttl_ns: int = TTL_NS, force: InForce | None = None
    ) -> Stop | None:
        """Part of a lease was spent and the rest is still held; its owner is alive. Raises LeaseError.

        Answers the stop that its owner has come under, where `force` is given.
        """
        row = self._leases.live(lease)
        self._check_amount(amount_nano)
        taken = min(amount_nano, row.free_nano)
        self._move(row, Change(-taken, amount_nano, 0, amount_nano - taken))
        self._leases.spend(lease, taken, amount_nano, now_ns + ttl_ns)
        return None if force is None else force.hardest_stop(row.envelope, now_ns)

    def renew(self, lease: str, now_ns: int, ttl_ns: int = TTL_NS, force: InForce | None = None) -> Stop | None:
        """The owner is alive. Raises LeaseError when the lease is over. Answers as `spend` does."""
        row = self._leases.live(lease)
        self._leases.renew(lease, now_ns + ttl_ns)
        return None if force is None else force.hardest_stop(row.envelope, now_ns)

    def sweep(self, now_ns: int) -> bool:
        """Brings home one lease whose owner died: what it held is presumed spent. False if there was none.

        One in a transaction, so that two who sweep cannot wait for each other.
        """
        found = self._leases.first_dead(now_ns)
        if found is None:
            return False
        row = self._leases.find(found)
        if row.state == "live" and row.expires_ns <= now_ns:  # nobody was quicker
            free = row.free_nano
            self._move(row, Change(-free, 0, free))
            self._leases.expire(row.id, free, now_ns)
        return True

    # ---- money that moves ------------------------------------------------------------------------------------------

    def _close(self, row: Held, amount_nano: int, state: str, now_ns: int) -> bool:
        self._check_amount(amount_nano)
        if row.state in {"settled", "returned"}:
            return False
        if row.state == "expired":
            self._settle_late(row, amount_nano)
        else:
            free = row.free_nano  # what sub-agents hold stays held until they are done
            self._move(row, Change(-free, amount_nano, 0, max(0, amount_nano - free)))
        self._leases.close(row.id, state, amount_nano, now_ns)
        return True

    def _move(self, row: Held, change: Change) -> None:
        """Changes the balances of a lease and of those above it; what it no longer holds, its parent no longer lends.

        A sub-agent's money is the parent's, so what it did not spend goes back to the nearest parent that lives.
        """
        rest = -change.held_nano - change.spent_nano - change.presumed_nano
        self._spread(row.own, change)
        lent, above = change.held_nano, row.parent
        while above:
            parent = self._leases.find(above)
            gone = lent
            if rest > 0 and parent.state == "live":
                gone, rest = lent + rest, 0
            if lent or gone:
                self._leases.lend(above, lent, gone)
            self._spread(parent.own, Change(gone, change.spent_nano, change.presumed_nano, change.beyond_nano))
            lent, above = gone, parent.parent

    def _spread(self, keys: Sequence[str], change: Change) -> None:
        for key in sorted(keys):
            self._balances.change(key, change)

    def _settle_late(self, row: Held, amount_nano: int) -> None:
        above: Held | None = row
        while above is not None:
            for key in sorted(above.own):
                self._balances.settle_late(key, amount_nano, row.presumed_nano, row.closed_ns)
            above = self._leases.find(above.parent) if above.parent else None

    @staticmethod
    def _check_amount(amount_nano: int) -> None:
        if amount_nano < 0:
            raise LeaseError("what was spent cannot be less than 0", hint="a credit is a correction of the books")
