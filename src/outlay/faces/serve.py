"""Starts the server: one process that owns the books and answers OTLP, API and page on one port, and OTLP over gRPC."""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from outlay.core.errors import InputError, OutlayError, ServerError
from outlay.faces.actors import LOOPBACK
from outlay.faces.api.guard import is_loopback_host
from outlay.faces.owner import Owner, announce, withdraw
from outlay.faces.rounds import Duty, Rounds

if TYPE_CHECKING:
    import uvicorn

    from outlay.control.keyring import Keyring
    from outlay.faces.otlp_grpc import GrpcServer
    from outlay.house import House

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 4318
"""Where every OpenTelemetry SDK sends OTLP over HTTP when nobody says otherwise."""

OWN_KEY = "this home"
"""The name of the key that lives as long as a server and that commands on its home present."""

_BACKLOG = 2048
_COLLECT_AFTER = 50_000  # objects; batches are few large arrays, which no collection frees sooner
_GRACE_S = 10
_WATCH_EVERY_S = 60
_RATES_EVERY_S = 60
_SWEEP_EVERY_S = 2
_WARM_EVERY_S = 60
_KEEP_ALIVE_S = 75  # exporters send every few seconds; a new connection a batch would cost more than the batch


def serve(
    house: House,
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    *,
    grpc_port: int | None = None,
    ready: Callable[[str], None] | None = None,
    grpc_ready: Callable[[GrpcServer | OutlayError], None] | None = None,
    access_log: bool = False,
) -> None:
    """Serves until the process is told to stop (SIGINT, SIGTERM), then finishes what it was answering.

    `ready` is called with the address once requests are answered; port 0 takes a free one. With a `grpc_port` OTLP is
    answered over gRPC as well; `grpc_ready` is told where, or why not. Raises InputError when `host` reaches beyond
    this machine and no API key is configured, ServerError when the port is taken.
    """
    import uvicorn

    from outlay.delivery.places import networks
    from outlay.faces.api.app import build_app
    from outlay.faces.api.leases import LeaseDoor
    from outlay.faces.quick import quick_http
    from outlay.faces.web.pages import routes

    networks()  # a setting that cannot be is said before anything runs
    key_needed = not is_loopback_host(host)
    keyring, own_key = _keyring(house, host, key_needed=key_needed)
    listener = _listen(host, port)
    url = _url(host, listener.getsockname()[1])
    door = LeaseDoor(lambda: house.control)
    app = build_app(house, routes(house, keyring), keyring, key_needed=key_needed, own_name=OWN_KEY, door=door)
    logging.getLogger("uvicorn.access").disabled = not access_log
    config = uvicorn.Config(
        app,
        loop="auto",  # uvloop where it exists
        http="auto" if access_log else quick_http(app, door),  # uvicorn's own writes the log
        lifespan="off",
        access_log=access_log,
        log_level="warning",
        server_header=False,
        ws="none",
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
    )
    owner = Owner(url, os.getpid(), own_key)
    gc.freeze()  # what was loaded to start lives as long as the server: no collection need look at it again
    gc.set_threshold(_COLLECT_AFTER)

    def started() -> None:
        announce(house.home, owner)
        if ready is not None:
            ready(url)

    keyring.start()
    try:
        with _told_to_stop(), _at_work(house):
            beside = None if grpc_port is None else _Beside(house, keyring, host, grpc_port, grpc_ready)
            _server(config, started, beside).run(sockets=[listener])
    finally:
        keyring.close()
        withdraw(house.home, owner.pid)
        listener.close()
        gc.unfreeze()  # libraries tell of what is left over at the end of the process


