"""The office: the till of this process, made once, where there is a desk to ask.

The home's control store is asked as a file where it is one; else the server that was named, or that runs on the home.
Nothing is opened before it is there, and without budgets nothing is asked: a look now and then at whether that has
changed is all.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from outlay.core.errors import InputError
from outlay.core.place import CONTROL_FILE, said_url
from outlay.sdk import gate
from outlay.sdk.settings import Settings
from outlay.sdk.tags import say_once

if TYPE_CHECKING:
    from outlay.sdk.desk import Desk
    from outlay.sdk.keeper import Keeper
    from outlay.sdk.till import Till

SQLITE = "sqlite:///"
LOOK_NS = 500_000_000


class _Office:
    """What this process has."""

    def __init__(self) -> None:
        self.settings: Settings | None = None
        self.till: Till | None = None
        self._keeper: Keeper | None = None
        self._unregister = _nothing
        self._file: Path | None = None  # whose appearance is waited for
        self._look_ns = 0
        self._making = threading.RLock()
        self._broken = False  # what names the control store cannot be meant

    def open(self, settings: Settings) -> None:
        """Asks whom these settings name, as soon as somebody is there."""
        if settings == self.settings:
            return
        self.close()
        self.settings, self._broken = settings, False
        if settings.disabled:
            return
        try:
            self._file = _file_of(settings)
        except InputError as error:
            self._broken = True
            say_once(f"budgets cannot be asked: {error.message}")
            return
        gate.glance(self._glance)

    def use(self, desk: Desk) -> Till:
        """Asks this desk from now on."""
        from outlay.sdk.keeper import Keeper
        from outlay.sdk.till import Till

        self.till = till = Till(desk)
        self._keeper = Keeper(till)
        till.changed = self._changed
        gate.glance(self._glance)
        return till

    def close(self) -> None:
        """Gives back what nobody spent, and asks nobody any more."""
        keeper, self._keeper, self.till, self.settings, self._file = self._keeper, None, None, None, None
        gate.glance(None)
        self._unregister()
        self._unregister, self._look_ns = _nothing, 0
        if keeper is not None:
            with suppress(Exception):
                keeper.stop()

    def look(self) -> Till | None:
        """The till, made when there is somebody to ask; None before that."""
        if self.till is not None or self.settings is None or self.settings.disabled or self._broken:
            return self.till
        if self._file is not None and not self._file.exists():
            return None
        with self._making:
            if self.till is None:
                self.use(self._desk(self.settings))
        return self.till

    def _desk(self, settings: Settings) -> Desk:
        if self._file is not None:
            from outlay.sdk.desk.local import LocalDesk

            return LocalDesk(self._file)
        from outlay.sdk.desk.server import ServerDesk
        from outlay.sdk.destination import Whereabouts

        return ServerDesk(Whereabouts(settings.home, settings.endpoint, settings.key))

    def _glance(self, waits: bool) -> None:  # noqa: FBT001 - see gate.glance
        """Whether there are budgets now, asked before each metered call: a comparison, and seldom a look."""
        now = time.time_ns()
        if now < self._look_ns:
            return
        try:
            till = self.look()
            if till is not None and till.is_due(now):
                till.look(now)
            if till is not None and waits and not till.desk.ready():
                till.look(time.time_ns(), again=True)
            self._look_ns = now + LOOK_NS if waits or till is None else 0
        except Exception as error:  # noqa: BLE001 - metering goes on where budgets cannot be read
            say_once(f"budgets cannot be looked at: {error!r}")

    def _changed(self) -> None:
        """The gate stands where there are budgets, and only there."""
        from outlay.sdk.gatekeeper import BudgetGate

        self._unregister()
        self._unregister = _nothing
        if self.till is not None and self.till.force is not None:
            self._unregister = gate.register(BudgetGate(self.till))

    def after_fork(self) -> None:
        """A child process has no part of its parent's chunks."""
        self._making = threading.RLock()
        if self._keeper is not None:
            self._keeper.after_fork()


def _nothing() -> None:
    """There is nothing to take out."""


def _file_of(settings: Settings) -> Path | None:
    """The control store where it is a file; None where a server has to be asked. Raises InputError."""
    if settings.endpoint:
        return None
    said = said_url(settings.home)
    if not said:
        return settings.home / CONTROL_FILE
    return Path(said.partition(SQLITE)[2]) if said.startswith("sqlite") else None


office = _Office()
if hasattr(os, "register_at_fork"):  # not where there is no fork
    os.register_at_fork(after_in_child=office.after_fork)
atexit.register(office.close)


def open_office(settings: Settings) -> None:
    """Sets up whom to ask."""
    office.open(settings)


def till() -> Till | None:
    """The till of this process; None where nobody is there to be asked, or budgets are switched off."""
    found = office.till or office.look()
    if found is not None and not found.desk.ready():
        found.look(time.time_ns(), again=True)
    return found
