"""Top-level members of a JSON object, read piece by piece without keeping the rest.

A prompt may carry megabytes of images, an answer megabytes of vectors; usage is a few hundred bytes beside them. This
reader follows strings and brackets only, keeps the members it was asked for and forgets everything else as it passes.
"""

from __future__ import annotations

import json
import re
from typing import Any

MEMBER_BYTES_MAX = 256 * 1024
"""A wanted member above this size is given up: no usage is that large."""

_STRING_STOP = re.compile(rb'["\\]')
_TOP_MARK = re.compile(rb'["{}\[\]:,]')
_DEEP_MARK = re.compile(rb'["{}\[\]]')
_KEY_BYTES_MAX = 128


class Members:
    """Feed it the bytes of one JSON object in any pieces; `found()` holds the wanted top-level members."""

    def __init__(self, wanted: frozenset[str]) -> None:
        self._wanted = {name.encode() for name in wanted}
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._is_key = False
        self._text = b""  # the string in key position
        self._key = b""
        self._kept: list[bytes] | None = None  # pieces of the wanted value being read
        self._kept_bytes = 0
        self._found: dict[str, Any] = {}

    def feed(self, data: bytes) -> None:
        """Reads on; pieces may end anywhere, inside a string too."""
        at, size = 0, len(data)
        while at < size:
            at = self._string(data, at) if self._in_string else self._mark(data, at)

    def found(self) -> dict[str, Any]:
        """The wanted members seen whole so far."""
        return self._found

    def _string(self, data: bytes, at: int) -> int:
        if self._escaped:
            self._escaped = False
            self._keep(data, at, at + 1)
            return at + 1
        stop = _STRING_STOP.search(data, at)
        end = stop.end() if stop else len(data)
        self._keep(data, at, end)
        if stop is None:
            return end
        if stop.group() == b"\\":
            self._escaped = True
        else:
            self._in_string = False
        return end

    def _mark(self, data: bytes, at: int) -> int:
        mark = (_TOP_MARK if self._depth <= 1 else _DEEP_MARK).search(data, at)
        if mark is None:
            self._keep(data, at, len(data))
            return len(data)
        sign, end = mark.group(), mark.end()
        if sign == b'"':
            self._keep(data, at, end)
            self._in_string = True
            return end
        if sign in {b"{", b"["}:
            self._keep(data, at, end)
            self._depth += 1
            self._is_key = self._depth == 1 and sign == b"{"
            return end
        if self._depth > 1:
            self._keep(data, at, end)
            self._depth -= 1
            return end
        if sign == b":":
            self._begin()
        else:  # a comma, or the end of the object
            self._keep(data, at, end - 1)
            self._close()
            self._is_key = sign == b","
            self._depth -= sign != b","
        return end

    def _keep(self, data: bytes, start: int, end: int) -> None:
        if self._is_key and self._depth == 1:
            if len(self._text) < _KEY_BYTES_MAX:
                self._text += data[start:end]
        elif self._kept is not None:
            self._kept.append(data[start:end])
            self._kept_bytes += end - start
            if self._kept_bytes > MEMBER_BYTES_MAX:
                self._kept = None

    def _begin(self) -> None:
        self._is_key = False
        self._key, self._text = self._text.strip().strip(b'"'), b""
        self._kept, self._kept_bytes = ([] if self._key in self._wanted else None), 0

    def _close(self) -> None:
        kept, self._kept, self._text = self._kept, None, b""
        if kept is None:
            return
        try:
            self._found[self._key.decode()] = json.loads(b"".join(kept))
        except ValueError:
            return


def members_of(body: bytes, wanted: frozenset[str]) -> dict[str, Any]:
    """The wanted top-level members of a whole JSON object; empty where it is none."""
    reader = Members(wanted)
    reader.feed(body)
    return reader.found()
