"""Estimate: what a call of a kind usually costs, learned from what such calls were billed.

A kind is (feature, model, step). Of each the last hundred amounts are kept, never more, so that learning takes the same
time however many calls there were. Nineteen of twenty calls cost no more than `usual_nano`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from outlay.core.envelope import UNTAGGED
from outlay.core.rate import Run

SAMPLES_KEPT = 100
SAMPLES_LEAST = 20
"""With fewer amounts nothing is known yet: the worst case is held."""

KINDS_MAX = 20_000
"""A step named anew at every call must not fill the store: what was not learned of for longest is forgotten."""

PERCENT = 95


@dataclass(frozen=True, slots=True)
class Estimate:
    """`usual_nano` is the 95th percentile of the amounts kept, `least_nano` the smallest, `count` their number."""

    usual_nano: int
    least_nano: int
    count: int


def kind_of(envelope: Mapping[str, str], model: str, step: str) -> str:
    """The key under which calls of a kind are learned."""
    return _key(envelope.get("feature") or UNTAGGED, model, step)


@lru_cache(maxsize=4096)
def _key(feature: str, model: str, step: str) -> str:
    return json.dumps([feature, model.strip().lower(), step], ensure_ascii=False)


def percentile(amounts: Sequence[int]) -> int:
    """The smallest amount that 95 % of them do not exceed."""
    ranked = sorted(amounts)
    return ranked[-(-len(ranked) * PERCENT // 100) - 1]


class Estimates:
    """What was learned in one store, within a transaction; `lock` makes a reader wait for whoever learns."""

    def __init__(self, run: Run, lock: str = "") -> None:
        self._run = run
        self._lock = lock

    def find(self, kind: str) -> Estimate | None:
        """What calls of a kind cost; None while too few are known."""
        rows = self._run("SELECT usual_nano, least_nano, kept FROM samples WHERE kind = ?", (kind,))
        if not rows or rows[0][2] < SAMPLES_LEAST:
            return None
        return Estimate(*rows[0])

    def learn(self, kind: str, amounts_nano: Sequence[int], now_ns: int) -> None:
        """Takes over what calls of a kind were billed; amounts of 0 teach nothing."""
        new = [amount for amount in amounts_nano if amount > 0]
        if not new:
            return
        rows = self._run(f"SELECT amounts FROM samples WHERE kind = ?{self._lock}", (kind,))
        if not rows:
            self._make_room()
        kept = [*(json.loads(rows[0][0]) if rows else ()), *new][-SAMPLES_KEPT:]
        figures = (json.dumps(kept, separators=(",", ":")), percentile(kept), min(kept), len(kept), now_ns)
        self._run(
            "INSERT INTO samples (amounts, usual_nano, least_nano, kept, learned_ns, kind) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (kind) DO UPDATE SET amounts = excluded.amounts, usual_nano = excluded.usual_nano, "
            "least_nano = excluded.least_nano, kept = excluded.kept, learned_ns = excluded.learned_ns",
            (*figures, kind),
        )

    def _make_room(self) -> None:
        if self._run("SELECT count(*) FROM samples", ())[0][0] >= KINDS_MAX:
            self._run(
                "DELETE FROM samples WHERE kind IN (SELECT kind FROM samples ORDER BY learned_ns LIMIT ?)",
                (KINDS_MAX // 10,),
            )
