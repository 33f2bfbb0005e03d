"""Two sessions side by side: the same figures, and the difference where it can be said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from outlay.core.charge import UNPRICED
from outlay.faces import formats
from outlay.faces.reasons import why_dear_of
from outlay.faces.web.changes import change_of
from outlay.faces.web.session import Fact, figures_of, session_address
from outlay.metrics.session import ModelShare, SessionDetail

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
    sides = [{share.model: share for share in detail.models} for detail in (one, other)]
    shares = sorted((share for side in sides for share in side.values()), key=lambda share: -share.cost_nano)
    names = list(dict.fromkeys(share.model for share in shares))
    return [
        {"model": name, "one": _words(sides[0].get(name)), "other": _words(sides[1].get(name))}
        for name in names[:MODELS_SHOWN]
    ]


def _words(share: ModelShare | None) -> str:
    if share is None:
        return "none"
    return f"{formats.nano(share.cost_nano)} in {formats.count(share.calls)} {'call' if share.calls == 1 else 'calls'}"
