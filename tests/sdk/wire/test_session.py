"""One line and one session: a real client's attempts, retries included, are facts of that session with its envelope."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from fake_provider import FakeProvider

from frameworks.environments import ROOT, python_of
from normalizing import meters, relation_rows
from outlay.normalize.clean import normalise
from outlay.normalize.relations import resolve
from sdk_facts import batch_of, bodies_in

AGENT = """
import sys, threading
import outlay

port = sys.argv[1]
outlay.init(hosts={"127.0.0.1": "openai"}, environment="test")
import openai

MESSAGES = [{"role": "user", "content": "where is my parcel"}]

def ask(plan):
    client = openai.OpenAI(api_key="k", base_url=f"http://127.0.0.1:{port}/session-{plan}/{plan}/v1")
    try:
        client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    except openai.InternalServerError:
        pass

with outlay.session(team="support", feature="parcels", tier="pro", id="run-1") as session:
    for _ in range(3):
        ask("500")
    with outlay.agent("clerk"):
        thread = threading.Thread(target=ask, args=("ok",))
        thread.start()
        thread.join()
    session.complete("done", value="2.50")
outlay.shutdown()
"""


@pytest.fixture
def spooled(provider: FakeProvider, tmp_path: Path) -> Path:
    """The spool of a home after the agent ran in it."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("OUTLAY_", "OTEL_"))}
    env |= {"PYTHONPATH": str(ROOT / "src"), "OUTLAY_HOME": str(tmp_path)}
    command = [str(python_of("clients")), "-c", AGENT, str(provider.port)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return tmp_path / "spool"


def test_nine_failed_attempts_and_a_thread_are_ten_facts_of_one_session(provider: FakeProvider, spooled: Path) -> None:
    batch = batch_of(bodies_in(spooled))
    latest_ns = max(fact["start_ns"] for fact in batch.facts.to_pylist())
    table = normalise(batch.facts, latest_ns).usages
    usages = table.to_pylist()
    calls = [usage for usage in usages if usage["operation"] == "chat"]
    assert Counter(usage["centre"] for usage in calls) == {"retries": 9, "inference": 1}
    assert {usage["attempt"] for usage in calls if usage["centre"] == "retries"} == set(range(9))
    for usage in calls:
        envelope = (usage["team"], usage["feature"], usage["user_tier"], usage["environment"])
        assert envelope == ("support", "parcels", "pro", "test")
        assert "run-1" in {usage["session_id"], usage["parent_session_id"]}, (
            "an agent inside is a run of its own below it"
        )
    assert all(usage["response_id"] in {"", "chatcmpl-10"} for usage in calls), "no request id a gateway echoes"
    assert len({usage["usage_key"] for usage in calls}) == 10
    assert all(row["counted"] for row in resolve(relation_rows(table)).to_pylist())
    (answered,) = [usage for usage in calls if usage["centre"] == "inference"]
    assert answered["agent"] == "clerk"
    (line,) = provider.of("session-ok")
    fresh = line.input_tokens - 5
    assert meters(answered) == {"in_uncached": fresh, "in_cache_read": 5, "out_text": line.output_tokens}
    assert len(provider.of("session-500")) == 9
    assert [outcome["status"] for outcome in batch.outcomes.to_pylist()] == ["done"]


def test_the_agent_runs_where_no_client_is_installed(tmp_path: Path) -> None:
    script = "import outlay; outlay.init(); outlay.usage('lookup', 'tool'); outlay.shutdown()"
    env = {"PYTHONPATH": str(ROOT / "src"), "OUTLAY_HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-S", "-c", script]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
