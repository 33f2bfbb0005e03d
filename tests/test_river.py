"""The import rules are executable: they match real rooms, they can fail; and what import-linter cannot say."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "outlay"
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
RIVER = [
    "faces",
    "demo",
    "house",
    "delivery",
    "govern",
    "metrics | control",
    "ledger",
    "pricing",
    "normalize",
    "sources",
    "core",
]


def imports_of(path: Path) -> set[str]:
    """The dotted names a module imports, wherever in it the import stands."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def test_the_layers_are_the_river_and_every_room_is_in_it() -> None:
    layers = [name.strip("()").replace("outlay.", "") for name in CONTRACTS[0]["layers"]]
    assert layers == RIVER
    rooms = {
        path.stem if path.suffix else path.name for path in SOURCE.iterdir() if not path.name.startswith(("_", "."))
    }
    modules = {name for name in rooms if (SOURCE / f"{name}.py").exists() or (SOURCE / name / "__init__.py").exists()}
    known = {room for layer in RIVER for room in layer.split(" | ")} | {"sdk"}
    assert modules <= known, "a room that no contract knows"


def test_every_module_a_contract_names_exists() -> None:
    named = {
        name
        for contract in CONTRACTS
        for key in ("layers", "source_modules", "forbidden_modules")
        for entry in contract.get(key, [])
        for name in entry.split(" | ")
        if name.startswith("outlay.")
    }
    places = {name: ROOT / "src" / name.replace(".", "/") for name in named}
    missing = [
        name for name, at in places.items() if not ((at / "__init__.py").exists() or at.with_suffix(".py").exists())
    ]
    assert not missing


def test_core_needs_the_standard_library_only() -> None:
    foreign = {
        f"{path.name}: {name}"
        for path in (SOURCE / "core").glob("*.py")
        for name in imports_of(path)
        if name.split(".")[0] not in sys.stdlib_module_names and not name.startswith("outlay.core")
    }
    assert not foreign


def test_engines_are_built_by_the_house_alone() -> None:
    engine = re.compile(r"^outlay\.ledger\.(duckdb|clickhouse)_\w+")
    strangers = {
        str(path.relative_to(SOURCE)): name
        for path in SOURCE.rglob("*.py")
        for name in imports_of(path)
        if engine.match(name) and path.relative_to(SOURCE).parts[0] not in {"ledger", "house.py", "house"}
    }
    assert not strangers
    direct = {
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        if any(name.split(".")[0] == "duckdb" for name in imports_of(path)) and not path.name.startswith("duckdb_")
    }
    assert not direct, "only ledger/duckdb_*.py may import duckdb"


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("core/money.py", "import outlay.metrics"),
        ("sources/facts.py", "from outlay import pricing"),
        ("sdk/step.py", "from outlay.sources import facts"),
        ("ledger/store.py", "import outlay.sdk.step"),
        ("metrics/__init__.py", "import duckdb"),
        ("control/audit.py", "import pyarrow"),
        ("govern/alerts.py", "import outlay.delivery.post"),
        ("delivery/post.py", "import outlay.metrics"),
        ("faces/keys.py", "import sqlalchemy"),
        ("faces/cli/main.py", "import outlay.faces.api.app"),
        ("faces/api/app.py", "import outlay.faces.web"),
        ("faces/web/__init__.py", "import outlay.faces.cli.main"),
    ],
)
def test_a_planted_violation_is_found(tmp_path: Path, module: str, line: str) -> None:
    shutil.copytree(SOURCE, tmp_path / "outlay", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "outlay" / module).open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")
    lint = (
        "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports_command; lint_imports_command()"
    )
    command = [sys.executable, "-P", "-c", lint, "--no-cache"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 1, run.stdout + run.stderr
    assert "1 broken" in run.stdout
