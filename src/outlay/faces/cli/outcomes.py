"""`outlay outcomes`."""

from __future__ import annotations

from typing import Any

import click

from outlay.faces.cli.books import open_desk
from outlay.faces.cli.coverage import coverage_line
from outlay.faces.cli.options import asked, current, question, shared
from outlay.faces.cli.output import show


@click.command()
@question
@shared
def outcomes(**options: Any) -> None:
    """Tasks that came to an end, and what a completed one cost.

    \b
    outlay outcomes --by feature --since 30d
    outlay outcomes --by task_type --measures tasks,completion_rate,cost_per_completed_task
    """  # noqa: D301 - click reads the mark as a character
    context = current()
    with open_desk(context) as desk:
        reply = desk.outcomes(asked(**options))
    show(context, reply, footer=coverage_line(reply))
