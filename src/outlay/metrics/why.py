"""Why a session is dear: what its money went to, compared with what such a session usually costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from outlay.core.centre import CostCentre, Operation
from outlay.core.envelope import UNTAGGED
from outlay.core.money import nano_of
from outlay.core.period import NS_PER_SECOND, Period
from outlay.ledger.store import Snapshot
from outlay.metrics.answer import ask
from outlay.metrics.filters import Filter
from outlay.metrics.query import Query

if TYPE_CHECKING:
    from outlay.metrics.sessions import UsageRow

USUAL_DAYS = 30
"""How far back the usual cost of a session is looked for."""
REASONS_MAX = 4
SHARE_MIN = 10
"""A reason that explains less than one part in this many of the cost is not told."""
REPEATED_MIN = 5
GROWTH_MIN = 3
"""Input that did not grow threefold is a conversation, not a finding."""


class ReasonKind(StrEnum):
    """What money went to, in the sense of something one could look at."""

    RETRIES = "retries"
    REPEATED = "repeated"
    CONTEXT = "context"
    MODEL = "model"
    COMPUTE = "compute"
    CHILDREN = "children"


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that made a session dear: `amount_nano` went to it, over `count` usages.

    `name` is the model or step. For CONTEXT, `first` and `last` are the input tokens of the first and last call, and
    the amount is what the calls cost beyond the share that their first input would have had. Reasons overlap: their
    amounts are not to be added.
    """

    kind: ReasonKind
    amount_nano: int
    count: int
    name: str = ""
    first: int = 0
    last: int = 0


def reasons_of(steps: Sequence[UsageRow], cost_nano: int | None, below_nano: int) -> tuple[Reason, ...]:
    """The largest reasons first, at most REASONS_MAX; none where the cost is not known.

    The dearest model comes last: where everything else is usual it is no finding, only an answer.

    `steps` are in order of time; `below_nano` is what the sessions started by this one cost.
    """
    if not cost_nano:
        return ()
    counted = [step for step in steps if step.counted]
    found = [
        _of_centre(counted, CostCentre.RETRIES, ReasonKind.RETRIES),
        _of_centre(counted, CostCentre.ORCHESTRATION, ReasonKind.COMPUTE),
        _largest(counted, ReasonKind.MODEL, lambda step: step.model, 1),
        _largest(counted, ReasonKind.REPEATED, lambda step: step.name if not step.model else "", REPEATED_MIN),
        _context(counted),
        Reason(ReasonKind.CHILDREN, below_nano, 0),
    ]
    told = [reason for reason in found if reason is not None and reason.amount_nano * SHARE_MIN >= cost_nano]
    return tuple(sorted(told, key=_rank)[:REASONS_MAX])


def _rank(reason: Reason) -> tuple[bool, int, str]:
    return reason.kind is ReasonKind.MODEL, -reason.amount_nano, reason.kind


def usual_cost_nano(reader: Snapshot, feature: str, until_ns: int) -> int | None:
    """What a session of a feature cost on average over the days before; None where nothing is known of it."""
    if feature == UNTAGGED:
        return None
    period = Period(until_ns - USUAL_DAYS * 86_400 * NS_PER_SECOND, until_ns)
    answer = ask(reader, Query(("cost_per_session",), where=(Filter("feature", (feature,)),), period=period))
    told = answer.total.get("cost_per_session")
    return nano_of(told) if isinstance(told, str) else None


def _of_centre(steps: Iterable[UsageRow], centre: CostCentre, kind: ReasonKind) -> Reason | None:
    own = [step for step in steps if step.centre == centre and step.cost_nano]
    return Reason(kind, _sum(own), len(own)) if own else None


def _largest(
    steps: Sequence[UsageRow], kind: ReasonKind, name_of: Callable[[UsageRow], str], times_min: int
) -> Reason | None:
    """The name on which most was spent."""
    amounts: Counter[str] = Counter()
    times: Counter[str] = Counter()
    for step in steps:
        if (name := name_of(step)) and step.cost_nano:
            amounts[name] += step.cost_nano
            times[name] += 1
    often = [name for name in sorted(amounts) if times[name] >= times_min]
    if not often:
        return None
    name = max(often, key=lambda each: amounts[each])
    return Reason(kind, amounts[name], times[name], name)


def _context(steps: Iterable[UsageRow]) -> Reason | None:
    """What calls cost because their input had grown since the first one."""
    calls = [step for step in steps if step.operation == Operation.CHAT and step.input_tokens and not step.failed]
    if len(calls) < 2:
        return None
    first, last = calls[0].input_tokens, calls[-1].input_tokens
    if last < first * GROWTH_MIN:
        return None
    grown = [step for step in calls if step.input_tokens > first]
    amount = sum((step.cost_nano or 0) * (step.input_tokens - first) // step.input_tokens for step in grown)
    return Reason(ReasonKind.CONTEXT, amount, len(grown), "", first, last)


def _sum(steps: Iterable[UsageRow]) -> int:
    return sum(step.cost_nano or 0 for step in steps)
