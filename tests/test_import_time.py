"""`import outlay` and `outlay --help` stay light: not by the clock (that is `make bench`), but by what they drag in."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {
    *("duckdb", "isal", "msgspec", "numpy", "ptars", "pyarrow", "yaml"),
    *("google.protobuf", "opentelemetry", "genai_prices", "pydantic"),
    *("httptools", "httpx2", "jinja2", "rich", "starlette", "uvicorn", "uvloop"),
}
IMPORT = "import outlay"
HELP = """
import io, contextlib
sys.argv = ["outlay", "--help"]
from outlay.faces.cli.main import main
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    main()
"""


@pytest.mark.parametrize("code", [IMPORT, HELP], ids=["import outlay", "outlay --help"])
def test_nothing_heavy_is_loaded(code: str) -> None:
    script = f"import json, sys\n{code}\nprint(json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(json.loads(run.stdout.splitlines()[-1]))
    assert not HEAVY & loaded
