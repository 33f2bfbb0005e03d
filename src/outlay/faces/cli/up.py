"""`outlay up`."""

from __future__ import annotations

import sys

import click

from outlay.core.errors import StoreBusyError
from outlay.faces.cli.options import Context, current, shared
from outlay.faces.cli.output import note
from outlay.faces.owner import running_owner


@click.command()
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Where to listen; beyond this machine it needs a key."
)
@click.option("--port", default=4318, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--no-open", is_flag=True, help="Do not open the page in a browser.")
@click.option("--access-log", is_flag=True, help="One line a request, on stderr.")
@shared
def up(host: str, port: int, *, no_open: bool, access_log: bool) -> None:
    """Start the server: OTLP, API and page on one port.

    Any OpenTelemetry SDK finds it at its default address. The server owns the books while it runs; other commands
    on the same home ask it.
    """
    from outlay.faces.serve import serve
    from outlay.house import House

    context = current()
    refuse_second(context)
    with House.open(context.folder) as house:
        serve(house, host, port, ready=lambda url: announced(url, no_open=no_open), access_log=access_log)


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
    note(f"  page {url}/   API {url}/api/docs   OTLP {url}/v1/traces")
    note("  stop with Ctrl-C")
    if not no_open and sys.stdout.isatty():
        import webbrowser

        webbrowser.open(url)
