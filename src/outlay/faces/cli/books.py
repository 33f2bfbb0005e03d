"""Where a command gets its answers: from the server that owns the books, else from books it opens itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from outlay.faces.owner import running_owner

if TYPE_CHECKING:
    from outlay.faces.cli.options import Context
    from outlay.faces.desk import Desk


@contextmanager
def open_desk(context: Context) -> Iterator[Desk]:
    """The desk of this home for as long as the command runs."""
    folder = context.folder
    owner = running_owner(folder)
    if owner is not None:
        from outlay.faces.client import ServerDesk

        yield ServerDesk(owner.url, owner.key)
        return
    from outlay.faces.desk import HouseDesk
    from outlay.house import House

    with House.open(folder) as house:
        yield HouseDesk(house)


def has_books(context: Context) -> bool:
    """Whether anything was ever written in this home; asking does not make one."""
    folder = context.folder
    return folder.is_dir() and any(folder.iterdir())
