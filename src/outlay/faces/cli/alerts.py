"""`outlay alerts`: what was told of budgets, the rules, the channels, and how it is going on its way out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from outlay.faces.cli.books import open_desk
from outlay.faces.cli.control import open_control_desk
from outlay.faces.cli.documents import read_document
from outlay.faces.cli.lazy import Entry, LazyGroup
from outlay.faces.cli.options import current, shared
from outlay.faces.cli.output import note, show

_HERE = "outlay.faces.cli.alerts"
_TOLD = ("fired", "severity", "title", "sent", "note")
_RULES = ("budget", "actual", "every", "forecast", "unpriced", "unattributed", "refused", "actions")
_LOG = ("message", "channel", "title", "state", "attempts", "last_error", "due", "sent")
_ATTEMPTS = ("at", "attempt", "ok", "took_ms", "said")


@click.group(
    cls=LazyGroup,
    entries={
        "list": Entry(f"{_HERE}:list_", "What was told, the newest first, and to whom."),
        "rules": Entry(f"{_HERE}:rules", "What is told of each budget; with a file, change it."),
        "channels": Entry("outlay.faces.cli.channels:channels", "Where alerts go: Slack, webhooks, e-mail, PagerDuty."),
        "test": Entry(f"{_HERE}:test", "Send a message to a channel now."),
        "log": Entry(f"{_HERE}:log", "Messages and how far they are; of one of them each attempt."),
        "retry": Entry(f"{_HERE}:retry", "Make a message due again, or every dead one."),
        "run": Entry(f"{_HERE}:run", "Look at every budget now and deliver what is due."),
    },
)
def alerts() -> None:
    """What is told of budgets: when, in which words, to whom."""


@click.command("list")
@click.option("--budget", metavar="NAME", default="", help="Only of this budget.")
@click.option("--top", metavar="N", default="", help="At most so many.  [default: 100]")
@shared
def list_(budget: str, top: str) -> None:
    """What was told, the newest first, and to whom."""
    context = current()
    with open_control_desk(context) as desk:
        reply = desk.alerts.told(budget, top)
    total = reply["total"]
    show(context, reply if context.form == "json" else {**reply, "total": {}}, columns=_TOLD)
    if not reply["rows"]:
        note("Nothing was told yet. A server looks each minute; outlay alerts run does so now.")
    if total["dead"]:
        note(f"{total['dead']} messages could not be delivered: outlay alerts log --state dead")


@click.command()
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@shared
def rules(file: Path | None) -> None:
    """What is told of each budget; with a file, change it.

    TOML, YAML or JSON. An empty file goes back to the default.

    \b
    fallback = ["ops"]
    [[rules]]
    budget = "team-*"
    actual = [50, 75, 90]
    every = "10%"
    actions = [{ at = 95, do = "cheaper" }, { at = 100, do = "stop", approval = true }]
    [[routes]]
    severity = "critical"
    channels = ["pager"]
    """  # noqa: D301 - click reads the mark as a character
    context = current()
    with open_control_desk(context) as desk:
        if file is None:
            reply = desk.alerts.rules()
        else:
            reply = desk.alerts.set_rules(read_document(file, "rules, routes, fallback") or {})
    if context.form == "table":
        reply["rows"] = [{key: "–" if value is None else value for key, value in row.items()} for row in reply["rows"]]
        reply["total"] = {}
    show(context, reply, columns=_RULES)
    if not reply["rows"]:
        note("No budget yet: outlay budgets set --team NAME --month 1000")


@click.command()
@click.argument("channel")
@shared
def test(channel: str) -> None:
    """Send a message to a channel now.

    It goes out in quiet hours too, once, and exits with 1 where it does not arrive.
    """
    context = current()
    with open_control_desk(context) as desk:
        reply = desk.alerts.try_channel(channel)
    show(context, reply if context.form == "json" else {**reply, "total": {}})
    if not reply["total"]["ok"]:
        click.get_current_context().exit(1)


@click.command()
@click.option("--state", metavar="STATE", default="", help="waiting, sent or dead.")
@click.option("--message", metavar="NUMBER", default="", help="Each attempt at this one.")
@click.option("--top", metavar="N", default="", help="At most so many.  [default: 100]")
@shared
def log(state: str, message: str, top: str) -> None:
    """Messages and how far they are; of one of them each attempt."""
    context = current()
    with open_control_desk(context) as desk:
        reply = desk.alerts.log(state, message, top)
    columns = _ATTEMPTS if message else _LOG
    show(context, reply if context.form == "json" else {**reply, "total": {}}, columns=columns)


@click.command()
@click.argument("message", required=False)
@click.option("--dead", is_flag=True, help="Every message that was given up.")
@shared
def retry(message: str | None, *, dead: bool) -> None:
    """Make a message due again, or every dead one."""
    context = current()
    said: dict[str, Any] = {"all": True} if dead else {}
    if message:
        said = {"message": message}
    with open_control_desk(context) as desk:
        reply = desk.alerts.retry(said)
    show(context, reply if context.form == "json" else {**reply, "total": {}}, columns=_LOG)
    if not reply["rows"]:
        note("Nothing was given up.")


@click.command()
@shared
def run() -> None:
    """Look at every budget now and deliver what is due.

    A server does so each minute; without one, let cron call this.
    """
    context = current()
    with open_desk(context) as desk:
        reply = desk.watch_budgets()
    show(context, reply if context.form == "json" else {**reply, "rows": [reply["total"]], "total": {}})
