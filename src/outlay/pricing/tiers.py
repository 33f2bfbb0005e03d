"""Model tiers: frontier, mid or efficient, by a written rule that a company may replace.

First the patterns decide, in order, over the model's name; a name that no pattern knows is placed by the list price of
its output tokens; a model without either is `(unknown)`. The rule is data:
`data/tiers.toml`, or a `tiers.toml` of one's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from outlay.core.errors import Problem, nearest
from outlay.pricing.rows import Reader, rate_pico

TIERS = ("frontier", "mid", "efficient")
UNKNOWN_TIER = "(unknown)"


@dataclass(frozen=True, slots=True)
class TierRule:
    """`patterns` are (glob, tier) in order; from `frontier_pico` and `mid_pico` per output token a price decides."""

    patterns: tuple[tuple[str, str], ...]
    frontier_pico: int
    mid_pico: int

    def tier_of(self, model: str, output_pico: int | None) -> str:
        """The tier of a model by name, else by its list price per output token."""
        spelling = model.lower().rpartition("/")[2]
        for glob, tier in self.patterns:
            if fnmatchcase(spelling, glob):
                return tier
        if output_pico is None:
            return UNKNOWN_TIER
        return (
            "frontier" if output_pico >= self.frontier_pico else "mid" if output_pico >= self.mid_pico else "efficient"
        )


def read_tiers(file: str, text: str, base: TierRule | None = None) -> tuple[TierRule, list[Problem]]:
    """A rule from `[[tier]]` tables; a person's patterns come before those of `base`, prices replace its."""
    reader = Reader(file, text)
    patterns: list[tuple[str, str]] = []
    floors: dict[str, int] = {}
    for place, entry in reader.entries("tier", frozenset({"name", "models", "output_from"})):
        name = entry.get("name")
        if name not in TIERS:
            reader.problems.append(Problem(place, f"name is {name!r}", nearest(str(name), TIERS)))
            continue
        globs = entry.get("models", [])
        if not isinstance(globs, list) or not all(isinstance(glob, str) for glob in globs):
            reader.problems.append(
                Problem(place, "models must be a list of texts", 'models = ["gpt-5", "claude-opus-*"]')
            )
            continue
        patterns += [(glob.lower(), name) for glob in globs]
        if "output_from" in entry:
            try:
                floors[name] = rate_pico(entry["output_from"])
            except ValueError as error:
                reader.problems.append(Problem(place, f"output_from: {error}", 'output_from = "10 per 1M"'))
    rule = TierRule(
        (*patterns, *(base.patterns if base else ())),
        floors.get("frontier", base.frontier_pico if base else 0),
        floors.get("mid", base.mid_pico if base else 0),
    )
    return rule, reader.problems
