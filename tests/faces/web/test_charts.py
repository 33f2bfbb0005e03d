"""Charts as golden strings: data in, the same markup out."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest

from outlay.faces.web import charts
from outlay.faces.web.charts import Bar, Line, Part

D = Decimal


@pytest.mark.parametrize(
    ("top", "ticks"),
    [
        ("0", "0 1"),
        ("0.004", "0 0.001 0.002 0.003 0.004"),
        ("9", "0 2.5 5.0 7.5 10.0"),
        ("10", "0 2.5 5.0 7.5 10.0"),
        ("101", "0 50 100 150"),
        ("7312.44", "0 2000 4000 6000 8000"),
        ("8000", "0 2000 4000 6000 8000"),
        ("8000.01", "0 2500 5000 7500 10000"),
    ],
)
def test_ticks_are_round_and_reach_above_the_top(top: str, ticks: str) -> None:
    values = charts.axis(D(top))
    assert [value.normalize() for value in values] == [D(tick).normalize() for tick in ticks.split()]


def test_a_micro_stack_is_a_bar_of_a_hundred_per_cent() -> None:
    parts = [Part("inference", D("3"), "Inference 75.0 %"), Part("tools", D("1"), "Tools 25.0 %")]
    assert charts.micro_stack(parts, "kyc") == (
        '<svg class="micro" viewBox="0 0 100 100" preserveAspectRatio="none" role="img" '
        'aria-label="kyc: Inference 75.0 %, Tools 25.0 %">'
        '<rect class="k-inference" x="0" y="0" width="75" height="100"><title>Inference 75.0 %</title></rect>'
        '<rect class="k-tools" x="75" y="0" width="25" height="100"><title>Tools 25.0 %</title></rect></svg>'
    )


def test_a_scaled_stack_leaves_room_for_the_largest() -> None:
    drawn = charts.scaled_stack([Part("inference", D("1"), "one")], D("4"), "small")
    assert 'width="25"' in drawn


def test_nothing_is_said_as_nothing() -> None:
    assert 'aria-label="labs: nothing"' in charts.micro_stack([], "labs")
    assert "<rect" not in charts.scaled_stack([], D(0), "labs")


def test_bars_stand_on_the_first_part_and_link() -> None:
    parts = [Part("inference", D("60"), "Inference $60.00"), Part("retries", D("20"), "Retries $20.00")]
    drawn = charts.stacked_bars(
        [Bar("W1", "W1: $80.00", parts, "/sessions?a=1&b=2")],
        [(D(0), "$0"), (D(100), "$100")],
        [("inference", "75.0 %", "Inference"), ("retries", "25.0 %", "Retries")],
    )
    assert '<rect class="k-inference" x="11" y="40" width="78" height="60">' in drawn
    assert '<rect class="k-retries" x="11" y="20" width="78" height="20">' in drawn
    assert 'href="/sessions?a=1&amp;b=2" aria-label="W1: $80.00, Inference $60.00, Retries $20.00"' in drawn
    assert '<span class="k-inference" style="top:70%"><b>75.0 %</b> Inference</span>' in drawn
    assert '<span style="top:0%">$100</span>' in drawn
    assert '<span style="left:50%">W1</span>' in drawn


def test_labels_at_the_edge_never_touch() -> None:
    kinds = ["inference", "retries", "retrieval", "guardrails", "tools", "orchestration"]
    parts = [Part(kind, D("0.5"), kind) for kind in kinds]
    drawn = charts.stacked_bars(
        [Bar("", "", parts)], [(D(0), "0"), (D(100), "100")], [(kind, "1 %", kind) for kind in kinds]
    )
    ends = drawn.split('<div class="ends">')[1].split("</div>")[0]
    places = [float(text.split("%")[0]) for text in ends.split("top:")[1:]]
    assert places == sorted(places)
    assert all(later - earlier >= charts.LABEL_GAP - 0.01 for earlier, later in pairwise(places))
    assert 0 <= places[0] < places[-1] <= 100


def test_a_line_breaks_where_nothing_is_known() -> None:
    line = Line("retrieval", [D("0.1"), None, D("0.2"), D("0.1")], "retrieval", "10.0 %")
    drawn = charts.lines([line], ["a", "", "", "b"], [(D(0), "0 %"), (D("0.2"), "20 %")])
    assert 'points="0,50 0,50"' in drawn
    assert 'points="66.67,0 100,50"' in drawn
    assert "<b>10.0 %</b> retrieval" in drawn


def test_a_line_without_a_last_value_has_no_end() -> None:
    drawn = charts.lines([Line("embedding", [D("0.1"), None], "embedding", "")], ["a", "b"], [(D(0), "0"), (D(1), "1")])
    assert 'class="dot' not in drawn


def test_a_sparkline_does_not_make_a_drama_of_noise() -> None:
    def heights(*values: str) -> list[float]:
        drawn = charts.sparkline([D(value) for value in values], "plain", "words")
        return [float(point.split(",")[1]) for point in drawn.split('points="')[1].split('"')[0].split()]

    calm, wild = heights("100", "101", "100"), heights("100", "200", "100")
    assert max(calm) - min(calm) < 8
    assert max(wild) - min(wild) > 60


def test_a_sparkline_of_nothing_is_a_word() -> None:
    assert charts.sparkline([None, None], "plain", "words") == '<span class="word">no task completed</span>'
    assert charts.sparkline([None, D(0)], "plain", "words").count("<polyline") == 1


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "Bücher & Söhne", 'a "quoted" name', "🤖 agent", "it's"])
def test_names_are_text_and_never_markup(name: str) -> None:
    drawn = charts.micro_stack([Part("inference", D(1), name)], name)
    assert "<script>" not in drawn
    assert drawn.count("<rect") == 1
    assert charts.key({"inference": name}).count("<span") == 1
