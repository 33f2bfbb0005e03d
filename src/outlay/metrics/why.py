"""Why a session is dear: what its money went to, compared with what such a session usually costs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from outlay.core.centre import CostCentre, Operation
from outlay.core.envelope import UNTAGGED
from outlay.core.meters import INPUT_METERS
from outlay.core.money import nano_of
from outlay.core.period import NS_PER_SECOND, Period
from outlay.ledger.store import Snapshot
from outlay.metrics.answer import ask
from outlay.metrics.filters import Filter
from outlay.metrics.parts import USAGE
from outlay.metrics.query import Query
from outlay.metrics.session_rows import COSTS, COUNTED, SessionRows

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


def reasons_of(rows: SessionRows, cost_nano: int | None, below_nano: int) -> tuple[Reason, ...]:
    """The largest reasons first, at most REASONS_MAX; none where the cost is not known.

    The dearest model comes last: where everything else is usual it is no finding, only an answer.
    `below_nano` is what the sessions started by this one cost. All of it is added up by the engine.
    """
    if not cost_nano:
        return ()
    models, names = (f"{USAGE}.{name}" for name in ("model_id", "name"))
    found = [
        *_of_centres(rows),
        _largest(rows, ReasonKind.MODEL, models, f"{models} <> ''", 1),
        _largest(rows, ReasonKind.REPEATED, names, f"{models} = '' AND {names} <> ''", REPEATED_MIN),
        _context(rows),
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


_OF_CENTRE = {CostCentre.RETRIES: ReasonKind.RETRIES, CostCentre.ORCHESTRATION: ReasonKind.COMPUTE}


def _of_centres(rows: SessionRows) -> list[Reason]:
    """What went to the centres that are a finding by themselves."""
    centres = ", ".join(f"'{centre}'" for centre in _OF_CENTRE)
    selected = [f"{USAGE}.centre AS centre", f"sum({USAGE}.amount_nano) AS cost", "count(*) AS steps"]
    found = rows.summed(selected, f"{COUNTED} AND {COSTS} AND {USAGE}.centre IN ({centres})", "GROUP BY 1")
    return [Reason(_OF_CENTRE[CostCentre(row["centre"])], int(row["cost"]), row["steps"]) for row in found]


def _largest(rows: SessionRows, kind: ReasonKind, name: str, named: str, times_min: int) -> Reason | None:
    """The name on which most was spent."""
    selected = [f"{name} AS name", f"sum({USAGE}.amount_nano) AS cost", "count(*) AS steps"]
    tail = f"GROUP BY 1 HAVING count(*) >= {times_min} ORDER BY cost DESC, name LIMIT 1"
    found = rows.summed(selected, f"{COUNTED} AND {COSTS} AND {named}", tail)
    return Reason(kind, int(found[0]["cost"]), found[0]["steps"], found[0]["name"]) if found else None


def _context(rows: SessionRows) -> Reason | None:
    """What calls cost because their input had grown since the first one."""
    tokens = f"({' + '.join(f'{USAGE}.{meter}' for meter in INPUT_METERS)})"
    call = f"{COUNTED} AND {USAGE}.operation = '{Operation.CHAT}' AND NOT {USAGE}.failed AND {tokens} > 0"
    ends = [
        rows.summed([f"{tokens} AS tokens"], call, f"ORDER BY {USAGE}.time {way}, {USAGE}.seq {way} LIMIT 1")
        for way in ("ASC", "DESC")
    ]
    if not ends[0] or ends[1][0]["tokens"] < (first := ends[0][0]["tokens"]) * GROWTH_MIN:
        return None
    grown = f"{rows.dialect.wide(f'{USAGE}.amount_nano')} * ({tokens} - {int(first)})"
    selected = [f"sum({rows.dialect.whole_quotient(grown, tokens)}) AS cost", "count(*) AS steps"]
    (row,) = rows.summed(selected, f"{call} AND {tokens} > {int(first)}")
    return Reason(ReasonKind.CONTEXT, int(row["cost"] or 0), row["steps"], "", first, ends[1][0]["tokens"])
