"""Deciding: one answer over every budget that binds a call, the lease above it, and the stops that hold.

In this order: a stop refuses; a cap that is not money refuses; a price nobody knows is refused where a hard budget says
so; the money is taken where it is free; a ceiling is lowered to what is left; a cheaper model takes the place where the
budget's ladder has one; a short wait is advised where money is held that may come back; else it is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from outlay.core.balance import COUNTED, Balances, Change, Node, whose
from outlay.core.budget import CAPS, Refusal
from outlay.core.errors import LeaseError
from outlay.core.estimate import Estimates, kind_of
from outlay.core.in_force import InForce
from outlay.core.lease import (
    CHUNK_CALLS,
    CHUNK_SHARE,
    Ask,
    Grant,
    Held,
    refusal_of,
    refusal_of_parent,
    refusal_of_stop,
)
from outlay.core.quote import Quote, quote_amount, quote_call
from outlay.core.rate import Rates
from outlay.core.shelf import Shelf, name_of
from outlay.core.stop import Stop


class Scene:
    """What a decision is about: the balances that bind it, those it must hold money of itself, and the lease above.

    `tightest` is the hard balance with the least left, `free_nano` what may be given; None where nothing limits it.
    """

    __slots__ = ("free_nano", "nodes", "own", "parent", "tightest")

    def __init__(self, nodes: Sequence[Node], own: Sequence[Node], parent: Held | None, *, final: bool) -> None:
        self.nodes, self.own, self.parent = nodes, own, parent
        self.tightest: Node | None = None
        self.free_nano: int | None = None
        for node in own:
            if node.budget.mode == "hard":
                free = node.free_nano(final=final)
                if self.free_nano is None or free < self.free_nano:
                    self.tightest, self.free_nano = node, free
        if parent is not None and (self.free_nano is None or parent.free_nano <= self.free_nano):
            self.free_nano = parent.free_nano

    def refusal(self, asked_nano: int) -> Refusal:
        """The refusal of whatever has the least left."""
        if self.parent is not None and self.parent.free_nano == self.free_nano:
            return refusal_of_parent(self.parent, asked_nano)
        tightest = self.tightest
        assert tightest is not None  # something was short
        return refusal_of(tightest, "budget", "usd", asked_nano, tightest.limit_nano, tightest.spent_nano)


class Deciding:
    """Decides within one writing transaction, by what holds: `force`."""

    def __init__(self, force: InForce, balances: Balances, leases: Shelf, estimates: Estimates, rates: Rates) -> None:
        self.force = force
        self._balances = balances
        self._leases = leases
        self._estimates = estimates
        self._rates = rates

    def decide(self, ask: Ask, now_ns: int) -> Grant:
        """A lease, or why not; a refusal moves no money."""
        if ask.id and (known := self._leases.known(name_of(ask, now_ns))) is not None:
            return _again(known)
        stop = self.force.hardest_stop(ask.envelope, now_ns)
        if stop is not None and self._stops(stop, ask):
            return Grant("", 0, refusal_of_stop(stop), stop=stop)
        scene = self._scene(ask, now_ns)
        for node in scene.nodes:
            if node.budget.caps and (refusal := _over_cap(node, ask, now_ns)) is not None:
                return self._refuse(node, refusal, now_ns)
        first: Quote | None = None
        for quote in self._quotes(ask, scene, cheaper=stop is not None and stop.holds("cheaper")):
            first = first or quote
            if quote.wanted_nano is None and (node := _wants_a_price(scene.nodes)) is not None:
                refusal = refusal_of(node, "unpriced", "usd", 0, node.limit_nano, node.spent_nano)
                return self._refuse(node, refusal, now_ns)
            fitted = quote.fit(scene.free_nano)
            if fitted is not None:
                return self._give(ask, scene, quote, fitted, stop, now_ns)
        assert first is not None  # there is always a quote of what was asked
        return self._refuse(scene.tightest, scene.refusal(first.wanted_nano or 0), now_ns)

    def draw(self, row: Held, amount_nano: int, now_ns: int) -> Grant:
        """More money for a lease that lives, drawn where it came from."""
        parent = self._leases.live(row.parent) if row.parent else None
        held = set(row.own)
        nodes = self._balances.nodes(self.force.bound(row.envelope, now_ns), self.force.version, now_ns)
        if held - {node.key for node in nodes}:
            raise LeaseError(
                f'the lease "{row.id}" is of a window or a budget that is over', hint="settle it and ask for another"
            )
        scene = Scene(nodes, [node for node in nodes if node.key in held], parent, final=False)
        stop = self.force.hardest_stop(row.envelope, now_ns)
        if stop is not None and stop.level == "stop":
            return Grant(row.id, 0, refusal_of_stop(stop), stop=stop)
        free = scene.free_nano
        amount = amount_nano if free is None else min(amount_nano, free)
        if amount <= 0:
            return Grant(row.id, 0, scene.refusal(amount_nano), scene.tightest.standing if scene.tightest else None)
        for key in sorted(row.own):
            self._balances.change(key, Change(amount))
        self._leases.lend(row.id, 0, amount)
        if parent is not None:
            self._leases.lend(parent.id, amount, 0)
        return Grant(row.id, amount, None, None, _over(nodes, amount), row.expires_ns, stop=stop)

    def _refuse(self, node: Node | None, refusal: Refusal, now_ns: int) -> Grant:
        """Says no; of a balance it is noted, for whoever is to hear of it."""
        if node is None or node.budget.name != refusal.budget:
            return Grant("", 0, refusal, None if node is None else node.standing)
        self._balances.refused(node, "unpriced" if refusal.reason == "unpriced" else refusal.what, now_ns)
        return Grant("", 0, refusal, node.standing)

    # ---- what binds ------------------------------------------------------------------------------------------------

    def _scene(self, ask: Ask, now_ns: int) -> Scene:
        parent = self._leases.find(ask.parent) if ask.parent else None
        nodes = self._balances.nodes(self.force.bound(ask.envelope, now_ns), self.force.version, now_ns)
        if parent is None:
            return Scene(nodes, nodes, None, final=ask.final)
        shared = {whose(key) for key in parent.keys}
        return Scene(nodes, [node for node in nodes if whose(node.key) not in shared], parent, final=ask.final)

    def _stops(self, stop: Stop, ask: Ask) -> bool:
        if stop.level == "stop":
            return True
        session = ask.envelope.get("session", "")
        was_there = 0 < ask.began_ns <= stop.set_ns or self._leases.began_before(session, stop.set_ns)
        if stop.level == "no_sessions" and session and not was_there:
            return True
        return stop.holds("no_agents") and ask.counts.get("width", 0) > 0

    def _quotes(self, ask: Ask, scene: Scene, *, cheaper: bool) -> Iterator[Quote]:
        """What was asked for, then what the ladder offers; with `cheaper` the ladder first."""
        call = ask.call
        if call is None:
            yield quote_amount(ask.amount_nano, ask.least_nano)
            return
        model, seen = call.model, set[str]()
        while cheaper and call.can_swap and model not in seen:
            seen.add(model)
            model = self._below(model, scene.nodes, call.provider) or model
        seen = set()
        while model and model not in seen:
            seen.add(model)
            rate = self.force.rate(self._rates, call.provider, model)
            usual = self._estimates.find(kind_of(ask.envelope, model, call.step)) if ask.amount_nano is None else None
            said = ask.amount_nano if model == call.model else None
            yield quote_call(call, model, rate, usual, said)
            tightest = scene.tightest
            binding = [tightest] if tightest is not None and not cheaper else scene.nodes
            model = self._below(model, binding, call.provider) if call.can_swap else ""

    def _below(self, model: str, nodes: Sequence[Node], provider: str) -> str:
        """The cheaper model of the first ladder that has one; one without a price takes nobody's place."""
        for node in nodes:
            other = node.budget.ladder.get(model, "")
            if other and self.force.rate(self._rates, provider, other) is not None:
                return other
        return ""

    # ---- what is given ---------------------------------------------------------------------------------------------

    def _give(
        self, ask: Ask, scene: Scene, quote: Quote, fitted: tuple[int, int | None], stop: Stop | None, now_ns: int
    ) -> Grant:
        each, ceiling = fitted
        amount = self._chunked(ask, scene, each) if ceiling is None else each
        nodes, take, counts = scene.nodes, self._balances.take, ask.counts
        over, own = _over(nodes, amount), tuple([node.key for node in scene.own])
        alone = scene.own is nodes
        for node in nodes:  # whose rows are held already, in the order of their keys
            take(node, amount if alone or node.key in own else 0, counts)
        if scene.parent is not None and amount:
            self._leases.lend(scene.parent.id, amount, 0)
        call = ask.call
        model = quote.model if call is not None and quote.model != call.model else ""
        row = Held(
            name_of(ask, now_ns),
            ask.parent,
            "live",
            ask.envelope,
            keys=own if scene.parent is None else tuple(dict.fromkeys((*scene.parent.keys, *own))),
            own=own,
            kind=kind_of(ask.envelope, quote.model, call.step) if call is not None else "",
            max_tokens=ceiling,
            model=model,
            chunk=amount > each,
            call_nano=each,
            held_nano=amount,
            lent_nano=0,
            settled_nano=0,
            presumed_nano=0,
            expires_ns=now_ns + ask.ttl_ns,
            closed_ns=0,
        )
        self._leases.insert(row, ask, quote.wanted_nano, now_ns)
        tightest = scene.tightest
        return Grant(
            row.id,
            amount,
            None,
            None if tightest is None else tightest.standing,
            over,
            row.expires_ns,
            ceiling,
            model,
            row.chunk,
            each,
            stop,
        )

    @staticmethod
    def _chunked(ask: Ask, scene: Scene, each: int) -> int:
        """Money for several calls where a chunk is asked for, and nothing counts the calls themselves.

        It is for whole calls: what is less than one would lie unused until all of them are over.
        """
        if not ask.chunk:
            return each
        hard = [node.budget for node in scene.nodes if node.budget.mode == "hard"]
        if any(name in budget.caps for budget in hard for name in COUNTED):
            return each
        free = scene.free_nano
        share = each * CHUNK_CALLS if free is None else free // CHUNK_SHARE
        return each * max(1, min(CHUNK_CALLS, share // each)) if each else 0


def _again(row: Held) -> Grant:
    """The answer that was given before to the same id."""
    return Grant(
        row.id,
        row.held_nano + row.settled_nano,
        expires_ns=row.expires_ns,
        max_tokens=row.max_tokens,
        model=row.model,
        chunk=row.chunk,
        call_nano=row.call_nano,
    )


def _over(nodes: Sequence[Node], amount_nano: int) -> tuple[str, ...]:
    return tuple(
        [node.budget.name for node in nodes if node.budget.mode != "hard" and amount_nano > node.free_nano(final=True)]
    )


def _wants_a_price(nodes: Sequence[Node]) -> Node | None:
    return next((node for node in nodes if node.budget.mode == "hard" and node.budget.unpriced == "refuse"), None)


def _over_cap(node: Node, ask: Ask, now_ns: int) -> Refusal | None:
    if node.budget.mode != "hard":
        return None
    for name in CAPS:
        cap = node.budget.caps.get(name)
        if cap is None:
            continue
        if name == "seconds":
            used, more = (now_ns - node.opened_ns) // 10**9, 0
            if used < cap:
                continue
        elif name == "depth":
            used, more = ask.depth, 0
        else:
            used, more = node.counts[name], ask.counts.get(name, 0)
            if not more:
                continue
        if used + more > cap or name == "seconds":
            return refusal_of(node, "cap", name, more, cap, used)
    return None
