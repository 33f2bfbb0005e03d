"""`outlay metrics`."""

from __future__ import annotations

import click

from outlay.faces.cli.options import current, shared
from outlay.faces.cli.output import show


@click.command()
@shared
def metrics() -> None:
    """The measures and dimensions there are."""
    from outlay.faces.desk import catalogue

    show(current(), catalogue(), columns=("kind", "name", "unit", "text"))
