"""What books say, in a form that can be compared: everything except the order and the moments of posting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from outlay.core.meters import TOKEN_METERS
from outlay.house import House
from outlay.ledger.store import Reader
from outlay.ledger.tables import AMOUNT_COLUMNS, RESOLVED

Rows = list[dict[str, Any]]

_STATE = ", ".join(
    f'"{name}"'
    for name in ("time", "operation", "attempt", *RESOLVED, *TOKEN_METERS, *(column.name for column in AMOUNT_COLUMNS))
)
_USAGES = f"SELECT fact_key::VARCHAR AS fact, {_STATE} FROM usages ORDER BY fact"
_OUTCOMES = """
SELECT outcome_key::VARCHAR AS outcome, task_id, status, time, team, feature, agent, current, value_nano FROM outcomes
ORDER BY outcome
"""
_NET_CHARGES = """
SELECT fact_key::VARCHAR AS fact, meter, provenance, rate_pico, price, variant_applied,
       sum(c.quantity)::VARCHAR AS quantity, sum(c.amount_nano)::VARCHAR AS amount_nano
FROM charges c JOIN usages u USING (seq) GROUP BY ALL HAVING sum(c.quantity) <> 0 ORDER BY ALL
"""


def state(books: Reader) -> dict[str, Rows]:
    """Usages, outcomes and net cost lines."""
    questions = {"usages": _USAGES, "outcomes": _OUTCOMES, "charges": _NET_CHARGES}
    return {name: books.rows(sql).to_pylist() for name, sql in questions.items()}


def state_of(home: Path) -> dict[str, Rows]:
    """The state of a home that nobody has open."""
    with House.open(home) as house:
        house.intake.settle()
        return state(house.books)


def assert_same(one: dict[str, Rows], other: dict[str, Rows]) -> None:
    """Both states are equal; else says the first rows that are not, instead of all of them."""
    for name, rows in one.items():
        unlike = [pair for pair in zip(rows, other[name], strict=False) if pair[0] != pair[1]][:1]
        assert not unlike, f"{name}: {unlike}"
        assert len(rows) == len(other[name]), name
