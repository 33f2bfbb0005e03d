"""Readers: one answer from its first byte to its last, in whatever framing and packing it comes.

A reader never raises and never keeps content. It may be stopped at any byte: what was said by then stands in `reading`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from outlay.sdk.bodies import headers
from outlay.sdk.bodies.batches import LINE_OF
from outlay.sdk.bodies.frames import Array, Events, Frames, Lines, Packets, Whole
from outlay.sdk.bodies.reading import Reading
from outlay.sdk.bodies.shape import Shape
from outlay.sdk.bodies.unpacking import unpacker

_LINES = ("ndjson", "jsonl", "json-lines", "stream+json", "json-seq")


class Reader:
    """Reads one answer; `fields` are its headers, names in lower case. `counts_text` asks to count characters too."""

    def __init__(self, shape: Shape, fields: Mapping[str, str], *, counts_text: bool = False) -> None:
        self.reading = Reading()
        self._shape = shape
        self._counts_text = counts_text and shape.text is not None
        self._kind = fields.get("content-type", "").lower()
        self._unpack = None
        self._frames: Frames | None = None
        self._fields = fields
        self._line = LINE_OF.get(shape.name)
        self.lines: list[tuple[Shape, Reading]] = []  # answers of a batch; who listens takes them away
        if fields.get("content-encoding", "").strip().lower() not in {"", "identity"}:
            self._unpack = unpacker(fields["content-encoding"])
            if self._unpack is None:
                self._give_up()
        self.is_stream = (
            "event-stream" in self._kind or "eventstream" in self._kind or any(w in self._kind for w in _LINES)
        )

    def feed(self, data: bytes) -> None:
        """Takes the next bytes as they came off the wire."""
        if self.reading.unreadable or not data:
            return
        try:
            plain = self._unpack(data) if self._unpack is not None else data
            if self._says_nothing(plain):
                self._passed_over(plain)
                return
            if self._frames is None:
                if not plain.strip():
                    return
                self._frames = self._choose(plain)
            for frame in self._frames.feed(plain):
                self._take(frame)
        except Exception:  # noqa: BLE001 - foreign bytes may be anything; the agent's call goes on
            self._give_up()

    def end(self) -> Reading:
        """The body is over, or will not come; what its headers say fills what it left open."""
        try:
            if self._frames is not None and not self.reading.unreadable:
                for frame in self._frames.end():
                    self._take(frame)
                if getattr(self._frames, "broken", False):
                    self.reading.unreadable = True
            headers.read(self._fields, self.reading, whole=not self.is_stream)
        except Exception:  # noqa: BLE001 - see feed
            self.reading.unreadable = True
        self._frames = None
        return self.reading

    def _says_nothing(self, data: bytes) -> bool:
        """Whether these are whole events that say nothing of usage: most pieces of a stream do not."""
        frames = self._frames
        return (
            type(frames) is Events
            and not self._counts_text
            and data[-2:] == b"\n\n"
            and frames.is_between
            and not self._shape.worth.search(data)
        )

    def _choose(self, begin: bytes) -> Frames:
        if self._line is not None:
            self.is_stream = True
            return Lines()
        if "vnd.amazon.eventstream" in self._kind:
            return Packets()
        if "event-stream" in self._kind:
            return Events()
        if any(word in self._kind for word in _LINES):
            return Lines()
        first = begin.lstrip()[:5]
        if first.startswith(b"["):
            self.is_stream = True
            return Array()
        if first in {b"data:", b"event"}:
            self.is_stream = True
            return Events()
        if not first.startswith(b"{"):
            self._give_up()
        return Whole(self._shape.members)

    def _take(self, frame: bytes) -> None:
        held = self._counts_text and self.is_stream
        if self.is_stream and not held and not self._shape.worth.search(frame):
            self._passed_over(frame)
            return
        if frame[:1] != b"{" and frame.lstrip()[:1] != b"{":
            return  # [DONE] and the like
        try:
            data: object = json.loads(frame)
        except ValueError:
            self.reading.unreadable = not self.is_stream
            return
        if not isinstance(data, dict):
            return
        answer = cast("Mapping[str, Any]", data)
        if self._line is not None:
            found = self._line(answer)
            if found is not None:
                self.lines.append(found)
            return
        self._shape.read(answer, self.reading)
        if self.is_stream and self._shape.text is not None:
            self.reading.characters += self._shape.text(answer)

    def _passed_over(self, data: bytes) -> None:
        """Counts the text in events that are not opened: a tenth of what opening them takes, and close enough for an
        estimate.
        """
        if self._shape.generated is not None:
            self.reading.characters += sum(map(len, self._shape.generated.findall(data)))

    def _give_up(self) -> None:
        self.reading.unreadable = True
        self._unpack = None
        self._frames = None
