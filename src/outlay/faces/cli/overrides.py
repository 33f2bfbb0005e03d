"""`outlay overrides`: asking for an exception to a budget, deciding it, and what became of each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from outlay.faces.cli.control import open_control_desk
from outlay.faces.cli.documents import read_document
from outlay.faces.cli.lazy import Entry, LazyGroup
from outlay.faces.cli.options import current, shared
from outlay.faces.cli.output import note, show

_HERE = "outlay.faces.cli.overrides"
_LISTED = ("id", "budget", "part", "amount", "approved", "state", "until", "requested_by", "decided_by", "reason")


@click.group(
    cls=LazyGroup,
    entries={
        "list": Entry(f"{_HERE}:list_", "Requests, the newest first."),
        "show": Entry(f"{_HERE}:show_", "One request, who may decide, and its trail."),
        "request": Entry(f"{_HERE}:request", "Ask for more money for a budget until a moment."),
        "approve": Entry(f"{_HERE}:approve", "Grant all of a request, or a part."),
        "deny": Entry(f"{_HERE}:deny", "Say no to a request."),
        "withdraw": Entry(f"{_HERE}:withdraw", "Take back your own request."),
        "end": Entry(f"{_HERE}:end", "End an approved exception before its time."),
        "policy": Entry(f"{_HERE}:policy", "Who may decide; with a file, change it."),
    },
)
def overrides() -> None:
    """Exceptions to budgets: asked for, decided, ended."""


@click.command("list")
@click.option("--state", metavar="STATE", default="", help="pending, approved, denied, expired, withdrawn or ended.")
@click.option("--budget", metavar="NAME", default="", help="Only for this budget.")
@shared
def list_(state: str, budget: str) -> None:
    """Requests, the newest first."""
    context = current()
    with open_control_desk(context) as desk:
        reply = desk.overrides(state, budget)
    show(context, reply if context.form == "json" else {**reply, "total": {}}, columns=_LISTED)
    if not reply["rows"]:
        note("No request: outlay overrides request BUDGET --amount 500 --reason WHY --until 7d")


@click.command("show")
@click.argument("number")
@shared
def show_(number: str) -> None:
    """One request, who may decide, and its trail."""
    _show(number)


@click.command()
@click.argument("budget")
@click.option("--amount", required=True, metavar="AMOUNT", help="How much more.")
@click.option("--reason", required=True, metavar="TEXT", help="Why; whoever decides reads it.")
@click.option("--until", required=True, metavar="TIME", help="When the rest goes back: a day, or 7d from now.")
@click.option("--part", metavar="NAME", help="One balance of a budget for each of something.")
@shared
def request(budget: str, **said: str | None) -> None:
    """Ask for more money for a budget until a moment.

    outlay overrides request onboarding --amount 500 --until 2026-12-01 --reason "backlog after the outage"
    """
    context = current()
    with open_control_desk(context) as desk:
        reply = desk.request_override({"budget": budget, **{key: value for key, value in said.items() if value}})
    show(
        context, reply if context.form == "json" else {**reply, "rows": [reply["total"]], "total": {}}, columns=_LISTED
    )
    total = reply["total"]
    note(f"Asked. {', '.join(total['approvers'])} may decide; denied by itself at {total['denied_at']}.")


def _decision(text: str) -> Any:
    def wrap(command: Any) -> Any:
        return click.argument("number")(click.option("--note", "why", metavar="TEXT", default="", help=text)(command))

    return wrap


@click.command()
@_decision("Why; kept in the audit log.")
@click.option("--amount", metavar="AMOUNT", help="A part of what was asked for; all of it if left out.")
@shared
def approve(number: str, why: str, amount: str | None) -> None:
    """Grant all of a request, or a part."""
    _decide(number, "approve", {"note": why, "amount": amount})


@click.command()
@_decision("Why; kept in the audit log.")
@shared
def deny(number: str, why: str) -> None:
    """Say no to a request."""
    _decide(number, "deny", {"note": why})


@click.command()
@click.argument("number")
@shared
def withdraw(number: str) -> None:
    """Take back your own request."""
    _decide(number, "withdraw", {})


@click.command()
@_decision("Why; kept in the audit log.")
@shared
def end(number: str, why: str) -> None:
    """End an approved exception before its time.

    What was spent of it stays spent.
    """
    _decide(number, "end", {"note": why})


@click.command()
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@shared
def policy(file: Path | None) -> None:
    """Who may decide; with a file, change it.

    TOML, YAML or JSON. An empty file goes back to the default.

    \b
    deny_after_hours = 24
    [[rules]]
    budget = "team-*"
    approvers = ["owner", "key:finance"]
    up_to = 5000
    """  # noqa: D301 - click reads the mark as a character
    context = current()
    with open_control_desk(context) as desk:
        reply = (
            desk.override_policy()
            if file is None
            else desk.set_override_policy(read_document(file, "rules, each with budget and approvers") or {})
        )
    show(context, reply)


def _decide(number: str, verdict: str, said: dict[str, str | None]) -> None:
    with open_control_desk(current()) as desk:
        desk.decide_override(number, verdict, {key: value for key, value in said.items() if value})
    _show(number)


def _show(number: str) -> None:
    context = current()
    with open_control_desk(context) as desk:
        reply = desk.override(number)
    if context.form != "table":
        show(context, reply)
        return
    show(context, {**reply, "rows": [reply["total"]], "total": {}}, columns=_LISTED)
    for line in reply["rows"]:
        why = (line["after"] or {}).get("note") or (line["after"] or {}).get("reason") or ""
        note(f"{line['at'][:19]} {line['actor']} {line['action']}" + (f": {why}" if why else ""))
    if reply["total"]["state"] == "pending":
        note(f"{', '.join(reply['total']['approvers'])} may decide; denied by itself at {reply['total']['denied_at']}.")
