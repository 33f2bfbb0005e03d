"""Makes `.venv` ready from nothing but Python 3.11 or later: `python tools/bootstrap.py runtime|dev`.

Standard library only, because it runs before anything is installed. uv comes by digest through pip into the project's
own environment, then installs the hash-pinned files beside it. A stamp holds the digest of what was installed, so that
a second call costs a few milliseconds.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import ssl
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
STAMP = VENV / ".outlay-setup"
OLDEST, NEWEST = (3, 11), (3, 14)
FILES = {
    "runtime": ("requirements/build.txt", "requirements/runtime.txt"),
    "dev": ("requirements/build.txt", "requirements/dev.txt"),
}
NO_VENV = """\
error: {python} has neither ensurepip nor pip, so it cannot make a virtual environment
  try: apt-get install python3-venv (Debian, Ubuntu), or make PYTHON=/path/to/another/python3"""
NO_VERSION = """\
error: Outlay needs Python {oldest} to {newest}; {python} is {version}
  try: make PYTHON=/path/to/python3.13"""


def digest(kind: str) -> str:
    """What the environment of this kind is made of: the pinned files, the project's own metadata, the interpreter."""
    parts = [f"{kind} {sys.version}".encode()]
    parts += [(ROOT / name).read_bytes() for name in ("requirements/uv.txt", *FILES[kind], "pyproject.toml")]
    return f"{kind} {hashlib.sha256(b''.join(parts)).hexdigest()}"


def is_ready(kind: str) -> bool:
    """Whether the environment holds this kind already; `dev` holds everything of `runtime`."""
    held = STAMP.read_text(encoding="utf-8").strip() if STAMP.exists() and PYTHON.exists() else ""
    return held in {digest(kind), digest("dev")}


def surroundings() -> dict[str, str]:
    """The environment for uv: pip's own index and this system's certificates, unless uv was told otherwise.

    uv reads neither of them by itself, and a machine behind a mirror or an inspecting proxy needs both.
    """
    env = dict(os.environ)
    paths = ssl.get_default_verify_paths()
    if paths.cafile or (paths.capath and any(Path(paths.capath).iterdir())):
        env.setdefault("UV_SYSTEM_CERTS", "1")
    command = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    if asked.returncode == 0 and asked.stdout.strip() and "UV_INDEX_URL" not in env:
        env.setdefault("UV_DEFAULT_INDEX", asked.stdout.strip())
    return env


def run(*command: object, env: dict[str, str] | None = None) -> None:
    """Runs a command in the project's root; its output goes where ours goes, a failure raises."""
    subprocess.run([str(part) for part in command], cwd=ROOT, check=True, stdin=subprocess.DEVNULL, env=env)


def make_venv() -> None:
    """An empty environment with uv in it. Debian's python3 may lack ensurepip; its pip then installs from outside."""
    if importlib.util.find_spec("ensurepip"):
        run(sys.executable, "-m", "venv", "--clear", VENV)
        pip = (PYTHON, "-m", "pip")
    elif importlib.util.find_spec("pip"):
        run(sys.executable, "-m", "venv", "--clear", "--without-pip", VENV)
        pip = (sys.executable, "-m", "pip", "--python", PYTHON)
    else:
        raise SystemExit(NO_VENV.format(python=sys.executable))
    quiet = ("--quiet", "--disable-pip-version-check", "--no-input")
    run(*pip, "install", *quiet, "--require-hashes", "--only-binary", ":all:", "-r", "requirements/uv.txt")


def install(kind: str) -> None:
    """Exactly the pinned packages and the project itself, editable, without a second look at the registry."""
    uv = BIN / ("uv.exe" if os.name == "nt" else "uv")
    target, env = ("--quiet", "--python", PYTHON), surroundings()
    run(uv, "pip", "sync", *target, "--require-hashes", "requirements/uv.txt", *FILES[kind], env=env)
    run(uv, "pip", "install", *target, "--no-deps", "--no-build-isolation", "--offline", "--editable", ".", env=env)


def main() -> int:
    """Makes the environment named by the first argument ready; says what it does only when it does something."""
    kind = sys.argv[1] if len(sys.argv) == 2 else ""
    if kind not in FILES:
        print(f"usage: bootstrap.py {'|'.join(FILES)}", file=sys.stderr)
        return 2
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        words = {"oldest": ".".join(map(str, OLDEST)), "newest": ".".join(map(str, NEWEST))}
        version = ".".join(map(str, sys.version_info[:3]))
        print(NO_VERSION.format(python=sys.executable, version=version, **words), file=sys.stderr)
        return 1
    if is_ready(kind):
        return 0
    print(f"setup: installing the pinned {kind} packages into .venv (once)", file=sys.stderr, flush=True)
    STAMP.unlink(missing_ok=True)
    try:
        make_venv()
        install(kind)
    except subprocess.CalledProcessError as error:
        print(f"error: setup stopped at: {' '.join(map(str, error.cmd))}", file=sys.stderr)
        print("  the lines above say why; behind a mirror, set PIP_INDEX_URL and UV_INDEX_URL", file=sys.stderr)
        return 1
    STAMP.write_text(digest(kind), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
