"""Guardrails: which verdicts of the many vendors say that something was kept back."""

from __future__ import annotations

from collections.abc import Mapping

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


def rejected(counts: Mapping[str, int]) -> int:
    """How many of the checks, by verdict, kept something back."""
    return sum(count for verdict, count in counts.items() if verdict.strip().lower() in REJECTING)
