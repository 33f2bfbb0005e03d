"""API keys: 256 random bits, shown once, kept as SHA-256.

A slow hash guards guessable secrets; a key of 256 random bits cannot be guessed, so one SHA-256 is enough and a
request costs microseconds. The file is one JSON object a line.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from outlay.core.errors import InputError

KEYS_VARIABLE = "OUTLAY_API_KEYS"
"""The environment variable that names the file of keys."""

KEYS_FILE = "keys.jsonl"
"""Where `outlay keys add` writes inside the home when the variable is not set."""

_PREFIX = "outlay_"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One stored key; `sha256` is the hash of the secret, which is not kept."""

    name: str
    sha256: str
    created: str


def keys_path(home: Path) -> Path:
    """The file of keys: what the environment names, else the one in the home."""
    named = os.environ.get(KEYS_VARIABLE, "")
    return Path(named).expanduser() if named else home / KEYS_FILE


def load_keys(path: Path) -> tuple[ApiKey, ...]:
    """The keys in a file, none if it does not exist. Raises InputError naming the line that is not a key."""
    if not path.exists():
        return ()
    keys: list[ApiKey] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            said = json.loads(line)
            key = ApiKey(str(said["name"]), str(said["sha256"]), str(said.get("created", "")))
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path.name} line {number} is not an API key", hint="outlay keys add NAME") from error
        if len(key.sha256) != 64:
            raise InputError(f"{path.name} line {number} has no SHA-256", hint="outlay keys add NAME")
        keys.append(key)
    return tuple(keys)


def add_key(path: Path, name: str) -> str:
    """Makes a key, appends its hash to the file and returns the secret; nobody can read it again."""
    if any(key.name == name for key in load_keys(path)):
        raise InputError(f'there is already a key named "{name}"', hint=f"outlay keys remove {name}")
    secret = new_secret()
    key = ApiKey(name, _digest(secret), datetime.now(UTC).isoformat(timespec="seconds"))
    _write(path, (*load_keys(path), key))
    return secret


def remove_key(path: Path, name: str) -> None:
    """Takes a key out of the file. Raises InputError if there is none of that name."""
    keys = load_keys(path)
    if all(key.name != name for key in keys):
        raise InputError(f'no key named "{name}"', hint="outlay keys list")
    _write(path, (key for key in keys if key.name != name))


def new_secret() -> str:
    """A new secret of 256 random bits."""
    return _PREFIX + secrets.token_urlsafe(32)


def matches(secret: str, keys: Iterable[ApiKey]) -> bool:
    """Whether a secret is one of the keys. Every key is compared, each in constant time."""
    digest = _digest(secret)
    found = False
    for key in keys:
        found |= hmac.compare_digest(digest, key.sha256)
    return found


def key_of(secret: str, name: str) -> ApiKey:
    """The stored form of a secret that lives only as long as this process."""
    return ApiKey(name, _digest(secret), "")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _write(path: Path, keys: Iterable[ApiKey]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(asdict(key)) + "\n" for key in keys)
    draft.replace(path)
