"""The recipes of docs/recipes.md that are Python packages: no line of ours in the script, each call in the books once.

What a sender does not tell, nobody can count: an attempt that its client repeats by itself is not among its spans.
"""

from __future__ import annotations

import os
import re
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
