"""Gathered: balances and estimates for many decisions in one transaction, each read once and written once.

A server decides for many callers at a time, and most of them ask the same few balances. What is given out reads and
changes the rows in memory; `flush` writes what changed before the transaction ends. The rows are held meanwhile, by the
lock of SQLite or by the rows' own in PostgreSQL, so nobody else can change them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from outlay.core.balance import COUNTED, Balances, Change, Node
from outlay.core.budget import Budget
from outlay.core.estimate import Estimate, Estimates


@dataclass(slots=True)
class _Pending:
    """What one balance gains, not written yet."""

    held_nano: int = 0
    spent_nano: int = 0
    presumed_nano: int = 0
    beyond_nano: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTED, 0))


class GatheredBalances(Balances):
    """See the head of this module."""

    _known: dict[str, Node]
    _pending: dict[str, _Pending]

    def begin(self) -> None:
        """A transaction begins: nothing is known yet."""
        self._known, self._pending = {}, {}

    def flush(self) -> None:
        """Writes what changed, in the order of the keys."""
        for key in sorted(self._pending):
            self._write(key)
        self._pending.clear()

    def nodes(self, bound: Sequence[tuple[Budget, str, int, int]], version: int, now_ns: int) -> list[Node]:
        """See Balances."""
        nodes: list[Node] = []
        for each in bound:
            key = f"{each[0].id}:{each[2]}:{each[1]}"
            node = self._known.get(key)
            if node is None or node.limit_version != version or now_ns >= node.limit_until_ns:
                if key in self._pending:
                    self._write(key)
                    del self._pending[key]
                node = self._known[key] = super().nodes([each], version, now_ns)[0]
            nodes.append(node)
        return nodes

    def change(self, key: str, change: Change) -> None:
        """See Balances."""
        pending = self._gain(key)
        targets = (pending,) if (node := self._known.get(key)) is None else (pending, node)
        for target in targets:
            target.held_nano += change.held_nano
            target.spent_nano += change.spent_nano
            target.presumed_nano += change.presumed_nano
            target.beyond_nano += change.beyond_nano

    def take(self, node: Node, amount_nano: int, counts: Mapping[str, int]) -> None:
        """See Balances."""
        pending = self._gain(node.key)
        pending.held_nano += amount_nano
        node.held_nano += amount_nano
        for name, count in counts.items():
            if count:
                pending.counts[name] += count
                node.counts[name] += count

    def settle_late(self, key: str, amount_nano: int, presumed_nano: int, closed_ns: int) -> None:
        """See Balances."""
        if key in self._pending:
            self._write(key)
            del self._pending[key]
        self._known.pop(key, None)
        super().settle_late(key, amount_nano, presumed_nano, closed_ns)

    def _gain(self, key: str) -> _Pending:
        pending = self._pending.get(key)
        if pending is None:
            pending = self._pending[key] = _Pending()
        return pending

    def _write(self, key: str) -> None:
        gain = self._pending[key]
        self._run(
            "UPDATE balances SET held_nano = held_nano + ?, spent_nano = spent_nano + ?, presumed_nano = presumed_nano "
            "+ ?, beyond_nano = beyond_nano + ?, steps = steps + ?, tool_calls = tool_calls + ?, width = width + ? "
            "WHERE key = ?",
            (
                gain.held_nano,
                gain.spent_nano,
                gain.presumed_nano,
                gain.beyond_nano,
                *(gain.counts[name] for name in COUNTED),
                key,
            ),
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
