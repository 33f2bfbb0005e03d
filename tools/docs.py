"""Writes the pages of docs/ that are made from the code: `python tools/docs.py [--check]`.

`docs/cli.md` is what every `--help` prints. Pages a person writes around such facts (docs/metrics.md) are compared with
the code by their own tests.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click

DOCS = Path(__file__).resolve().parent.parent / "docs"
WIDTH = 100
MADE = "Made from the code by `make docs`; do not edit."


def commands(command: click.Command, parent: click.Context | None, name: str) -> Iterator[tuple[str, click.Context]]:
    """A command and everything below it, each with its path, in the order of its help."""
    settings = {**command.context_settings, "terminal_width": WIDTH, "max_content_width": WIDTH}
    context = click.Context(command, parent=parent, info_name=name, **settings)
    yield context.command_path, context
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            inner = command.get_command(context, below)
            if inner is not None and not inner.hidden:
                yield from commands(inner, context, below)


def cli_page() -> str:
    """Every command's help."""
    from outlay.faces.cli.main import outlay

    parts = ["# Command line", MADE]
    for path, context in commands(outlay, None, "outlay"):
        parts += [f"## {path}", f"```text\n{context.get_help().rstrip()}\n```"]
    return "\n\n".join(parts) + "\n"


PAGES: dict[str, Callable[[], str]] = {"cli.md": cli_page}


def main() -> int:
    """Writes the pages, or says which ones are out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a page is out of date")
    check = parser.parse_args().check
    stale = []
    for name, make in PAGES.items():
        page = DOCS / name
        text = make()
        if page.exists() and page.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if not check:
            page.write_text(text, encoding="utf-8")
            print(f"wrote docs/{name}")
    if check and stale:
        print(f"out of date: {', '.join(stale)}; try: make docs", file=sys.stderr)
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
