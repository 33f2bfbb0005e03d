"""Two sessions side by side: the same figures, and the difference where it can be said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from outlay.core.charge import UNPRICED
from outlay.faces import formats
from outlay.faces.reasons import why_dear_of
from outlay.faces.web.changes import change_of
from outlay.faces.web.session import Fact, figures_of, session_address
from outlay.metrics.sessions import SessionDetail, UsageRow

MODELS_SHOWN = 8


def compare_page(one: SessionDetail, other: SessionDetail, centres: Mapping[str, str]) -> dict[str, Any]:
    """What the template needs; changes are read from the first session to the second."""
    return {
        "sides": [
            {"session": detail.session, "href": session_address(detail.session), "why": why_dear_of(detail)}
            for detail in (one, other)
        ],
        "rows": [_row(left, right) for left, right in _pairs(figures_of(one), figures_of(other))],
        "centres": [
            {
                "kind": centre,
                "word": word,
                "one": _amount(one, centre),
                "other": _amount(other, centre),
                "change": change_of(other.cost_by_centre.get(centre), one.cost_by_centre.get(centre), "down"),
            }
            for centre, word in centres.items()
            if centre in one.cost_by_centre or centre in other.cost_by_centre
        ],
        "models": _models(one, other),
    }


def _pairs(one: list[Fact], other: list[Fact]) -> list[tuple[Fact, Fact]]:
    values = {fact.word: fact for fact in other}
    return [(fact, values.get(fact.word, Fact(fact.word, "–"))) for fact in one]


def _row(left: Fact, right: Fact) -> dict[str, str]:
    return {"word": left.word, "one": left.value, "other": right.value}


def _amount(detail: SessionDetail, centre: str) -> str:
    if centre not in detail.cost_by_centre:
        return "none"
    amount = detail.cost_by_centre[centre]
    return UNPRICED if amount is None else formats.money(amount)


def _models(one: SessionDetail, other: SessionDetail) -> list[dict[str, str]]:
    """Calls and cost by model, the dearest of the two first."""
    sides = [_by_model(detail.usages) for detail in (one, other)]
    names = sorted({name for side in sides for name in side})
    names.sort(key=lambda name: -max(_spent(side, name) for side in sides))
    return [
        {"model": name, "one": _model_words(sides[0], name), "other": _model_words(sides[1], name)}
        for name in names[:MODELS_SHOWN]
    ]


def _by_model(steps: tuple[UsageRow, ...]) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for step in steps:
        if step.model and step.counted:
            calls, spent = found.get(step.model, (0, 0))
            found[step.model] = (calls + 1, spent + (step.cost_nano or 0))
    return found


def _spent(side: Mapping[str, tuple[int, int]], name: str) -> int:
    return side.get(name, (0, 0))[1]


def _model_words(side: Mapping[str, tuple[int, int]], name: str) -> str:
    if name not in side:
        return "none"
    calls, spent = side[name]
    return f"{formats.nano(spent)} in {formats.count(calls)} {'call' if calls == 1 else 'calls'}"
