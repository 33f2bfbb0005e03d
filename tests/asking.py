"""Asking the command line in tests, as a person would: words in, one JSON object out."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from outlay.faces.cli.main import run


@dataclass(frozen=True)
class Books:
    """One home, filled and asked by commands alone."""

    home: Path

    def command(self, *words: str, code: int = 0) -> dict[str, Any]:
        """The object a command prints with `--json`; AssertionError with what it said where it ends otherwise."""
        said, told = io.StringIO(), io.StringIO()
        with redirect_stdout(said), redirect_stderr(told):
            ended = run([*words, "--home", str(self.home), "--json"])
        assert ended == code, told.getvalue()
        return json.loads(said.getvalue())

    def load(self, *paths: Path, options: tuple[str, ...] = ()) -> dict[str, Any]:
        """The reply to an import."""
        return self.command("import", *map(str, paths), *options)

    def rows(self, measures: str, *words: str, by: str = "") -> list[dict[str, Any]]:
        """The rows of `outlay spend`."""
        split = ("--by", by) if by else ()
        return self.command("spend", "--measures", measures, *split, *words)["rows"]

    def table(self, measures: str, *words: str, by: str) -> dict[tuple[str, ...], dict[str, Any]]:
        """The rows of `outlay spend` by the values of their dimensions."""
        rows = self.rows(measures, *words, by=by)
        return {tuple(row[name] for name in by.split(",")): row for row in rows}

    def total(self, measures: str, *words: str) -> dict[str, Any]:
        """The total of `outlay spend`."""
        return self.command("spend", "--measures", measures, *words)["total"]


def same_money(ours: str | Decimal | None, theirs: str | Decimal | None) -> bool:
    """Whether an amount of ours is a figure of theirs: to 1e-6, unknown only where they say so too."""
    if ours is None or theirs is None:
        return ours is None and theirs is None
    return abs(Decimal(ours) - Decimal(theirs)) <= Decimal("1e-6")


def exact_money(ours: str | Decimal | None, theirs: str | Decimal | None) -> bool:
    """Whether an amount of ours is a figure of theirs to the nano-unit, rounded once."""
    if ours is None or theirs is None:
        return ours is None and theirs is None
    return Decimal(ours) == Decimal(theirs).quantize(Decimal("1e-9"))
