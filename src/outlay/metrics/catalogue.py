"""The catalogue: measures and dimensions as text, printed by `--help` and by the docs alike."""

from __future__ import annotations

from collections.abc import Iterable

from outlay.metrics.dimensions import DIMENSIONS, TAG
from outlay.metrics.measures import MEASURES


def measures_text() -> str:
    """One line a measure: its name, its unit, what it means."""
    return _lines((item.name, item.unit.value, item.text) for item in MEASURES)


def dimensions_text() -> str:
    """One line a dimension: its name, whether tasks are split by it too, what it means."""
    rows = [(item.name, "usages, tasks" if item.on_outcomes else "usages", item.text) for item in DIMENSIONS]
    return _lines([*rows, (f"{TAG}<key>", "usages, tasks", "any free tag")])


def _lines(rows: Iterable[tuple[str, str, str]]) -> str:
    listed = list(rows)
    name_width = max(len(name) for name, _, _ in listed)
    unit_width = max(len(unit) for _, unit, _ in listed)
    return "\n".join(f"{name:<{name_width}}  {unit:<{unit_width}}  {text}" for name, unit, text in listed)
