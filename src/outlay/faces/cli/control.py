"""Where a command finds the control store: beside the books, whoever owns those."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from outlay.faces.actors import local_actor

if TYPE_CHECKING:
    from outlay.faces.cli.options import Context
    from outlay.faces.control_desk import ControlDesk
    from outlay.pricing.book import PriceBook


@contextmanager
def open_control_desk(context: Context) -> Generator[ControlDesk]:
    """The desk of this home's control store, in the name of the person at this machine."""
    from outlay.control.place import open_control
    from outlay.faces.control_desk import ControlDesk
    from outlay.faces.keys import take_over_files

    actor = local_actor()
    with open_control(context.folder) as store:
        take_over_files(store, context.folder, actor)
        yield ControlDesk(store, actor, lambda: _prices(context))


def _prices(context: Context) -> PriceBook:
    from outlay.house import PRICES
    from outlay.pricing.book import PriceBook

    return PriceBook.load(context.folder / PRICES)
