"""Where a command gets its answers: from the server that owns the books, else from books it opens itself."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from outlay.core.errors import StoreBusyError
from outlay.faces.actors import local_actor
from outlay.faces.owner import running_owner

if TYPE_CHECKING:
    from pathlib import Path

    from outlay.faces.cli.options import Context
    from outlay.faces.desk import Desk
    from outlay.house import House

WAIT_S = 10.0
"""How long a command waits for books that somebody else holds: another command ends, a server starts."""

_PAUSE_S = 0.1


@contextmanager
def open_desk(context: Context) -> Generator[Desk]:
    """The desk of this home for as long as the command runs. Raises StoreBusyError if its books stay taken."""
    folder = context.folder
    deadline = time.monotonic() + WAIT_S
    while True:
        owner = running_owner(folder)
        if owner is not None:
            from outlay.faces.client import ServerDesk

            yield ServerDesk(owner.url, owner.key, local_actor())
            return
        try:
            house = _open(folder)
        except StoreBusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_S)
            continue
        with house as opened:
            from outlay.faces.desk import HouseDesk

            yield HouseDesk(opened, local_actor())
        return


def has_books(context: Context) -> bool:
    """Whether anything was ever written in this home; asking does not make one."""
    folder = context.folder
    return folder.is_dir() and any(folder.iterdir())


def _open(folder: Path) -> House:
    from outlay.house import House

    return House.open(folder)
