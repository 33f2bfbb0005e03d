"""`outlay stop`, `outlay stops` and `outlay actions`: ending work by hand, and what follows when money runs short."""

from __future__ import annotations

from typing import Any

import click

from outlay.faces.cli.control import open_control_desk
from outlay.faces.cli.lazy import Entry, LazyGroup
from outlay.faces.cli.options import current, shared
from outlay.faces.cli.output import note, show

_HERE = "outlay.faces.cli.stops"
_STOPS = ("stop", "scope", "level", "reason", "by", "set", "until")
_ACTIONS = ("action", "budget", "part", "level", "percent", "state", "why", "until", "decided_by")


@click.group(
    cls=LazyGroup,
    entries={"lift": Entry(f"{_HERE}:lift", "Take a stop back.")},
    invoke_without_command=True,
)
@click.option("--session", metavar="ID", help="This session and its sub-agents.")
@click.option("--agent", metavar="NAME", help="This agent.")
@click.option("--feature", metavar="NAME", help="This feature.")
@click.option("--team", metavar="NAME", help="This team.")
@click.option("--product-line", metavar="NAME", help="This product line.")
@click.option("--environment", metavar="NAME", help="This environment.")
@click.option("--customer", metavar="NAME", help="This customer.")
@click.option("--user-tier", metavar="NAME", help="This tier of users.")
@click.option("--cost-code", metavar="CODE", help="This cost code.")
@click.option("--everything", is_flag=True, help="All work there is.")
@click.option("--level", metavar="LEVEL", help="warn, cheaper, no_agents, no_sessions or stop.  [default: stop]")
@click.option("--reason", metavar="TEXT", help="Why; whoever is stopped reads it.")
@click.option("--until", metavar="TIME", help="When it ends by itself: 2h from now, or a day.")
@shared
def stop(**said: Any) -> None:
    """Stop a session, an agent, a feature, or whatever carries a scope, at once.

    Work that has begun hears of it with its next call.

    \b
    outlay stop --session run-17 --reason "loops"
    outlay stop --feature answers --level no_sessions --until 2h --reason "bad release"
    outlay stop lift 3
    """  # noqa: D301 - click reads the mark as a character
    if click.get_current_context().invoked_subcommand is not None:
        return
    context = current()
    if not said["reason"]:
        raise click.UsageError("say why with --reason")
    with open_control_desk(context) as desk:
        reply = desk.stops.stop({key: value for key, value in said.items() if value})
    show(context, reply if context.form == "json" else {**reply, "total": {}}, columns=_STOPS)
    note(f"outlay stop lift {reply['rows'][0]['stop']} takes it back.")


@click.command()
@click.argument("number")
@shared
def lift(number: str) -> None:
    """Take a stop back."""
    context = current()
    with open_control_desk(context) as desk:
        reply = desk.stops.lift(number)
    show(context, reply if context.form == "json" else {**reply, "rows": [reply["total"]], "total": {}})


@click.command()
@shared
def stops() -> None:
    """The stops in force."""
    context = current()
    with open_control_desk(context) as desk:
        reply = desk.stops.stops()
    show(context, reply if context.form == "json" else {**reply, "total": {}}, columns=_STOPS)
    if not reply["rows"]:
        note("Nothing is stopped.")


@click.group(
    cls=LazyGroup,
    entries={
        "list": Entry(f"{_HERE}:list_", "Actions, the newest first, and what waits for approval."),
        "approve": Entry(f"{_HERE}:approve", "Put an action that waits into force."),
        "deny": Entry(f"{_HERE}:deny", "Say no to an action that waits."),
    },
)
def actions() -> None:
    """What follows when money runs short, and what waits for approval."""


@click.command("list")
@click.option("--state", metavar="STATE", default="", help='pending, "in force", denied, expired or reversed.')
@shared
def list_(state: str) -> None:
    """Actions, the newest first, and what waits for approval."""
    context = current()
    with open_control_desk(context) as desk:
        reply = desk.stops.actions(state)
    show(context, reply if context.form == "json" else {**reply, "total": {}}, columns=_ACTIONS)
    for row in reply["rows"]:
        if row["state"] == "pending":
            note(f"Action {row['action']} waits for {', '.join(row['approvers'])}: {row['does']}")
    if not reply["rows"]:
        note("No action yet: rules ask for them (outlay alerts rules FILE).")


@click.command()
@click.argument("number")
@click.option("--note", "why", metavar="TEXT", default="", help="Why; kept in the audit log.")
@shared
def approve(number: str, why: str) -> None:
    """Put an action that waits into force."""
    _decide(number, "approve", why)


@click.command()
@click.argument("number")
@click.option("--note", "why", metavar="TEXT", default="", help="Why; kept in the audit log.")
@shared
def deny(number: str, why: str) -> None:
    """Say no to an action that waits."""
    _decide(number, "deny", why)


def _decide(number: str, verdict: str, why: str) -> None:
    context = current()
    with open_control_desk(context) as desk:
        reply = desk.stops.decide(number, verdict, {"note": why} if why else {})
    show(context, reply if context.form == "json" else {**reply, "total": {}}, columns=_ACTIONS)
