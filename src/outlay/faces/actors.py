"""Who does something, as the audit log names them: a person at this machine, or the key that a request carried."""

from __future__ import annotations

import getpass

ACTOR_HEADER = "x-outlay-actor"
"""How a command tells the server of its own home who typed it; believed from this machine only."""

ACTOR_CHARACTERS_MAX = 100
LOOPBACK = "loopback"
"""A request from this machine without a key and without a name."""


def local_actor() -> str:
    """The person at this machine, as its system knows them."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container whose user has no name
        name = "unknown"
    return clean_actor(f"cli:{name}")


def key_actor(name: str) -> str:
    """The holder of a key."""
    return f"key:{name}"


def clean_actor(said: str) -> str:
    """A name that is safe to keep and to show; what cannot be is left out."""
    return "".join(letter for letter in said if letter.isprintable())[:ACTOR_CHARACTERS_MAX]
