"""Sample: the beginning of a file, just enough to see what it is."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from outlay.sources.archives import ZIP_MAGIC, member_names
from outlay.sources.jsons import mapping_in, parse_cut_json, parse_json
from outlay.sources.reader import head_of, plain_name

_RECORDS_MAX = 50
_HEAD_BYTES = 1 << 20
_PARQUET_MAGIC = b"PAR1"
_YAML_ENDINGS = (".yaml", ".yml")


@dataclass(frozen=True)
class Sample:
    """The first unpacked bytes of a file, and what they are as JSON, as records and as a table's header."""

    path: Path
    head: bytes

    @classmethod
    def of(cls, path: Path) -> Sample:
        """The sample of a file on disk."""
        return cls(path, head_of(path, _HEAD_BYTES).removeprefix(b"\xef\xbb\xbf"))

    @property
    def name(self) -> str:
        """The file's name without `.gz`."""
        return plain_name(self.path)

    @property
    def is_zip(self) -> bool:
        """Whether it is a zip archive."""
        return self.head.startswith(ZIP_MAGIC)

    @property
    def is_parquet(self) -> bool:
        """Whether it is a Parquet file."""
        return self.head.startswith(_PARQUET_MAGIC)

    @property
    def is_whole(self) -> bool:
        """Whether the sample is the whole file."""
        return len(self.head) < _HEAD_BYTES

    @cached_property
    def member_names(self) -> Sequence[str]:
        """Names inside a zip archive, as far as it is readable."""
        return member_names(self.path)

    @cached_property
    def lines(self) -> Sequence[bytes]:
        """The first lines that are not empty; the last one may be cut."""
        return [line for line in self.head.split(b"\n") if line.strip()][: _RECORDS_MAX + 1]

    @cached_property
    def json(self) -> Any:
        """The document as far as it goes, None where it is no JSON object or list, or where it is JSON lines."""
        if self.head.lstrip()[:1] not in {b"{", b"["} or self.is_json_lines:
            return None
        try:
            return parse_json(self.head)
        except ValueError:
            pass
        try:
            return parse_cut_json(self.head)
        except ValueError:
            return None

    @cached_property
    def is_json_lines(self) -> bool:
        """Whether at least half of the first lines, of which there are several, are JSON objects of their own."""
        return len(self.lines) > 1 and 2 * len(self._objects(self.lines)) >= len(self.lines)

    @cached_property
    def records(self) -> Sequence[dict[str, Any]]:
        """The first objects of JSON lines; of a document, the document itself."""
        if self.is_json_lines:
            return self._objects(self.lines)
        top = self.json
        return [top] if isinstance(top, dict) and top else []

    @staticmethod
    def _objects(lines: Sequence[bytes]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for line in lines:
            try:
                found.append(mapping_in(parse_json(line)))
            except ValueError:
                continue
        return [record for record in found if record]

    @property
    def is_yaml(self) -> bool:
        """Whether its name says YAML."""
        return self.name.lower().endswith(_YAML_ENDINGS)

    @cached_property
    def header(self) -> Sequence[str]:
        """The column names of a table with separators; empty where the first line is no header."""
        if not self.lines or self.head.lstrip()[:1] in {b"{", b"["} or b"\0" in self.head[:1000]:
            return ()
        try:
            text = self.lines[0].decode("utf-8").strip("\r\n")
        except UnicodeDecodeError:
            return ()
        return next(csv.reader(io.StringIO(text), delimiter=self.separator), [])

    @property
    def separator(self) -> str:
        """What separates the columns: the most frequent of comma, tab, semicolon and bar in the first line."""
        first = self.lines[0].decode("utf-8", "replace") if self.lines else ""
        return max(",\t;|", key=first.count)

    def described(self) -> str:
        """What a person would say this is."""
        if not self.head:
            return "an empty file"
        if self.is_zip:
            return f"a zip archive of {len(self.member_names)} files"
        if self.is_parquet:
            return "a Parquet table whose columns no mapping knows"
        if self.is_json_lines:
            keys = ", ".join(list(self.records[0])[:8])
            return f"JSON lines with the keys {keys}"
        if isinstance(self.json, dict):
            return "a JSON object with the keys " + (", ".join(list(self.json)[:8]) or "(none)")
        if isinstance(self.json, list):
            return "a JSON list"
        if self.is_yaml:
            return "YAML whose keys no mapping knows"
        if len(self.header) > 1:
            return "a table with the columns " + ", ".join(self.header[:8])
        return "text" if b"\0" not in self.head[:1000] else "a binary file"
