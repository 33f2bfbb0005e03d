"""Gathered: balances and estimates for many decisions in one transaction, each read once and written once.

A server decides for many callers at a time, and most of them ask the same few balances. What is given out reads and
changes the rows in memory; `flush` writes what changed before the transaction ends. The rows are held meanwhile, by the
lock of SQLite or by the rows' own in PostgreSQL, so nobody else can change them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import sub

from outlay.core.balance import COUNTED, Balances, Change, Node, key_of
from outlay.core.calendar import LIFE
from outlay.core.estimate import Estimate, Estimates
from outlay.core.in_force import Bound

KNOWN_MAX = 64
"""Balances, and sets of budgets, known from one transaction to the next: each looks through them at its end."""

_NUMBERS = ("held_nano", "spent_nano", "presumed_nano", "beyond_nano")
_WRITE = "UPDATE balances SET " + ", ".join(f"{name} = {name} + ?" for name in (*_NUMBERS, *COUNTED)) + " WHERE key = ?"


@dataclass(slots=True)
class _Seen:
    """The balances of one set of budgets, as they stand in memory; until when their limits are these."""

    bound: Sequence[Bound]
    version: int
    until_ns: int
    nodes: list[Node]


class GatheredBalances(Balances):
    """See the head of this module. What a balance that was read gains is in its node; of others it is noted."""

    _known: dict[str, Node]
    _read_as: dict[str, tuple[int, ...]]
    _pending: dict[str, Change]
    _seen: dict[int, _Seen]

    def begin(self) -> None:
        """A transaction begins: nothing is known yet."""
        self._known, self._read_as, self._pending, self._seen = {}, {}, {}, {}

    def go_on(self) -> None:
        """A transaction begins, and the one before was written whole, and nobody else has written anything since."""
        if self._pending or max(len(self._known), len(self._seen)) > KNOWN_MAX:
            self.begin()

    def flush(self) -> None:
        """Writes what changed, in the order of the keys."""
        for key in sorted({*self._known, *self._pending}):
            self._write(key)

    def nodes(self, bound: Sequence[Bound], version: int, now_ns: int) -> list[Node]:
        """See Balances. The list is the same for the same `bound`, as long as the limits are."""
        seen = self._seen.get(id(bound))
        if seen is not None and seen.bound is bound and seen.version == version and now_ns < seen.until_ns:
            return seen.nodes
        nodes: list[Node] = []
        for each in bound:
            key = key_of(each[0].id, each[2], each[1])
            node = self._known.get(key)
            if node is None or node.limit_version != version or now_ns >= node.limit_until_ns:
                self._write(key)
                node = self._known[key] = super().nodes([each], version, now_ns)[0]
                self._read_as[key] = _numbers(node)
                self._seen.clear()
            nodes.append(node)
        until_ns = min((node.limit_until_ns for node in nodes), default=LIFE[1])
        self._seen[id(bound)] = _Seen(bound, version, until_ns, nodes)
        return nodes

    def change(self, key: str, change: Change) -> None:
        """See Balances."""
        target = self._known.get(key) or self._pending.get(key)
        if target is None:
            target = self._pending[key] = Change()
        target.held_nano += change.held_nano
        target.spent_nano += change.spent_nano
        target.presumed_nano += change.presumed_nano
        target.beyond_nano += change.beyond_nano

    def take(self, node: Node, amount_nano: int, counts: Mapping[str, int]) -> None:
        """See Balances."""
        node.held_nano += amount_nano
        for name, count in counts.items():
            if name in node.counts:
                node.counts[name] += count

    def settle_late(self, key: str, amount_nano: int, presumed_nano: int, closed_ns: int) -> None:
        """See Balances."""
        self._write(key)
        if self._known.pop(key, None) is not None:
            self._seen.clear()
        super().settle_late(key, amount_nano, presumed_nano, closed_ns)

    def _write(self, key: str) -> None:
        """Writes what one balance gained since it was read or written."""
        node = self._known.get(key)
        if node is None:
            change = self._pending.pop(key, None)
            gain = None if change is None else (*(getattr(change, name) for name in _NUMBERS), *_NO_COUNTS)
        else:
            now, before = _numbers(node), self._read_as[key]
            gain, self._read_as[key] = tuple(map(sub, now, before)), now
        if gain is not None and any(gain):
            self._run(_WRITE, (*gain, key))


_NO_COUNTS = (0,) * len(COUNTED)


def _numbers(node: Node) -> tuple[int, ...]:
    """What of a balance changes with a decision, in the order of `_WRITE`."""
    return (
        node.held_nano,
        node.spent_nano,
        node.presumed_nano,
        node.beyond_nano,
        *node.counts.values(),
    )


class GatheredEstimates(Estimates):
    """See the head of this module."""

    _known: dict[str, Estimate | None]
    _learned: dict[str, list[int]]
    _learned_ns: int

    def begin(self) -> None:
        """A transaction begins."""
        self._known, self._learned, self._learned_ns = {}, {}, 0

    def flush(self) -> None:
        """Writes what was learned."""
        for kind, amounts in sorted(self._learned.items()):
            super().learn(kind, amounts, self._learned_ns)
        self._learned.clear()

    def find(self, kind: str) -> Estimate | None:
        """See Estimates; what is learned in this transaction counts from the next one on."""
        if kind not in self._known:
            self._known[kind] = super().find(kind)
        return self._known[kind]

    def learn(self, kind: str, amounts_nano: Sequence[int], now_ns: int) -> None:
        """See Estimates."""
        self._learned.setdefault(kind, []).extend(amounts_nano)
        self._learned_ns = now_ns
