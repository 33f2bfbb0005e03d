"""Joined: groups of usages and of outcomes become the rows of an answer, as `render.py` says it to the engine.

The two say the same, one in SQL over all rows, one in Python over groups that are few. What each step means stands
there; a test asks both.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from outlay.metrics.cube import Groups
from outlay.metrics.dimensions import OTHER
from outlay.metrics.expressions import Add, Aggregate, Divide, Expression, Sessions, Subtract
from outlay.metrics.groups import key_names
from outlay.metrics.plan import Plan
from outlay.metrics.render import NO_USAGE, REST, ROW, TOTAL, columns_of

Row = dict[str, Any]
Figures = list[int | None]


class SessionFigures(Protocol):
    """Whoever counts and times sessions, which do not add up; figures in the order of a plan's `session_sums`."""

    def by_group(self, plan: Plan) -> Mapping[tuple[Any, ...], Figures]:
        """By bucket and group."""
        ...

    def total(self, plan: Plan) -> Figures:
        """Over everything."""
        ...

    def rest(self, plan: Plan, ranked: Collection[tuple[str | None, ...]]) -> Mapping[tuple[Any, ...], Figures]:
        """By bucket, over the groups that are not ranked."""
        ...


def answer_rows(plan: Plan, usages: Groups, outcomes: Groups, sessions: SessionFigures | None = None) -> list[Row]:
    """The rows, the total, and the sessions of `(other)`, which comes last; `sessions` where the plan counts them."""
    names, columns = key_names(plan), list(columns_of(plan).values())
    nowhere = [None] * len(names)

    def row(kind: int, rank: int | None, bucket: Any, keys: Sequence[Any], figures: Figures) -> Row:
        times = {"bucket": bucket} if plan.query.grain else {}
        named = dict(zip((*names, *columns), (*keys, *figures), strict=True))
        return {"kind": kind, "rank": rank, **times, **named}

    if sessions is not None:
        told = sessions.by_group(plan)
        none: Figures = [0 if isinstance(item, Sessions) else None for item in plan.session_sums]
        usages = {key: [*figures, *told.get(key, none)] for key, figures in usages.items()}
    both = _side_by_side(plan, usages, outcomes)
    ranks = _ranks(plan, both)
    first, rest = list[Row](), dict[Any, list[tuple[tuple[Any, ...], Figures]]]()
    for (bucket, *keys), figures in both:
        rank = ranks.get(tuple(keys)) if names else 1
        if rank is None:
            rest.setdefault(bucket, []).append((tuple(keys), figures))
        else:
            first.append(row(ROW, rank, bucket, keys, figures))
    others = [row(ROW, None, bucket, [OTHER] * len(names), _other(plan, held)) for bucket, held in rest.items()]
    whole = _sums(usages.values(), len(plan.usage_sums))
    whole += sessions.total(plan) if sessions is not None else []
    whole += _sums(outcomes.values(), len(plan.outcome_sums))
    apart: list[Row] = []
    if sessions is not None and rest:
        unknown = [None] * len(plan.usage_sums), [None] * len(plan.outcome_sums)
        left = sessions.rest(plan, ranks).items()
        apart = [row(REST, None, bucket, nowhere, [*unknown[0], *count, *unknown[1]]) for (bucket,), count in left]
    return [*first, *others, *apart, row(TOTAL, None, None, nowhere, whole)]


