"""Real clients over real sockets: every attempt is one fact, the sum is what the provider billed to the last unit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from fake_provider import FakeProvider, Line, fake_provider  # noqa: E402 - its folder is on the path from here on

from frameworks.environments import ROOT, python_of  # noqa: E402

GROUPS = ("openai", "anthropic", "google", "boto3", "litellm", "plain")

ENDS: dict[str, list[tuple[int, str, str]]] = {
    "openai-retried": [(429, "429", ""), (500, "500", "429"), (200, "", "500")],
    "openai-three_by_three": [(500, "500", ""), *[(500, "500", "500")] * 8],
    "openai-timed_out": [(0, "timeout", ""), (200, "", "timeout")],
    "openai-dropped": [(200, "connection", "")],
    "openai-closed": [(200, "closed_early", "")],
    "openai-forgotten": [(200, "closed_early", "")],
    "openai-cancelled": [(200, "cancelled", "")],
    "openai-unreachable": [(0, "connection", ""), (0, "connection", "connection")],
    "openai-in_threads": [(200, "", "")] * 8,
    "openai-side_by_side": [(200, "", "")] * 8,
    "anthropic-message": [(529, "529", ""), (200, "", "529")],
    "anthropic-message_closed": [(200, "closed_early", "")],
    "google-generated": [(503, "503", ""), (200, "", "503")],
    "boto3-conversed": [(429, "429", ""), (500, "500", "429"), (200, "", "500")],
    "boto3-conversed_closed": [(200, "closed_early", "")],
    "litellm-completed": [(500, "500", ""), (200, "", "500")],
    "plain-requests_closed": [(200, "closed_early", "")],
    "plain-requests_dropped": [(200, "connection", "")],
    "plain-requests_timed_out": [(0, "timeout", "")],
    "plain-urllib3_retries": [(429, "429", ""), (500, "500", "429"), (200, "", "500")],
    "plain-httpx_own_retries": [(500, "500", ""), (200, "", "500")],
    "plain-aiohttp_dropped": [(200, "connection", "")],
    "plain-aiohttp_cancelled": [(200, "closed_early", "")],
    "plain-aiohttp_timed_out": [(0, "timeout", "")],
    "plain-aiohttp_unread": [(500, "500", "")],
}
"""(status, error, reason of the retry) of every attempt of a run; one not named is one attempt that went well.

