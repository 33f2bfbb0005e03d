"""Place: where a home's control store is. The environment says it, else `outlay.toml`, else it is a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outlay.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

URL_VARIABLE = "OUTLAY_CONTROL_URL"
"""The environment variable that names a PostgreSQL database, or another SQLite file."""

SETTINGS_FILE = "outlay.toml"
CONTROL_FILE = "control.sqlite"


def said_url(home: Path) -> str:
    """The address somebody gave the control store of a home; empty where nobody did. Raises InputError."""
    return os.environ.get(URL_VARIABLE, "") or _setting(home)


def _setting(home: Path) -> str:
    path = home / SETTINGS_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return ""  # and a home that cannot be one is told by whoever writes to it
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not TOML: {error}", hint='[control]\n  url = "postgresql://…"') from error
    import tomllib  # read only where there is such a file: it would cost an agent's start a few milliseconds

    try:
        said: Mapping[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not TOML: {error}", hint='[control]\n  url = "postgresql://…"') from error
    section = said.get("control", {})
    url = section.get("url", "") if isinstance(section, dict) else None
    if not isinstance(url, str):
        raise InputError(f"{path}: control.url must be a text", hint='url = "postgresql://user@host/database"')
    return url
