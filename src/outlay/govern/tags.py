"""Tags judged: how much of the cost is tagged as the policy asks, what that is worth, and what to do next.

The score is the share of cost whose required tags are all there and valid; beside it stands the same share of calls,
since a cheap call that nobody tags is tomorrow's dear one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction

from outlay.metrics.tags import Cause, CauseRow, ConflictRow
from outlay.normalize.policy.model import VALUES_MAX, Policy

GATES: tuple[tuple[str, Fraction], ...] = (
    ("level 4", Fraction(98, 100)),
    ("level 3", Fraction(95, 100)),
    ("level 2", Fraction(80, 100)),
)
"""The maturity that a score is enough for, the highest first."""

HINTS: Mapping[Cause, str] = {
    Cause.UNKNOWN_VALUE: "correct the sender, or add an alias: outlay tags policy set FILE",
    Cause.NEVER_TAGS: "tag the service once with OTEL_RESOURCE_ATTRIBUTES, or write a rule: outlay tags rules add",
    Cause.SUB_AGENT: "hand the envelope on where the sub-agent is started, or write a rule on its agent",
    Cause.THREAD: "carry the context into the thread or queue, so that the call stands inside its step",
    Cause.ROOT: "tag the session where it begins, or write a rule on its agent or service",
}
"""The next step for each cause."""


@dataclass(frozen=True, slots=True)
class CauseFinding(CauseRow):
    """A cause on one code path, with the next step."""

    hint: str


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about the tags as a whole that a person should know: what, how often, and the next step."""

    kind: str
    what: str
    count: int
    hint: str


def level_of(score: Fraction | None) -> str:
    """The maturity a score is enough for, in a word; empty where there is no score."""
    if score is None:
        return ""
    return next((name for name, floor in GATES if score >= floor), "level 1")


def judged(causes: Sequence[CauseRow]) -> list[CauseFinding]:
    """Causes with what to do about each."""
    return [CauseFinding(**asdict(row), hint=HINTS[row.cause]) for row in causes]


def findings(
    policy: Policy,
    values: Mapping[str, int],
    conflicting: int,
    conflicts: Sequence[ConflictRow],
    refused: int,
    trouble: Sequence[str] = (),
) -> list[Finding]:
    """What is odd about the tags of a period: too many values, sessions that contradict themselves, refused facts.

    `trouble` is what is wrong with the policy file where an edit of it could not be adopted.
    """
    found = [
        Finding("policy file", f"not in force: {line}", len(trouble), "outlay tags policy check tags.toml")
        for line in trouble[:1]
    ]
    found += [
        Finding(
            "too many values",
            f"{key} has {count:,} different values, {limit:,} are plausible",
            count,
            f'is it an id? name what is valid: [keys.{key}] pattern, with invalid = "fold"',
        )
        for key, count, limit in _limits(policy, values)
        if count > limit
    ]
    if conflicting:
        first = conflicts[0]
        said = ", ".join(first.values)
        found.append(
            Finding(
                "contradictory tags",
                f"{conflicting:,} sessions say several things under one key, like {first.session}: {first.key} {said}",
                conflicting,
                f"each step keeps its own word, steps without one take the earliest: outlay session {first.session}",
            )
        )
    if refused:
        found.append(
            Finding(
                "refused",
                f"{refused:,} facts are not in the books because the policy rejects their tags",
                refused,
                "they are kept in the journal: correct the policy and they come back, or correct the sender",
            )
        )
    return found


def _limits(policy: Policy, values: Mapping[str, int]) -> list[tuple[str, int, int]]:
    """Each key with its count and limit; customers are as many as there are, unless the policy says otherwise."""
    rules = policy.keys
    judged_keys = [key for key in values if key in rules or key != "customer"]
    return [(key, values[key], rules[key].values_max if key in rules else VALUES_MAX) for key in judged_keys]
