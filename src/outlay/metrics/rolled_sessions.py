"""Rolled sessions: which questions the days of sessions answer, and from which of their columns.

`session_days` (see `ledger/rollups.py`) keeps sessions, customers, users and tasks apart, and of their usages a closed
set of figures. Here each figure has its aggregate, so that a question finds the column and a stretch read row by row
gives the same column.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from outlay.core.centre import CostCentre
from outlay.core.meters import INPUT_METERS, OUTPUT_METERS, TOKEN_METERS
from outlay.ledger.rollups import SESSION_LABELS, SESSION_TEXTS
from outlay.metrics.dimensions import Place
from outlay.metrics.expressions import OUTCOME_OF_WORK, AllOf, Condition, Count, Is, OneOf, Sessions, Sum
from outlay.metrics.measures import BEARS, UNPRICED_USAGE
from outlay.metrics.parts import USAGE, Statement, column, condition
from outlay.metrics.plan import Plan

_APART = frozenset((*SESSION_TEXTS, *SESSION_LABELS, "counted"))
_INFERENCE = OneOf("centre", (CostCentre.INFERENCE.value,))
_HIDDEN = OneOf("centre", (CostCentre.INFERENCE.value,), exclude=True)
_RETRIES = OneOf("centre", (CostCentre.RETRIES.value,))

Core = tuple[tuple[str, ...], frozenset[Condition]]
"""What a figure adds up (nothing: it counts), and over which usages."""

_CORES: dict[str, Core] = {
    "n": ((), frozenset()),
    "bearing": ((), frozenset((BEARS,))),
    "retried": ((), frozenset((BEARS, _RETRIES))),
    "unpriced": ((), frozenset((UNPRICED_USAGE,))),
    "unpriced_inference": ((), frozenset((UNPRICED_USAGE, _INFERENCE))),
    "unpriced_retries": ((), frozenset((UNPRICED_USAGE, _RETRIES))),
    "unpriced_hidden": ((), frozenset((UNPRICED_USAGE, _HIDDEN))),
    "amount_nano": (("amount_nano",), frozenset()),
    "recorded_nano": (("recorded_nano",), frozenset()),
    "priced_nano": (("priced_nano",), frozenset()),
    "estimated_nano": (("estimated_nano",), frozenset()),
    "inference_nano": (("amount_nano",), frozenset((_INFERENCE,))),
    "retries_nano": (("amount_nano",), frozenset((_RETRIES,))),
    "hidden_nano": (("amount_nano",), frozenset((_HIDDEN,))),
    "unpriced_tokens": (("unpriced_tokens",), frozenset()),
    "input_tokens": (INPUT_METERS, frozenset()),
    "output_tokens": (OUTPUT_METERS, frozenset()),
}
_COLUMNS: dict[Core, tuple[str, ...]] = {core: (name,) for name, core in _CORES.items()} | {
    (TOKEN_METERS, frozenset()): ("input_tokens", "output_tokens")
}


@dataclass(frozen=True, slots=True)
class _Figure:
    """The columns to add, over the days of sessions that meet `wheres`."""

    columns: tuple[str, ...]
    wheres: tuple[Condition, ...]


def fits_sessions(plan: Plan) -> bool:
    """Whether the days of sessions answer a plan: it splits, filters and adds up by nothing they do not keep."""
    named = (*plan.dimensions, *(dimension for dimension, _ in plan.filters))
    apart = all(
        item.place is Place.WORK or (item.place is Place.USAGE and not item.tag and item.column in _APART)
        for item in named
    )
    asked = bool(plan.usage_sums or plan.session_sums) and not plan.with_charges
    timed = not any(item.where for item in plan.session_sums if isinstance(item, Sessions))
    return asked and apart and timed and all(_figure_of(item) is not None for item in plan.usage_sums)


def session_aggregate(statement: Statement, wanted: Count | Sum, *, counted: bool) -> str:
    """An aggregate over the days of sessions; with `counted` it leaves superseded reports out."""
    figure = _figure_of(wanted)
    if figure is None:
        raise ValueError(f"no day of a session holds {wanted}")
    conditions = [condition(statement, part, USAGE) for part in figure.wheres]
    conditions += [f"{USAGE}.counted"] if counted else []
    chosen = f" FILTER (WHERE {' AND '.join(conditions)})" if conditions else ""
    total = f"sum({' + '.join(f'{USAGE}.{name}' for name in figure.columns)}){chosen}"
    return total if isinstance(wanted, Sum) else f"coalesce({total}, 0)"


def figure_of_row(statement: Statement, name: str) -> str:
    """What one usage adds to a figure of its session's day."""
    columns, wheres = _CORES[name]
    value = " + ".join(column(one, USAGE) for one in columns) or "1"
    if not wheres:
        return value
    met = " AND ".join(sorted(condition(statement, part, USAGE) for part in wheres))
    return f"CASE WHEN {met} THEN {value} {'' if columns else 'ELSE 0 '}END"


FIGURE_NAMES = frozenset(_CORES)


def _figure_of(item: Count | Sum) -> _Figure | None:
    """Where an aggregate is found; None where the days of sessions do not hold it."""
    of_day: list[Condition] = []
    of_usage: list[Condition] = []
    for part in _parts(item.where):
        (of_day if _is_of_day(part) else of_usage).append(part)
    added = item.columns if isinstance(item, Sum) else ()
    columns = _COLUMNS.get((added, frozenset(of_usage)))
    return None if columns is None else _Figure(columns, tuple(of_day))


def _is_of_day(part: Condition) -> bool:
    """Whether a condition holds for all usages of a session's day or for none."""
    match part:
        case OneOf(name):
            return name in SESSION_LABELS or name == OUTCOME_OF_WORK
        case Is(name):
            return name == "counted"
        case _:
            return False


def _parts(where: Condition | None) -> Iterable[Condition]:
    """The conditions that must all hold."""
    match where:
        case None:
            return
        case AllOf(parts):
            for part in parts:
                yield from _parts(part)
        case _:
            yield where
