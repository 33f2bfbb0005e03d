"""Timeline: which policy holds at which time, so that a later policy does not rewrite what an earlier one decided.

Every adoption names the stretch of time it is for; of several that cover a moment the latest adopted holds. What the
books say of a usage is then a function of the usage, its time and this list, whatever the order of arrival.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from outlay.core.envelope import ENVELOPE_KEYS
from outlay.normalize.columns import Ints, Mask
from outlay.normalize.policy.judge import Judge
from outlay.normalize.policy.model import MATCHED, TAG, TAGS, Policy


@dataclass(frozen=True, slots=True)
class Adopted:
    """A policy, when it was adopted (UTC epoch nanoseconds), and the usages it is for (UTC microseconds; None: open).

    `by` says who adopted it, in a word.
    """

    number: int
    policy: Policy
    at_ns: int
    from_us: int | None
    to_us: int | None
    by: str = ""


@dataclass(frozen=True, slots=True)
class _Stretch:
    judge: Judge
    at_ns: int


_ALWAYS = Judge(Policy())


@dataclass(slots=True)
class Timeline:
    """Every adoption in order. Without one, the policy that asks for a team holds."""

    adopted: tuple[Adopted, ...] = ()
    _bounds: Ints = field(init=False)
    _stretches: list[_Stretch] = field(init=False)

    def __post_init__(self) -> None:
        judges: dict[str, Judge] = {}
        for entry in self.adopted:
            judges.setdefault(entry.policy.digest, Judge(entry.policy))
        ends = {end for entry in self.adopted for end in (entry.from_us, entry.to_us) if end is not None}
        self._bounds = np.asarray(sorted(ends), np.int64)
        starts: list[int | None] = [None, *sorted(ends)]
        self._stretches = []
        for start in starts:
            held = [entry for entry in self.adopted if _covers(entry, start)]
            last = held[-1] if held else None
            self._stretches.append(_Stretch(judges[last.policy.digest], last.at_ns) if last else _Stretch(_ALWAYS, 0))

    @property
    def current(self) -> Policy:
        """The policy adopted last."""
        return self.adopted[-1].policy if self.adopted else _ALWAYS.policy

    @property
    def judges_words(self) -> bool:
        """Some policy does something to what usages say of themselves."""
        return any(entry.policy.judges_words for entry in self.adopted)

    @property
    def reads(self) -> frozenset[str]:
        """The columns of usages that attribution looks at beside the envelope."""
        policies = [stretch.judge.policy for stretch in self._stretches]
        rules = [rule for policy in policies for rule in policy.fills]
        words = {word for rule in rules for word in rule.matches}
        found = {TAGS if word.startswith(TAG) else MATCHED[word] for word in words}
        if any(require.source != "*" for policy in policies for require in policy.requires):
            found.add("source")
        named = [key for policy in policies for require in policy.requires for key in require.keys]
        if any(policy.free for policy in policies) or any(key.startswith(TAG) for key in named):
            found.add(TAGS)
        return frozenset(found - set(ENVELOPE_KEYS))

    def parts(self, time_us: Ints) -> Iterator[tuple[Judge, Mask]]:
        """Each policy that holds for some of these times, with its rows."""
        for stretch, rows in self.stretches(time_us):
            yield stretch.judge, rows

    def stretches(self, time_us: Ints) -> Iterator[tuple[_Stretch, Mask]]:
        """The same with the moment of adoption beside."""
        if len(self._stretches) == 1:
            yield self._stretches[0], np.ones(len(time_us), np.bool_)
            return
        places = np.searchsorted(self._bounds, time_us, side="right")
        for place in np.unique(places).tolist():
            yield self._stretches[place], places == place


NO_POLICY = Timeline()
"""No adoption: every usage is asked for a team, and nothing is changed."""


def _covers(entry: Adopted, start_us: int | None) -> bool:
    """Whether an adoption is for the stretch that begins there (None: the beginning of time)."""
    if start_us is None:
        return entry.from_us is None
    return (entry.from_us is None or entry.from_us <= start_us) and (entry.to_us is None or start_us < entry.to_us)


def accepted_since(stretch_at_ns: int, accepted_ns: int) -> bool:
    """Whether facts that were accepted then may be refused by a policy adopted then: it never refuses what was in."""
    return accepted_ns >= stretch_at_ns
