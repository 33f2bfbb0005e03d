"""Leasing: money set aside before work starts, decided over every budget that binds the call, all or none.

The statements stand here, once, for the SDK (which has the standard library's sqlite3) and for the control store (which
has SQLAlchemy on SQLite or PostgreSQL): both hand in `run`, which executes one statement with `?` parameters inside a
writing transaction of theirs and returns its rows. Nothing here grows with what was spent: a decision touches the
balances of the budgets that bind it, by key.

    held      what live leases may still spend
    presumed  what leases of owners that died may have spent; gone until the books say better
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from typing import Any

from outlay.core.budget import CAPS, Budget, Refusal, Standing
from outlay.core.errors import LeaseError
from outlay.core.lease import TTL_NS, Ask, Grant, Held, Node, budget_of, key_of, refusal_of

Run = Callable[[str, Sequence[Any]], list[Any]]

SWEPT_MAX = 100
"""Leases of dead owners that are brought home before one decision."""

_FIELDS = (
    "id, name, scope, period, zone, start_month, start_day, week_start, mode, fail, unpriced, currency, "
    "rollover_percent, carry_overage, reserve_percent, caps, ladder, owner"
)


class Book:
    """The leases and balances of one store, within one writing transaction."""

    def __init__(self, run: Run, *, locks: bool = False) -> None:
        self._run = run
        self._lock = " FOR UPDATE" if locks else ""

    def version(self) -> int:
        """Counts up with every change of a budget."""
        return int(self._run("SELECT number FROM counters WHERE name = 'budgets'", ())[0][0])

    def budgets(self) -> tuple[Budget, ...]:
        """The budgets in force."""
        rows = self._run(f"SELECT {_FIELDS} FROM budgets WHERE removed_ns IS NULL ORDER BY id", ())
        return tuple(budget_of(row) for row in rows)

    def decide(self, budgets: Sequence[Budget], version: int, ask: Ask, now_ns: int) -> Grant:
        """Gives a lease or says why not; a refusal changes nothing."""
        if ask.parent:
            return self._from_parent(ask, now_ns)
        bound = [(budget, part) for budget in budgets if (part := budget.part(ask.envelope)) is not None]
        nodes = self._nodes(bound, version, now_ns)
        if ask.amount_nano is None:
            for node in nodes:
                if node.budget.mode == "hard" and node.budget.unpriced == "refuse":
                    return Grant("", 0, refusal_of(node, "unpriced", "usd", 0, node.limit_nano, node.spent_nano))
        for node in nodes:
            refusal = self._over_cap(node, ask, now_ns)
            if refusal is not None:
                return Grant("", 0, refusal, node.standing)
        wanted = ask.amount_nano or 0
        least = wanted if ask.least_nano is None else min(ask.least_nano, wanted)
        tightest = min(
            (node for node in nodes if node.budget.mode == "hard"),
            key=lambda node: node.free_nano(final=ask.final),
            default=None,
        )
        if tightest is not None and wanted > tightest.free_nano(final=ask.final):
            free = tightest.free_nano(final=ask.final)
            if free < least or free <= 0:
                return Grant(
                    "",
                    0,
                    refusal_of(tightest, "budget", "usd", wanted, tightest.limit_nano, tightest.spent_nano),
                    tightest.standing,
                )
            wanted = free
        over = tuple(
            node.budget.name for node in nodes if node.budget.mode != "hard" and wanted > node.free_nano(final=True)
        )
        lease = self._open(nodes, ask, wanted, now_ns)
        return Grant(lease, wanted, None, tightest.standing if tightest else None, over, now_ns + ask.ttl_ns)

    def settle(self, lease: str, amount_nano: int, now_ns: int) -> bool:
        """The work is over and cost this much, more than was held or less; False if it was settled before.

        A lease that had expired is settled all the same. Raises LeaseError if there never was one.
        """
        return self._close(lease, amount_nano, "settled", now_ns)

    def give_back(self, lease: str, now_ns: int) -> bool:
        """Nothing was spent; False if the lease was over before. Raises LeaseError if there never was one."""
        return self._close(lease, 0, "returned", now_ns)

    def spend(self, lease: str, amount_nano: int, now_ns: int, ttl_ns: int = TTL_NS) -> None:
        """Part of a lease was spent and the rest is still held; its owner is alive. Raises LeaseError."""
        row = self._lease(lease)
        if row.state != "live":
            raise LeaseError(f'the lease "{lease}" is {row.state}', hint="ask for another")
        taken = min(amount_nano, row.held_nano - row.lent_nano)
        self._move(row, -taken, amount_nano, 0)
        self._run(
            "UPDATE leases SET held_nano = held_nano - ?, settled_nano = settled_nano + ?, expires_ns = ? WHERE id = ?",
            (taken, amount_nano, now_ns + ttl_ns, lease),
        )

    def renew(self, lease: str, now_ns: int, ttl_ns: int = TTL_NS) -> None:
        """The owner is alive. Raises LeaseError when the lease is over."""
        row = self._lease(lease)
        if row.state != "live":
            raise LeaseError(f'the lease "{lease}" is {row.state}', hint="ask for another")
        self._run("UPDATE leases SET expires_ns = ? WHERE id = ?", (now_ns + ttl_ns, lease))

    def sweep(self, now_ns: int) -> bool:
        """Brings home one lease whose owner died: what it held is presumed spent. False if there was none.

        One in a transaction, so that two who sweep cannot wait for each other.
        """
        rows = self._run(
            "SELECT id FROM leases WHERE state = 'live' AND expires_ns <= ? ORDER BY expires_ns LIMIT 1", (now_ns,)
        )
        if not rows:
            return False
        row = self._lease(rows[0][0])
        if row.state == "live" and row.expires_ns <= now_ns:  # nobody was quicker
            free = row.held_nano - row.lent_nano
            self._move(row, -free, 0, free)
            self._run(
                "UPDATE leases SET state = 'expired', presumed_nano = ?, held_nano = lent_nano, closed_ns = ? "
                "WHERE id = ?",
                (free, now_ns, row.id),
            )
        return True

    def standing(self, budget: Budget, part: str, version: int, now_ns: int) -> Standing:
        """How one balance of a budget stands."""
        return self._nodes([(budget, part)], version, now_ns)[0].standing

    # ---- balances ------------------------------------------------------------------------------------------------

    def _nodes(self, bound: Sequence[tuple[Budget, str]], version: int, now_ns: int) -> list[Node]:
        """The balances of the present windows, locked in the order of their keys, opened where they are new."""
        nodes: list[Node] = []
        for budget, part in bound:
            start_ns, end_ns = budget.calendar.window(now_ns)
            nodes.append(Node(budget, part, start_ns, end_ns))
        for node in sorted(nodes, key=lambda node: node.key):
            if not self._read(node):
                self._run(
                    "INSERT INTO balances (key, budget_id, part, start_ns, end_ns, opened_ns, limit_version) "
                    "VALUES (?, ?, ?, ?, ?, ?, -1) ON CONFLICT (key) DO NOTHING",
                    (node.key, node.budget.id, node.part, node.start_ns, node.end_ns, now_ns),
                )
                self._read(node)
            if node.limit_version != version or now_ns >= node.limit_until_ns:
                self._work_out_limit(node, version, now_ns)
        return nodes

    def _read(self, node: Node) -> bool:
        rows = self._run(
            "SELECT limit_nano, limit_version, limit_until_ns, spent_nano, held_nano, presumed_nano, steps, "
            f"tool_calls, width, opened_ns FROM balances WHERE key = ?{self._lock}",
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

    def _over_cap(self, node: Node, ask: Ask, now_ns: int) -> Refusal | None:
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

    # ---- leases --------------------------------------------------------------------------------------------------

    def _open(self, nodes: Sequence[Node], ask: Ask, amount_nano: int, now_ns: int) -> str:
        for node in sorted(nodes, key=lambda node: node.key):
            self._run(
                "UPDATE balances SET held_nano = held_nano + ?, steps = steps + ?, tool_calls = tool_calls + ?, "
                "width = width + ? WHERE key = ?",
                (amount_nano, *(ask.counts.get(name, 0) for name in ("steps", "tool_calls", "width")), node.key),
            )
        return self._insert(ask, amount_nano, [node.key for node in nodes], now_ns)

    def _insert(self, ask: Ask, amount_nano: int, keys: Sequence[str], now_ns: int) -> str:
        lease = secrets.token_hex(16)
        self._run(
            "INSERT INTO leases (id, parent, holder, state, envelope, balances, asked_nano, held_nano, created_ns, "
            "expires_ns) VALUES (?, ?, ?, 'live', ?, ?, ?, ?, ?, ?)",
            (
                lease,
                ask.parent,
                ask.holder,
                json.dumps(dict(ask.envelope), ensure_ascii=False),
                json.dumps(keys),
                ask.amount_nano,
                amount_nano,
                now_ns,
                now_ns + ask.ttl_ns,
            ),
        )
        return lease

    def _from_parent(self, ask: Ask, now_ns: int) -> Grant:
        """Draws on the lease of the agent above: what it holds less what it has lent already."""
        parent = self._lease(ask.parent)
        wanted = ask.amount_nano or 0
        free = parent.held_nano - parent.lent_nano if parent.state == "live" else 0
        least = wanted if ask.least_nano is None else min(ask.least_nano, wanted)
        if wanted > free and (free < least or free <= 0):
            name = f"lease {ask.parent}"
            refusal = Refusal(
                "budget",
                name,
                "",
                "usd",
                wanted,
                parent.held_nano + parent.settled_nano,
                parent.settled_nano,
                parent.lent_nano,
                free,
                None,
                retryable=False,
                retry_after_s=0,
                ask="the agent that holds the lease",
            )
            return Grant("", 0, refusal)
        amount = min(wanted, free)
        self._run("UPDATE leases SET lent_nano = lent_nano + ? WHERE id = ?", (amount, ask.parent))
        lease = self._insert(ask, amount, parent.keys, now_ns)
        return Grant(lease, amount, None, None, (), now_ns + ask.ttl_ns)

    def _close(self, lease: str, amount_nano: int, state: str, now_ns: int) -> bool:
        row = self._lease(lease)
        if row.state in {"settled", "returned"}:
            return False
        free = row.held_nano - row.lent_nano  # what sub-agents hold stays held until they are done
        if row.state == "expired":
            self._settle_late(row, amount_nano)
        else:
            self._move(row, -free, amount_nano, 0)
        self._run(
            "UPDATE leases SET state = ?, settled_nano = settled_nano + ?, held_nano = lent_nano, presumed_nano = 0, "
            "closed_ns = ? WHERE id = ?",
            (state, amount_nano, now_ns, lease),
        )
        return True

    def _move(self, row: Held, held: int, spent: int, presumed: int) -> None:
        """Changes the balances of a lease; what a sub-agent no longer holds, its parent has lent no longer.

        A sub-agent's money is the parent's, so what it did not spend goes back to the parent while that lives.
        """
        gone = held
        lent, above = held, row.parent if held else ""
        while above:
            parent = self._lease(above)
            if lent == held and parent.state == "live":
                gone += max(0, -held - spent - presumed)
            self._run(
                "UPDATE leases SET lent_nano = lent_nano + ?, held_nano = held_nano + ? WHERE id = ?",
                (lent, gone, above),
            )
            lent, above = gone, parent.parent
        self._spread(row.keys, gone, spent, presumed)

    def _spread(self, keys: Sequence[str], held: int, spent: int, presumed: int) -> None:
        for key in sorted(keys):
            self._run(
                "UPDATE balances SET held_nano = held_nano + ?, spent_nano = spent_nano + ?, "
                "presumed_nano = presumed_nano + ? WHERE key = ?",
                (held, spent, presumed, key),
            )

    def _settle_late(self, row: Held, amount_nano: int) -> None:
        """What was presumed is known now, but where the books were looked at since then it is presumed no longer."""
        for key in sorted(row.keys):
            self._run(
                "UPDATE balances SET spent_nano = spent_nano + ?, "
                "presumed_nano = presumed_nano - CASE WHEN trued_ns > ? THEN 0 ELSE ? END WHERE key = ?",
                (amount_nano, row.closed_ns, row.presumed_nano, key),
            )

    def _lease(self, lease: str) -> Held:
        rows = self._run(
            "SELECT id, parent, state, balances, held_nano, lent_nano, settled_nano, presumed_nano, expires_ns, "
            f"coalesce(closed_ns, 0) FROM leases WHERE id = ?{self._lock}",
            (lease,),
        )
        if not rows:
            raise LeaseError(f'there is no lease "{lease}"', hint="it is in the answer to decide")
        name, parent, state, keys, *rest = rows[0]
        return Held(name, parent, state, tuple(json.loads(keys)), *rest)
