"""Chunks: the words of the till: what a run is bound by, what its calls share, and what one of them holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from outlay.core.in_force import Bound, InForce
from outlay.core.quote import Call, Quote
from outlay.core.stop import Stop


@dataclass(slots=True)
class Counts:
    """What was decided here so far. `failed_open` calls passed unasked, as their budgets say, and nobody held money."""

    asked: int = 0
    statements: int = 0
    refused: int = 0
    clamped: int = 0
    swapped: int = 0
    waited: int = 0
    cut: int = 0
    failed_open: int = 0
    failed_closed: int = 0
    soft_over: int = 0


@dataclass(slots=True, eq=False)
class Chunk:
    """A lease, and what is left of it here. `is_whole` is held by one call alone and ends with it.

    It may be taken from until `until_ns`: its lease is alive then, and the window it is of, which ends at `ends_ns`.
    """

    lease: str
    pool: Pool
    free_nano: int
    until_ns: int
    is_whole: bool
    ends_ns: int
    used_ns: int
    renew_ns: int
    spent_nano: int = 0
    holds: int = 0


@dataclass(slots=True, eq=False)
class Pool:
    """What calls share that the same budgets bind: the chunk they take from, and what else was free by then."""

    envelope: Mapping[str, str]
    is_counted: bool
    fails_closed: bool
    chunk: Chunk | None = None
    left_nano: int | None = None


@dataclass(slots=True, eq=False)
class Account:
    """What binds one run, as long as that holds: nothing, a stop, or budgets with their pool."""

    force: InForce
    until_ns: int
    envelope: Mapping[str, str]
    pool: Pool | None
    bound: Sequence[Bound]
    stop: Stop | None


@dataclass(slots=True, eq=False)
class Hold:
    """Money one call may spend: part of a chunk, none where nothing had to be asked or nobody could be.

    `max_tokens` and `model` are what the call must be changed to; see `core.lease.Grant`.
    """

    chunk: Chunk | None
    amount_nano: int
    max_tokens: int | None = None
    model: str = ""
    kind: str = ""


def _nothing() -> Mapping[str, int]:
    return {}


@dataclass(slots=True)
class Need:
    """What somebody wants to hold. `kind` is what its cost is learned under, `parent` a lease of another process."""

    quote: Quote
    call: Call | None = None
    amount_nano: int | None = None
    least_nano: int | None = None
    counts: Mapping[str, int] = field(default_factory=_nothing)
    depth: int = 0
    final: bool = False
    kind: str = ""
    parent: str = ""
    began_ns: int = 0
