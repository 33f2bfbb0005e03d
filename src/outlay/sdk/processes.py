"""Processes: a child process is told the session it works for through its environment.

`OUTLAY_CONTEXT` is read by the SDK of the child. `OTEL_RESOURCE_ATTRIBUTES` says the same to whatever else reports
there by OpenTelemetry, coding agents among them: their own sessions become children of this one.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from functools import wraps
from typing import Any

from outlay.core.envelope import ENVELOPE_KEYS, UNTAGGED
from outlay.sdk.context import Context, carrier, current
from outlay.sdk.surroundings import CONTEXT_VARIABLE, RESOURCE_VARIABLE

_fitted: list[str] = []


def environment() -> dict[str, str]:
    """Variables for a child process: `subprocess.run(..., env={**os.environ, **outlay.environment()})`.

    Empty outside any session of a process without tags.
    """
    context = current()
    text = carrier()
    if not text:
        return {}
    said = _resource(context)
    return {CONTEXT_VARIABLE: text} | ({RESOURCE_VARIABLE: said} if said else {})


def _resource(context: Context) -> str:
    """What the process says already, then the session it works for; the later word of a key stands."""
    from urllib.parse import quote

    said = {f"outlay.{key}": value for key in ENVELOPE_KEYS if (value := getattr(context.envelope, key)) != UNTAGGED}
    said |= {f"outlay.tag.{key}": value for key, value in context.envelope.tags.items()}
    run = context.run
    said |= {"outlay.session.parent_id": run.session_id, "outlay.task.id": run.task_id, "outlay.user": run.user}
    own = [
        part for part in os.environ.get(RESOURCE_VARIABLE, "").split(",") if part.partition("=")[0].strip() not in said
    ]
    return ",".join([*filter(None, own), *(f"{key}={quote(value)}" for key, value in said.items() if value)])


def fit() -> None:
    """Have every `subprocess.Popen` say so by itself, once. A caller that sets the variable itself is left alone."""
    if _fitted:
        return
    _fitted.append("processes")
    made = subprocess.Popen.__init__

    @wraps(made)
    def making(self: subprocess.Popen[Any], *args: Any, **kwargs: Any) -> None:
        if "env" in kwargs or len(args) <= _ENV_PLACE:
            given: Mapping[str, str] | None = kwargs.get("env")
            said = environment()
            if said and CONTEXT_VARIABLE not in (given or {}):
                kwargs["env"] = {**(os.environ if given is None else given), **said}
        made(self, *args, **kwargs)

    subprocess.Popen.__init__ = making


_ENV_PLACE = 10
"""The place of `env` among the arguments that may be given by position, which hardly anybody does."""
