"""The company is believable: its shape, its growth, its proportions — and the page's own bar for them."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from functools import cache

import pytest

from outlay.core.outcome import OutcomeStatus
from outlay.demo.company import (
    FEATURES,
    FULL_DEPTH_DAYS,
    HISTORY_DAYS,
    LINEAGES,
    LOOP_FEATURE,
    SERVICES,
    model_of,
)
from outlay.demo.run import runs
from outlay.demo.spellings import SPELLINGS
from outlay.demo.work import Run, Step, cost_nano_of

NOW = datetime(2026, 11, 23, 14, 52, tzinfo=UTC)
NANO = 1_000_000_000


@cache
def days(first: int, last: int) -> tuple[Run, ...]:
    return tuple(run for days_ago in range(first, last) for run in runs(7, NOW, days_ago))


def cost(told: tuple[Run, ...]) -> int:
    return sum(cost_nano_of(step) or 0 for run in told for step in run.steps)


def test_six_teams_a_dozen_features_four_spellings_and_five_providers() -> None:
    assert len({feature.team for feature in FEATURES}) == 6
    assert len({feature.name for feature in FEATURES}) == len({feature.agent for feature in FEATURES}) == 12
    assert {service.spelling for service in SERVICES.values()} == set(SPELLINGS)
    models = {model.provider for lineage in LINEAGES.values() for _, model in lineage}
    assert models >= {"openai", "anthropic", "gcp.gemini", "aws.bedrock"}


def test_every_feature_names_a_service_and_roles_that_exist() -> None:
    for feature in FEATURES:
        assert feature.service in SERVICES
        assert {feature.role, feature.helper} <= set(LINEAGES)


def test_every_role_has_a_model_on_every_day() -> None:
    for role in LINEAGES:
        assert len({model_of(role, days_ago).served for days_ago in range(HISTORY_DAYS + 1)}) == len(LINEAGES[role])


def test_a_week_has_every_kind_of_step_and_every_end() -> None:
    told = days(2, 9)
    assert {step.kind for run in told for step in run.steps} == {
        "agent", "chat", "embedding", "search", "rerank", "guardrail", "judge", "tool"
    }  # fmt: skip
    assert {run.status for run in told} == {"done", "failed", "abandoned"} <= set(OutcomeStatus)
    assert any(step.kind == "agent" and step.parent == 0 for run in told for step in run.steps[1:]), "sub-agents"
    assert {step.error for run in told for step in run.steps} >= {"rate_limit_exceeded", "timeout", "output_rejected"}


def test_a_rate_limited_attempt_is_not_billed_and_a_rejected_one_is() -> None:
    chats = [step for run in days(2, 9) for step in run.steps if step.kind == "chat"]
    assert not any(step.input_tokens for step in chats if step.error == "rate_limit_exceeded")
    assert all(step.input_tokens for step in chats if step.error == "output_rejected")


def test_tokens_fit_together() -> None:
    for run in days(2, 5):
        for step in run.steps:
            assert 0 <= step.cached_tokens + step.written_tokens <= step.input_tokens
            assert 0 <= step.reasoning_tokens <= max(step.output_tokens, 0)
            assert step.input_tokens <= 12_000_000
            assert step.parent < len(run.steps)


def test_weekends_are_quieter_and_the_company_has_grown() -> None:
    by_weekday = Counter(datetime.fromtimestamp(run.opened_ns / NANO, UTC).weekday() for run in days(2, 30))
    assert (by_weekday[5] + by_weekday[6]) / 2 < sum(by_weekday[day] for day in range(5)) / 5 * 0.6
    assert len(days(330, 358)) < len(days(2, 30)) * 0.8


def test_the_money_is_of_the_right_size_and_close_to_half_of_it_is_hidden() -> None:
    told = days(2, 32)
    chats = [step for run in told for step in run.steps if step.kind == "chat" and not step.error]
    inference = sum(cost_nano_of(step) or 0 for step in chats if not step.retry_reason)
    alive_ms = sum(run.steps[0].length_ms for run in told)
    full = cost(told) + alive_ms * 250
    assert 20_000 < full / NANO < 36_000
    assert 0.40 < 1 - inference / full < 0.60


def test_a_summary_tells_the_cost_of_the_whole_run() -> None:
    from random import Random

    from outlay.demo.work import summarised, unfold

    for feature in FEATURES:
        run = unfold(feature, 1_760_000_000 * NANO, 200, Random(feature.name))
        short = summarised(run)
        assert cost((short,)) == cost((run,))
        assert len(short.steps) <= 10
        assert (short.id, short.task_id, short.status) == (run.id, run.task_id, run.status)
        assert short.steps[0].length_ms == run.steps[0].length_ms


def test_the_border_between_summaries_and_full_depth_is_not_a_cliff_in_money() -> None:
    before, after = days(FULL_DEPTH_DAYS, FULL_DEPTH_DAYS + 28), days(FULL_DEPTH_DAYS - 28, FULL_DEPTH_DAYS)
    assert 0.85 < cost(before) / cost(after) < 1.15
    steps = [sum(len(run.steps) for run in told) / len(told) for told in (before, after)]
    assert steps[0] < steps[1] / 3


def test_a_loop_runs_away_on_one_day_only() -> None:
    def errors(run: Run) -> int:
        return sum(step.kind == "tool" and bool(step.error) for step in run.steps)

    looping = [run for run in days(0, 9) if errors(run) >= 10]
    assert len(looping) == 11
    assert {run.feature.name for run in looping} == {LOOP_FEATURE}
    assert len({datetime.fromtimestamp(run.opened_ns / NANO, UTC).date() for run in looping}) == 1


def test_some_spend_has_no_tag_and_some_no_price() -> None:
    told = days(2, 32)
    untagged = [run for run in told if "team" not in run.envelope]
    assert 0.002 < cost(tuple(untagged)) / cost(told) < 0.10
    unknown: list[Step] = [step for run in told for step in run.steps if step.model and not step.model.known]
    tokens = sum(step.input_tokens for run in told for step in run.steps)
    assert 0 < sum(step.input_tokens for step in unknown) < tokens * 0.05


@pytest.mark.parametrize("hour", [0, 9, 23])
def test_nothing_happens_after_now(hour: int) -> None:
    now = NOW.replace(hour=hour)
    for run in runs(7, now, 0):
        assert run.opened_ns + run.steps[0].length_ms * 1_000_000 <= now.timestamp() * NANO + NANO
