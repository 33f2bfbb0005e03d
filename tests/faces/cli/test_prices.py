"""`outlay prices`, on a real price book."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from outlay.faces.cli.main import run


@pytest.fixture
def asked(home: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs `outlay prices …`: exit code, the object it printed, its remarks."""

    def call(*words: str) -> tuple[int, Any, str]:
        code = run(["prices", *words, "--json"])
        told = capsys.readouterr()
        return code, json.loads(told.out) if told.out else None, told.err

    return call


def rates(reply: Any) -> dict[str, str]:
    return {row["meter"]: row["rate"] for row in reply["rows"]}


def test_a_price_of_the_day_as_an_exact_text(asked: Any) -> None:
    code, before, _ = asked("show", "o3", "--provider", "openai", "--at", "2025-06-01")
    assert code == 0
    assert rates(before)["in_uncached"] == "0.00001"
    _, after, _ = asked("show", "o3", "--provider", "openai", "--at", "2026-06-01")
    assert rates(after)["in_uncached"] == "0.000002"


def test_a_price_of_ones_own_wins(asked: Any) -> None:
    assert asked("show", "house-model", "--provider", "ollama")[1]["rows"] == []
    words = (
        "--provider",
        "ollama",
        "--model",
        "house-*",
        "input=1.50 per 1M",
        "output=3 per 1M",
        "--source",
        "own machines",
    )
    assert asked("add", *words)[0] == 0
    found = rates(asked("show", "house-model", "--provider", "ollama")[1])
    assert (found["in_uncached"], found["out_text"]) == ("0.0000015", "0.000003")


def test_a_contract_is_taken_off_the_list(asked: Any) -> None:
    words = ("2026 agreement", "--provider", "openai", "--discount-percent", "50", "--from", "2026-01-01")
    assert asked("contract", *words)[0] == 0
    show = ("show", "gpt-4.1", "--provider", "openai", "--at")
    assert rates(asked(*show, "2025-12-31")[1])["in_uncached"] == "0.000002"
    assert rates(asked(*show, "2026-01-01")[1])["in_uncached"] == "0.000001"


def test_a_deployment_has_the_price_of_the_model_it_stands_for(asked: Any) -> None:
    show = ("show", "our-gpt-prod", "--provider", "azure", "--at", "2026-06-01")
    assert asked(*show)[1]["rows"] == []
    code, _, said = asked("alias", "our-gpt-*", "--provider", "azure", "--to", "gpt-4.1", "--to-provider", "openai")
    assert (code, "outlay reprice" in said) == (0, True)
    assert rates(asked(*show)[1])["in_uncached"] == "0.000002"


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        (["add", "--model", "x", "inpt=3 per 1M"], 1, 'did you mean "input"?'),
        (["add", "--model", "x"], 1, "has no rate"),
        (["add", "--model", "x", "input"], 2, "METER=RATE"),
        (["add", "--model", "x", "input=dear"], 1, "not a rate"),
        (["add", "--model", "x", "input=1", "--from", "yesterday"], 1, "from must be a day"),
        (["contract", "a", "--discount-percent", "120"], 1, "not 0 to 100"),
        (["show", "gpt-4.1", "--at", "some day"], 1, "not a time"),
        (["show"], 2, "MODEL"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(
    asked: Any, home: Path, words: list[str], code: int, named: str
) -> None:
    found, _, said = asked(*words)
    assert found == code
    assert named in said
    assert not list(home.glob("prices/*.toml"))


def test_a_file_that_is_no_price_map_is_refused(asked: Any, tmp_path: Path) -> None:
    other = tmp_path / "map.json"
    other.write_text('{"a": 1}', encoding="utf-8")
    code, _, said = asked("import", "litellm", str(other))
    assert code == 1
    assert "no LiteLLM price map" in said


def test_a_price_map_is_a_second_source(asked: Any, tmp_path: Path) -> None:
    entry = {
        "litellm_provider": "acme",
        "mode": "chat",
        "input_cost_per_token": 1.5e-06,
        "output_cost_per_token": 2e-06,
    }
    file = tmp_path / "map.json"
    file.write_text(json.dumps({"acme/road-runner": entry}), encoding="utf-8")
    code, said, _ = asked("import", "litellm", str(file))
    assert code == 0
    assert said["total"]["models"] == 1
    assert rates(asked("show", "road-runner", "--provider", "acme")[1])["in_uncached"] == "0.0000015"


def test_check_is_3_when_something_has_no_price(
    asked: Any, shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked("check")[0] == 0
    run(["import", str(next(shared_data.glob("tau2_gym/ft-*")))])
    capsys.readouterr()
    code, said, _ = asked("check")
    assert code == 3
    assert [row["kind"] for row in said["rows"]] == ["unpriced"]
