"""A runaway: a LangGraph loop is stopped at the cap of its session, ends with what it has, and its owner is told."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from budgeting import GPT, put, put_rates, standing, store_of
from frameworks.environments import ROOT, python_of
from frameworks.runs import AGENTS
from obliging_provider import obliging_provider
from outlay.control.alerts import list_alerts
from outlay.core.money import NANO
from outlay.govern.watch import watch


@pytest.mark.slow
@pytest.mark.parametrize(("cap", "said"), [("steps", "allows 25 steps; 25 are used"), ("usd", "is used up")])
def test_a_runaway_graph_ends_at_its_sessions_cap(tmp_path: Path, cap: str, said: str) -> None:
    home = tmp_path / "home"
    caps = {"steps": 25} if cap == "steps" else {}
    put(home, "each run", 0.02, {"session": "*"}, caps=caps, reserve_percent=10, owner="ann@example.com")
    put_rates(home)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OUTLAY_", "OTEL_", "PYTEST"))}
    with obliging_provider() as provider:
        models = provider.url.removesuffix("/chat/completions")
        env = kept | {"PYTHONPATH": str(ROOT / "src"), "OUTLAY_HOME": str(home), "MODELS_URL": models}
        command = [str(python_of("agents")), str(AGENTS / "runaway_graph.py"), "run-1"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert said in done.stdout
    assert "notes, in short:" in done.stdout
    found = standing(home, "each run")
    billed = sum(GPT.worst_nano(bill.input_tokens, bill.output_tokens) for bill in provider.bills)
    assert (found.spent_nano, found.held_nano) == (billed, 0)
    assert billed <= 0.02 * NANO
    if cap == "steps":
        assert len(provider.bills) == 26, "25 steps, and the last words"
    else:
        assert billed >= 0.9 * 0.9 * 0.02 * NANO, "all but the reserve was used"
    with store_of(home) as store:
        watch(store, None, time.time_ns())
        told = list_alerts(store, budget="each run")
    assert [alert.kind for alert in told] == ["refused"]
