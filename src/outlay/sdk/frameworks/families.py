"""Families: which session an agent's work belongs to.

The first agent that runs in a session takes it: it is what the application calls the session. Every other agent in it
has a session of its own, below it. An agent that takes turns in a conversation keeps its session from turn to turn; one
that is called as a tool has a new one for every call.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

FAMILIES_MAX = 10_000
"""Sessions remembered at once; of one that was forgotten and goes on, the next agent is the first."""

NAME_CHARACTERS_MAX = 64


class _Family:
    """The agents of one session."""

    __slots__ = ("children", "counts", "main")

    def __init__(self, main: str) -> None:
        self.main = main
        self.children: dict[tuple[str, bytes], str] = {}
        self.counts: dict[str, int] = {}


class Families:
    """Remembers who works in which session; safe to use from many threads."""

    def __init__(self) -> None:
        self._families: OrderedDict[str, _Family] = OrderedDict()
        self._lock = Lock()

    def session_of(self, session_id: str, name: str, call: bytes) -> str:
        """The session in which the agent `name` works that was started in `session_id`.

        `call` is the tool call that it answers, empty where it is no tool.
        """
        with self._lock:
            family = self._family(session_id, name)
            if family.main == name and not call:
                return session_id
            known = family.children.get((name, call))
            if known is None:
                count = family.counts[name] = family.counts.get(name, 0) + 1
                known = f"{session_id}~{name[:NAME_CHARACTERS_MAX]}" + (f"~{count}" if count > 1 else "")
                family.children[name, call] = known
                self._family(known, name)
            return known

    def _family(self, session_id: str, main: str) -> _Family:
        """The family of a session; a new one begins with the agent that takes it."""
        family = self._families.get(session_id)
        if family is None:
            family = self._families[session_id] = _Family(main)
            if len(self._families) > FAMILIES_MAX:
                self._families.popitem(last=False)
        return family


families = Families()
"""Of this process."""
