"""Caps: what else than money a budget may limit, counted where it begins: sub-agents and tool calls.

Model calls are counted by the gatekeeper. Where an application begins something itself (`outlay.agent`, a tool step) a
refusal is raised there; where a framework does, nothing may be raised into it, so the run is marked and its next model
call is refused.
"""

from __future__ import annotations

from collections.abc import Mapping

from outlay.core.budget import Refusal
from outlay.core.quote import Quote
from outlay.sdk import attachment, office
from outlay.sdk.chunks import Need
from outlay.sdk.context import Context, Run
from outlay.sdk.exceeded import BudgetExceeded

TOOL_CALL = {"tool_calls": 1}
SUB_AGENT = {"width": 1}
_ZERO = Quote(None, "", None, 0)


class _Refused:
    """In the place of a run's lease: what refuses its calls, until it may be counted after all."""

    over = final = False

    def __init__(self, counts: Mapping[str, int], depth: int) -> None:
        self.counts = counts
        self.depth = depth


def refused(run: Run) -> Refusal | None:
    """What refuses every call of a run, asked again: a budget may have been raised meanwhile."""
    held = run.lease
    if not isinstance(held, _Refused):
        return None
    refusal = count(run, held.counts, held.depth)
    if refusal is None:
        run.lease = None
    return refusal


def count(run: Run, counts: Mapping[str, int], depth: int) -> Refusal | None:
    """Counts something that begins in a run; why it may not, if so. Nothing is asked where nothing is limited."""
    till = office.office.till
    account = None if till is None or till.force is None else till.account(run)
    if till is None or account is None:
        return None
    counted = account.pool is not None and account.pool.is_counted
    if not counted and (account.stop is None or account.stop.level == "warn"):
        return None
    held = till.hold(account, Need(_ZERO, None, 0, None, counts, depth, began_ns=run.began_ns))
    if isinstance(held, Refusal):
        till.counts.refused += 1
        return held
    till.settle(held, 0)
    return None


def begin_session(run: Run, outer: Context) -> None:
    """A session or an agent begins. Raises BudgetExceeded where it may not."""
    refusal = session_refusal(run, outer)
    if refusal is not None:
        raise BudgetExceeded(refusal)


def session_refusal(run: Run, outer: Context) -> Refusal | None:
    """Why a session or an agent may not begin."""
    return count(run, *_of_session(run, outer))


def mark_session(run: Run, outer: Context) -> None:
    """A framework's agent begins; where it may not, its calls are refused."""
    counts, deep = _of_session(run, outer)
    if count(run, counts, deep) is not None:
        run.lease = _Refused(counts, deep)


def _of_session(run: Run, outer: Context) -> tuple[Mapping[str, int], int]:
    is_child = bool(run.parent_session_id) and run.session_id != outer.run.session_id
    return SUB_AGENT if is_child else {}, depth(outer) + is_child


def begin_tool(run: Run, outer: Context) -> None:
    """A tool is called. Raises BudgetExceeded where it may not be."""
    refusal = count(run, TOOL_CALL, depth(outer))
    if refusal is not None:
        raise BudgetExceeded(refusal)


def mark_tool(run: Run, outer: Context) -> None:
    """A framework's tool is called; where it may not be, the run's next model call is refused."""
    deep = depth(outer)
    if count(run, TOOL_CALL, deep) is not None and run.lease is None:
        run.lease = _Refused(TOOL_CALL, deep)


def depth(context: Context) -> int:
    """How many sessions are above this one, as far as this process knows."""
    seen = {context.run.session_id}
    held = attachment.active()
    while held is not None:
        seen.add(held.here.run.session_id)
        held = held.outer
    run = context.run
    seen.update(name for name in (run.parent_session_id, run.root_session_id) if name)
    seen.discard("")
    return max(0, len(seen) - 1)
