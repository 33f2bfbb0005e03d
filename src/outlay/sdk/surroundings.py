"""Surroundings: what the environment of the process says about home, server, tags and the run it belongs to."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from outlay.core.envelope import ENVELOPE_KEYS
from outlay.sdk.context import Context, Run, context_of
from outlay.sdk.tags import envelope_of, say_once

HOME_VARIABLE = "OUTLAY_HOME"
ENDPOINT_VARIABLE = "OUTLAY_ENDPOINT"
KEY_VARIABLE = "OUTLAY_API_KEY"
DISABLED_VARIABLE = "OUTLAY_DISABLED"
TAGS_VARIABLE = "OUTLAY_TAGS"
CONTEXT_VARIABLE = "OUTLAY_CONTEXT"
RESOURCE_VARIABLE = "OTEL_RESOURCE_ATTRIBUTES"
SERVICE_VARIABLE = "OTEL_SERVICE_NAME"

_RESOURCE_KEYS = {
    "service.namespace": "team",
    "deployment.environment": "environment",
    "deployment.environment.name": "environment",
    "team.name": "team",
    "team.id": "team",
    "team": "team",
    **{f"outlay.{key}": key for key in ENVELOPE_KEYS},
}
"""Resource attributes that say an envelope key, the weakest first; the server knows many more."""


def default_home() -> Path:
    """`OUTLAY_HOME`, else the platform's folder for application data: the same as the server's."""
    if named := os.environ.get(HOME_VARIABLE):
        return Path(named).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "outlay"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "outlay"
    return Path(os.environ.get("XDG_DATA_HOME", "").strip() or Path.home() / ".local" / "share") / "outlay"


def pairs(text: str) -> Iterator[tuple[str, str]]:
    """`key=value,key=value` with percent-encoded values, as `OTEL_RESOURCE_ATTRIBUTES` is written."""
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if not part.strip():
            continue
        if not equals or not key.strip():
            say_once(f"{part.strip()[:64]!r} is no key=value and is left out")
            continue
        if "%" in value:
            from urllib.parse import unquote

            value = unquote(value)
        yield key.strip(), value.strip()


def resource_attributes() -> dict[str, str]:
    """What `OTEL_RESOURCE_ATTRIBUTES` says, and the name of the service."""
    said = dict(pairs(os.environ.get(RESOURCE_VARIABLE, "")))
    if service := os.environ.get(SERVICE_VARIABLE, ""):
        said["service.name"] = service
    program = Path(sys.argv[0]).name if sys.argv else ""
    said.setdefault("service.name", program if program not in {"", "-c", "-m"} else "python")
    return said


def context_of_process() -> Context:
    """The run a parent process put us in (`OUTLAY_CONTEXT`), under the tags that the environment states."""
    resource = resource_attributes()
    words = {name: resource[key] for key, name in _RESOURCE_KEYS.items() if key in resource}
    own = envelope_of(dict(pairs(os.environ.get(TAGS_VARIABLE, ""))), {}).inherit(envelope_of(words, {}))
    given = context_of(os.environ.get(CONTEXT_VARIABLE, ""))
    if given is None:
        return Context(Run(own))
    given.run.envelope = given.run.envelope.inherit(own)
    return given
