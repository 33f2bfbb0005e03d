"""Rules that say what counts as done, and when a silent task is given up."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path

import pytest

from otlp_wire import request, span
from outlay.core.errors import InputError
from outlay.core.outcome import OutcomeStatus, Timeouts
from outlay.normalize.outcome_rules import DEFAULT_RULES, parse_rules, read_rules
from outlay.normalize.spans import facts_of_spans
from outlay.sources.otlp import decode

RULES = """
[timeout]
default = "2d"
[timeout.feature]
kyc = "90m"
chat = "never"
[timeout.task_type]
refund = "1w"

[[evaluation]]
name = "Answer Correctness*"
done = ["correct"]
failed = "wrong"
done_from = 0.8
failed_below = 0.5

[[evaluation]]
name = "task success"
ignore = true

[signals]
commit = "ignore"
"""


def test_a_file_says_it_all() -> None:
    rules = parse_rules(tomllib.loads(RULES))
    assert rules.timeouts == Timeouts(172_800, {"kyc": 5400, "chat": None}, {"refund": 604_800})
    assert rules.signals == {"commit": None, "pull_request": OutcomeStatus.DONE}


@pytest.mark.parametrize(
    ("name", "label", "score", "status"),
    [
        ("answer_correctness", "Correct", None, "done"),
        ("answer-correctness v2", "WRONG", 1.0, "failed"),
        ("answer correctness", None, 0.8, "done"),
        ("answer correctness", None, 0.79, None),
        ("answer correctness", "so so", 0.2, "failed"),
        ("answer correctness", None, math.nan, None),
        ("answer correctness", None, True, None),
        ("task_success", "pass", 1, None),
        ("task completion", "pass", None, "done"),
        ("relevance", "pass", 1, None),
    ],
)
def test_the_first_rule_that_fits_decides(name: str, label: str | None, score: object, status: str | None) -> None:
    assert parse_rules(tomllib.loads(RULES)).judge(name, label, score) == status


def test_rules_reach_the_events_of_spans() -> None:
    said = {"gen_ai.evaluation.name": "answer correctness", "gen_ai.evaluation.score.value": 0.9}
    body = request([span(1, {"session.id": "s"}, events=[("gen_ai.evaluation.result", said)])])
    spans = decode([body.SerializeToString()], "protobuf").spans
    assert facts_of_spans(spans).outcomes.num_rows == 0
    assert facts_of_spans(spans, parse_rules(tomllib.loads(RULES))).outcomes["status"].to_pylist() == ["done"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[timeouts]", 'did you mean "timeout"'),
        ('[timeout]\ndefault = "soon"', 'like "90m"'),
        ('[timeout]\ndefault = "0h"', "no time"),
        ("[timeout]\nfeature = 3", "must be a table"),
        ("[[evaluation]]\ndone = 'x'", "name is missing"),
        ("[[evaluation]]\nname = 'x'", "neither which label nor which score"),
        ("[[evaluation]]\nname = 'x'\ndone = 3", "list of texts"),
        ("[[evaluation]]\nname = 'x'\ndone = 'a'\nfailed = 'A'", "both"),
        ("[[evaluation]]\nname = 'x'\ndone_from = 'high'", "must be a number"),
        ("[[evaluation]]\nname = 'x'\ndone_from = 0.1\nfailed_below = 0.2", "lies above"),
        ("[signals]\ncommits = 'done'", 'did you mean "commit"'),
        ("[signals]\ncommit = 'dome'", 'did you mean "done"'),
        ("[timeout", "Expected"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "outcomes.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=told):
        read_rules(path)


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    assert read_rules(tmp_path / "outcomes.toml") is DEFAULT_RULES
