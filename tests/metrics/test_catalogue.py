"""Every measure and dimension is explained once, and the docs repeat each of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from outlay.metrics.catalogue import dimensions_text, measures_text
from outlay.metrics.dimensions import DIMENSIONS, dimension_named
from outlay.metrics.measures import DEFAULT_MEASURES, MEASURES, measure_named

NAMES = [item.name for item in MEASURES] + [item.name for item in DIMENSIONS]


def test_names_are_unique_and_plain() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert all(re.fullmatch(r"[a-z_]+", name) for name in NAMES)
    assert set(DEFAULT_MEASURES) <= set(NAMES)


@pytest.mark.parametrize("item", [*MEASURES, *DIMENSIONS], ids=lambda item: item.name)
def test_each_has_a_text_of_its_own(item: object) -> None:
    text = getattr(item, "text", "")
    assert len(text) > 3
    assert sum(text == other.text for other in (*MEASURES, *DIMENSIONS)) == 1


@pytest.mark.parametrize("name", NAMES)
def test_help_and_docs_name_it(name: str, root: Path) -> None:
    assert re.search(rf"^{name}\b", f"{measures_text()}\n{dimensions_text()}", re.MULTILINE)
    page = (root / "docs" / "metrics.md").read_text(encoding="utf-8")
    text = next(item.text for item in (*MEASURES, *DIMENSIONS) if item.name == name)
    rows = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
    assert any(text in row for row in rows), f"docs/metrics.md must explain {name} as --help does: {text}"


def test_names_lead_to_definitions() -> None:
    assert measure_named("cost").unit == "money"
    assert dimension_named("tag.owner").name == "tag.owner"