def _side_by_side(plan: Plan, usages: Groups, outcomes: Groups) -> list[tuple[tuple[Any, ...], Figures]]:
    """Each group of usages with the outcomes it shares, and the outcomes without a usage."""
    nothing: Figures = [None] * len(plan.outcome_sums)
    if plan.only_outcomes:
        return list(outcomes.items())
    if not plan.outcome_sums:
        return list(usages.items())
    on_outcomes = [place for place, item in enumerate(plan.dimensions) if item.on_outcomes]
    rows: list[tuple[tuple[Any, ...], Figures]] = []
    met: set[tuple[Any, ...]] = set()
    for key, figures in usages.items():
        shared = (key[0], *(key[place + 1] for place in on_outcomes))
        found = outcomes.get(shared)
        met.add(shared)
        rows.append((key, [*figures, *(nothing if found is None else found)]))
    for shared, figures in outcomes.items():
        if shared not in met:
            values = dict(zip(on_outcomes, shared[1:], strict=True))
            keys = [values.get(place, NO_USAGE) for place in range(len(plan.dimensions))]
            rows.append(((shared[0], *keys), [*([None] * _width(plan)), *figures]))
    return rows


def _ranks(plan: Plan, both: Sequence[tuple[tuple[Any, ...], Figures]]) -> dict[tuple[Any, ...], int]:
    """The rank of each group that comes by name."""
    if not plan.dimensions:
        return {}
    held: dict[tuple[Any, ...], list[Figures]] = {}
    for (_, *keys), figures in both:
        held.setdefault(tuple(keys), []).append(figures)
    order = plan.query.ranked_by
    groups = sorted(held, key=lambda keys: [(key is None, key) for key in keys])
    value = _ranking(plan, held)
    known = [keys for keys in groups if value(keys) is not None]
    known.sort(key=value, reverse=order.descending)  # stable: ties stay in order of their names
    unknown = [keys for keys in groups if value(keys) is None]
    return {keys: place + 1 for place, keys in enumerate([*known, *unknown][: plan.query.limit])}


def _ranking(plan: Plan, held: dict[tuple[Any, ...], list[Figures]]) -> Callable[[tuple[Any, ...]], Any]:
    """What a group is ranked by."""
    order = plan.query.ranked_by
    if order.name not in plan.query.measures:
        place = plan.query.by.index(order.name)
        return lambda keys: keys[place]
    places = {item: place for place, item in enumerate(columns_of(plan))}
    rank_of = _rank_value(plan.definitions[plan.query.measures.index(order.name)], places)
    ranked = {keys: rank_of(_sums(parts, len(places))) for keys, parts in held.items()}
    return ranked.__getitem__


def _rank_value(expression: Expression, places: dict[Aggregate, int]) -> Callable[[Figures], int | float | None]:
    match expression:
        case Add(left, right) | Subtract(left, right) | Divide(left, right):
            one, other = _rank_value(left, places), _rank_value(right, places)
            join = _JOINS[type(expression)]
            return lambda figures: _known(join, one(figures), other(figures))
        case _:
            place = places[expression]
            return lambda figures: figures[place]


def _known(join: Callable[[Any, Any], Any], one: float | None, other: float | None) -> int | float | None:
    return None if one is None or other is None else join(one, other)


def _quotient(over: float, under: float) -> float | None:
    return float(over) / float(under) if under else None  # not money: a rank


_JOINS = {Add: operator.add, Subtract: operator.sub, Divide: _quotient}


def _other(plan: Plan, held: Sequence[tuple[tuple[Any, ...], Figures]]) -> Figures:
    """What is not ranked as one group; outcomes that several of its groups share count once."""
    usages = _width(plan)
    on_outcomes = [place for place, item in enumerate(plan.dimensions) if item.on_outcomes]
    once = {tuple(keys[place] for place in on_outcomes): figures[usages:] for keys, figures in held}
    return [
        *_sums([figures[:usages] for _, figures in held], usages),
        *_sums(once.values(), len(plan.outcome_sums)),
    ]


def _width(plan: Plan) -> int:
    """How many figures of usages a group has."""
    return len(plan.usage_sums) + len(plan.session_sums)


def _sums(rows: Any, count: int) -> Figures:
    """Column by column, what is known added up; None where nothing is."""
    sums: Figures = [None] * count
    for figures in rows:
        for place, figure in enumerate(figures[:count]):
            if figure is not None:
                held = sums[place]
                sums[place] = figure if held is None else held + figure
    return sums
