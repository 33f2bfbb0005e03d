"""Hiding: where Outlay asked for the usage of a stream, the agent is given the stream it asked for.

The provider answers with one event more, whose `choices` are empty. Code that takes the first choice of every chunk
would stumble over it, so it is read and taken out. Every other byte passes on as it came, event by event.
"""

from __future__ import annotations

import re

HELD_BYTES_MAX = 1024 * 1024
"""What does not end within this is no stream of chat completions; it passes on unread from there."""

_USAGE = re.compile(rb'"usage"\s*:\s*\{')
_NO_CHOICES = re.compile(rb'"choices"\s*:\s*\[\s*\]')
_EVENT = re.compile(rb"(?s).*?\r?\n\r?\n")


class Hiding:
    """Takes the event that carries usage and nothing else out of a stream of events."""

    def __init__(self) -> None:
        self._held = b""
        self._passes = False

    def pass_on(self, data: bytes) -> bytes:
        """What the agent is given of the bytes so far; an event that is not over yet waits for its end."""
        if self._passes:
            return data
        data, self._held = self._held + data, b""
        given: list[bytes] = []
        at = 0
        for event in _EVENT.finditer(data):
            at = event.end()
            if not (_USAGE.search(event.group()) and _NO_CHOICES.search(event.group())):
                given.append(event.group())
        self._held = data[at:]
        if len(self._held) > HELD_BYTES_MAX:
            self._passes = True
            given.append(self.rest())
        return b"".join(given)

    def rest(self) -> bytes:
        """What is left when the stream is over."""
        held, self._held = self._held, b""
        return held
