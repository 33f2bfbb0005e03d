"""Touched: which hours of the books were written to, and when, so that what is known of the other hours stays known.

A state of the books carries, for each hour, the number of the last transaction that changed a fact of that hour. Two
states that agree on these numbers hold the same rows in these hours. The numbers live as long as the process: what is
kept by them is not older than that. Readers hold a state while writers make the next one, so a state never changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa

HOUR_US = 3_600_000_000
_HOURS_CLOSE = 100_000
"""Hours within eleven years of each other are told apart without sorting them."""
_HOUR = timedelta(hours=1)
_FIRST = datetime(1970, 1, 1)  # noqa: DTZ001 - UTC without a zone, as the books hold it

Hours = frozenset[int]
"""Hours since 1970, UTC."""


@dataclass(frozen=True, slots=True)
class Touched:
    """One state of the books. `work` holds usages and their cost lines, `outcomes` the reports on tasks, by hour.

    States that share `began` come one after the other; nothing follows from the numbers of two that do not.
    """

    began: object = field(default_factory=object)
    number: int = 0
    work: Mapping[int, int] = field(default_factory=dict[int, int])
    outcomes: Mapping[int, int] = field(default_factory=dict[int, int])
    labels: int = 0
    """The last transaction that came with a combination of texts not met before."""

    def after(self, work: Iterable[int] = (), outcomes: Iterable[int] = (), *, labels: bool = False) -> Touched:
        """The state after a transaction that changed facts of these hours, and met new combinations of texts or not."""
        number = self.number + 1
        return Touched(
            self.began,
            number,
            {**self.work, **dict.fromkeys(work, number)} if work else self.work,
            {**self.outcomes, **dict.fromkeys(outcomes, number)} if outcomes else self.outcomes,
            number if labels else self.labels,
        )

    def last(self, start: datetime | None, end: datetime | None) -> tuple[int, int]:
        """The last transactions that changed work, and outcomes, of the hours a stretch of time lies in; 0 is none."""
        first = None if start is None else (start - _FIRST) // _HOUR
        behind = None if end is None else -((_FIRST - end) // _HOUR)
        return _last(self.work, first, behind), _last(self.outcomes, first, behind)

    def since(self, number: int) -> Hours:
        """The hours of which anything was changed after that transaction."""
        return frozenset(hour for held in (self.work, self.outcomes) for hour, at in held.items() if at > number)


def _last(held: Mapping[int, int], first: int | None, behind: int | None) -> int:
    if first is not None and behind is not None and behind - first < len(held):
        return max((held.get(hour, 0) for hour in range(first, behind)), default=0)
    return max(
        (at for hour, at in held.items() if (first is None or hour >= first) and (behind is None or hour < behind)),
        default=0,
    )


def hours_of(times: pa.ChunkedArray | pa.Array) -> Hours:
    """The hours of microsecond timestamps."""
    held = times.cast(pa.timestamp("us")).cast(pa.int64()).to_numpy(zero_copy_only=False)
    if not len(held):
        return frozenset()
    hours = held // HOUR_US
    first, last = int(hours.min()), int(hours.max())
    if last - first > _HOURS_CLOSE:
        return frozenset(np.unique(hours).tolist())
    met = np.zeros(last - first + 1, np.bool_)
    met[hours - first] = True
    return frozenset((np.flatnonzero(met) + first).tolist())
