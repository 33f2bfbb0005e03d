"""`outlay targets`: what a completed task of a feature may cost in a quarter, and the review of it."""

from __future__ import annotations

import click

from outlay.faces import formats
from outlay.faces.cli.books import open_desk
from outlay.faces.cli.control import open_control_desk
from outlay.faces.cli.lazy import Entry, LazyGroup
from outlay.faces.cli.options import asked, current, shared
from outlay.faces.cli.output import note, show

_HERE = "outlay.faces.cli.targets"
_SET = ("feature", "quarter", "target", "note", "changed_by", "decision")
_REVIEW = (
    *("feature", "team", "cost", "tasks_completed", "completion_rate", "cost_per_completed_task", "before", "target"),
    *("over_share", "verdict"),
)
_QUARTER = click.option("--quarter", metavar="QUARTER", default="", help="Like 2026-Q4; the present one if left out.")


@click.group(
    cls=LazyGroup,
    entries={
        "review": Entry(f"{_HERE}:review", "Every feature of a quarter beside its target and the quarter before."),
        "list": Entry(f"{_HERE}:list_", "The targets as they were set."),
        "set": Entry(f"{_HERE}:set_", "Set what a completed task of a feature may cost in a quarter."),
        "decide": Entry(f"{_HERE}:decide", "Write down what the review of a quarter decided about a feature."),
        "remove": Entry(f"{_HERE}:remove", "Take a target away."),
    },
)
def targets() -> None:
    """What a completed task of a feature may cost, quarter by quarter."""


@click.command()
@click.option("--quarter", metavar="QUARTER", help="Like 2026-Q4; the present one if left out.")
@click.option("--where", multiple=True, metavar="NAME:VALUE", help="Filter, like team:search|billing or team!=search.")
@shared
def review(quarter: str | None, where: tuple[str, ...]) -> None:
    """Every feature of a quarter beside its target and the quarter before.

    The page /targets shows the same for a retrospective, ready to print.

    \b
    outlay targets review
    outlay targets review --quarter 2026-Q3 --where team:support
    """  # noqa: D301 - click reads the mark as a character
    context = current()
    with open_desk(context) as desk:
        reply = desk.targets(asked(quarter=quarter, where=where))
    for row in (
        reply["rows"] if context.form == "table" else ()
    ):  # where there is no target, nothing is unknown about it
        over = row["over_share"]
        row["over_share"] = "" if over is None else formats.share(over)
        row["target"] = row["target"] or ""
    show(context, reply if context.form == "json" else {**reply, "total": {}}, columns=_REVIEW)
    lacking = reply["total"]["none"]
    if lacking:
        note(f"{lacking} without a target: outlay targets set FEATURE AMOUNT --quarter {reply['query']['quarter']}")


@click.command("list")
@click.option("--quarter", metavar="QUARTER", default="", help="Only those of a quarter like 2026-Q4.")
@shared
def list_(quarter: str) -> None:
    """The targets as they were set."""
    context = current()
    with open_control_desk(context) as desk:
        reply = desk.targets(quarter)
    show(context, reply if context.form == "json" else {**reply, "total": {}}, columns=_SET)
    if not reply["rows"]:
        note("No target yet: outlay targets set FEATURE 0.45")


@click.command("set")
@click.argument("feature")
@click.argument("amount")
@_QUARTER
@click.option("--note", "why", metavar="TEXT", default="", help="Why this much; kept with it.")
@shared
def set_(feature: str, amount: str, quarter: str, why: str) -> None:
    """Set what a completed task of a feature may cost in a quarter.

    \b
    outlay targets set ticket-resolver 0.45
    outlay targets set kyc-onboarding 0.95 --quarter 2027-Q1 --note "after the new retry rule"
    """  # noqa: D301 - click reads the mark as a character
    context = current()
    said = {"feature": feature, "amount": amount, "quarter": quarter, "note": why}
    with open_control_desk(context) as desk:
        reply = desk.set_target({name: value for name, value in said.items() if value})
    show(context, reply if context.form == "json" else {**reply, "total": {}}, columns=_SET)
    note("Set." if reply["total"]["changed"] else "Nothing was different.")


@click.command()
@click.argument("feature")
@click.argument("decision")
@_QUARTER
@shared
def decide(feature: str, decision: str, quarter: str) -> None:
    """Write down what the review of a quarter decided about a feature.

    \b
    outlay targets decide kyc-onboarding "two retries at most, address check cached" --quarter 2026-Q3
    """  # noqa: D301 - click reads the mark as a character
    context = current()
    said = {"decision": decision, "quarter": quarter}
    with open_control_desk(context) as desk:
        reply = desk.decide_target(feature, {name: value for name, value in said.items() if value})
    show(context, reply if context.form == "json" else {**reply, "total": {}}, columns=_SET)


@click.command()
@click.argument("feature")
@_QUARTER
@shared
def remove(feature: str, quarter: str) -> None:
    """Take a target away."""
    context = current()
    with open_control_desk(context) as desk:
        reply = desk.remove_target(feature, quarter)
    show(context, reply) if context.form == "json" else note(f'"{feature}" has no target any more.')
