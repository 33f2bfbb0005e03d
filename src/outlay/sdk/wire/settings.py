"""What `outlay.init()` decided about the wire. One value for the process, replaced whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from outlay.sdk.bodies.routes import Routes


@dataclass(frozen=True)
class Settings:
    """`hosts` says who answers on hosts of one's own; `include_usage` adds `stream_options.include_usage` to streams of
    chat completions that did not ask for usage.
    """

    hosts: Mapping[str, str] = field(default_factory=dict[str, str])
    include_usage: bool = False

    @cached_property
    def routes(self) -> Routes:
        """The table of addresses; read when the first request is about to be sent, not when Outlay starts."""
        from outlay.sdk.bodies.routes import Routes

        return Routes(self.hosts)


_current: list[Settings] = [Settings()]


def current() -> Settings:
    """The settings in force."""
    return _current[0]


def configure(hosts: Mapping[str, str] | None = None, *, include_usage: bool = False) -> None:
    """Sets which own hosts belong to whom, and whether usage is asked for."""
    _current[0] = Settings(dict(hosts or {}), include_usage)
