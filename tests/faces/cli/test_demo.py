"""`outlay demo`: books of its own, one story, resumed and not repeated."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from outlay.core.errors import ServerError
from outlay.faces.cli.main import run


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The stories that were sent; the server only calls back, and the sender only notes."""
    stories: list[Any] = []

    def serve(_house: Any, *, port: int, ready: Callable[[str], None]) -> None:
        ready(f"http://127.0.0.1:{port}")
        for thread in threading.enumerate():
            if thread.name == "outlay-demo":
                thread.join()

    def send(url: str, seed: int, _progress: Any, now: Any) -> Any:
        stories.append((url, seed, now))
        if len(stories) == 1:
            raise ServerError("broken off")
        return SimpleNamespace(spans=1000, days=397, seconds=3.0)

    monkeypatch.setattr("outlay.faces.serve.serve", serve)
    monkeypatch.setattr("outlay.demo.run.run", send)
    monkeypatch.setattr("outlay.demo.agents.run", lambda _url, _home: None)
    return stories


def test_a_story_that_broke_off_is_sent_again_and_a_finished_one_is_not(
    home: Path, sent: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert [run(["demo", "--seed", "3", "--no-open"]) for _ in range(3)] == [0, 0, 0]
    assert len(sent) == 2
    assert sent[0] == sent[1], "the same story, so that nothing is counted twice"
    own = home.with_name("home-demo")
    assert json.loads((own / "demo.json").read_text(encoding="utf-8"))["finished"]
    assert not home.exists(), "made-up figures never mix with real ones"
    said = capsys.readouterr().err
    assert "the story broke off" in said
    assert "1,000 spans" in said


def test_another_seed_needs_another_home(home: Path, sent: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    run(["demo", "--home", str(home), "--seed", "3"])
    run(["demo", "--home", str(home), "--seed", "4"])
    assert sent[1][1] == 3
    assert "the company of seed 3" in capsys.readouterr().err
