"""Shapes: how one kind of answer is read. One foreign shape a file; this is what they have in common."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from outlay.core.centre import Operation
from outlay.sdk.bodies.reading import Reading

EVERY_EVENT = re.compile(rb"")


@dataclass(frozen=True, slots=True)
class Shape:
    """`read` takes what it knows from one JSON object: a whole answer or one event of a stream.

    `worth` finds the events of a stream that may say something of usage; others are passed over unread. `members` are
    the top-level members of a whole answer that is too large to be held. `text` counts the characters an event
    generated; `generated` finds the same text (its one group) in the bytes of events that are passed over.
    """

    name: str
    operation: Operation
    read: Callable[[Mapping[str, Any], Reading], None]
    worth: re.Pattern[bytes] = EVERY_EVENT
    members: frozenset[str] = frozenset({"id", "model", "usage"})
    text: Callable[[Mapping[str, Any]], int] | None = None
    generated: re.Pattern[bytes] | None = None


def length_of(*values: object) -> int:
    """Characters of those values that are texts."""
    return sum(len(value) for value in values if isinstance(value, str))


def texts_at(*names: str) -> re.Pattern[bytes]:
    """Finds the texts that stand under one of these names in JSON, escapes as they are."""
    return re.compile(rf'"(?:{"|".join(names)})"\s*:\s*"((?:[^"\\]|\\.)*)"'.encode())
