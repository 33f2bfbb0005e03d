"""What sources state about money and tokens, taken at its word and no further."""

from __future__ import annotations

from typing import Any

from outlay.core.money import nano_of


def recorded_nano(cost: object, tokens: int) -> int | None:
    """Nano-units of a recorded cost. A cost of 0 beside tokens is not a price but a missing one: None.

    Raises ValueError for a cost that is no amount, or a negative one.
    """
    if cost is None:
        return None
    nano = nano_of(cost)
    if nano < 0:
        raise ValueError(f"negative cost: {cost}")
    return nano if nano or not tokens else None


def basis_by_total(
    input_tokens: int | None, output_tokens: int | None, total: int | None, cached: int
) -> dict[str, Any]:
    """The token basis which the stated total proves, as a column; empty where it proves nothing."""
    apart = (input_tokens or 0) + (output_tokens or 0)
    if total is None or not cached:
        return {}
    return {"basis": "inclusive"} if total == apart else {"basis": "exclusive"} if total == apart + cached else {}
