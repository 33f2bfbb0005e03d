"""`outlay outcomes`: what became of tasks, and what a completed one cost."""

from __future__ import annotations

from typing import Any

import click

from outlay.core.outcome import OutcomeStatus
from outlay.faces.cli.books import open_desk
from outlay.faces.cli.coverage import coverage_line
from outlay.faces.cli.lazy import Entry, LazyGroup
from outlay.faces.cli.options import asked, current, question, shared
from outlay.faces.cli.output import note, show, told_problems

_HERE = "outlay.faces.cli.outcomes"
_LISTED = ("task", "outcome", "task_type", "cost", "value", "margin", "sessions", "time", "source")


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    entries={
        "list": Entry(f"{_HERE}:list_", "Single tasks with what each cost and was worth, latest first."),
        "show": Entry(f"{_HERE}:show_", "One task: its sessions, its cost, and every report on it."),
        "record": Entry(f"{_HERE}:record", "Report that a task came to an end."),
    },
)
@question
@shared
def outcomes(**options: Any) -> None:
    """Tasks that came to an end, and what a completed one cost.

    Beside the cost per completed task stands the interval in which it lies with 95 % confidence, and the number of
    tasks it rests on.

    \b
    outlay outcomes --by feature --since 30d
    outlay outcomes --by task_type --measures tasks,completion_rate,cost_per_completed_task
    outlay outcomes list --where outcome:failed --top 20
    """  # noqa: D301 - click reads the mark as a character
    if click.get_current_context().invoked_subcommand is not None:
        return
    context = current()
    with open_desk(context) as desk:
        reply = desk.outcomes(asked(**options))
    show(context, reply, footer=coverage_line(reply))


@click.command("list")
@click.option("--top", metavar="N", help="At most so many; 100 if left out.")
@click.option("--where", multiple=True, metavar="NAME:VALUE", help="Filter, like outcome:failed or team:search.")
@click.option("--until", metavar="TIME", help="Ended before this moment.")
@click.option("--since", metavar="TIME", help="Ended from this moment on: 2026-11-01, 30d, today.")
@shared
def list_(**options: Any) -> None:
    """Single tasks with what each cost and was worth, latest first.

    \b
    outlay outcomes list --where outcome:failed --since 7d
    outlay outcomes list --where feature:onboarding --csv
    """  # noqa: D301 - click reads the mark as a character
    context = current()
    with open_desk(context) as desk:
        reply = desk.tasks(asked(**options))
    show(context, reply, columns=_LISTED if reply["rows"] and context.form == "table" else ())


@click.command("show")
@click.argument("task")
@shared
def show_(task: str) -> None:
    """One task: its sessions, its cost, and every report on it.

    \b
    outlay outcomes show ticket-4711
    """  # noqa: D301 - click reads the mark as a character
    context = current()
    with open_desk(context) as desk:
        reply = desk.task(task)
    total = reply["total"]
    if context.form == "table":
        note(f"task {total['task']} {total['outcome']} · sessions {', '.join(total['sessions']) or '(none)'}")
    show(context, reply, columns=("reported", "outcome", "value", "currency", "source", "origin", "current"))
    if context.form == "table":
        value, margin = total["value"] or "unknown", total["margin"] or "unknown"
        note(f"cost {total['cost'] or '(unpriced)'} · value {value} · margin {margin}")


@click.command()
@click.argument("task", required=False)
@click.option(
    "--status", required=True, type=click.Choice([item.value for item in OutcomeStatus]), help="How it ended."
)
@click.option(
    "--session", "session_ids", multiple=True, metavar="ID", help="A session that worked on it; several if need be."
)
@click.option("--value", metavar="AMOUNT", help="What the result is worth, like 12.50.")
@click.option("--currency", metavar="CODE", help="Of the value; USD if left out.")
@click.option("--type", "task_type", metavar="NAME", help="What kind of task.")
@click.option("--at", metavar="TIME", help="When it ended; now if left out.")
@click.option("--id", "id_", metavar="ID", help="Your own identity of this report: sent again, it is the same one.")
@click.option("--team", metavar="NAME", help="Whose task; taken from the session if left out.")
@click.option("--feature", metavar="NAME", help="Which feature; taken from the session if left out.")
@shared
def record(task: str | None, session_ids: tuple[str, ...], id_: str | None, **options: str | None) -> None:
    """Report that a task came to an end.

    A later report on the same task wins; the earlier ones stay in its history. Without a task, the session's only task
    is meant, else the session itself.

    \b
    outlay outcomes record ticket-4711 --status done --session run-9 --value 12.50
    outlay outcomes record --session run-9 --status failed
    """  # noqa: D301 - click reads the mark as a character
    if not task and not session_ids:
        raise click.UsageError("name a task or a --session", click.get_current_context())
    said: dict[str, Any] = {name: text for name, text in options.items() if text is not None}
    said |= {"task_id": task} if task else {}
    said |= {"session_ids": list(session_ids)} if session_ids else {}
    said |= {"id": id_} if id_ else {}
    context = current()
    with open_desk(context) as desk:
        reply = desk.report_outcomes(said)
    show(context, reply)
    told_problems(reply["coverage"])
    if reply["total"]["refused"]:
        click.get_current_context().exit(1)
