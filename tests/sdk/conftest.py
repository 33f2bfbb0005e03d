"""An SDK that writes into a folder of the test, and what the product makes of what it wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import outlay
from outlay.sdk import setup
from sdk_facts import Fact, facts_in

VARIABLES = ("ENDPOINT", "API_KEY", "TAGS", "CONTEXT", "HOME")


@pytest.fixture
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder this test's steps are spooled in; no server is there."""
    for name in VARIABLES:
        monkeypatch.delenv(f"OUTLAY_{name}", raising=False)
    monkeypatch.delenv("OTEL_RESOURCE_ATTRIBUTES", raising=False)
    monkeypatch.delenv("OTEL_SERVICE_NAME", raising=False)
    monkeypatch.setenv("OUTLAY_HOME", str(tmp_path / "home"))
    setup.forget()
    outlay.init(instrument=False, runtime=False)
    yield tmp_path / "home" / "spool"
    outlay.shutdown()
    setup.forget()


@pytest.fixture
def recorded(spool: Path) -> Callable[[], list[Fact]]:
    """Everything recorded so far, as the facts the product reads out of it, in the order in which it began."""

    def read() -> list[Fact]:
        assert outlay.flush()
        return facts_in(spool)

    return read
