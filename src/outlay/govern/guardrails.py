"""Guardrails: which verdicts of the many vendors say that something was kept back."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

VERDICT_TAG = "tag.guardrail_verdict"
"""The dimension under which the emitters' own words are kept."""

REJECTING = frozenset(
    {
        *("block", "blocked", "deny", "denied", "reject", "rejected", "refuse", "refused", "fail", "failed"),
        *(
            "flag",
            "flagged",
            "intervened",
            "guardrail_intervened",
            "triggered",
            "tripped",
            "true",
            "unsafe",
            "redacted",
        ),
    }
)
"""Words that mean a rejection, in lower case; anything else let the work pass."""


def rejection_rate(checks: Iterable[tuple[str, int]]) -> Fraction | None:
    """Which part of the checks, as pairs of a verdict and a count, kept something back; None where there were none."""
    kept = every = 0
    for verdict, count in checks:
        every += count
        kept += count if verdict.strip().lower() in REJECTING else 0
    return Fraction(kept, every) if every else None
