"""The exact figures of the shared data, as its own tool computes them from the raw files."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def figures(shared: Path) -> dict[str, Any]:
    """Every table of figures: set → table → rows; money as exact text."""
    command = [sys.executable, str(shared / "tools" / "figures.py"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout, parse_float=Decimal)
