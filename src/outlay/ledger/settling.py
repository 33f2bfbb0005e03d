"""Settling: once relatives are known, decide what counts, whose it was, and what was a retry.

Facts arrive in any order. Posting shows them within milliseconds as they stand; settling looks again at every trace and
session that was touched since the last time, and makes the books what they would be had all facts come at once.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from outlay.ledger.store import Books
from outlay.ledger.tables import RESOLVED
from outlay.ledger.tagging import filled_bits, with_columns
from outlay.normalize.policy.attribution import attribute
from outlay.normalize.policy.own import own_rules
from outlay.normalize.policy.timeline import NO_POLICY, Timeline
from outlay.normalize.relations import resolve


def settle(books: Books, policies: Timeline = NO_POLICY) -> int:
    """Bring the books up to everything posted; returns how many usages changed."""
    after = books.meta("settled_through")
    work = books.find_work(after, policies.reads)
    if work.through <= after and not books.scalar("SELECT count(*) FROM unsettled"):
        return 0
    changed = _differences(work.relatives, policies) if work.relatives.num_rows else None
    with books.writing() as transaction:
        if changed is not None and changed.num_rows:
            books.write_back(transaction, changed)
        books.settle_outcomes(transaction, after, _seqs(changed))
        books.all_settled(transaction, work.through)
    return changed.num_rows if changed is not None else 0


def roll_up(books: Books) -> None:
    """Add up every stale day."""
    while books.roll_up():
        pass


def _seqs(changed: pa.Table | None) -> pa.ChunkedArray | pa.Array:
    return changed.column("seq") if changed is not None else pa.array([], pa.int64())


def _differences(relatives: pa.Table, policies: Timeline) -> pa.Table:
    """The usages whose resolved columns differ from what the books show now."""
    resolved = _attributed(resolve(relatives), relatives, policies)
    different = np.zeros(relatives.num_rows, dtype=bool)
    for name in RESOLVED:
        now, then = resolved.column(name), relatives.column(f"now_{name}")
        different |= pc.fill_null(pc.not_equal(now, then), fill_value=True).to_numpy(zero_copy_only=False)
    keep = pa.array(different)
    columns = {name: resolved.column(name).filter(keep) for name in RESOLVED}
    return pa.table({"seq": relatives.column("seq").filter(keep), **columns})


def _attributed(resolved: pa.Table, relatives: pa.Table, policies: Timeline) -> pa.Table:
    """What relatives say, with what rules fill in where they say nothing."""
    rules = own_rules(relatives.column("tag_rule").combine_chunks(), relatives.column("tag_source").to_numpy()).array()
    resolved = resolved.append_column("tag_rule", rules)
    beside = {name: relatives.column(name) for name in policies.reads if name not in resolved.column_names}
    columns = {**beside, **dict(zip(resolved.column_names, resolved.columns, strict=True))}
    decided = attribute(columns, relatives.column("time").cast(pa.int64()).to_numpy(), policies)
    if "tag_source" in decided:
        inherited = resolved.column("inherited").to_numpy() | filled_bits(decided["tag_source"])
        decided["inherited"] = pa.array(inherited, pa.int32())
    return with_columns(resolved, decided)
