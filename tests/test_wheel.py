"""What is shipped is what was tested: the wheel holds every module and every table, template, style and script."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built by the pinned backend without a look at the registry."""
    pytest.importorskip("hatchling", reason="the build backend is not installed; make setup brings it")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return zipfile.ZipFile(next(folder.glob("outlay-*.whl")))


def test_every_file_of_the_package_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    source = ROOT / "src"
    wanted = {
        path.relative_to(source).as_posix()
        for path in (source / "outlay").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }
    assert any(not name.endswith((".py", ".md")) for name in wanted), "the package has no data: is the check right?"
    assert wanted <= set(wheel.namelist())


def test_the_wheel_says_how_to_start_and_under_which_licence(wheel: zipfile.ZipFile) -> None:
    names = {name.split("/", 1)[1]: name for name in wheel.namelist() if ".dist-info/" in name}
    assert "outlay = outlay.faces.cli.main:main" in wheel.read(names["entry_points.txt"]).decode()
    assert "licenses/LICENSE" in names
    assert "License-Expression: Apache-2.0" in wheel.read(names["METADATA"]).decode()
