"""Answers over a socket: each is one fact, the sum is the bill, and what a budget says is kept. OpenAI's own client."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from frameworks.environments import ROOT, python_of
from outlay.sdk.wire.talk import Talk

HERE = Path(__file__).resolve().parent

ENDS: dict[str, list[tuple[int, str]]] = {
    "realtime": [(200, ""), (200, "")],
    "realtime_interrupted": [(200, ""), (200, "")],
    "realtime_failed": [(200, "overloaded"), (400, "rate_limit_exceeded"), (200, "")],
    "realtime_by_the_server": [(200, ""), (200, "")],
    "realtime_dropped": [(200, "connection")],
    "realtime_closed": [(200, "closed_early")],
    "realtime_async": [(200, "")],
    "responses": [(200, ""), (429, "429"), (200, "")],
    "responses_async": [(200, "")],
    "refused": [],
    "lowered": [(200, "")],
}
"""(status, error) of every answer of a run."""


@pytest.fixture(scope="module")
def runs() -> dict[str, Any]:
    env = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{HERE}"}
    command = [str(python_of("clients")), "-W", "ignore", str(HERE / "socket_runs.py")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_every_answer_is_one_fact(runs: dict[str, Any]) -> None:
    ends = {name: [(step["http_status"], step["error_type"]) for step in run["steps"]] for name, run in runs.items()}
    assert ends == ENDS


def test_the_sum_is_the_bill_to_the_last_unit(runs: dict[str, Any]) -> None:
    for name, run in runs.items():
        told = [
            (step["model_requested"], step["tokens"]["input_tokens"], step["tokens"]["output_tokens"])
            for step in run["steps"]
            if step["tokens"]
        ]
        assert told == [(line["model"], line["input"], line["output"]) for line in run["bill"]], name
        assert all(step["provider"] == "openai" and step["operation"] == "chat" for step in run["steps"])
        assert all(0 < step["start_ns"] <= step["end_ns"] for step in run["steps"])


def test_kinds_of_tokens_are_told_apart_and_a_cache_serves_sound_as_cached(runs: dict[str, Any]) -> None:
    (first, _) = runs["realtime"]["steps"]
    assert first["tokens"] == {
        "input_tokens": 1001,
        "output_tokens": 51,
        "cache_read_tokens": 101,
        "input_audio_tokens": 9,
        "output_audio_tokens": 6,
    }
    assert first["finish_reason"] == "completed"
    assert runs["realtime_interrupted"]["steps"][0]["finish_reason"] == "turn_detected"
    assert runs["responses"]["steps"][0]["tokens"]["reasoning_tokens"] == 16


def test_what_was_cut_says_that_its_usage_is_not_known(runs: dict[str, Any]) -> None:
    for name in ("realtime_dropped", "realtime_closed"):
        (step,) = runs[name]["steps"]
        assert (step["tags"], step["tokens"], step["response_id"] != "") == ({"usage_gap": "cut"}, {}, True)


def test_a_budget_refuses_and_lowers_over_a_socket_too(runs: dict[str, Any]) -> None:
    assert runs["refused"]["raised"].startswith("RefusedError: team support has 0.00 USD left")
    assert (runs["refused"]["bill"], runs["refused"]["steps"]) == ([], [])
    assert runs["lowered"]["ceilings"] == [17]


def test_the_client_sees_what_it_would_have_seen(runs: dict[str, Any]) -> None:
    raised = {name: run["raised"].partition(":")[0] for name, run in runs.items() if run["raised"]}
    assert raised == {"realtime_dropped": "ConnectionClosedError", "refused": "RefusedError"}


def test_foreign_messages_break_nothing(steps: list[Any]) -> None:
    talk = Talk("127.0.0.1", 1, "/v1/realtime", "gpt-realtime")
    for message in (b"", b"\xff\x00", b'"type": "error"', b'{"type": "error"}', b'[{"type": "response.done"}]'):
        assert talk.received(message)
        assert talk.asked(message) is None
    talk.over(None)
    assert steps == []
