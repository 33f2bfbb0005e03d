"""The index of efficiency: a changed mix is no progress, a cheaper outcome is."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from outlay.govern.efficiency import BASE, Made, indices, made_of

THEN, NOW = datetime(2025, 11, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
kinds = st.dictionaries(st.sampled_from("abcde"), st.tuples(st.integers(1, 10**12), st.integers(1, 500)), min_size=1)


@given(kinds, st.integers(1, 50))
def test_a_changed_mix_at_the_same_costs_is_100(then: dict[str, tuple[int, int]], factor: int) -> None:
    made = {
        THEN: {kind: Made(cost * count, count) for kind, (cost, count) in then.items()},
        NOW: {
            kind: Made(cost * (place * factor + 1), place * factor + 1)
            for place, (kind, (cost, _)) in enumerate(then.items())
        },
    }
    first, last = indices(made, [THEN, NOW], THEN)
    assert (first.index, last.index) == (BASE, BASE)
    assert first.covered == last.covered == 1


@given(kinds)
def test_every_kind_half_as_dear_is_50(then: dict[str, tuple[int, int]]) -> None:
    made = {
        THEN: {kind: Made(cost * count * 2, count) for kind, (cost, count) in then.items()},
        NOW: {kind: Made(cost * count, count) for kind, (cost, count) in then.items()},
    }
    assert indices(made, [NOW], THEN)[0].index == 50


def test_what_has_nothing_to_be_compared_with_is_left_out_and_told() -> None:
    made = {THEN: {"a": Made(100, 10)}, NOW: {"a": Made(60, 10), "new": Made(40, 1), "failed": Made(100, 0)}}
    (point,) = indices(made, [NOW], THEN)
    assert (point.index, point.covered) == (60, Fraction(3, 10))
    assert indices({}, [NOW], THEN)[0].index is None
    assert indices({THEN: {"a": Made(100, 0)}, NOW: {"a": Made(1, 1)}}, [NOW], THEN)[0].index is None


def test_rows_become_what_was_made() -> None:
    at = "2026-11-01T00:00:00Z"
    rows = [
        {"time": at, "feature": "a", "cost": "1.5", "tasks_completed": 3},
        {"time": at, "feature": "b", "cost": None, "tasks_completed": 3},
        {"time": at, "feature": "c", "cost": "1", "tasks_completed": None, "currency": "EUR"},
    ]
    assert made_of(rows, "feature") == {NOW: {"a": Made(1_500_000_000, 3)}}
