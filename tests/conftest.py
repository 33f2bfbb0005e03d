"""Fixtures every test may ask for, and how Hypothesis looks for counter-examples.

Real agent runs by third parties are not part of this repository. Where they lie beside it (or where OUTLAY_SHARED
points), the tests that read them run; elsewhere they skip and say so.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from postgres import Cluster, binaries, cluster

if TYPE_CHECKING:
    from outlay.control.store import ControlStore

ROOT = Path(__file__).resolve().parent.parent

# Containers like to forbid bytecode. Every one of the several hundred processes that tests start would then compile all
# it imports again, which is most of its life. Workers and children inherit this.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A script that runs the tests in its background leaves them, and all servers they start, deaf to Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No deadline: a busy machine makes any single example slow at times. The printed blob replays a CI failure at a desk.
settings.register_profile(
    "quick", deadline=None, max_examples=40, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", settings.get_profile("quick"), max_examples=1000)
settings.load_profile(os.environ.get("OUTLAY_HYPOTHESIS", "quick"))

ENGINES = ("sqlite", "postgresql")


def pytest_collection_finish() -> None:
    """Collected tests stay until the end: looking through all of them again and again took a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def pytest_unconfigure() -> None:
    """Libraries tell of what is left over at the end of the process."""
    gc.unfreeze()


def _shared() -> Path:
    """Where the shared reference folder is, whether it exists or not."""
    named = os.environ.get("OUTLAY_SHARED")
    return Path(named).expanduser().resolve() if named else ROOT.parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The shared reference folder (`data/`, `tools/`, `bench/`), else the test skips."""
    folder = _shared()
    if not (folder / "data").is_dir():
        pytest.skip("the shared reference data is not here; set OUTLAY_SHARED or put it in ../shared")
    return folder


@pytest.fixture(scope="session")
def shared_data(shared: Path) -> Path:
    """The real agent runs with their exact figures (`FIGURES.md`), else the test skips."""
    return shared / "data"


@pytest.fixture(scope="session")
def figures(shared: Path) -> dict[str, Any]:
    """The exact figures of the shared data, as its own tool computes them: set → table → rows; money as exact text."""
    command = [sys.executable, str(shared / "tools" / "figures.py"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout, parse_float=Decimal)


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of this repository."""
    return ROOT


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty OUTLAY_HOME that ends with the test, set in the environment too."""
    folder = tmp_path / "home"
    monkeypatch.setenv("OUTLAY_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium or Chrome, else the test skips. Nothing is downloaded."""
    names = (os.environ.get("OUTLAY_CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome", "chrome")
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium on this machine; install the system's chromium package or set OUTLAY_CHROMIUM")
    return found


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL server of this session's own, else the test skips."""
    programs = binaries() if os.name == "posix" else None
    if programs is None:
        pytest.skip("no PostgreSQL on this machine; install the system's postgresql package")
    with cluster(programs) as running:
        yield running


@pytest.fixture(params=ENGINES)
def bare_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a control store that nobody has opened yet, on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'control.sqlite'}"
    return _driven(request.getfixturevalue("postgres").database())


@pytest.fixture(scope="session")
def sqlite_control(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty control store with its tables: a copy of it is opened twenty times as fast as a new one."""
    from outlay.control.store import ControlStore

    path = tmp_path_factory.mktemp("control") / "control.sqlite"
    ControlStore(f"sqlite:///{path}").close()
    return path


@pytest.fixture(scope="session")
def postgresql_control(postgres: Cluster) -> str:
    """The same on PostgreSQL: the address of a database that nobody is connected to."""
    from outlay.control.store import ControlStore

    address = postgres.database()
    ControlStore(_driven(address)).close()
    return address


def _driven(address: str) -> str:
    return address.replace("postgresql://", "postgresql+psycopg://")


@pytest.fixture(params=ENGINES)
def control_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty control store; every test that asks runs on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        shutil.copyfile(request.getfixturevalue("sqlite_control"), tmp_path / "control.sqlite")
        return f"sqlite:///{tmp_path / 'control.sqlite'}"
    made = request.getfixturevalue("postgresql_control")
    return _driven(request.getfixturevalue("postgres").database(like=made))


@pytest.fixture
def control(control_url: str) -> Iterator[ControlStore]:
    """An open, empty control store."""
    from outlay.control.store import ControlStore

    with ControlStore(control_url) as store:
        yield store
