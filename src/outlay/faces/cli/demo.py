"""`outlay demo`."""

from __future__ import annotations

import json
import multiprocessing
import threading
from concurrent.futures import BrokenExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from outlay.core.errors import OutlayError
from outlay.faces.cli.options import Context, current, shared
from outlay.faces.cli.output import note
from outlay.faces.cli.progress import progress_bar
from outlay.faces.cli.up import announced, refuse_second

_STORY_FILE = "demo.json"
_STOP_NOTICED_S = 2.0
"""Ctrl-C ends the senders and the server; which of them first is chance."""


@click.command()
@click.option("--seed", default=7, show_default=True, help="Another seed, another company.")
@click.option("--port", default=4318, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--no-open", is_flag=True, help="Do not open the page in a browser.")
@shared
def demo(seed: int, port: int, *, no_open: bool) -> None:
    """Make a believable company and serve it.

    Thirteen months of agents of six teams go through the OTLP door into books of their own (next to the home, or in
    --home). Started again, it serves what is there; an interrupted one goes on where it was.
    """
    from outlay.demo.finance import settle
    from outlay.demo.run import prepare
    from outlay.faces.serve import serve
    from outlay.house import House

    context = current()
    context.home = context.home or _beside(context.folder)
    refuse_second(context)
    prepare(context.home)
    with House.open(context.home) as house:
        story = _story(context.home, seed)
        settle(house.control, datetime.fromisoformat(story["now"]))
        stopped = threading.Event()

        def ready(url: str) -> None:
            announced(url, no_open=no_open)
            if not story["finished"]:
                told = (context, url, story, stopped)
                threading.Thread(target=_tell, args=told, name="outlay-demo", daemon=True).start()

        try:
            serve(house, port=port, ready=ready)
        finally:
            stopped.set()
            for worker in multiprocessing.active_children():
                worker.terminate()  # they would go on sending to a server that is gone


def _beside(folder: Path) -> Path:
    """Made-up figures never mix with real ones."""
    return folder.with_name(f"{folder.name}-demo")


def _story(home: Path, seed: int) -> dict[str, Any]:
    """What was begun in this home: sending the same story again adds nothing, so an interrupted one can be resent."""
    path = home / _STORY_FILE
    if path.exists():
        story: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if story["seed"] != seed:
            note(f"These books hold the company of seed {story['seed']}; for another one take another --home.")
        return story
    story = {"seed": seed, "now": datetime.now(UTC).isoformat(), "finished": False}
    path.write_text(json.dumps(story), encoding="utf-8")
    return story


def _tell(context: Context, url: str, story: dict[str, Any], stopped: threading.Event) -> None:
    from outlay.demo import agents
    from outlay.demo.run import run

    assert context.home is not None
    try:
        with progress_bar(context, "days of the company") as told:
            sent = run(
                url,
                story["seed"],
                None if told is None else lambda step: told(step.days, step.days_total),
                datetime.fromisoformat(story["now"]),
            )
        agents.run(url, context.home)
    except (OutlayError, BrokenExecutor) as error:
        if not stopped.wait(_STOP_NOTICED_S):
            note(f"error: the story broke off: {error}")
        note("The company is not complete; the same command goes on with it.")
        return
    (context.home / _STORY_FILE).write_text(json.dumps({**story, "finished": True}), encoding="utf-8")
    note(f"The company is complete: {sent.spans:,} spans of {sent.days} days in {sent.seconds:.0f} s.")
