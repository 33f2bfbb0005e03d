"""Place: a home's control store as SQLAlchemy finds it; where it is says `core.place`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from outlay.core.errors import InputError
from outlay.core.place import CONTROL_FILE, URL_VARIABLE, said_url

if TYPE_CHECKING:
    from outlay.control.store import ControlStore

_SCHEMES = ("postgresql", "postgres", "sqlite")


def control_url(home: Path) -> str:
    """The address of a home's control store, as SQLAlchemy spells it. Raises InputError for one that cannot be."""
    said = said_url(home)
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
