"""Frames: how one body is cut into JSON objects. Each takes pieces of any size and holds one object at a time."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from outlay.sdk.bodies.members import Members

WHOLE_BYTES_MAX = 1024 * 1024
"""A whole answer above this size is not held: only its wanted members are, as they pass."""

FRAME_BYTES_MAX = 16 * 1024 * 1024
"""One event above this size is passed over."""

_PRELUDE = 12
_TRAILER = 4


class Frames(Protocol):
    """Cuts a body into the bytes of JSON objects."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The objects that are whole now."""
        ...

    def end(self) -> Iterator[bytes]:
        """What is left when the body is over."""
        ...


class Whole:
    """A body that is one JSON object. It is held to its end if it is small, else read as it passes."""

    def __init__(self, members: frozenset[str]) -> None:
        self._members = members
        self._pieces: list[bytes] = []
        self._bytes = 0
        self._reader: Members | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Nothing is whole before the end."""
        if self._reader is not None:
            self._reader.feed(data)
            return iter(())
        self._pieces.append(data)
        self._bytes += len(data)
        if self._bytes > WHOLE_BYTES_MAX:
            self._reader = Members(self._members)
            for piece in self._pieces:
                self._reader.feed(piece)
            self._pieces.clear()
        return iter(())

    def end(self) -> Iterator[bytes]:
        """The object, or what was kept of it."""
        if self._reader is not None:
            found = self._reader.found()
            return iter([json.dumps(found).encode()] if found else [])
        body = b"".join(self._pieces)
        self._pieces.clear()
        return iter([body] if body.strip() else [])


class Events:
    """Server-sent events: `data:` lines up to an empty line; names, ids and comments are passed over."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    @property
    def is_between(self) -> bool:
        """Whether the last event is over and no next one has begun."""
        return not self._rest and not self._data

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The data of every event that is over."""
        lines = (self._rest + data).split(b"\n") if self._rest else data.split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > FRAME_BYTES_MAX:
            self._rest = b""
        for line in lines:
            bare = line.rstrip(b"\r")
            if bare.startswith(b"data:"):
                self._data.append(bare[6:] if bare[5:6] == b" " else bare[5:])
            elif not bare and self._data:
                yield self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
                self._data.clear()

    def end(self) -> Iterator[bytes]:
        """An event whose empty line never came."""
        yield from self.feed(b"\n\n")


class Lines:
    """One JSON object a line."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The lines that are over."""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > FRAME_BYTES_MAX:
            self._rest = b""
        return iter([line for line in lines if line.strip()])

    def end(self) -> Iterator[bytes]:
        """The last line, where no line feed follows it."""
        rest, self._rest = self._rest, b""
        return iter([rest] if rest.strip() else [])


_STRUCTURE = re.compile(rb'["{}\[\]]')
_STRING_STOP = re.compile(rb'["\\]')


class Array:
    """A JSON array of objects that grows while it is sent, as Google streams it."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._depth = 0
        self._in_string = False
        self._escaped = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The elements that are closed."""
        at, start = 0, 0
        while at < len(data):
            if self._escaped:
                self._escaped, at = False, at + 1
                continue
            found = (_STRING_STOP if self._in_string else _STRUCTURE).search(data, at)
            if found is None:
                break
            at, sign = found.end(), found.group()
            if self._in_string:
                self._escaped, self._in_string = sign == b"\\", sign == b"\\"
            elif sign == b'"':
                self._in_string = True
            elif sign in {b"{", b"["}:
                self._depth += 1
                if self._depth == 2:
                    start = found.start()
            else:
                self._depth -= 1
                if self._depth == 1:
                    self._held += data[start:at]
                    yield bytes(self._held)
                    self._held.clear()
        if self._depth >= 2 and len(self._held) < FRAME_BYTES_MAX:
            self._held += data[start:]

    def end(self) -> Iterator[bytes]:
        """An element that was never closed says nothing."""
        self._held.clear()
        return iter(())


class Packets:
    """Amazon's event stream: packets with a prelude, headers, a payload and two checksums.

    A packet whose checksum is wrong ends the reading: what follows cannot be trusted. A `bytes` payload is unpacked;
    the name of an exception is handed on as an error object.
    """

    def __init__(self) -> None:
        self._held = bytearray()
        self.broken = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The payload of every packet that is whole."""
        if self.broken:
            return
        self._held += data
        while len(self._held) >= _PRELUDE:
            size = int.from_bytes(self._held[:4], "big")
            headers = int.from_bytes(self._held[4:8], "big")
            if not self._sound(size, headers):
                return
            if len(self._held) < size:
                return
            packet = bytes(self._held[:size])
            del self._held[:size]
            if zlib.crc32(packet[:-_TRAILER]) != int.from_bytes(packet[-_TRAILER:], "big"):
                self.broken = True
                return
            yield from _unpacked(packet, headers)

    def _sound(self, size: int, headers: int) -> bool:
        stated = int.from_bytes(self._held[8:12], "big")
        sound = zlib.crc32(bytes(self._held[:8])) == stated and _PRELUDE + headers + _TRAILER <= size <= FRAME_BYTES_MAX
        self.broken = not sound
        return sound

    def end(self) -> Iterator[bytes]:
        """A packet that is not whole says nothing."""
        self._held.clear()
        return iter(())


def _unpacked(packet: bytes, header_bytes: int) -> Iterator[bytes]:
    names = _text_headers(packet[_PRELUDE : _PRELUDE + header_bytes])
    payload = packet[_PRELUDE + header_bytes : -_TRAILER]
    if names.get(":message-type") in {"exception", "error"}:
        kind = names.get(":exception-type") or names.get(":error-code") or "exception"
        yield json.dumps({"type": "error", "error": {"type": kind}}).encode()
        return
    if payload.startswith(b'{"bytes":'):
        try:
            held: Mapping[str, Any] = json.loads(payload)
            payload = base64.b64decode(held["bytes"])
        except (ValueError, KeyError, TypeError):
            return
    if payload:
        yield payload


def _text_headers(data: bytes) -> dict[str, str]:
    """The headers that are texts; a header of another type ends the reading, Bedrock sends texts only."""
    found: dict[str, str] = {}
    at = 0
    while at < len(data):
        name_end = at + 1 + data[at]
        if data[name_end : name_end + 1] != b"\x07":
            break
        value_start = name_end + 3
        value_end = value_start + int.from_bytes(data[name_end + 1 : value_start], "big")
        found[data[at + 1 : name_end].decode("utf-8", "replace")] = data[value_start:value_end].decode(
            "utf-8", "replace"
        )
        at = value_end
    return found
