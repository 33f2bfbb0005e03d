"""What a command prints: one JSON object, CSV, or a table with its total and one line of coverage.

Data goes to stdout and nothing else does; remarks go to stderr.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from outlay.faces.cli.figures import Figures
from outlay.faces.cli.options import Context
from outlay.faces.formats import safe
from outlay.faces.plain import Reply

_WIDE = 10_000  # a pipe has no edge: a row stays one line


def show(context: Context, reply: Reply, *, columns: Sequence[str] = (), title: str = "", footer: str = "") -> None:
    """Prints a reply in the form the command was asked for; `columns` orders and chooses those of a table."""
    if context.form == "json":
        click.echo(json.dumps(reply, indent=2, ensure_ascii=False))
    elif context.form == "csv":
        _write_csv(reply["rows"] or ([reply["total"]] if reply["total"] else []))
    else:
        _print_table(context, reply, columns, title, footer)


def note(text: str) -> None:
    """A remark for the person, not for the pipe."""
    click.echo(text, err=True)


def told_problems(coverage: Mapping[str, Any]) -> None:
    """Lists what was refused or repaired, on stderr."""
    for problem in coverage.get("problems", ()):
        hint = f" ({problem['hint']})" if problem.get("hint") else ""
        note(f"  {safe(problem['where'])}: {safe(problem['what'])}{safe(hint)}")
    if coverage.get("problems_left_out"):
        note(f"  and {coverage['problems_left_out']} more")


def _write_csv(rows: Sequence[Mapping[str, Any]]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    figures = Figures(rows, {})
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow([_cell(figures, name, row.get(name)) for name in names])


def _cell(figures: Figures, name: str, value: object) -> str:
    """The exact value; what is not known is a word here too, never an empty cell that reads as 0."""
    if value is None:
        return figures.word_for_null(name)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _print_table(context: Context, reply: Reply, columns: Sequence[str], title: str, footer: str) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows, total = reply["rows"], reply["total"]
    figures = Figures(rows, total)
    names = list(columns) or list(dict.fromkeys(name for row in rows or [total] for name in row))
    tty = sys.stdout.isatty()
    console = Console(
        file=sys.stdout,
        width=None if tty else _WIDE,
        no_color=not context.shows_colour,
        force_terminal=context.shows_colour or None,
        highlight=False,
        markup=False,
        emoji=False,
    )
    if title:
        click.echo(safe(title))
    if rows:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_footer=False)
        for name in names:
            right = figures.is_figure(name)
            table.add_column(
                name.replace("_", " "), justify="right" if right else "left", overflow="fold", no_wrap=right
            )
        for row in rows:
            table.add_row(*(_styled(figures, name, row) for name in names))
        if any(name in total for name in names):
            table.add_section()
            shown = [figures.shown(name, total[name], total) if name in total else "" for name in names]
            shown[0] = shown[0] or "total"
            table.add_row(*(Text(cell) for cell in shown))
        with console.capture() as captured:
            console.print(table)
        # rich fills every line to the edge with blanks; a pipe and a copy want none
        lines = [line.rstrip() for line in captured.get().splitlines()]
        click.echo("\n".join(line for line in lines if line))
    if footer:
        click.echo("\n".join(safe(line) for line in footer.split("\n")))


def _styled(figures: Figures, name: str, row: Mapping[str, Any]) -> Any:
    """A cell; colour only where it is a verdict."""
    from rich.text import Text

    shown = figures.shown(name, row.get(name), row)
    verdict = {"yes": "green", "NO": "bold red"}.get(shown, "") if name == "ok" else ""
    return Text(shown, style=verdict)
