"""Figures of small books, worked out by hand."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from metrics.books import DAY, Books, outcome, tags, usage
from outlay.core.errors import QueryError
from outlay.metrics.answer import word_for_null

CENT = 10_000_000


def airline() -> Books:
    """Three tasks of two teams: one done at the second try, one failed, one nobody knows the end of."""
    return Books(
        [
            usage(50 * CENT, team="support", session_id="s1", provenance="recorded", list_nano=80 * CENT),
            usage(20 * CENT, team="support", session_id="s1", centre="retries", reason="tool error", failed=True),
            usage(5 * CENT, team="support", session_id="s1", centre="guardrails", operation="guardrail"),
            usage(10 * CENT, team="support", session_id="s2", model_id="mini", in_uncached=40, in_cache_read=60),
            usage(15 * CENT, team="sales", session_id="s3", centre="retrieval", operation="embedding"),
            usage(99 * CENT, team="sales", session_id="s3", counted=False),
            usage(None, session_id="s3", team="sales", operation="tool", centre="tools", bears=False, failed=True),
        ],
        [
            outcome("t1", "done", ["s1"], team="support", value_nano=400 * CENT),
            outcome("t2", "failed", ["s2"], team="support"),
            outcome("t3", "unknown", ["s3"], team="sales"),
            outcome("t3", "done", ["s3"], team="sales", current=False),
        ],
    )


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        ("cost", "1"),
        ("cost_recorded", "0.5"),
        ("cost_priced", "0.5"),
        ("cost_estimated", "0"),
        ("list_cost", "1.3"),
        ("inference_cost", "0.6"),
        ("hidden_cost", "0.4"),
        ("hidden_share", "0.4"),
        ("full_cost_multiple", "1.666666667"),
        ("retry_cost", "0.2"),
        ("retry_multiplier", "1.333333333"),
        ("retrieval_share", "0.15"),
        ("embedding_share", "0.15"),
        ("guardrail_share", "0.05"),
        ("tool_share", "0"),
        ("attributed_share", "1"),
        ("failed_task_cost", "0.1"),
        ("cost_per_completed_task", "1"),
        ("cost_per_task", "0.333333333"),
        ("cost_per_session", "0.333333333"),
        ("outcome_value", "4"),
        ("cost_to_value", "0.25"),
        ("completion_rate", "0.333333333"),
        ("success_rate", "0.5"),
        ("tasks", 3),
        ("tasks_completed", 1),
        ("tasks_failed", 1),
        ("tasks_abandoned", 0),
        ("tasks_unknown", 1),
        ("usages", 5),
        ("operations", 6),
        ("sessions", 3),
        ("sessions_seen", 2),
        ("chat_calls", 3),
        ("tool_calls", 1),
        ("tool_errors", 1),
        ("retries", 1),
        ("failed_usages", 2),
        ("error_rate", "0.333333333"),
        ("superseded_usages", 1),
        ("unpriced_usages", 0),
        ("input_tokens", 600),
        ("cache_read_tokens", 60),
        ("cache_hit_share", "0.1"),
        ("output_tokens", 60),
        ("total_tokens", 660),
        ("recorded_to_list", "0.625"),
        ("saved_against_list", "0.3"),
        ("charges", 9),
    ],
)
def test_measures_of_the_airline(measure: str, expected: str | int) -> None:
    assert airline().ask(measures=measure).total[measure] == expected


def test_failures_are_charged_to_successes_of_the_same_team() -> None:
    rows = {row["team"]: row for row in airline().ask(by="team").rows}
    assert rows["support"]["cost_per_completed_task"] == "0.85"
    assert rows["sales"]["cost_per_completed_task"] is None
    assert word_for_null("cost_per_completed_task") == "unknown"


def test_contributions_of_centres_add_up() -> None:
    answer = airline().ask(by="centre", measures="cost_per_completed_task,tasks_completed")
    assert {row["centre"]: row["cost_per_completed_task"] for row in answer.rows} == {
        "inference": "0.6",
        "retries": "0.2",
        "retrieval": "0.15",
        "guardrails": "0.05",
        "tools": "0",
    }
    assert answer.total["cost_per_completed_task"] == "1"


def test_other_divides_by_the_tasks_of_its_own_groups() -> None:
    rows = airline().ask(by="team,centre", measures="cost,tasks", top="1").rows
    assert [(row["team"], row["centre"], row["tasks"]) for row in rows] == [
        ("support", "inference", 2),
        ("(other)", "(other)", 3),
    ]


def test_a_price_nobody_knows_is_not_zero() -> None:
    books = Books(
        [usage(None, agent="tuned"), usage(CENT, agent="user", in_uncached=10)], [outcome("t", "done", ["s1"])]
    )
    answer = books.ask(by="agent", measures="cost,unpriced_usages,unpriced_tokens,cost_per_session")
    tuned, user = sorted(answer.rows, key=lambda row: row["agent"])
    assert (tuned["cost"], tuned["unpriced_usages"], tuned["unpriced_tokens"]) == (None, 1, 110)
    assert (user["cost"], user["cost_per_session"]) == ("0.01", "0.01")
    assert word_for_null("cost") == "(unpriced)"
    assert answer.total["cost"] == "0.01", "what is known is shown; coverage says what is missing"
    assert books.ask(measures="cost_per_completed_task").total == {"cost_per_completed_task": None}
    assert answer.coverage["unpriced_models"] == [{"model": "(none)", "usages": 1, "tokens": 110}]


@pytest.mark.parametrize(("unpriced_tokens", "expected"), [(5, "0.01"), (6, None)])
def test_a_little_without_a_price_does_not_hide_a_figure(unpriced_tokens: int, expected: str | None) -> None:
    priced = usage(CENT, in_uncached=100 - unpriced_tokens, out_text=0)
    unpriced = usage(None, in_uncached=unpriced_tokens, out_text=0)
    answer = Books([priced, unpriced], [outcome("t", "done", ["s1"])]).ask(measures="cost_per_completed_task")
    assert answer.total["cost_per_completed_task"] == expected


@pytest.mark.parametrize("by", ["", "team", "centre", "outcome"])
def test_tasks_nobody_metered_have_no_cost(by: str) -> None:
    books = Books([], [outcome("t1", "done", [], team="a"), outcome("t2", "failed", [], team="b")])
    answer = books.ask(by=by, measures="cost,hidden_cost,tasks_completed,cost_per_completed_task,cost_per_task")
    for row in (*answer.rows, answer.total):
        assert {row[name] for name in row if "cost" in name} == {None}
    assert answer.total["tasks_completed"] == 1


def test_a_part_of_the_work_that_did_not_happen_costs_zero() -> None:
    answer = airline().ask(where="centre:tools,operation:guardrail", measures="cost,tasks,cost_per_task")
    assert answer.total == {"cost": "0", "tasks": 3, "cost_per_task": "0"}


def test_free_work_costs_zero_and_tools_without_price_are_not_unpriced() -> None:
    books = Books([usage(0), usage(None, bears=False, operation="tool")])
    assert books.ask(measures="cost,unpriced_usages,usages").total == {"cost": "0", "unpriced_usages": 0, "usages": 1}


def test_silence_is_not_zero() -> None:
    books = Books([usage(CENT), usage(CENT, time=DAY + timedelta(days=20))])
    assert [row["time"] for row in books.ask(measures="cost", grain="day").rows] == [
        "2026-11-02T00:00:00Z",
        "2026-11-22T00:00:00Z",
    ]


@pytest.mark.parametrize(
    ("grain", "start"),
    [
        ("minute", "2026-11-08T23:59:00Z"),
        ("hour", "2026-11-08T23:00:00Z"),
        ("day", "2026-11-08T00:00:00Z"),
        ("week", "2026-11-02T00:00:00Z"),
        ("month", "2026-11-01T00:00:00Z"),
        ("quarter", "2026-10-01T00:00:00Z"),
        ("year", "2026-01-01T00:00:00Z"),
    ],
)
def test_buckets_start_in_utc_and_weeks_on_monday(grain: str, start: str) -> None:
    sunday = DAY.replace(day=8, hour=23, minute=59)
    books = Books([usage(CENT, time=sunday)], [outcome("t", time=sunday)])
    within = {"since": "2026-11-08", "until": "2026-11-09"} if grain == "minute" else {}
    (row,) = books.ask(measures="cost,tasks", grain=grain, **within).rows
    assert row == {"time": start, "cost": "0.01", "tasks": 1}


def test_a_period_is_half_open() -> None:
    books = Books([usage(1, time=DAY), usage(2, time=DAY + timedelta(hours=1))])
    answer = books.ask(measures="cost,charges", since="2026-11-02T08:00Z", until="2026-11-02T09:00Z")
    assert answer.total == {"cost": "0.000000001", "charges": 2}


def test_sub_agents_work_on_the_task_of_the_session_above() -> None:
    books = Books(
        [
            usage(1, session_id="main"),
            usage(2, session_id="child", parent_session_id="main"),
            usage(4, session_id="grandchild", parent_session_id="child"),
            usage(8, session_id="stray", parent_session_id="stray"),
            usage(16, session_id="stray", task_id="t2"),
            usage(32, session_id="twice"),
        ],
        [
            outcome("t1", "done", ["main", "twice"]),
            outcome("t2", "failed"),
            outcome("t3", "failed", ["twice"]),
        ],
    )
    costs = {row["outcome"]: row["cost"] for row in books.ask(by="outcome", measures="cost").rows}
    assert costs == {
        "done": "0.000000007",
        "(no outcome)": "0.000000008",
        "failed": "0.000000016",
        "(several)": "0.000000032",
    }
    tasks = {row["task"]: row["cost"] for row in books.ask(by="task", measures="cost").rows}
    assert tasks["t1"] == "0.000000007"


def test_currencies_are_never_added() -> None:
    books = Books([usage(CENT), usage(3 * CENT, currency="EUR"), usage(CENT, currency="")])
    answer = books.ask(measures="cost,usages")
    assert [(row["currency"], row["cost"]) for row in answer.rows] == [("EUR", "0.03"), ("USD", "0.02")]
    assert answer.total == {"cost": None, "usages": 3}
    assert answer.coverage["currencies"] == ["EUR", "USD"]
    assert books.ask(measures="cost", where="currency:USD").total == {"cost": "0.02"}
    assert books.ask(measures="usages").rows == [{"usages": 3}]


def test_values_of_tasks_in_several_currencies_are_never_added() -> None:
    ends = [outcome("a", value_nano=7 * CENT), outcome("b", value_nano=5 * CENT, currency="EUR"), outcome("c")]
    books = Books([usage(CENT)], ends)
    answer = books.ask(measures="outcome_value,tasks_completed,cost,cost_to_value", by="team")
    assert answer.coverage["value_currencies"] == ["EUR", "USD"]
    for row in (*answer.rows, answer.total):
        assert (row["outcome_value"], row["cost_to_value"]) == (None, None)
        assert (row["tasks_completed"], row["cost"]) == (3, "0.01")
    alone = books.ask(measures="outcome_value,tasks_completed")
    assert [(row["currency"], row["outcome_value"]) for row in alone.rows] == [("USD", "0.07"), ("EUR", "0.05")]
    assert alone.total == {"outcome_value": None, "tasks_completed": 3}
    assert books.ask(measures="outcome_value", where="currency:EUR").total == {"outcome_value": "0.05"}
    foreign = Books([usage(CENT)], [ends[1]]).ask(measures="outcome_value,cost_to_value,cost")
    assert foreign.total == {"outcome_value": None, "cost_to_value": None, "cost": "0.01"}
    same = Books([usage(CENT)], [ends[0]]).ask(measures="outcome_value,cost_to_value")
    assert same.total == {"outcome_value": "0.07", "cost_to_value": "0.142857143"}


def test_sums_beyond_64_bits_stay_exact() -> None:
    books = Books([usage(2**63 - 1), usage(2**63 - 1), usage(1)])
    assert books.ask(measures="cost").total["cost"] == "18446744073.709551615"


def test_free_tags_split_and_filter() -> None:
    books = Books([usage(1, tags=tags(**{"a.b": "x"})), usage(2, tags=tags(other="x")), usage(4)])
    rows = books.ask(by="tag.a.b", measures="cost").rows
    assert {row["tag.a.b"]: row["cost"] for row in rows} == {"(untagged)": "0.000000006", "x": "0.000000001"}
    assert books.ask(where="tag.a.b:x", measures="usages").total["usages"] == 1
    assert books.ask(where="tag.a.b:(untagged)", measures="usages").total["usages"] == 2


HOSTILE = "x' OR 1=1; DROP TABLE usages; --"


@pytest.mark.parametrize("dimension", ["team", "session", "model", "task", "user", "origin", "tag.x"])
def test_values_are_never_read_as_sql(dimension: str) -> None:
    books = Books([usage(CENT, team=HOSTILE, tags=tags(x=HOSTILE)), usage(CENT)])
    found = books.ask(measures="usages", where=[f'{dimension}:"{HOSTILE}"'])
    assert found.total["usages"] == (1 if dimension in {"team", "tag.x"} else 0)
    assert books.ask(measures="usages").total["usages"] == 2


@pytest.mark.parametrize(
    "parameters",
    [
        {"by": "team; DROP TABLE usages"},
        {"measures": "cost) FROM usages --"},
        {"by": "tag.x' --"},
        {"by": 'tag.x"'},
        {"grain": "day') --"},
        {"order": "cost; --"},
        {"top": "1; --"},
        {"where": "1=1 --:x"},
    ],
)
def test_names_are_never_read_as_sql(parameters: dict[str, Any]) -> None:
    with pytest.raises(QueryError):
        Books([]).ask(**parameters)


def test_quantities_of_different_units_are_never_added() -> None:
    books = Books([usage(CENT)])
    with pytest.raises(QueryError, match="one meter"):
        books.ask(measures="quantity")
    assert books.ask(measures="quantity", where="meter:in_uncached").total["quantity"] == 100


@pytest.mark.parametrize(
    "measure", ["input_tokens", "usages", "duration", "list_cost", "superseded_usages", "error_rate"]
)
def test_what_stands_on_whole_usages_cannot_be_split_by_meter(measure: str) -> None:
    with pytest.raises(QueryError, match=measure):
        Books([]).ask(measures=measure, by="meter")


def test_provenance_of_every_cent() -> None:
    rows = airline().ask(by="provenance", measures="cost,cost_recorded,charges").rows
    assert rows == [
        {"provenance": "recorded", "cost": "0.5", "cost_recorded": "0.5", "charges": 1},
        {"provenance": "priced", "cost": "0.5", "cost_recorded": "0", "charges": 8},
    ]


def test_session_time_is_added_over_sessions_though_they_overlap() -> None:
    later = DAY + timedelta(seconds=90)
    books = Books(
        [
            usage(1, session_id="a", duration_ms=1_500),
            usage(1, session_id="a", time=later),
            usage(1, session_id="b", duration_ms=500),
        ]
    )
    assert books.ask(measures="session_seconds,duration").total == {"session_seconds": "90.5", "duration": "2"}


def test_coverage_says_what_is_missing() -> None:
    books = Books(
        [
            usage(75 * CENT, provenance="recorded", team="a"),
            usage(25 * CENT, provenance="estimated"),
            usage(None, model_id="tuned", band_low_nano=CENT, band_high_nano=3 * CENT),
            usage(9 * CENT, counted=False),
        ]
    )
    coverage = books.ask(by="meter", measures="cost").coverage
    assert coverage["usages"] == 3
    assert (coverage["unpriced_usages"], coverage["unpriced_tokens"], coverage["superseded_usages"]) == (1, 110, 1)
    assert (coverage["recorded_share"], coverage["priced_share"], coverage["estimated_share"]) == ("0.75", "0", "0.25")
    assert (coverage["attributed_share"], coverage["untagged_cost"]) == ("0.75", {"team": "0.25"})
    assert coverage["estimate_band"] == {"low": "0.01", "high": "0.03"}
    assert coverage["orchestration_gap"] is True
    assert (coverage["from"], coverage["to"]) == ("2026-11-02T08:00:00Z", "2026-11-02T08:00:00Z")


def test_superseded_reports_can_be_looked_at() -> None:
    books = airline()
    rows = {row["counted"]: row["cost"] for row in books.ask(by="counted", measures="cost", counted="all").rows}
    assert rows == {"yes": "1", "no": "0.99"}
    assert books.ask(by="team", measures="superseded_usages,cost").total == {"superseded_usages": 1, "cost": "1"}
