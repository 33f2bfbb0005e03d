"""Sessions: in which state one is, and how those of a set lie in time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from outlay.core.centre import STRUCTURE
from outlay.core.session import NO_SESSION, SessionState
from outlay.ledger.store import Reader
from outlay.metrics.dialect import Dialect, dialect_named
from outlay.metrics.groups import usage_conditions, usage_source
from outlay.metrics.parts import USAGE, Statement
from outlay.metrics.plan import plan_of_usages
from outlay.metrics.query import Query
from outlay.metrics.work import work_tables


@dataclass(frozen=True, slots=True)
class Together:
    """`at_once_max` sessions were alive at once, at most; `wall_clock_us` passed from the first sign to the last."""

    at_once_max: int
    wall_clock_us: int


def sessions_together(reader: Reader, query: Query) -> Together:
    """How the sessions of a set lie in time: each lives from its first to its last sign."""
    statement = Statement(dialect_named(reader.dialect))
    plan = plan_of_usages(query)
    tables = f"WITH RECURSIVE {', '.join(work_tables(statement, plan))} " if plan.with_work else ""
    first, last = _first(statement.dialect), _last(statement.dialect)
    wheres = [*usage_conditions(statement, plan), f"{USAGE}.session_id <> {statement.bind(NO_SESSION)}"]
    usages = usage_source(statement, plan, [first, last, *wheres])
    source = f"{usages} WHERE {' AND '.join(wheres)} GROUP BY {USAGE}.session_id"
    table = reader.rows(f"{tables}SELECT {first} AS first, {last} AS last FROM {source}", statement.parameters)
    if not table.num_rows:
        return Together(0, 0)
    starts = np.sort(table.column("first").to_numpy())
    ends = np.sort(table.column("last").to_numpy())
    alive = np.arange(1, len(starts) + 1) - np.searchsorted(ends, starts, side="left")
    return Together(int(alive.max()), int(ends[-1] - starts[0]))


OPENING = tuple(sorted(item.value for item in STRUCTURE))
"""Operations that hold a whole run: where the outermost of them has an end, so has the session."""


def _first(dialect: Dialect) -> str:
    return dialect.us(f"min({USAGE}.time)")


def _last(dialect: Dialect) -> str:
    return f"max({dialect.end_of(f'{USAGE}.time', f'{USAGE}.duration_ms')})"


def state_of(facts: Mapping[str, Any], *, has_outcome: bool) -> SessionState:
    """Ended when an outcome names the session or its outermost step has an end; not seen without a model call."""
    if not facts["calls"]:
        return SessionState.NOT_SEEN
    return SessionState.ENDED if has_outcome or facts["closed"] else SessionState.OPEN
