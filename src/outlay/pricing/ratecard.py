"""Rate card: what a company pays for its agents to be alive — per session-second, vCPU-second, GiB-second.

Off until somebody writes `rate_card.toml`: until then runtime is a gap that is shown, not a charge that is made up.

    [[rate]]
    agent = "*"                     # globs; the last entry that fits wins, meter by meter
    environment = "production"
    from = 2026-01-01
    session_second = "0.00006"
    vcpu_second = "0.000024861"
    gib_second = "0.000002625"
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.resources import files

from outlay.core.errors import Problem
from outlay.core.price import ANY
from outlay.pricing.rates import Rate
from outlay.pricing.rows import Dated, Reader, rate_pico

RUNTIME_METERS: Mapping[str, str] = {
    "session_second": "runtime_ms",
    "vcpu_second": "vcpu_ms",
    "gib_second": "memory_gib_ms",
}
"""Words of the card → the meter, which counts in thousandths of a second."""

_MS = 1_000
_WORDS = frozenset({"agent", "environment", "from", "to", *RUNTIME_METERS})


@dataclass(frozen=True, slots=True)
class CardRow:
    """One entry of the card: globs over agent and environment, and pico-USD per millisecond of each meter."""

    agent: str
    environment: str
    start_ns: int | None
    end_ns: int | None
    picos: Mapping[str, int]
    source: str


def read_card(file: str, text: str) -> tuple[list[CardRow], list[Problem]]:
    """The entries of a rate card and everything wrong in it."""
    reader = Reader(file, text)
    rows: list[CardRow] = []
    for place, entry in reader.entries("rate", _WORDS):
        dates: Dated = reader.where(place, {key: entry[key] for key in ("from", "to") if key in entry})
        picos: dict[str, int] = {}
        for word in sorted(set(entry) & set(RUNTIME_METERS)):
            try:
                picos[RUNTIME_METERS[word]] = rate_pico(entry[word], _MS)
            except ValueError as error:
                reader.problems.append(Problem(place, f"{word}: {error}", f'write {word} = "0.00006"'))
        if not set(entry) & set(RUNTIME_METERS):
            reader.problems.append(Problem(place, "has no rate", f"valid: {', '.join(RUNTIME_METERS)}"))
        agent, environment = (reader.text(place, entry, key, ANY) for key in ("agent", "environment"))
        rows.append(CardRow(agent, environment, dates.start_ns, dates.end_ns, picos, place))
    return rows, reader.problems


def card_rates(rows: Sequence[CardRow], agent: str, environment: str, at_ns: int) -> dict[str, Rate]:
    """Rates of the runtime meters for one agent in one environment at one moment."""
    found: dict[str, Rate] = {}
    for row in rows:
        early = row.start_ns is not None and at_ns < row.start_ns
        late = row.end_ns is not None and at_ns >= row.end_ns
        if early or late or not (fnmatchcase(agent, row.agent) and fnmatchcase(environment, row.environment)):
            continue
        said = f"agent {row.agent}, environment {row.environment}"
        found |= {meter: Rate(pico, f"rate card: {row.source}", said) for meter, pico in row.picos.items()}
    return found


def default_card() -> str:
    """The documented defaults as the text of a `rate_card.toml`, to start from; nothing uses them by itself."""
    return (files("outlay.pricing") / "data" / "rate_card.toml").read_text(encoding="utf-8")
