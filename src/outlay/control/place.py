"""Where a home's control store is: the environment says it, else `outlay.toml`, else it is a file beside the books."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outlay.core.errors import InputError

if TYPE_CHECKING:
    from outlay.control.store import ControlStore

URL_VARIABLE = "OUTLAY_CONTROL_URL"
"""The environment variable that names a PostgreSQL database, or another SQLite file."""

SETTINGS_FILE = "outlay.toml"
CONTROL_FILE = "control.sqlite"

_SCHEMES = ("postgresql", "postgres", "sqlite")


def control_url(home: Path) -> str:
    """The address of a home's control store, as SQLAlchemy spells it. Raises InputError for one that cannot be."""
    said = os.environ.get(URL_VARIABLE, "") or _setting(home)
    if not said:
        return f"sqlite:///{home / CONTROL_FILE}"
    scheme, separator, rest = said.partition("://")
    if not separator or scheme.partition("+")[0] not in _SCHEMES:
        raise InputError(
            f'"{scheme if separator else said}" is no control store',
            hint=f"{URL_VARIABLE}=postgresql://user@host/database, or sqlite:///file",
        )
    return said if scheme.startswith("sqlite") else f"postgresql+psycopg://{rest}"


def open_control(home: Path) -> ControlStore:
    """Opens the control store of a home and brings its tables up to date; several processes may do so at once."""
    from outlay.control.store import ControlStore

    return ControlStore(control_url(home))


def _setting(home: Path) -> str:
    path = home / SETTINGS_FILE
    try:
        said: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ""
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not TOML: {error}", hint='[control]\n  url = "postgresql://…"') from error
    section = said.get("control", {})
    url = section.get("url", "") if isinstance(section, dict) else None
    if not isinstance(url, str):
        raise InputError(f"{path}: control.url must be a text", hint='url = "postgresql://user@host/database"')
    return url