@contextmanager
def _at_work(house: House) -> Generator[None]:
    """What a server does by itself beside answering, while the block lasts."""
    from outlay.control.leases import tidy
    from outlay.delivery.courier import Courier
    from outlay.faces.web.digest import post_digests
    from outlay.faces.web.warm import Warm
    from outlay.house import ABANDON_EVERY_S

    duties = (
        Duty("tasks that were not completed in time", ABANDON_EVERY_S, house.abandon),
        Duty("what budgets have spent, and what of that is worth telling", _WATCH_EVERY_S, house.watch),
        Duty("the digests of the week and the month", _WATCH_EVERY_S, lambda: post_digests(house)),
        Duty("the rates of today", _RATES_EVERY_S, house.refresh_rates),
        Duty("leases whose owners died", _SWEEP_EVERY_S, lambda: tidy(house.control)),
        Duty("a look at the views", _WARM_EVERY_S, Warm(house, LOOPBACK).look),
    )
    rounds, courier = Rounds(duties), Courier(house.control)
    rounds.start()
    courier.start()
    try:
        yield
    finally:
        rounds.stop()
        courier.stop()


@contextmanager
def _told_to_stop() -> Generator[None]:
    """Makes SIGTERM end the process the way Ctrl-C does, with every `finally` on the way.

    uvicorn finishes its requests, then sends the signal once more to whoever listened before; the default would end the
    process on the spot, before the books are closed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_number: int, _frame: object) -> None:
        raise SystemExit(0)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Beside:
    """The gRPC server that lives and ends with the HTTP one."""

    def __init__(
        self,
        house: House,
        keys: Keyring,
        host: str,
        port: int,
        told: Callable[[GrpcServer | OutlayError], None] | None,
    ) -> None:
        self._house, self._keys, self._host, self._port, self._told = house, keys, host, port, told
        self._state: GrpcServer | OutlayError | None = None

    async def start(self) -> None:
        """Starts it; where that is not possible, HTTP goes on alone."""
        from outlay.faces.otlp_grpc import start

        try:
            key_needed = not is_loopback_host(self._host)
            self._state = await start(self._house.intake, self._keys, self._host, self._port, key_needed=key_needed)
        except OutlayError as error:
            self._state = error

    def tell(self) -> None:
        """Says where it listens, or why it does not."""
        if self._told is not None and self._state is not None:
            self._told(self._state)

    async def stop(self) -> None:
        """Ends it; calls at hand are answered first."""
        if self._state is not None and not isinstance(self._state, OutlayError):
            await self._state.stop()


def _server(config: uvicorn.Config, started: Callable[[], None], beside: _Beside | None) -> uvicorn.Server:
    import uvicorn

    class Announcing(uvicorn.Server):
        """A server that says when it answers."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if beside is not None:
                await beside.start()
            started()
            if beside is not None:
                beside.tell()

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            if beside is not None:
                await beside.stop()
            await super().shutdown(sockets)

    return Announcing(config)


def _keyring(house: House, host: str, *, key_needed: bool) -> tuple[Keyring, str]:
    """The keys this server accepts, and the one for commands on this home. Raises InputError where one is missing."""
    from outlay.control.keyring import Keyring
    from outlay.control.keys import EVERYTHING, ApiKey, digest_of, new_secret
    from outlay.faces.keys import KEYS_VARIABLE, take_over_files

    take_over_files(house.control, house.home, "server")
    own = new_secret() if key_needed else ""
    keyring = Keyring(house.control, {digest_of(own): ApiKey(OWN_KEY, EVERYTHING)} if own else {})
    if key_needed and len(keyring) == 1:
        raise InputError(
            f"refusing to listen on {host}: anyone who reaches it could read and write the books",
            detail=[f"no API key is configured (outlay keys, or {KEYS_VARIABLE})"],
            hint="outlay keys add NAME, then start again; or listen on 127.0.0.1",
        )
    return keyring, own


def _listen(host: str, port: int) -> socket.socket:
    name = host.strip("[]")
    listener = socket.socket(socket.AF_INET6 if ":" in name else socket.AF_INET, socket.SOCK_STREAM)
    if os.name != "nt":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((name, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise ServerError(
            f"cannot listen on {host}:{port}: {reason}", hint="outlay up --port 0 takes a free one"
        ) from error
    listener.setblocking(False)  # noqa: FBT003 - takes nothing else
    return listener


def _url(host: str, port: int) -> str:
    """The address a command on this machine reaches the server under."""
    name = host.strip("[]")
    if name in {"0.0.0.0", "::"}:  # noqa: S104 - compared with, not bound to
        name = DEFAULT_HOST if "." in name else "::1"
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"
