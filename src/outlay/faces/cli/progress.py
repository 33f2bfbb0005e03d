"""A progress bar on stderr, for a person only; `rich` is loaded when the first step is told."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from outlay.faces.cli.options import Context

Told = Callable[[int, int], None]
"""Takes how much is done and how much there is."""


@contextmanager
def progress_bar(context: Context, text: str) -> Generator[Told | None]:
    """A function that moves the bar, or None where nobody would see one."""
    if not context.shows_progress:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, no_color=not context.shows_colour)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(text, total=None)

        def told(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total or None)

        yield told
