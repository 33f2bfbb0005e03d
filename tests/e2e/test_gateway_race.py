"""The shared budget race against two gateways on one ledger, one of them killed while its calls are under way."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest


def test_a_gateway_that_is_killed_keeps_the_cap_and_leaks_nothing(
    shared: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUTLAY_SHARED", str(shared))
    for name in ("ENDPOINT", "API_KEY", "CONTROL_URL", "HOME"):
        monkeypatch.delenv(f"OUTLAY_{name}", raising=False)
    monkeypatch.setattr(sys, "path", [str(root / "bench"), *sys.path])
    import race

    scene = next(each for each in race.SCENES if each.name == "two gateways, one killed")
    told = race.run(scene, 24, tmp_path)
    assert race.holds(scene, told), told
    assert told["failed_or_hung_up"], "its callers saw it go"
    assert 0 < told["billed_of_cap"] <= told["ledger_of_cap"] <= 1, "what it may have spent is presumed spent"
