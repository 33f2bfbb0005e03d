"""Documents that commands put into force: TOML, YAML or JSON by the ending of the file, figures kept exact."""

from __future__ import annotations

import json
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

from outlay.core.errors import FormatError


def read_document(file: Path, what: str) -> Any:
    """What a file says; `what` tells in an error what it should hold. Raises FormatError."""
    text = file.read_text(encoding="utf-8")
    try:
        if file.suffix == ".toml":
            return tomllib.loads(text, parse_float=Decimal)
        if file.suffix == ".json":
            return json.loads(text, parse_float=Decimal)
        import yaml

        return yaml.safe_load(text)
    except Exception as error:  # each parser has errors of its own
        raise FormatError(f"{file.name} cannot be read: {error}", hint=f"TOML, YAML or JSON: {what}") from error
