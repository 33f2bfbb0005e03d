"""`outlay budgets`: what may be spent, by whom, in which window, and what is left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from outlay.faces.cli.books import has_books, open_desk
from outlay.faces.cli.control import open_control_desk
from outlay.faces.cli.documents import read_document
from outlay.faces.cli.lazy import Entry, LazyGroup
from outlay.faces.cli.options import Context, current, shared
from outlay.faces.cli.output import note, show

_HERE = "outlay.faces.cli.budgets"
_STANDING = ("name", "part", "window", "mode", "limit", "spent", "held", "left", "used_percent", "state")
_KEYS = ("team", "feature", "agent", "product_line", "environment", "customer", "user_tier", "cost_code", "session")
_PERIODS = ("hour", "day", "week", "month", "quarter", "year", "life")
_WORDS = ("name", "mode", "fail", "unpriced", "zone", "week_start", "currency", "owner")
_NUMBERS = (
    *("start_month", "start_day", "rollover_percent", "reserve_percent"),
    *("steps", "tool_calls", "seconds", "depth", "width"),
)


@click.group(
    cls=LazyGroup,
    entries={
        "list": Entry(f"{_HERE}:list_", "Every budget as it stands."),
        "show": Entry(f"{_HERE}:show_", "One budget: how it stands, what it is, its grants."),
        "set": Entry(f"{_HERE}:set_", "Make a budget, or change the one of its name."),
        "apply": Entry(f"{_HERE}:apply", "Put a file of budgets into force, all or none."),
        "grant": Entry(f"{_HERE}:grant", "Give a budget more until a moment, or move money to another."),
        "end-grant": Entry(f"{_HERE}:end_grant", "End a grant now; what was spent of it stays spent."),
        "remove": Entry(f"{_HERE}:remove", "Take a budget out of force."),
        "history": Entry(f"{_HERE}:history", "Every window a budget has had."),
        "check": Entry(f"{_HERE}:check", "What is doubtful about the budgets in force."),
    },
)
def budgets() -> None:
    """What may be spent, by whom, in which window, and what is left."""


@click.command("list")
@shared
def list_() -> None:
    """Every budget as it stands."""
    context = current()
    _true_up(context)
    with open_control_desk(context) as desk:
        reply = desk.budgets()
    show(context, reply, columns=_STANDING)
    if not reply["rows"]:
        note("No budget yet: outlay budgets set --team NAME --month 1000")


@click.command("show")
@click.argument("name")
@shared
def show_(name: str) -> None:
    """One budget: how it stands, what it is, its grants."""
    context = current()
    _true_up(context)
    with open_control_desk(context) as desk:
        reply = desk.budget(name)
    if context.form != "table":
        show(context, reply)
        return
    total = reply["total"]
    told = {key: value for key, value in total.items() if value not in ({}, [], "") and key != "grants"}
    footer = "\n".join(f"  {key}: {value}" for key, value in told.items())
    for item in total["grants"]:
        until = item["ends"] or "each window"
        footer += f"\n  grant {item['id']}: {item['kind']} {item['amount']} until {until} by {item['granted_by']}"
    show(context, {**reply, "total": {}}, columns=_STANDING, footer=footer)


def _scope(command: Any) -> Any:
    for name in reversed(_NUMBERS):
        command = click.option(f"--{name.replace('_', '-')}", name, type=int, metavar="N", help=_HELP[name])(command)
    for name in reversed(_WORDS):
        command = click.option(f"--{name.replace('_', '-')}", name, metavar="TEXT", help=_HELP[name])(command)
    for name in reversed(_PERIODS):
        command = click.option(f"--{name}", name, metavar="AMOUNT", help=f"The amount a {name}.")(command)
    for name in reversed(_KEYS):
        text = f"Only calls with this {name.replace('_', ' ')}; * for one balance each."
        command = click.option(f"--{name.replace('_', '-')}", name, metavar="NAME", help=text)(command)
    return command


_HELP = {
    "name": "What it is called; made from its scope if left out.",
    "mode": "observe, soft or hard.  [default: hard]",
    "fail": "open or closed: what happens while nothing can be asked.  [default: open]",
    "unpriced": "refuse or allow calls whose price nobody knows.  [default: refuse]",
    "zone": "IANA time zone in which windows begin.  [default: UTC]",
    "week_start": "The day weeks begin with.  [default: monday]",
    "currency": "ISO 4217.  [default: USD]",
    "owner": "Whom to ask for more.",
    "start_month": "The month a fiscal year begins with, 1 to 12.",
    "start_day": "The day of the month on which months begin, 1 to 28.",
    "rollover_percent": "What is left goes into the next window, at most this share of the limit.",
    "reserve_percent": "Kept for a last step that ends the work cleanly.  [default: 5]",
    "steps": "At most so many calls in a window.",
    "tool_calls": "At most so many tool calls in a window.",
    "seconds": "At most so many seconds from the first call on.",
    "depth": "At most so many sub-agents below each other.",
    "width": "At most so many sub-agents beside each other.",
}


@click.command("set")
@_scope
@click.option("--carry-overage", is_flag=True, default=None, help="What was too much is missing in the next window.")
@click.option("--plan", "plans", multiple=True, metavar="WINDOW=AMOUNT", help="One window's own amount: 2026-12=20000.")
@click.option(
    "--ladder", "ladders", multiple=True, metavar="MODEL=CHEAPER", help="A model that may take another's place."
)
@click.option("--expect", default="", metavar="VERSION", help="Only if it is still of this version, as show says it.")
@shared
def set_(plans: tuple[str, ...], ladders: tuple[str, ...], expect: str, **said: Any) -> None:
    """Make a budget, or change the one of its name.

    \b
    outlay budgets set --team onboarding --month 12000 --mode hard
    outlay budgets set --session "*" --life 0.50 --steps 40 --name "each run"
    outlay budgets set --year 2000000 --start-month 4 --zone Europe/Berlin --mode soft
    """  # noqa: D301 - click reads the mark as a character
    context = current()
    wanted = {name: value for name, value in said.items() if value is not None}
    for name, pairs in (("plan", plans), ("ladder", ladders)):
        if pairs:
            wanted[name] = dict(_pair(name, pair) for pair in pairs)
    with open_control_desk(context) as desk:
        reply = desk.set_budget(wanted, expect)
    show(context, reply if context.form == "json" else {**reply, "total": {}}, columns=_STANDING)
    note("In force." if reply["total"]["changed"] else "Nothing was different.")


@click.command()
@click.option(
    "-f",
    "--file",
    "file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML, YAML or JSON: a list of budgets.",
)
@click.option("--dry-run", is_flag=True, help="Only tell what would change.")
@click.option("--prune", is_flag=True, help="Remove the budgets that are not in the file.")
@shared
def apply(file: Path, *, dry_run: bool, prune: bool) -> None:
    """Put a file of budgets into force, all or none.

    \b
    outlay budgets apply -f budgets.toml --dry-run
    outlay budgets apply -f budgets.toml --prune
    """  # noqa: D301 - click reads the mark as a character
    context = current()
    with open_control_desk(context) as desk:
        reply = desk.apply_budgets(read_document(file, "a list of budgets"), dry_run=dry_run, prune=prune)
    if context.form == "table":
        for row in reply["rows"]:
            row["differences"] = "; ".join(f"{key}: {old} → {new}" for key, (old, new) in row["differences"].items())
    show(context, reply, columns=("name", "what", "differences"))
    note("Nothing was changed: this was a dry run." if dry_run else "In force.")


@click.command()
@click.argument("name")
@click.argument("amount")
@click.option("--until", metavar="TIME", help="When the rest goes back; the window's end if left out.")
@click.option("--reason", metavar="TEXT", help="Why, for the audit log.")
@click.option("--part", metavar="VALUE", help="One balance of a budget for each of something.")
@click.option("--to", metavar="BUDGET", help="Move the amount to this budget instead.")
@shared
def grant(name: str, amount: str, **said: str | None) -> None:
    """Give a budget more until a moment, or move money to another.

    \b
    outlay budgets grant onboarding 500 --until 2026-12-01 --reason "launch week"
    outlay budgets grant onboarding 2000 --to search
    """  # noqa: D301 - click reads the mark as a character
    context = current()
    with open_control_desk(context) as desk:
        reply = desk.grant_budget(name, {"amount": amount, **{key: value for key, value in said.items() if value}})
    show(context, reply, columns=("id", "budget", "kind", "amount", "ends", "reason"))


@click.command("end-grant")
@click.argument("number")
@shared
def end_grant(number: str) -> None:
    """End a grant now; what was spent of it stays spent."""
    context = current()
    with open_control_desk(context) as desk:
        reply = desk.end_grant(number)
    show(context, reply) if context.form == "json" else note("Ended; the rest went back.")


@click.command()
@click.argument("name")
@shared
def remove(name: str) -> None:
    """Take a budget out of force."""
    context = current()
    with open_control_desk(context) as desk:
        reply = desk.remove_budget(name)
    show(context, reply) if context.form == "json" else note(f'"{name}" binds nothing any more.')


@click.command()
@click.argument("name")
@shared
def history(name: str) -> None:
    """Every window a budget has had."""
    context = current()
    with open_control_desk(context) as desk:
        reply = desk.budget_history(name)
    show(context, reply if context.form == "json" else {**reply, "total": {}})


@click.command()
@shared
def check() -> None:
    """What is doubtful about the budgets in force.

    Exits with 3 when there is anything to tell.
    """
    context = current()
    with open_desk(context) as desk:
        reply = desk.check_budgets()
    show(context, reply)
    if reply["rows"]:
        click.get_current_context().exit(3)
    note("Every budget binds something, and no two contradict each other.")


def _true_up(context: Context) -> None:
    """Brings the figures up to the books, where there are any."""
    if has_books(context) and (context.folder / "books.duckdb").exists():
        with open_desk(context) as desk:
            desk.true_up()


def _pair(name: str, pair: str) -> tuple[str, str]:
    left, sign, right = pair.partition("=")
    if not sign or not left or not right:
        raise click.UsageError(f'--{name} takes two parts, like 2026-12=20000, not "{pair}"')
    return left, right
