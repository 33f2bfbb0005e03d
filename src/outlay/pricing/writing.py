"""Writing: adding to the user files what a person decided, checked as a whole before anything is replaced."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from outlay.core.errors import FormatError, PriceError
from outlay.pricing import userfiles
from outlay.pricing.userfiles import ALIASES, CARD, CONTRACTS, OVERRIDES

TABLE_OF = {CONTRACTS: "contract", OVERRIDES: "price", ALIASES: "alias", CARD: "rate"}
"""The user files that are lists of tables, and what a table of each is called."""

_FETCH_SECONDS_MAX = 30
_MAP_BYTES_MAX = 64 * 1024 * 1024


def append(folder: Path | None, file: str, entry: Mapping[str, object]) -> None:
    """Adds one table to a user file. Raises PriceError and changes nothing if the file would not be valid."""
    if folder is None:
        raise PriceError("this price book has no folder to write to", hint="name a home with --home or OUTLAY_HOME")
    path = folder / file
    try:
        old = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        old = ""
    except (OSError, UnicodeDecodeError) as error:
        raise PriceError(f"cannot read {path}: {error}", hint="nothing was written") from error
    text = f"{old.rstrip()}\n\n{_table(TABLE_OF[file], entry)}".lstrip("\n")
    _, problems = userfiles.parse({file: text.encode()})
    if problems:
        userfiles.refuse(problems)
    userfiles.write(path, text.encode())


def _table(word: str, entry: Mapping[str, object]) -> str:
    lines = [f"[[{word}]]"]
    for key, value in entry.items():
        if value is None or value == "":
            continue
        if isinstance(value, bool | int):
            lines.append(f"{key} = {str(value).lower()}")
        elif isinstance(value, date):
            lines.append(f"{key} = {value.isoformat()}")
        else:
            lines.append(f"{key} = {json.dumps(str(value), ensure_ascii=False)}")
    return "\n".join(lines) + "\n"


def fetch(source: bytes | str | Path) -> tuple[bytes, str]:
    """The bytes of a file or https address and where they came from. Raises PriceError if they cannot be had."""
    if isinstance(source, bytes):
        return source, "given"
    address = str(source)
    if address.startswith("http://"):
        raise PriceError(
            f"refusing to read prices over plain http: {address}", hint="use https, or download the file yourself"
        )
    if address.startswith("https://"):
        return _download(address), address
    try:
        return Path(source).read_bytes(), Path(source).name
    except OSError as error:
        raise PriceError(f"cannot read {source}: {error.strerror}", hint="name a file or an https address") from error


def _download(address: str) -> bytes:
    from urllib.request import urlopen

    try:
        with urlopen(address, timeout=_FETCH_SECONDS_MAX) as answer:  # noqa: S310 - the scheme was checked to be https
            content: bytes = answer.read(_MAP_BYTES_MAX + 1)
    except OSError as error:
        raise PriceError(
            f"cannot fetch {address}: {error}", hint="download the file and import it from disk"
        ) from error
    if len(content) > _MAP_BYTES_MAX:
        raise FormatError(f"{address} is larger than {_MAP_BYTES_MAX >> 20} MiB", hint="is it the price map?")
    return content
