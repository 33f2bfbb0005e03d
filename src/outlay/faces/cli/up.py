"""`outlay up`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from outlay.core.errors import OutlayError, StoreBusyError
from outlay.faces.cli.options import Context, current, shared
from outlay.faces.cli.output import note
from outlay.faces.owner import running_owner

if TYPE_CHECKING:
    from outlay.faces.otlp_grpc import GrpcServer


@click.command()
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Where to listen; beyond this machine it needs a key."
)
@click.option("--port", default=4318, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option(
    "--grpc-port",
    default=None,
    type=click.IntRange(0, 65535),
    help="Where to listen for OTLP over gRPC: 4317 unless told otherwise, a free one with 0 or beside --port 0.",
)
@click.option("--no-grpc", is_flag=True, help="OTLP over HTTP only.")
@click.option("--no-open", is_flag=True, help="Do not open the page in a browser.")
@click.option("--access-log", is_flag=True, help="One line a request, on stderr.")
@shared
def up(host: str, port: int, grpc_port: int | None, *, no_grpc: bool, no_open: bool, access_log: bool) -> None:
    """Start the server: OTLP, API and page on one port, OTLP over gRPC on another.

    Any OpenTelemetry SDK finds it at its default addresses. The server owns the books while it runs; other commands
    on the same home ask it.
    """
    from outlay.faces.serve import serve
    from outlay.house import House

    context = current()
    refuse_second(context)
    if grpc_port is None:
        grpc_port = 4317 if port else 0
    with House.open(context.folder) as house:
        serve(
            house,
            host,
            port,
            grpc_port=None if no_grpc else grpc_port,
            ready=lambda url: announced(url, no_open=no_open),
            grpc_ready=grpc_announced,
            access_log=access_log,
        )


def refuse_second(context: Context) -> None:
    """Raises StoreBusyError when a server runs on this home already."""
    owner = running_owner(context.folder)
    if owner is not None:
        raise StoreBusyError(
            f"a server on these books runs already: {owner.url} (process {owner.pid})",
            hint="use that one, or --home for other books",
        )


def announced(url: str, *, no_open: bool) -> None:
    """Says where the server is and, for a person at a terminal, opens the page."""
    note(f"Outlay is up at {url}")
    note(f"  page {url}/   API {url}/api/docs   OTLP over HTTP {url}")
    note("  stop with Ctrl-C")
    if not no_open and sys.stdout.isatty():
        import webbrowser

        webbrowser.open(url)


def grpc_announced(state: GrpcServer | OutlayError) -> None:
    """Says where OTLP over gRPC is, or why it is not."""
    if isinstance(state, OutlayError):
        note(f"  {state.message}")
        note(f"  try: {state.hint}")
    else:
        note(f"  OTLP over gRPC {state.address}")
