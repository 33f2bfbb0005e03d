"""`outlay tags`: how much of the cost is tagged, why not all of it, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

import click

from outlay.faces import formats
from outlay.faces.cli.books import open_desk
from outlay.faces.cli.coverage import coverage_line
from outlay.faces.cli.lazy import Entry, LazyGroup
from outlay.faces.cli.options import asked, current, shared
from outlay.faces.cli.output import note, show
from outlay.faces.plain import Reply

_HERE = "outlay.faces.cli.tags"
EXIT_GATE = 3

_CAUSE_COLUMNS = ("cause", "value", "agent", "service", "source", "scope", "feature", "cost", "usages", "hint")


def _part(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options that choose a part and a period."""
    for option in (
        click.option("--where", multiple=True, metavar="NAME:VALUE", help="Filter, like team:search|billing."),
        click.option("--until", metavar="TIME", help="Up to this moment, not included."),
        click.option("--since", metavar="TIME", help="From this moment: 2026-11-01, 2026-11, 30d, 24h, today."),
    ):
        command = option(command)
    return command


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    entries={
        "causes": Entry(f"{_HERE}:causes", "Why cost has no valid tag, by code path, the dearest first."),
        "policy": Entry("outlay.faces.cli.tag_policy:policy", "The tag policy: show, check, set."),
        "rules": Entry("outlay.faces.cli.tag_policy:rules", "Rules that say whose it is when nobody did."),
        "apply": Entry("outlay.faces.cli.tag_policy:apply", "Let the policy hold for a period that has passed."),
    },
)
@click.option("--min", "least", default="0.95", metavar="SHARE", help="The score that --check asks for, like 0.95.")
@click.option("--check", is_flag=True, help="Exit with 3 where the score by cost is below --min.")
@click.option("--order", metavar="NAME[:asc|desc]", help="Sort by this figure or dimension.")
@click.option("--top", metavar="N", help="Only the first N rows; the rest is one row (other).")
@click.option("--grain", metavar="GRAIN", help="Buckets: minute, hour, day, week, month, quarter, year.")
@click.option("--by", multiple=True, metavar="NAME,…", help="Dimensions to split by; team if left out.")
@_part
@shared
def tags(*, check: bool, least: str, **options: Any) -> None:
    """How much of the cost is tagged as the policy asks, and why not all of it.

    \b
    outlay tags --since 30d
    outlay tags --by agent,origin --since 2026-11
    outlay tags --grain week --by team
    outlay tags --since 7d --check --min 0.95
    """  # noqa: D301 - click reads the mark as a character
    click_context = click.get_current_context()
    if click_context.invoked_subcommand is not None:
        return
    context = current()
    floor = _share(least)
    with open_desk(context) as desk:
        reply = desk.tags(asked(**options))
    score = reply["total"].get("tag_compliance")
    if context.form == "table":
        _show(reply)
    else:
        show(context, reply)
    if check and score is not None and Decimal(score) < floor:
        note(f"the score {formats.share(score)} is below {formats.share(str(floor))}; outlay tags causes says why")
        click_context.exit(EXIT_GATE)
    if check and score is None:
        note("there is no cost in this period, so there is no score")


def _share(text: str) -> Decimal:
    try:
        share = Decimal(text)
    except InvalidOperation:
        share = Decimal(-1)
    if not 0 <= share <= 1:
        raise click.UsageError(f'--min is "{text}"; a share from 0 to 1, like 0.95', click.get_current_context())
    return share


def _show(reply: Reply) -> None:
    context = current()
    level = reply["total"].pop("level", "")
    score, calls = (reply["total"].get(name) for name in ("tag_compliance", "calls_tag_compliance"))
    title = "no cost in this period, so no score"
    if score is not None:
        title = f"{formats.share(score)} of the cost is tagged as the policy asks ({level})"
        title += f", and {formats.share(calls)} of the calls" if calls is not None else ""
    show(context, reply, title=title, footer=coverage_line(reply))
    found = [_cause(row) for row in reply["coverage"]["causes"]]
    if found:
        title = "The dearest causes without a team"
        show(context, {**reply, "rows": found, "total": {}}, columns=_columns(found), title=title)
    for finding in reply["coverage"]["findings"]:
        note(f"{finding['kind']}: {formats.safe(finding['what'])}")
        note(f"  try: {formats.safe(finding['hint'])}")


def _cause(row: dict[str, Any]) -> dict[str, Any]:
    """A cause as a line of the table."""
    return {**row, "cost": row["amount"] if row["amount"] != "0" or not row["unpriced_usages"] else None}


def _columns(rows: list[dict[str, Any]]) -> list[str]:
    """The columns of which some row says something."""
    return [name for name in _CAUSE_COLUMNS if any(row[name] not in {"", "(untagged)"} for row in rows)]


@click.command()
@click.option("--top", metavar="N", help="How many; 20 if left out.")
@click.option("--key", metavar="NAME", help="The tag that lacks; team if left out.")
@_part
@shared
def causes(**options: Any) -> None:
    """Why cost has no valid tag, by code path, the dearest first.

    \b
    outlay tags causes --since 30d
    outlay tags causes --key feature --where environment:production
    """  # noqa: D301 - click reads the mark as a character
    context = current()
    with open_desk(context) as desk:
        reply = desk.tag_causes(asked(**options))
    if context.form != "table":
        show(context, reply)
        return
    rows = [_cause(row) for row in reply["rows"]]
    show(context, {**reply, "rows": rows, "total": {}}, columns=_columns(rows))
    for part in reply["coverage"]["by_cause"]:
        note(f"{part['cause']}: {formats.money(part['amount'], part['currency'])}")
    if not rows:
        note(f"Every usage has a valid {reply['query']['key']}.")
