"""Desks: where money is asked for. One is the control store's file on this machine, the other a server.

A desk is asked from the agent's own threads, so each answer takes as long as one transaction, or one round trip; what
most calls need is kept in `till.py`. Whatever keeps a desk from answering is an UnreachableError: what happens then is
each budget's own word (`fail`), not the desk's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from outlay.core.errors import OutlayError
from outlay.core.estimate import Estimate
from outlay.core.in_force import InForce
from outlay.core.lease import Ask, Grant
from outlay.core.rate import Rate

Samples = Mapping[str, Sequence[int]]
"""What calls of a kind were billed, in nano-units; see `core.estimate`."""

SETTLED = "settled"
SPENT = "spent"
RENEWED = "renewed"


class UnreachableError(OutlayError):
    """Nobody could be asked: the store is gone or busy, the server does not answer."""

    code = "unreachable"
    status = 503


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a lease: `settled` for so much and over, `spent` so much of it, or `renewed` as it is."""

    lease: str
    what: str
    amount_nano: int = 0


class Desk(Protocol):
    """Who gives leases."""

    @property
    def place(self) -> str:
        """Where it is: a file, an address."""
        ...

    def in_force(self, known: InForce | None) -> InForce | None:
        """What holds now, `known` itself while nothing changed; None where there are no budgets at all."""
        ...

    def ready(self) -> bool:
        """Waits a moment, once, for the first answer to what holds; True where it had come before, or does not come."""
        ...

    def decide(self, ask: Ask, reports: Sequence[Report] = ()) -> Grant:
        """A lease or a refusal, after what is reported first. Raises UnreachableError."""
        ...

    def draw(self, lease: str, amount_nano: int) -> Grant:
        """More money for a lease that lives, as far as there is some. Raises UnreachableError, LeaseError."""
        ...

    def report(self, reports: Sequence[Report], samples: Samples) -> Sequence[str]:
        """What became of leases, and what calls were billed; the leases that are over. Raises UnreachableError."""
        ...

    def rate(self, provider: str, model: str) -> Rate | None:
        """What a model charges; None where nobody knows. Raises UnreachableError."""
        ...

    def usual(self, kind: str) -> Estimate | None:
        """What calls of a kind cost; None while too few are known. Raises UnreachableError."""
        ...

    def tidy(self) -> None:
        """Does what would keep a question waiting; asked of by a thread that has time. Never raises."""
        ...

    def close(self) -> None:
        """Gives back what it holds open."""
        ...
