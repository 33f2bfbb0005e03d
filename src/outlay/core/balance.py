"""Balance: how one window of one budget stands in a store, opened when first asked for, its limit the sum of grants.

Nothing here grows with what was spent: a balance is one row, found by its key. A limit is worked out again only where a
budget or grant changed, or where the moment has come at which one begins or ends.

    held      what live leases may still spend
    presumed  what leases of owners that died may have spent; gone until the books say better
    beyond    what was billed beyond what was held for it: by so much spent may exceed the limit
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from outlay.core.budget import Budget, Standing
from outlay.core.calendar import Calendar
from outlay.core.rate import Run

COUNTED = ("steps", "tool_calls", "width")
"""The caps that are counted in a balance; the others follow from the moment and the asker."""


@dataclass(slots=True)
class Node:
    """One balance that binds a decision."""

    budget: Budget
    part: str
    start_ns: int
    end_ns: int
    limit_nano: int = 0
    limit_version: int = -1
    limit_until_ns: int = 0
    spent_nano: int = 0
    held_nano: int = 0
    presumed_nano: int = 0
    beyond_nano: int = 0
    opened_ns: int = 0
    counts: dict[str, int] = field(default_factory=dict[str, int])
    reserve_nano: int = 0
    key: str = field(init=False)

    def __post_init__(self) -> None:
        self.key = key_of(self.budget.id, self.start_ns, self.part)

    @property
    def standing(self) -> Standing:
        """How it stands."""
        return Standing(
            self.budget,
            self.part,
            self.start_ns,
            self.end_ns,
            self.limit_nano,
            self.spent_nano,
            self.held_nano,
            self.presumed_nano,
            self.beyond_nano,
        )

    def free_nano(self, *, final: bool) -> int:
        """What may be given; the reserve only to a final step."""
        left = self.limit_nano - self.spent_nano - self.held_nano - self.presumed_nano
        return left if final else left - self.reserve_nano


@dataclass(slots=True)
class Change:
    """What a balance gains, or loses below 0."""

    held_nano: int = 0
    spent_nano: int = 0
    presumed_nano: int = 0
    beyond_nano: int = 0


def key_of(budget_id: int, start_ns: int, part: str) -> str:
    """The key of a balance."""
    return f"{budget_id}:{start_ns}:{part}"


_key = attrgetter("key")


def whose(key: str) -> str:
    """The key without its window: the same budget and part in any window."""
    budget, _, rest = key.partition(":")
    return f"{budget}:{rest.partition(':')[2]}"


def budget_of(row: Sequence[Any]) -> Budget:
    """A budget from its row, in the order of `FIELDS`."""
    calendar = Calendar(*row[3:8])
    return Budget(
        row[0],
        row[1],
        json.loads(row[2]),
        calendar,
        row[8],
        row[9],
        row[10],
        row[11],
        row[12],
        bool(row[13]),
        row[14],
        json.loads(row[15]),
        json.loads(row[16]),
        row[17],
    )


FIELDS = (
    "id, name, scope, period, zone, start_month, start_day, week_start, mode, fail, unpriced, currency, "
    "rollover_percent, carry_overage, reserve_percent, caps, ladder, owner"
)


class Balances:
    """The balances of one store, within a writing transaction; `lock` makes whoever reads one hold it."""

    def __init__(self, run: Run, lock: str = "") -> None:
        self._run = run
        self._lock = lock

    def nodes(self, bound: Sequence[tuple[Budget, str, int, int]], version: int, now_ns: int) -> list[Node]:
        """The balances of budgets, parts and windows, locked in the order of their keys, opened where they are new."""
        nodes = [Node(*each) for each in bound]
        for node in sorted(nodes, key=_key) if len(nodes) > 1 else nodes:
            if not self._read(node):
                self._run(
                    "INSERT INTO balances (key, budget_id, part, start_ns, end_ns, opened_ns, limit_version) "
                    "VALUES (?, ?, ?, ?, ?, ?, -1) ON CONFLICT (key) DO NOTHING",
                    (node.key, node.budget.id, node.part, node.start_ns, node.end_ns, now_ns),
                )
                self._read(node)
            if node.limit_version != version or now_ns >= node.limit_until_ns:
                self._work_out_limit(node, version, now_ns)
            node.reserve_nano = node.limit_nano * node.budget.reserve_percent // 100
        return nodes

    def change(self, key: str, change: Change) -> None:
        """Moves money of a balance."""
        self._run(
            "UPDATE balances SET held_nano = held_nano + ?, spent_nano = spent_nano + ?, "
            "presumed_nano = presumed_nano + ?, beyond_nano = beyond_nano + ? WHERE key = ?",
            (change.held_nano, change.spent_nano, change.presumed_nano, change.beyond_nano, key),
        )

    def take(self, node: Node, amount_nano: int, counts: Mapping[str, int]) -> None:
        """Holds money of a balance and counts what else is used."""
        self._run(
            "UPDATE balances SET held_nano = held_nano + ?, steps = steps + ?, tool_calls = tool_calls + ?, "
            "width = width + ? WHERE key = ?",
            (amount_nano, counts.get("steps", 0), counts.get("tool_calls", 0), counts.get("width", 0), node.key),
        )
        node.held_nano += amount_nano

    def refused(self, node: Node, what: str, now_ns: int) -> None:
        """Notes that a balance refused, and what was used up; its money stays as it is."""
        self._run(
            "UPDATE balances SET refused = refused + 1, refused_ns = ?, refused_what = ? WHERE key = ?",
            (now_ns, what, node.key),
        )

    def settle_late(self, key: str, amount_nano: int, presumed_nano: int, closed_ns: int) -> None:
        """What was presumed is known now, but where the books were looked at since then it is presumed no longer."""
        self._run(
            "UPDATE balances SET spent_nano = spent_nano + ?, beyond_nano = beyond_nano + ?, "
            "presumed_nano = presumed_nano - CASE WHEN trued_ns > ? THEN 0 ELSE ? END WHERE key = ?",
            (amount_nano, max(0, amount_nano - presumed_nano), closed_ns, presumed_nano, key),
        )

    # ---- limits --------------------------------------------------------------------------------------------------

    def _read(self, node: Node) -> bool:
        rows = self._run(
            "SELECT limit_nano, limit_version, limit_until_ns, spent_nano, held_nano, presumed_nano, steps, "
            f"tool_calls, width, beyond_nano, opened_ns FROM balances WHERE key = ?{self._lock}",
            (node.key,),
        )
        if not rows:
            return False
        (
            node.limit_nano,
            node.limit_version,
            node.limit_until_ns,
            node.spent_nano,
            node.held_nano,
            node.presumed_nano,
            steps,
            tool_calls,
            width,
            node.beyond_nano,
            node.opened_ns,
        ) = rows[0]
        node.counts = {"steps": steps, "tool_calls": tool_calls, "width": width}
        return True

    def _work_out_limit(self, node: Node, version: int, now_ns: int) -> None:
        """The sum of the live grants and what was carried over, and the moment at which that sum changes next."""
        rows = self._run(
            "SELECT id, kind, amount_nano, starts_ns, ends_ns, priority, created_ns FROM grants WHERE budget_id = ? "
            "AND (part = '' OR part = ?) AND ends_ns > ? AND starts_ns < ? ORDER BY priority, ends_ns, created_ns, id",
            (node.budget.id, node.part, node.start_ns, node.end_ns),
        )
        base, planned, extra, before = 0, None, 0, 0
        until_ns = node.end_ns
        for grant, kind, amount_nano, starts_ns, ends_ns, _, _ in rows:
            if kind == "plan":
                planned = amount_nano if (starts_ns, ends_ns) == (node.start_ns, node.end_ns) else planned
            elif starts_ns > now_ns:
                until_ns = min(until_ns, starts_ns)
            elif ends_ns <= now_ns:  # only its rest went back
                extra += self._burned(node, grant, before, amount_nano) if kind != "allocation" else 0
                before += amount_nano
            else:
                until_ns = min(until_ns, ends_ns)
                base, extra = (amount_nano, extra) if kind == "allocation" else (base, extra + amount_nano)
        carried = self._carried(node)
        node.limit_nano = max(0, (base if planned is None else planned) + extra + carried)
        node.limit_version, node.limit_until_ns = version, until_ns
        self._run(
            "UPDATE balances SET limit_nano = ?, limit_version = ?, limit_until_ns = ?, carried_nano = ? WHERE key = ?",
            (node.limit_nano, version, until_ns, carried, node.key),
        )

    def _burned(self, node: Node, grant: int, before_nano: int, amount_nano: int) -> int:
        """What was spent of a grant that is over. Grants burn by priority, then the one that ends first.

        It is worked out once, when its end is noticed: what is spent later burns the grants that are left.
        """
        rows = self._run("SELECT burned_nano FROM burns WHERE balance = ? AND grant_id = ?", (node.key, grant))
        if rows:
            return int(rows[0][0])
        burned = min(max(0, node.spent_nano + node.presumed_nano + node.held_nano - before_nano), max(0, amount_nano))
        self._run(
            "INSERT INTO burns (balance, grant_id, burned_nano) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (node.key, grant, burned),
        )
        return burned

    def _carried(self, node: Node) -> int:
        budget = node.budget
        before = budget.calendar.before(node.start_ns) if budget.rollover_percent or budget.carry_overage else None
        if before is None:
            return 0
        key = key_of(budget.id, before[0], node.part)
        rows = self._run("SELECT limit_nano, spent_nano + presumed_nano FROM balances WHERE key = ?", (key,))
        if not rows:
            return 0
        limit_nano, spent_nano = rows[0]
        rest = limit_nano - spent_nano
        if rest >= 0:
            return min(rest, limit_nano * budget.rollover_percent // 100)
        return rest if budget.carry_overage else 0
