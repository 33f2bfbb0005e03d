"""The wire: every attempt at a model is metered where it is sent, below the retry loop of whatever client sends it.

`install()` patches the clients that are there and those that will come; it imports none of them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import ModuleType

from outlay.sdk.wire import settings
from outlay.sdk.wire.importing import Watcher
from outlay.sdk.wire.patching import restore

_watcher = Watcher()


def install(hosts: Mapping[str, str] | None = None, *, include_usage: bool = False) -> None:
    """Meters httpx, httpx2, aiohttp, urllib3 (requests, botocore) and websockets in this process from now on.

    It may be called again.

    `hosts` says who answers on hosts of your own: `{"llm.internal": "openai", "localhost:8000": "vllm"}`.
    `include_usage` asks for the usage of streamed chat completions where the agent did not.
    """
    settings.configure(hosts, include_usage=include_usage)
    for name in ("httpx", "httpx2"):
        _watcher.watch(f"{name}._client", _patch_httpx)
    _watcher.watch("aiohttp.client", _patch_aiohttp)
    _watcher.watch("urllib3.connectionpool", _patch_urllib3)
    _watcher.watch("websockets.sync.connection", _patch_sockets)
    _watcher.watch("websockets.asyncio.connection", _patch_sockets)


def uninstall() -> None:
    """Puts every client back as it was."""
    _watcher.stop()
    restore()


def _patch_httpx(client: ModuleType) -> None:
    from outlay.sdk.wire import httpx_client

    top = client.__name__.partition(".")[0]
    httpx_client.patch_library(_Names(top, client))


class _Names(ModuleType):
    """The names of a library as its client module knows them: the top module is not made yet when that one is."""

    def __init__(self, top: str, client: ModuleType) -> None:
        super().__init__(top)
        transports = sys.modules[f"{top}._transports.default"]
        types = sys.modules[f"{top}._types"]
        content = sys.modules[f"{top}._content"]
        self.HTTPTransport = transports.HTTPTransport
        self.AsyncHTTPTransport = transports.AsyncHTTPTransport
        self.SyncByteStream = types.SyncByteStream
        self.AsyncByteStream = types.AsyncByteStream
        self.ByteStream = content.ByteStream
        self.Response = client.Response
        self.Client = client.Client
        self.AsyncClient = client.AsyncClient


def _patch_aiohttp(client: ModuleType) -> None:
    from outlay.sdk.wire import aiohttp_client

    aiohttp_client.patch_library(client)


def _patch_urllib3(pool: ModuleType) -> None:
    from outlay.sdk.wire import urllib3_client

    urllib3_client.patch_library(pool)


def _patch_sockets(connection: ModuleType) -> None:
    from outlay.sdk.wire import websockets_client

    if "asyncio" in connection.__name__:
        websockets_client.patch_async(connection)
    else:
        websockets_client.patch_sync(connection)


__all__ = ["install", "uninstall"]
