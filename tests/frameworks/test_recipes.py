"""The recipes of docs/recipes.md that can be tried here: no line of ours in the script, each call in the books once.

Python packages are installed for it; Gemini CLI, a package of npm, is run where there is one. What a sender does not
tell, nobody can count: an attempt that its client repeats by itself is mostly not among its spans.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from e2e.processes import Server, up
from frameworks.environments import ROOT, python_of
from frameworks.fake_models import fake_models
from frameworks.runs import await_books
from frameworks.test_frameworks import nano

SCRIPTS = Path(__file__).parent / "recipes"
WAYS: dict[str, dict[str, str]] = {
    "litellm_otel": {
        "OTEL_EXPORTER": "otlp_http",
        "OTEL_ENDPOINT": "{url}/v1/traces",
        "LITELLM_LOCAL_MODEL_COST_MAP": "1",
    },
    "langfuse_sdk": {"LANGFUSE_BASE_URL": "{url}", "LANGFUSE_PUBLIC_KEY": "outlay", "LANGFUSE_SECRET_KEY": "KEY"},
    "openlit_sdk": {"OTEL_EXPORTER_OTLP_ENDPOINT": "{url}", "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
}
"""The environment that each page names; LiteLLM's map of prices is its own, not fetched."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with up(tmp_path_factory.mktemp("recipes") / "home") as running:
        yield running


def environment(name: str, server: Server, models_url: str, folder: Path) -> Mapping[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OUTLAY_", "OTEL_", "PYTEST"))}
    said = {key: value.format(url=server.url) for key, value in WAYS[name].items()}
    team = {"OTEL_RESOURCE_ATTRIBUTES": f"outlay.team={name.partition('_')[0]}"}
    return kept | team | said | {"MODELS_URL": models_url, "HOME": str(folder)}


@pytest.mark.slow
@pytest.mark.parametrize("name", WAYS)
def test_every_answered_call_is_in_the_books_once(name: str, server: Server, tmp_path: Path) -> None:
    python = python_of("recipes")
    with fake_models({1: 429}) as models:
        done = subprocess.run(
            [str(python), str(SCRIPTS / f"{name}.py")],
            env=environment(name, server, models.url, tmp_path),
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        assert models.unknown == []
    await_books(server)
    where = f"where=team:{name.partition('_')[0]}"
    rows = server.get(f"spend?by=model&measures=operations,input_tokens,output_tokens,cost,unpriced_usages&{where}")[
        "rows"
    ]
    told = {
        row["model"]: (row["operations"], row["input_tokens"], row["output_tokens"], nano(row["cost"]))
        for row in rows
        if row["operations"]
    }
    answered = [line for line in models.bill if line.status == 200]
    assert len(answered) == 2
    assert told == {line.model: (1, line.tokens.input, line.tokens.out, line.amount_nano) for line in answered}
    assert sum(row["unpriced_usages"] for row in rows) == 0


@pytest.mark.slow
def test_gemini_cli_is_in_the_books_as_it_was_billed(tmp_path: Path) -> None:
    """Its settings are those of the page; what it reports five times is one call, and a refused one is a retry."""
    gemini = shutil.which("gemini")
    if gemini is None:
        pytest.skip("there is no gemini on the path (npm install -g @google/gemini-cli)")
    with up(tmp_path / "house") as server, fake_models({2: 429}) as models:
        settings = gemini_settings(server.url)
        (tmp_path / ".gemini").mkdir()
        (tmp_path / ".gemini" / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("OUTLAY_", "OTEL_", "PYTEST"))}
        said = {"HOME": str(tmp_path), "GEMINI_API_KEY": "not-a-key", "GOOGLE_GEMINI_BASE_URL": models.url}
        said |= {"OTEL_RESOURCE_ATTRIBUTES": "outlay.team=gemini", "GEMINI_CLI_TRUST_WORKSPACE": "true"}
        done = subprocess.run(
            [gemini, "-m", "gemini-2.5-flash", "-p", "Where is my parcel?"],
            env=kept | said,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        assert "Your parcel left the depot this morning." in done.stdout, done.stderr[-2000:]
        assert models.unknown == []
        await_books(server)
        asked = "measures=operations,input_tokens,output_tokens,cost&where=operation:chat"
        rows = {row["centre"]: row for row in server.get(f"spend?by=team,centre&{asked}")["rows"]}
    answered = [line for line in models.bill if line.status == 200]
    assert {row["team"] for row in rows.values()} == {"gemini"}
    told = rows["inference"]
    assert (told["operations"], told["input_tokens"]) == (len(answered), sum(line.tokens.input for line in answered))
    assert told["output_tokens"] == sum(line.tokens.out for line in answered)
    assert nano(told["cost"]) == sum(line.amount_nano for line in answered) > 0
    assert rows["retries"]["operations"] == len(models.bill) - len(answered) == 1


def gemini_settings(url: str) -> dict[str, object]:
    """The settings that the page names, for this server, and how to sign in at a model server without asking."""
    page = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    said = re.search(r"^\{\"telemetry\": .*\}$", page, re.MULTILINE)
    assert said is not None
    settings: dict[str, object] = json.loads(said[0].replace("http://localhost:4318", url))
    return {**settings, "security": {"auth": {"selectedType": "gemini-api-key"}}}


def test_the_page_names_the_versions_that_are_tried() -> None:
    page = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    pins = dict(
        re.findall(
            r"^([a-z0-9-]+)==([^ ]+) ",
            (ROOT / "requirements" / "frameworks" / "recipes.txt").read_text(encoding="utf-8"),
            re.MULTILINE,
        )
    )
    for name in ("litellm", "langfuse", "openlit", "openai"):
        said = set(re.findall(rf"\| .*?\b{name} (\d+\.\d+\.\d+)", page))  # the first of a line is what a test runs
        assert said == {pins[name]}, name
