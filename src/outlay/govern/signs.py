"""Signs: what the books and the control store can show of how well spend is governed. Counts, not a level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from outlay.control.targets import Target
from outlay.core.envelope import UNTAGGED
from outlay.metrics.dimensions import OTHER


@dataclass(frozen=True, slots=True)
class Sign:
    """So many of so many do what the words say."""

    words: str
    met: int
    of: int

    @property
    def word(self) -> str:
        """all, some, none, or nothing where there is nothing to count."""
        return "nothing" if not self.of else "all" if self.met >= self.of else "some" if self.met else "none"


def signs(
    features: Sequence[Mapping[str, Any]],
    teams: Sequence[str],
    budgeted: Sequence[str],
    targets: Mapping[str, Target],
    earlier: Sequence[Target],
) -> list[Sign]:
    """What can be counted. `features` are rows with tasks completed, `earlier` the targets of the last quarter."""
    named = [row for row in features if row["feature"] not in {UNTAGGED, OTHER}]
    known = [team for team in teams if team not in {UNTAGGED, OTHER}]
    return [
        Sign("Teams with a monthly budget", sum(team in budgeted for team in known), len(known)),
        Sign(
            "Features that say when a task is done", sum(bool(row.get("tasks_completed")) for row in named), len(named)
        ),
        Sign("Features with a target this quarter", sum(row["feature"] in targets for row in named), len(named)),
        Sign("Targets of last quarter reviewed", sum(bool(target.decision) for target in earlier), len(earlier)),
    ]