The reason is written down with an attempt that failed again; the one that went well is no waste.
"""

RAISED = {
    "openai-dropped": "APIConnectionError",
    "openai-cancelled": "TimeoutError",
    "openai-unreachable": "APIConnectionError",
    "plain-requests_dropped": "ChunkedEncodingError",
    "plain-requests_timed_out": "ReadTimeout",
    "plain-aiohttp_dropped": "ClientPayloadError",
    "plain-aiohttp_cancelled": "TimeoutError",
    "plain-aiohttp_timed_out": "TimeoutError",
}
"""What the client raised into the agent, as it would have without metering."""

UNTOLD = {"openai-streamed_unasked"}
"""Runs whose client did not ask for usage, so that nobody was told."""


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    with fake_provider() as running:
        yield running


def sent(group: str, provider: FakeProvider, script: str = "client_runs.py") -> dict[str, Any]:
    """What one group of clients did: run → steps and what was raised."""
    more = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "AWS_EC2_METADATA_DISABLED": "true"}
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), **more}
    command = [str(python_of("clients")), "-W", "ignore", str(HERE / script), str(provider.port), group]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    return {f"{group}-{name}": run for name, run in found.items()}


@pytest.fixture(scope="module", params=GROUPS)
def group(request: pytest.FixtureRequest, provider: FakeProvider) -> dict[str, Any]:
    """One group after the other."""
    return sent(request.param, provider)


def test_every_attempt_is_one_fact(group: dict[str, Any], provider: FakeProvider) -> None:
    for name, run in group.items():
        ends = [(step["http_status"], step["error_type"], step["retry_reason"]) for step in run["steps"]]
        told = [(status, error, reason if error else "") for status, error, reason in ENDS.get(name, [(200, "", "")])]
        assert ends == told, name
        assert len(ends) == len(provider.of(name)) or name == "openai-unreachable"
        attempts = [step["attempt"] for step in run["steps"]]
        parallel = len(ends) == 8 and not run["steps"][0]["error_type"]
        assert attempts == ([0] * 8 if parallel else list(range(len(ends)))), name


def test_the_agent_sees_what_it_would_have_seen(group: dict[str, Any]) -> None:
    for name, run in group.items():
        assert run["raised"].partition(":")[0] == RAISED.get(name, ""), name


def test_the_sum_is_the_bill_to_the_last_unit(group: dict[str, Any], provider: FakeProvider) -> None:
    for name, run in group.items():
        billed = [line for line in provider.of(name) if line.told and name not in UNTOLD]
        known = [step["tokens"] for step in run["steps"] if "usage_gap" not in step["tags"]]
        for kind in ("input_tokens", "output_tokens"):
            assert sum(tokens.get(kind, 0) for tokens in known) == sum(getattr(line, kind) for line in billed), (
                name,
                kind,
            )


def test_what_nobody_was_told_is_missing_or_an_estimate(group: dict[str, Any], provider: FakeProvider) -> None:
    for name, run in group.items():
        untold = [line for line in provider.of(name) if not line.told or name in UNTOLD]
        gaps = [step for step in run["steps"] if step["tags"].get("usage_gap")]
        assert len(gaps) == len(untold), name
        for step in gaps:
            assert step["tags"]["usage_gap"] == ("not asked for" if name in UNTOLD else "cut")
            basis = step["tags"].get("outlay.usage.basis", "")
            for kind, known in step["tokens"].items():
                guessed = basis == "estimated" or basis == f"estimated {kind.partition('_')[0]}"
                assert guessed or known <= billed_of(untold[0], kind), "what was stated is never more than was billed"


def billed_of(line: Line, kind: str) -> int:
    """What the provider billed of a kind of tokens; caches are a part of the input."""
    return line.output_tokens if kind == "output_tokens" else line.input_tokens


def test_the_models_and_operations_are_named(group: dict[str, Any]) -> None:
    for name, run in group.items():
        step = run["steps"][-1]
        assert step["operation"] == ("embedding" if name == "openai-embedded" else "chat")
        assert step["model_requested"].startswith(
            ("gpt-4o", "claude-opus-5", "gemini-2.5-pro", "amazon.nova", "text-embedding-3")
        )
        assert (step["provider"], step["server_address"]) == ("openai", "127.0.0.1")
        assert 0 < step["start_ns"] <= step["end_ns"]


def test_a_refusal_reaches_the_agent_at_once_whatever_the_client(provider: FakeProvider) -> None:
    runs = sent("refused", provider)
    assert {name: run["raised"].partition(":")[0] for name, run in runs.items()} == {
        "refused-refused_openai": "APIStatusError",
        "refused-refused_anthropic": "PaymentRequiredError",
        "refused-refused_google": "ClientError",
        "refused-refused_boto3": "ClientError",
        "refused-refused_requests": "HTTPError",
        "refused-refused_aiohttp": "RefusedError",
    }
    for name, run in runs.items():
        assert not run["steps"], "nothing was sent"
        assert not provider.of(name)
        assert "402" in run["raised"] or "0.00 USD left" in run["raised"], run["raised"]


def test_reranking_on_bedrock_is_charged_by_the_search(provider: FakeProvider) -> None:
    found = {name: run["steps"] for name, run in sent("rerank", provider, "rerank_runs.py").items()}
    assert {
        name: [(step["operation"], step["provider"], step["model_requested"], step["units"], step["tags"])]
        for name, (step,) in found.items()
    } == {
        "rerank-reranked": [("rerank", "aws.bedrock", "amazon.rerank-v1:0", {"searches": 2}, {})],
        "rerank-reranked_invoked": [("rerank", "aws.bedrock", "cohere.rerank-v3-5:0", {"searches": 1}, {})],
    }
