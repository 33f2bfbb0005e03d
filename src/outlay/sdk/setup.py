"""Setting up: once a process, by `outlay.init()` or by the first session, with what the environment says."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from outlay.sdk import recorder as recorders
from outlay.sdk.context import outside
from outlay.sdk.recorder import Status
from outlay.sdk.settings import Settings
from outlay.sdk.spool import BYTES_MAX
from outlay.sdk.tags import envelope_of, say_once

_lock = threading.RLock()
done = False
"""Whether it is."""


def ensure() -> None:
    """Set up with what the environment says, unless somebody has set up already. Never raises."""
    if not done:
        try:
            with _lock:
                if not done:
                    init()
        except Exception as error:  # noqa: BLE001 - an agent must run without its meter too
            say_once(f"setting up failed: {error}")
            _set_up()


def init(
    *,
    endpoint: str | None = None,
    key: str | None = None,
    home: Path | str | None = None,
    spool: Path | str | None = None,
    spool_bytes_max: int = BYTES_MAX,
    destinations: Iterable[str] = (),
    hosts: Mapping[str, str] | None = None,
    include_usage: bool = False,
    subprocesses: bool = False,
    runtime: bool = True,
    instrument: bool = True,
    **tags: object,
) -> None:
    """Set up: where steps go, what is intercepted, and tags of the whole process. Call it early; once is enough.

    `endpoint` and `key`: a server elsewhere (`OUTLAY_ENDPOINT`, `OUTLAY_API_KEY`); left out, the server that runs on
    the home, else the spool alone. `destinations`: your own services that may be told the session in a header.
    `hosts`: model servers of your own, host → provider. `include_usage`: ask OpenAI-compatible streams for their
    usage. `subprocesses`: tell every child process its session. `runtime`: measure seconds, processor and memory of
    sessions. `instrument`: meter the calls of model clients and frameworks. Raises InputError for what cannot be
    meant.
    """
    global done  # noqa: PLW0603 - once a process
    with _lock:
        settings = Settings.from_environment(
            home=home, endpoint=endpoint, key=key, spool=spool, spool_bytes_max=spool_bytes_max
        )
        recorders.configure(settings)
        if tags:
            context = outside()
            envelope = envelope_of({}, tags).inherit(context.run.envelope)
            context.run = replace(context.run, envelope=envelope, encoded=b"", account=None)
        done = True
        if settings.disabled:
            return
        from outlay.sdk import headers, office, otel, processes, threads

        threads.fit()
        headers.allow(destinations)
        if subprocesses:
            processes.fit()
        office.open_office(settings)
        _measure(runtime)
        otel.look()
        if instrument:
            _instrument(hosts, include_usage=include_usage)


def _set_up() -> None:
    global done  # noqa: PLW0603 - not tried again at every session
    done = True


def _measure(wanted: bool) -> None:  # noqa: FBT001 - the word is its caller's
    from outlay.sdk import runtime

    runtime.want(measured=wanted)


def _instrument(hosts: Mapping[str, str] | None, *, include_usage: bool) -> None:
    """Fit what intercepts clients and frameworks, where it is there; one that fails takes no other with it."""
    for room, words in (("wire", {"hosts": hosts, "include_usage": include_usage}), ("frameworks", {})):
        if find_spec(f"outlay.sdk.{room}") is None:
            continue
        try:
            from importlib import import_module

            import_module(f"outlay.sdk.{room}").install(**words)
        except Exception as error:  # noqa: BLE001 - see above
            say_once(f"{room} cannot be metered: {error!r}")


def flush(timeout_s: float = 10.0) -> bool:
    """Wait until everything recorded is with the server, or, where there is none, on disk. False: not in time."""
    try:
        return recorders.recorder().flush(timeout_s)
    except Exception as error:  # noqa: BLE001 - see above
        say_once(f"flushing failed: {error!r}")
        return False


def shutdown(timeout_s: float = 2.0) -> None:
    """Flush and stop; what the server does not take in time stays in the spool. It happens by itself at exit.

    Money that no call holds goes back to its budgets. A process that a signal ends has no exit: call it before.
    """
    try:
        recorders.recorder().close(timeout_s)
        from outlay.sdk.office import office

        if office.till is not None:
            office.till.give_back()
    except Exception as error:  # noqa: BLE001 - see above
        say_once(f"shutting down failed: {error!r}")


def status() -> Status:
    """What was recorded, delivered, spooled and dropped so far, and what is wrong at present."""
    return recorders.recorder().status()


def forget() -> None:
    """Set up anew at the next occasion, as in a test."""
    global done  # noqa: PLW0603 - see above
    with _lock:
        done = False
        outside.forget()
