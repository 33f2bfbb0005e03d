"""How each column of a table is written: by the unit of its measure, else by what stands in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from outlay.faces import formats
from outlay.metrics import measures
from outlay.metrics.measures import Unit

_MONEY = frozenset({"amount", "list", "recorded", "priced", "estimated", "before", "after", "band_low", "band_high"})
"""Columns of money that are no measure: parts of one usage or of one report."""

_BALANCE = frozenset({"limit", "spent", "held", "presumed", "left", "carried", "approved", "target"})
_FORECAST = frozenset({"forecast", "low_80", "high_80", "beyond"})
_WORTH = _BALANCE | _FORECAST | {"value", "margin", "interval_low", "interval_high", "each"}
"""Columns of money that are no cost: where nobody said, they are unknown, not unpriced."""

_SHARES = ("_share", "_rate", "_compliance")
_SHARE_COLUMNS = frozenset({"share", "usual_share"})
"""Columns of shares that are no measure."""


class Figures:
    """Writes the cells of one table."""

    def __init__(self, rows: Sequence[Mapping[str, Any]], total: Mapping[str, Any]) -> None:
        self._whole = {
            name
            for row in (*rows, total)
            for name, value in row.items()
            if isinstance(value, int) and not isinstance(value, bool)
        }

    def is_figure(self, name: str) -> bool:
        """Whether the column holds figures, which stand to the right."""
        known = name in measures.BY_NAME or name in _MONEY or name in _WORTH or name in _SHARE_COLUMNS
        return known or name in self._whole

    def word_for_null(self, name: str) -> str:
        """The word for what is not known."""
        if name in measures.BY_NAME:
            return measures.BY_NAME[name].word_for_null
        return measures.UNPRICED if name in _MONEY else measures.UNKNOWN

    def shown(self, name: str, value: object, row: Mapping[str, Any]) -> str:
        """The cell as a person reads it; an empty text is a cell to which nothing applies."""
        if value is None:
            return self.word_for_null(name)
        if isinstance(value, bool):
            return "yes" if value else "NO" if name == "ok" else "no"
        if isinstance(value, int):
            return formats.count(value)
        if value == "":
            return ""
        if isinstance(value, str) and self.is_figure(name):
            return self._figure(name, value, str(row.get("currency") or "USD"))
        if isinstance(value, Sequence) and not isinstance(value, str):
            return formats.safe(", ".join(str(item) for item in value))
        return formats.safe(str(value))

    @staticmethod
    def _figure(name: str, text: str, currency: str) -> str:
        own = Unit.RATIO if name in _SHARE_COLUMNS else Unit.MONEY
        unit = measures.BY_NAME[name].unit if name in measures.BY_NAME else own
        if not text.lstrip("-")[:1].isdigit():
            return text  # already a word, such as (several currencies)
        if unit is Unit.MONEY:
            return formats.money(text, currency)
        if unit is Unit.SECONDS:
            return formats.duration(text)
        if unit is Unit.RATIO:
            return formats.share(text) if name in _SHARE_COLUMNS or name.endswith(_SHARES) else formats.multiple(text)
        return text
