"""The real clients' own environment, made once from hash-pinned files into `.venv-frameworks/clients` and kept."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
PINS = ROOT / "requirements" / "frameworks" / "clients.txt"
FOLDER = ROOT / ".venv-frameworks" / "clients"
INSTALL_SECONDS_MAX = 900


def python_of_clients() -> Path:
    """The interpreter of the environment, else the test skips; where OUTLAY_FRAMEWORKS=required it fails."""
    digest = hashlib.sha256(sys.version.encode() + PINS.read_bytes()).hexdigest()
    stamp, python = FOLDER / ".outlay-setup", FOLDER / "bin" / "python"
    FOLDER.parent.mkdir(exist_ok=True)
    with (FOLDER.parent / "clients.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (stamp.exists() and stamp.read_text(encoding="utf-8") == digest):
            stamp.unlink(missing_ok=True)
            _make(python)
            stamp.write_text(digest, encoding="utf-8")
    return python


def _make(python: Path) -> None:
    uv = Path(sys.executable).parent / "uv"
    sync = ["pip", "sync", "--quiet", "--compile-bytecode", "--require-hashes", "--python", python, PINS]
    for rest in (["venv", "--quiet", "--clear", "--python", sys.executable, FOLDER], sync):
        command = [str(part) for part in (uv, *rest)]
        try:
            env = _bootstrap().surroundings()
            made = subprocess.run(
                command, env=env, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS_MAX
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            _refuse(str(error))
            return
        if made.returncode:
            _refuse(made.stderr.strip())


def _refuse(reason: str) -> None:
    said = f"the clients cannot be installed here: {reason[-600:]}"
    if os.environ.get("OUTLAY_FRAMEWORKS") == "required":
        pytest.fail(said)
    pytest.skip(said)


def _bootstrap() -> Any:
    """`tools/bootstrap.py`, which knows how this machine reaches its packages."""
    spec = importlib.util.spec_from_file_location("bootstrap", ROOT / "tools" / "bootstrap.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
