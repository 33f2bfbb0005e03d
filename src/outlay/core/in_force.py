"""InForce: the budgets, stops and rates that hold now, kept between decisions and read again only where one changed.

Each of the three has a counter that goes up with every change; a decision reads the counters, one small row each. The
windows of budgets are kept until they end, and which budgets bind an envelope until a budget changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from outlay.core.balance import FIELDS, Node, budget_of
from outlay.core.budget import Budget, Refusal
from outlay.core.calendar import LIFE
from outlay.core.lease import refusal_of, refusal_of_stop
from outlay.core.rate import Rate, Rates, Run
from outlay.core.stop import FIELDS as STOP_FIELDS
from outlay.core.stop import Stop, hardest, stop_of

COUNTERS = ("budgets", "controls", "rates")
REMEMBERED_MAX = 10_000
"""Envelopes and models of which the answer is kept; a stream of ever new ones must not eat the memory."""

Bound = tuple[Budget, str, int, int]
"""A budget, its part, and the start and end of the window."""


@dataclass(slots=True)
class InForce:
    """What holds, as of the counters. Safe to share between threads as it is: a change makes another one."""

    versions: tuple[int, int, int]
    budgets: tuple[Budget, ...]
    stops: tuple[Stop, ...]
    _windows: dict[int, tuple[int, int]] = field(default_factory=dict[int, tuple[int, int]])
    _parts: dict[tuple[tuple[str, str], ...], tuple[tuple[Budget, str], ...]] = field(
        default_factory=dict[tuple[tuple[str, str], ...], tuple[tuple[Budget, str], ...]]
    )
    _bounds: dict[tuple[tuple[str, str], ...], tuple[int, int, Sequence[Bound]]] = field(
        default_factory=dict[tuple[tuple[str, str], ...], tuple[int, int, Sequence[Bound]]]
    )
    _rates: dict[tuple[str, str], Rate | None] = field(default_factory=dict[tuple[str, str], Rate | None])

    @property
    def version(self) -> int:
        """Of the budgets: a limit worked out for another one is worked out again."""
        return self.versions[0]

    def bound(self, envelope: Mapping[str, str], now_ns: int) -> Sequence[Bound]:
        """The budgets that bind a call, each with its window at that moment: the same object until one of them ends."""
        asked = tuple(envelope.items())
        known = self._bounds.get(asked)
        if known is not None and known[0] <= now_ns < known[1]:
            return known[2]
        found = tuple([(budget, part, *self._window(budget, now_ns)) for budget, part in self._parts_of(envelope)])
        if len(self._bounds) >= REMEMBERED_MAX:
            self._bounds.clear()
        from_ns = max((each[2] for each in found), default=LIFE[0])
        self._bounds[asked] = (from_ns, min((each[3] for each in found), default=LIFE[1]), found)
        return found

    def hardest_stop(self, envelope: Mapping[str, str], now_ns: int) -> Stop | None:
        """The stop that holds for a call."""
        return hardest(self.stops, envelope, now_ns) if self.stops else None

    def unasked(self, envelope: Mapping[str, str], now_ns: int) -> Refusal | None:
        """What happens to a call while the store cannot be asked: refused where a hard budget fails closed, or a stop
        holds; None lets it pass, and the books will count it.
        """
        stop = self.hardest_stop(envelope, now_ns)
        if stop is not None and stop.level == "stop":
            return refusal_of_stop(stop)
        for budget, part, start_ns, end_ns in self.bound(envelope, now_ns):
            if budget.mode == "hard" and budget.fail == "closed":
                return refusal_of(Node(budget, part, start_ns, end_ns), "unreachable", "usd", 0, 0, 0)
        return None

    def rate(self, rates: Rates, provider: str, model: str) -> Rate | None:
        """The rate of a model, looked up once."""
        asked = (provider, model)
        if asked not in self._rates:
            if len(self._rates) >= REMEMBERED_MAX:
                self._rates.clear()
            self._rates[asked] = rates.find(provider, model)
        return self._rates[asked]

    def _parts_of(self, envelope: Mapping[str, str]) -> Sequence[tuple[Budget, str]]:
        asked = tuple(sorted(envelope.items()))
        found = self._parts.get(asked)
        if found is None:
            if len(self._parts) >= REMEMBERED_MAX:
                self._parts.clear()
            parts = ((budget, budget.part(envelope)) for budget in self.budgets)
            found = self._parts[asked] = tuple((budget, part) for budget, part in parts if part is not None)
        return found

    def _window(self, budget: Budget, now_ns: int) -> tuple[int, int]:
        window = self._windows.get(budget.id)
        if window is None or not window[0] <= now_ns < window[1]:
            window = self._windows[budget.id] = budget.calendar.window(now_ns)
        return window


def read_in_force(run: Run, known: InForce | None = None) -> InForce:
    """What holds now: `known` itself while nothing changed."""
    rows = dict(run("SELECT name, number FROM counters", ()))
    versions = (rows["budgets"], rows["controls"], rows["rates"])
    if known is not None and known.versions == versions:
        return known
    budgets = run(f"SELECT {FIELDS} FROM budgets WHERE removed_ns IS NULL ORDER BY id", ())
    stops = run(f"SELECT {STOP_FIELDS} FROM stops WHERE lifted_ns IS NULL ORDER BY id", ())
    return InForce(versions, tuple(budget_of(row) for row in budgets), tuple(stop_of(row) for row in stops))
