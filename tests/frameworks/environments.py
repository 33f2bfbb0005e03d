"""The frameworks' own environments: one for those that agree, made once from hash-pinned files and kept.

They live in `.venv-frameworks/` beside `.venv`. A stamp holds the digest of what was installed, a lock keeps parallel
test workers from making the same one twice. A machine that cannot reach a registry skips and says so.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLACE = ROOT / ".venv-frameworks"
INSTALL_SECONDS_MAX = 1500


def python_of(name: str) -> Path:
    """The interpreter of an environment that is ready, else the test skips."""
    pins = ROOT / "requirements" / "frameworks" / f"{name}.txt"
    digest = hashlib.sha256(sys.version.encode() + pins.read_bytes()).hexdigest()
    folder = PLACE / name
    stamp, python = folder / ".outlay-setup", folder / "bin" / "python"
    PLACE.mkdir(exist_ok=True)
    with locked(PLACE / f"{name}.lock"):
        if not (stamp.exists() and stamp.read_text(encoding="utf-8") == digest):
            stamp.unlink(missing_ok=True)
            make(folder, pins)
            stamp.write_text(digest, encoding="utf-8")
    return python


def make(folder: Path, pins: Path) -> None:
    """Makes an environment of exactly the pinned packages."""
    uv = Path(sys.executable).parent / "uv"
    env = bootstrap().surroundings()
    python = folder / "bin" / "python"
    for command in (
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, folder],
        [uv, "pip", "sync", "--quiet", "--require-hashes", "--python", python, pins],
    ):
        try:
            done = subprocess.run(
                [str(part) for part in command],
                env=env,
                capture_output=True,
                text=True,
                check=False,
                timeout=INSTALL_SECONDS_MAX,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            refuse(pins.stem, str(error))
            return
        if done.returncode != 0:
            refuse(pins.stem, done.stderr.strip())


def refuse(name: str, reason: str) -> None:
    """Skips where the packages cannot be had; a CI that should have them says OUTLAY_FRAMEWORKS=required and fails."""
    said = f"the environment {name} cannot be installed here: {reason[-600:]}"
    if os.environ.get("OUTLAY_FRAMEWORKS") == "required":
        pytest.fail(said)
    pytest.skip(said)


def bootstrap() -> ModuleType:
    """`tools/bootstrap.py`, which knows how this machine reaches its packages."""
    spec = importlib.util.spec_from_file_location("bootstrap", ROOT / "tools" / "bootstrap.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
