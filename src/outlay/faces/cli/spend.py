"""`outlay spend`, and what the bare command shows."""

from __future__ import annotations

from typing import Any

import click

from outlay.faces.cli.books import has_books, open_desk
from outlay.faces.cli.coverage import coverage_line
from outlay.faces.cli.options import asked, current, question, shared
from outlay.faces.cli.output import note, show

HOW_TO_START = """The books are empty. Any of these fills them:
  outlay demo                     a made-up company with thirteen months of agents
  outlay import PATH              transcripts, evaluation logs, traces, tables
  outlay up                       then export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318"""


class _WithWords(click.Command):
    """A command whose help ends with every word a question may use."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's own
        """Writes the measures and dimensions, in the text that the docs and the API print too."""
        from outlay.faces.desk import catalogue

        rows = catalogue()["rows"]
        for kind in ("measure", "dimension"):
            with formatter.section(f"{kind.capitalize()}s"):
                formatter.write_dl([(row["name"], row["text"]) for row in rows if row["kind"] == kind])


@click.command(cls=_WithWords)
@question
@shared
def spend(**options: Any) -> None:
    """What was spent, by whatever you want to split it by.

    \b
    outlay spend --by team --since 30d
    outlay spend --by feature,model --measures cost,hidden_share --since 2026-11
    outlay spend --by agent --where team:onboarding --top 5
    """  # noqa: D301 - click reads the mark as a character
    context = current()
    with open_desk(context) as desk:
        reply = desk.spend(asked(**options))
    show(context, reply, footer=coverage_line(reply))


def today() -> None:
    """Prints what was spent today by team, or how to start when there are no books."""
    context = current()
    if not has_books(context):
        note(HOW_TO_START)
        return
    with open_desk(context) as desk:
        reply = desk.spend({"by": ["team"], "since": ["today"]})
        empty = not reply["rows"] and not desk.spend({"by": ["source"], "measures": ["usages"], "top": ["1"]})["rows"]
    if empty:
        note(HOW_TO_START)
    elif not reply["rows"] and context.form == "table":
        note("Nothing was metered today; outlay spend --since 30d shows the last month.")
    else:
        show(context, reply, title="Today, by team", footer=coverage_line(reply))
