"""Whereabouts: on which days a session or a task did its work, so that finding its rows does not mean reading all.

The same is known of the sessions that a session started: whether there is any, and on which days they worked.

The table `whereabouts` holds a number for each name and the days on which work under it began (UTC). Numbers may
collide and work may have moved to another session since: the days are where to look, the rows say what is true.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from outlay.ledger.store import Reader

KEY_MASK = 0x7FFFFFFF
"""A number of 31 bits: an index over it takes half the place of one over 63, and few names share one."""
ASKED_MAX = 500
"""How many names one question holds."""
STRETCHES_MAX = 8
"""Days that lie further apart are read as fewer, longer stretches: a statement stays a statement."""

_DAY = timedelta(days=1)

Stretch = tuple[datetime, datetime]
"""From the first moment up to, not including, the second; UTC without a zone, as the books hold it."""


class Named(StrEnum):
    """What a name is the name of; the value stands before the name when its number is taken."""

    SESSION = "s"
    TASK = "t"
    PARENT = "p"  # a session, for what the sessions did that it started


def keys_of(named: Named, names: Iterable[str]) -> npt.NDArray[np.int64]:
    """The number of each name: the last bits of its MD5, which every engine can compute."""
    kind, md5 = named.value, hashlib.md5
    digests = [md5(f"{kind}{name}".encode(), usedforsecurity=False).digest() for name in names]
    return np.frombuffer(b"".join(digests), "<i8")[1::2] & KEY_MASK


def stretches_of(reader: Reader, named: Named, names: Sequence[str]) -> list[Stretch]:
    """The stretches of whole days within which all work of these sessions or tasks began; at most `ASKED_MAX` names."""
    if not names:
        return []
    keys = sorted(set(keys_of(named, names).tolist()))
    places = ", ".join(f"CAST(${number} AS INTEGER)" for number in range(1, len(keys) + 1))
    found = reader.rows(f"SELECT DISTINCT day FROM whereabouts WHERE key IN ({places})", keys)
    return _runs(sorted(found.column("day").to_pylist()))


def span_of(reader: Reader, named: Named, name: str) -> Stretch | None:
    """The stretch of whole days within which all work under a name began; None where there is no such work."""
    stretches = stretches_of(reader, named, [name])
    return (stretches[0][0], stretches[-1][1]) if stretches else None


def _runs(days: Iterable[date]) -> list[Stretch]:
    runs: list[Stretch] = []
    for day in days:
        start = datetime.combine(day, time.min)
        if runs and runs[-1][1] == start:
            runs[-1] = (runs[-1][0], start + _DAY)
        else:
            runs.append((start, start + _DAY))
    while len(runs) > STRETCHES_MAX:
        gaps = [after[0] - before[1] for before, after in pairwise(runs)]
        place = gaps.index(min(gaps))
        runs[place : place + 2] = [(runs[place][0], runs[place + 1][1])]
    return runs
