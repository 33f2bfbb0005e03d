"""The till: this process's share of its budgets, so that most calls are decided in memory.

For calls that the same budgets bind the desk is asked for a chunk: one lease for several calls. A call holds a part of
it, and settles for what it cost; the rest stays in the chunk for the next one. Chunks get smaller as the money ends
(`core.deciding`), and then each call has a lease of its own. A chunk that nobody uses goes back after a moment.

What holds (budgets, stops, rates) is looked at again at most every half second, so a stop reaches a live chunk by then.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from outlay.core.budget import Refusal
from outlay.core.envelope import ENVELOPE_KEYS, UNTAGGED
from outlay.core.errors import LeaseError
from outlay.core.estimate import Estimate
from outlay.core.in_force import Bound, InForce
from outlay.core.lease import TTL_NS, Ask, Grant, refusal_of_stop
from outlay.core.rate import Rate
from outlay.sdk.chunks import Account, Chunk, Counts, Hold, Need, Pool
from outlay.sdk.desk import RENEWED, SETTLED, SPENT, Desk, Report, UnreachableError
from outlay.sdk.tags import say_once

if TYPE_CHECKING:
    from outlay.sdk.context import Run

LOOK_NS = 500_000_000
"""How old what holds may be."""

DOWN_NS = 1_000_000_000
"""How long nobody is asked again after nobody answered."""

ROOMY = 16
"""While so many times what a call held is free, nobody waits for what it gives back: it is told a moment later."""

USUAL_NS = 5_000_000_000
POOLS_MAX = 4_096
KNOWN_MAX = 4_096


class Till:
    """Decides and settles for one process; safe to share between threads."""

    def __init__(self, desk: Desk, *, ttl_ns: int = TTL_NS, clock: Callable[[], int] = time.time_ns) -> None:
        self.desk = desk
        self.counts = Counts()
        self.trouble = ""
        self.ttl_ns = ttl_ns
        self._clock = clock
        self.force: InForce | None = None  # None where nothing binds anybody
        self._seen: InForce | None = None
        self.live: set[Chunk] = set()
        self.owed: list[Report] = []
        self.samples: dict[str, list[int]] = {}
        self.wake: Callable[[], None] = _idle
        self.changed: Callable[[], None] = _idle
        self._look_ns = self._down_ns = 0
        self._looked = False
        self._first = threading.RLock()
        self._pools: OrderedDict[tuple[tuple[str, str], ...], Pool] = OrderedDict()
        self._accounts: dict[tuple[str, ...], Account] = {}
        self._rates: dict[tuple[str, str], Rate | None] = {}
        self._usual: dict[str, tuple[int, Estimate | None]] = {}
        self._lock = threading.Lock()
        self._asking = threading.Lock()
        self._holder = f"{os.uname().nodename if hasattr(os, 'uname') else 'process'}:{os.getpid()}"

    # ---- what holds ------------------------------------------------------------------------------------------------

    def account(self, run: Run) -> Account | None:
        """What binds a run; None where nothing does."""
        now = self._clock()
        if self.is_due(now):
            self.look(now)
        force = self.force
        if force is None:
            return None
        found: Account | None = run.account
        if found is None or found.force is not force or now >= found.until_ns:
            found = run.account = self._resolved(force, run, now)
        return found if found.pool is not None or found.stop is not None else None

    def is_due(self, now_ns: int) -> bool:
        """Whether somebody has to look at what holds."""
        return now_ns >= self._look_ns or not self._looked

    def look(self, now_ns: int, *, again: bool = False) -> None:
        """Looks whether what holds has changed. The first time everybody waits, later what was known is good enough."""
        if self._looked and not again:
            self._look_ns = now_ns + LOOK_NS
            self._look(now_ns)
            return
        with self._first:
            if not self._looked or again:
                self._look(now_ns)
                self._look_ns = now_ns + LOOK_NS
                self._looked = True

    def _look(self, now_ns: int) -> None:
        try:
            force = self.desk.in_force(self._seen)
        except UnreachableError as error:
            self._missed(error, now_ns)
            return
        self.trouble = ""
        if force is not self._seen:
            self._seen = force
            self.force = force if force is not None and (force.budgets or force.stops) else None
            self._rates.clear()
            self._usual.clear()
            self._pools.clear()
            self._accounts.clear()
            self.changed()

    def rate(self, provider: str, model: str) -> Rate | None:
        """What a model charges. Raises UnreachableError."""
        asked = (provider, model)
        if asked not in self._rates:
            if len(self._rates) >= KNOWN_MAX:
                self._rates.clear()
            self._rates[asked] = self.desk.rate(provider, model)
        return self._rates[asked]

    def usual(self, kind: str) -> Estimate | None:
        """What calls of a kind cost, as it was known a few seconds ago. Raises UnreachableError."""
        now = self._clock()
        known = self._usual.get(kind)
        if known is None or now >= known[0]:
            if len(self._usual) >= KNOWN_MAX:
                self._usual.clear()
            known = self._usual[kind] = (now + USUAL_NS, self.desk.usual(kind))
        return known[1]

    def _resolved(self, force: InForce, run: Run, now_ns: int) -> Account:
        """The same for every run of this envelope and session tree."""
        tags, session = run.envelope, run.root_session_id or run.session_id
        key = (*(getattr(tags, name) for name in ENVELOPE_KEYS), session)
        found = self._accounts.get(key)
        if found is None or found.force is not force or now_ns >= found.until_ns:
            if len(self._accounts) >= KNOWN_MAX:
                self._accounts.clear()
            found = self._accounts[key] = self._account_of(force, run, session, now_ns)
        return found

    def _account_of(self, force: InForce, run: Run, session: str, now_ns: int) -> Account:
        envelope = {key: value for key in ENVELOPE_KEYS if (value := getattr(run.envelope, key)) != UNTAGGED}
        if session:
            envelope["session"] = session
        bound = force.bound(envelope, now_ns)
        stop = force.hardest_stop(envelope, now_ns)
        until = min((each[3] for each in bound), default=now_ns + 3_600 * 10**9)
        until = until if stop is None else min(until, stop.until_ns)
        return Account(force, until, envelope, self._pool(force, envelope, bound) if bound else None, bound, stop)

    def _pool(self, force: InForce, envelope: Mapping[str, str], bound: Sequence[Bound]) -> Pool:
        """Runs share a pool where no budget or stop can tell them apart; costs are learned by feature."""
        keys = {"feature", *(key for budget in force.budgets for key in budget.scope)}
        keys |= {"session", *(key for stop in force.stops for key in stop.scope)} if force.stops else set()
        shared = tuple(sorted((key, value) for key, value in envelope.items() if key in keys))
        with self._lock:
            pool = self._pools.get(shared)
            if pool is None:
                hard = [each for each in bound if each[0].mode == "hard"]
                counted = any(each[0].caps for each in hard)
                closed = any(each[0].fail == "closed" for each in hard)
                pool = self._pools[shared] = Pool(dict(shared), counted, closed)
                while len(self._pools) > POOLS_MAX:
                    self._pools.popitem(last=False)
            return pool

    # ---- deciding --------------------------------------------------------------------------------------------------

    def hold(self, account: Account, need: Need) -> Hold | Refusal:
        """Money for a call, or why not. Never waits for money, only for the desk."""
        self.counts.asked += 1
        stop = account.stop
        if stop is not None and stop.level == "stop":
            return refusal_of_stop(stop)
        pool = account.pool
        if pool is None:
            return Hold(None, 0)
        if self._shares(account, pool, need):
            if need.quote.wanted_nano == 0 and need.call is not None:
                return Hold(None, 0)  # it is free
            held = self._from_chunk(pool, need)
            if held is not None:
                return held
        return self._from_desk(account, pool, need)

    @staticmethod
    def _shares(account: Account, pool: Pool, need: Need) -> bool:
        """Whether memory may answer: not where calls are counted, where a stop has to be weighed, or at the end."""
        weighed = account.stop is not None and account.stop.level != "warn"
        return not (pool.is_counted or weighed or need.final or need.parent)

    def _from_chunk(self, pool: Pool, need: Need) -> Hold | None:
        chunk = pool.chunk
        if chunk is None:
            return None
        now = self._clock()
        if now >= chunk.until_ns:
            return None
        with self._lock:
            free, left = chunk.free_nano, pool.left_nano
            fitted = need.quote.fit(None if left is None else left + free)
            if fitted is None or fitted[1] is not None or fitted[0] > free:
                return None
            chunk.free_nano = free - fitted[0]
            chunk.holds += 1
            chunk.used_ns = now
        return Hold(chunk, fitted[0], None, "", need.kind)

    def _from_desk(self, account: Account, pool: Pool, need: Need) -> Hold | Refusal:
        now = self._clock()
        if now < self._down_ns:
            return self.unasked(account)
        shares = self._shares(account, pool, need)
        ask = Ask(
            pool.envelope,
            need.amount_nano,
            need.least_nano,
            need.parent,
            need.counts,
            need.depth,
            need.final,
            self._holder,
            self.ttl_ns,
            need.call,
            shares,
            began_ns=need.began_ns,
        )
        with self._asking:
            if shares and (held := self._from_chunk(pool, need)) is not None:
                return held  # another thread was quicker
            try:
                grant = self._asked(ask, [self._taken_out(pool.chunk)] if shares and pool.chunk is not None else [])
                if grant.refusal is not None and (idle := self._take_idle()):
                    grant = self._asked(ask, idle)
            except UnreachableError as error:
                self._missed(error, now)
                return self.unasked(account)
            except LeaseError:  # the parent is over
                return self.unasked(account)
            if grant.refusal is not None:
                return grant.refusal
            return self._granted(account, pool, need, grant, shares=shares)

    def _asked(self, ask: Ask, reports: list[Report | None]) -> Grant:
        self.counts.statements += 1
        told = self._take_owed([each for each in reports if each is not None])
        try:
            return self.desk.decide(ask, told)
        except UnreachableError:
            self._owe(told)
            raise

    def _granted(self, account: Account, pool: Pool, need: Need, grant: Grant, *, shares: bool) -> Hold:
        now = self._clock()
        bound = grant.bound
        if bound is None:
            pool.left_nano = None
        else:
            kept = bound.limit_nano * bound.budget.reserve_percent // 100
            pool.left_nano = max(0, bound.left_nano - kept - grant.amount_nano)
        self.counts.soft_over += bool(grant.over)
        for name in grant.over:
            say_once(f'the budget "{name}" is exceeded; it is not hard, so work goes on')
        amount = grant.call_nano if grant.chunk else grant.amount_nano
        ends = account.until_ns
        until, renew = min(ends, grant.expires_ns), now + self.ttl_ns // 3
        chunk = Chunk(grant.lease, pool, grant.amount_nano - amount, until, not grant.chunk, ends, now, renew)
        chunk.holds = 1
        self.live.add(chunk)
        if grant.chunk and shares:
            pool.chunk = chunk
        self.wake()
        return Hold(chunk, amount, grant.max_tokens, grant.model, need.kind if grant.chunk else "")

    def more(self, hold: Hold, amount_nano: int) -> bool:
        """Holds more for a call that is under way, as much as this or nothing."""
        chunk = hold.chunk
        if chunk is None:
            return True
        with self._lock:
            if chunk.free_nano >= amount_nano:
                chunk.free_nano -= amount_nano
                hold.amount_nano += amount_nano
                return True
        with self._asking:
            if self._clock() < self._down_ns:
                return not chunk.pool.fails_closed
            self.counts.statements += 1
            try:
                grant = self.desk.draw(chunk.lease, amount_nano)
            except UnreachableError as error:
                self._missed(error, self._clock())
                return not chunk.pool.fails_closed
            except LeaseError:
                return False
        with self._lock:
            chunk.free_nano += grant.amount_nano
            if chunk.free_nano < amount_nano:
                return False
            chunk.free_nano -= amount_nano
            hold.amount_nano += amount_nano
            return True

    def settle(self, hold: Hold, cost_nano: int) -> None:
        """The call cost this much, more than it held or less."""
        chunk = hold.chunk
        if chunk is None:
            return
        with self._lock:
            chunk.holds -= 1
            chunk.spent_nano += cost_nano
            chunk.free_nano += hold.amount_nano - cost_nano
            if hold.kind and cost_nano > 0:
                self.samples.setdefault(hold.kind, []).append(cost_nano)
            over = not chunk.holds and (chunk.is_whole or chunk is not chunk.pool.chunk)
        if over and (report := self._taken_out(chunk)) is not None:
            left = chunk.pool.left_nano
            if left is None or left > ROOMY * hold.amount_nano:
                self._owe([report])  # told with the next question, or by the keeper in a moment
            else:
                self.report([report])

    # ---- what goes back --------------------------------------------------------------------------------------------

    def report(self, reports: list[Report]) -> bool:
        """Tells the desk what became of leases, and what was learned; what it cannot be told now is owed to it."""
        with self._lock:
            samples, self.samples = self.samples, {}
        told = self._take_owed(reports)
        if not told and not samples:
            return True
        if self._clock() < self._down_ns:
            self._owe(told)
            return False
        self.counts.statements += 1
        try:
            over = set(self.desk.report(told, samples))
        except UnreachableError as error:
            self._owe(told)
            self._missed(error, self._clock())
            return False
        if over:
            self._forget(over)
        return True

    def _take_owed(self, reports: list[Report]) -> list[Report]:
        """What has not been told yet, and this."""
        with self._lock:
            told, self.owed = [*self.owed, *reports], []
        return told

    def _owe(self, reports: list[Report]) -> None:
        with self._lock:
            self.owed = [*reports, *self.owed]
        self.wake()

    def _taken_out(self, chunk: Chunk) -> Report | None:
        """Nobody takes from this chunk any more; where nobody holds a part of it, it is over, and this is its end."""
        with self._lock:
            if chunk.pool.chunk is chunk:
                chunk.pool.chunk = None
            if chunk.holds or chunk not in self.live:
                return None
            self.live.discard(chunk)
        return Report(chunk.lease, SETTLED, max(0, chunk.spent_nano)) if chunk.lease else None

    def _take_idle(self) -> list[Report | None]:
        """Every chunk of this process that nobody holds a part of, so that what it parks can be given again."""
        return [report for chunk in list(self.live) if not chunk.holds and (report := self._taken_out(chunk))]

    def give_back(self) -> None:
        """Gives back what no call holds a part of, and tells what is owed. Calls under way keep what they hold."""
        self.report([report for report in self._take_idle() if report is not None])

    def idle(self, before_ns: int) -> list[Report]:
        """The same of those that nobody has used since then."""
        found = (self._taken_out(chunk) for chunk in list(self.live) if not chunk.holds and chunk.used_ns < before_ns)
        return [report for report in found if report is not None]

    def _forget(self, leases: set[str]) -> None:
        for chunk in [chunk for chunk in self.live if chunk.lease in leases]:
            with self._lock:
                self.live.discard(chunk)
                if chunk.pool.chunk is chunk:
                    chunk.pool.chunk = None

    def alive(self, now_ns: int, *, spent: bool) -> list[Report]:
        """What has to be said so that leases in use stay alive, and with `spent` what was spent of them so far."""
        reports: list[Report] = []
        with self._lock:
            for chunk in self.live:
                if chunk.lease and (now_ns >= chunk.renew_ns or (spent and chunk.spent_nano > 0)):
                    amount, chunk.spent_nano = chunk.spent_nano, 0
                    reports.append(Report(chunk.lease, SPENT if amount else RENEWED, amount))
                    chunk.renew_ns = now_ns + self.ttl_ns // 3
                    chunk.until_ns = min(chunk.ends_ns, now_ns + self.ttl_ns)
        return reports

    def learn(self, kind: str, cost_nano: int) -> None:
        """What a call of a kind was billed."""
        with self._lock:
            self.samples.setdefault(kind, []).append(cost_nano)

    def close(self) -> None:
        """Gives everything back that nobody spent."""
        reports: list[Report] = []
        for chunk in list(self.live):
            chunk.holds = 0
            if (report := self._taken_out(chunk)) is not None:
                reports.append(report)
        self._down_ns = 0
        self.report(reports)
        self.desk.tidy()
        self.desk.close()

    def after_fork(self) -> None:
        """A child has nothing of its parent's chunks, and says nothing about them."""
        for chunk in self.live:
            chunk.lease, chunk.pool.chunk = "", None
        self.live, self.owed, self.samples = set(), [], {}
        self._lock, self._asking, self._first = threading.Lock(), threading.Lock(), threading.RLock()

    # ---- nobody to ask ---------------------------------------------------------------------------------------------

    def _missed(self, error: UnreachableError, now_ns: int) -> None:
        self.trouble = error.message
        self._down_ns = now_ns + DOWN_NS
        say_once(f"budgets cannot be asked: {error.message}; each does as its `fail` says")

    def unasked(self, account: Account) -> Hold | Refusal:
        """What the budgets that bind it want to happen while nobody can be asked."""
        refusal = account.force.unasked(account.envelope, self._clock())
        if refusal is None:
            self.counts.failed_open += 1
            return Hold(None, 0)
        self.counts.failed_closed += 1
        return refusal


def _idle() -> None:
    """Nobody wants to know."""
