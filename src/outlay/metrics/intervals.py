"""Intervals: how far a figure that rests on a sample can be trusted. The same sample gives the same interval.

The figure is a ratio: what all tasks cost over how many were done. Tasks are drawn anew with replacement, with a
generator that always begins alike; the middle 95 % of the ratios is the interval (percentile bootstrap). For more tasks
than `BOOTSTRAP_MAX` the ratio is near normal and its spread is computed (delta method), which costs nothing.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

DRAWS = 2000
TAIL = 50
"""Draws left out at each end: 2.5 %."""

BOOTSTRAP_MAX = 2000
TASKS_MIN = 2
"""A single task says nothing of how much tasks differ."""

_SEED = 20_261_101
_DRAWN_AT_ONCE = 500_000
_Z = 1.959963984540054  # not money: the normal quantile of 97.5 %

Values = npt.NDArray[np.float64]  # not money: a sample, for the spread of an estimate
Flags = npt.NDArray[np.bool_]
Bounds = tuple[int | None, int | None]


def interval_of_ratio(costs: Values, done: Flags, fixed: int = 0, more_done: int = 0) -> Bounds:
    """The 95 % interval of (fixed + sum of costs) / (more_done + number done), None where a bound is not known.

    Costs and bounds are in nano-units; `fixed` and `more_done` are known and not drawn. A draw without any done task
    has no ratio: it counts as beyond every bound, so that the upper bound is unknown where such draws are common.
    """
    if len(costs) < TASKS_MIN:
        return None, None
    if len(costs) > BOOTSTRAP_MAX:
        return _computed(costs, done, fixed, more_done)
    ratios = np.sort(_draws(costs, done, fixed, more_done))
    low, high = (_whole(ratios[place]) for place in (TAIL, DRAWS - 1 - TAIL))
    return low, high


def _whole(bound: np.floating) -> int | None:
    return round(bound.item()) if math.isfinite(bound) else None


def _draws(costs: Values, done: Flags, fixed: int, more_done: int) -> Values:
    generator, count = np.random.Generator(np.random.PCG64(_SEED)), len(costs)
    ratios = np.empty(DRAWS)
    step = max(1, _DRAWN_AT_ONCE // count)
    for start in range(0, DRAWS, step):
        drawn = generator.integers(0, count, size=(min(step, DRAWS - start), count))
        over, under = fixed + costs[drawn].sum(axis=1), more_done + done[drawn].sum(axis=1)
        ratio = over / np.maximum(under, 1)  # not money: one draw of an estimate
        ratios[start : start + len(drawn)] = np.where(under > 0, ratio, np.inf)
    return ratios


def _computed(costs: Values, done: Flags, fixed: int, more_done: int) -> Bounds:
    successes = more_done + int(done.sum())
    if not successes:
        return None, None
    ratio = (fixed + costs.sum()) / successes  # not money: the middle of an estimate
    spread = math.sqrt(len(costs)) * (costs - ratio * done).std(ddof=1)
    half = _Z * spread / successes  # not money: the spread of an estimate
    return _whole(ratio - half), _whole(ratio + half)
