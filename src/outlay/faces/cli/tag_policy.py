"""`outlay tags policy`, `rules` and `apply`: what the policy says, and for which time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from outlay.faces.cli.books import open_desk
from outlay.faces.cli.lazy import Entry, LazyGroup
from outlay.faces.cli.options import asked, current, name_and_value, shared
from outlay.faces.cli.output import note, show
from outlay.faces.plain import Reply

_HERE = "outlay.faces.cli.tag_policy"
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_MOVED_COLUMNS = ("key", "before", "after", "usages", "cost")
EXIT_GATE = 3


@click.group(
    cls=LazyGroup,
    entries={
        "show": Entry(f"{_HERE}:show_", "The policy as it stands, and since when it holds."),
        "check": Entry(f"{_HERE}:check", "What is wrong with a policy file, line by line."),
        "set": Entry(f"{_HERE}:set_", "Adopt a policy file."),
    },
)
def policy() -> None:
    """The tag policy: show, check, set."""


@click.command("show")
@shared
def show_() -> None:
    """The policy as it stands, and since when it holds."""
    context = current()
    with open_desk(context) as desk:
        reply = desk.tag_policy()
    if context.form != "table":
        show(context, reply)
        return
    text = reply["coverage"]["text"].strip()
    click.echo(text or "# no policy yet: every usage is asked for a team, and nothing else")
    rows = [{**row, "from": row["from"] or "always", "to": row["to"] or "open"} for row in reply["rows"]]
    if rows:
        click.echo("")
        show(context, {**reply, "rows": rows, "total": {}}, title="Adopted")


@click.command()
@click.argument("file", type=_FILE)
@shared
def check(file: Path) -> None:
    """What is wrong with a policy file, line by line.

    Exits with 3 when there is anything to tell; nothing is changed.
    """
    context = current()
    with open_desk(context) as desk:
        reply = desk.check_tag_policy(file.read_bytes())
    total = reply["total"]
    show(context, {**reply, "total": {}} if context.form == "table" else reply)
    if reply["rows"]:
        click.get_current_context().exit(EXIT_GATE)
    note(f"{file.name} is a valid policy: {total['keys']} keys, {total['rules']} rules, {total['owners']} owners")


@click.command("set")
@click.argument("file", type=_FILE)
@click.option("--dry-run", is_flag=True, help="Change nothing; tell what would move.")
@click.option("--to", metavar="TIME", help="For usages up to this moment, not included; open if left out.")
@click.option(
    "--from", "from_", metavar="TIME", help="For usages from this moment: a time, or always; now if left out."
)
@shared
def set_(file: Path, *, dry_run: bool, from_: str | None, to: str | None) -> None:
    """Adopt a policy file.

    It holds from now on, or for the stretch of time that is named; usages in the books that lie in it follow at once.
    A file with a problem is refused whole.

    \b
    outlay tags policy check tags.toml
    outlay tags policy set tags.toml --from 2026-11-01 --dry-run
    """  # noqa: D301 - click reads the mark as a character
    context = current()
    params = asked(**{"from": from_, "to": to, "trial": "yes" if dry_run else None})
    with open_desk(context) as desk:
        reply = desk.set_tag_policy(file.read_bytes(), params)
    _show_moved(reply)


@click.command()
@click.option("--dry-run", is_flag=True, help="Change nothing; tell what would move.")
@click.option("--to", metavar="TIME", help="Up to this moment, not included.")
@click.option("--from", "from_", required=True, metavar="TIME", help="From this moment: 2026-11-01, 30d, or always.")
@shared
def apply(*, dry_run: bool, from_: str, to: str | None) -> None:
    """Let the policy hold for a period that has passed.

    Tags of usages in the books are computed again from what was said and the policy as it stands; no amount changes.
    What moved from (untagged) and to whom is shown, with --dry-run before it happens.

    \b
    outlay tags apply --from 2026-11 --dry-run
    outlay tags apply --from 2026-11
    """  # noqa: D301 - click reads the mark as a character
    params = asked(**{"from": from_, "to": to, "trial": "yes" if dry_run else None})
    with open_desk(current()) as desk:
        reply = desk.apply_tags(params)
    _show_moved(reply)


def _show_moved(reply: Reply) -> None:
    context, total = current(), reply["total"]
    if context.form != "table":
        show(context, reply)
        return
    show(context, {**reply, "total": {}}, columns=_MOVED_COLUMNS)
    would = "would get" if reply["query"]["trial"] else "got"
    note(f"{total['changed']} of {total['usages']} usages and {total['outcomes']} outcomes {would} other tags")
    if total["came_back"]:
        back = "would come" if reply["query"]["trial"] else "came"
        note(f"{total['came_back']} facts that a policy had refused {back} back")


@click.group(
    cls=LazyGroup,
    entries={
        "list": Entry(f"{_HERE}:list_", "The rules in their order, and the cost each spoke for."),
        "add": Entry(f"{_HERE}:add", "Append a rule; it holds from now on."),
        "remove": Entry(f"{_HERE}:remove", "Take a rule out; it ends now."),
    },
)
def rules() -> None:
    """Rules that say whose it is when nobody did."""


@click.command("list")
@click.option("--until", metavar="TIME", help="Cost up to this moment, not included.")
@click.option("--since", metavar="TIME", help="Cost from this moment: 2026-11-01, 30d, today.")
@shared
def list_(**options: Any) -> None:
    """The rules in their order, and the cost each spoke for."""
    context = current()
    with open_desk(context) as desk:
        reply = desk.tag_rules(asked(**options))
    if context.form == "table":
        reply["total"] = {}
        reply["rows"] = [{**row, "from": row["from"] or "", "to": row["to"] or ""} for row in reply["rows"]]
    show(context, reply)
    if not reply["rows"]:
        note("There are no rules; outlay tags rules add writes one.")


@click.command()
@click.argument("name")
@click.option("--to", metavar="DAY", help="Only for usages before this day.")
@click.option("--from", "from_", metavar="DAY", help="Only for usages from this day on.")
@click.option("--override", is_flag=True, help="Speak before the usage itself does, not only where nobody did.")
@click.option(
    "--set", "sets", multiple=True, required=True, metavar="KEY=VALUE", help="What it says, like team=support."
)
@click.option(
    "--match",
    "matches",
    multiple=True,
    required=True,
    metavar="WORD=GLOB",
    help="What it looks at, like agent=bot-*: key, agent, service, user, model, session, tag.NAME, …",
)
@shared
def add(
    name: str,
    matches: tuple[str, ...],
    sets: tuple[str, ...],
    *,
    override: bool,
    from_: str | None,
    to: str | None,
) -> None:
    """Append a rule; it holds from now on.

    \b
    outlay tags rules add nightly --match key=ci-* --match service=evals --set team=quality
    outlay tags apply --from 2026-11 --dry-run
    """  # noqa: D301 - click reads the mark as a character
    context = current()
    match: dict[str, list[str]] = {}
    for word, glob in map(name_and_value, matches):
        match.setdefault(word, []).append(glob)
    said = {
        "name": name,
        "match": match,
        "set": dict(map(name_and_value, sets)),
        "override": override,
        "from": from_,
        "to": to,
    }
    with open_desk(context) as desk:
        reply = desk.add_tag_rule({word: value for word, value in said.items() if value})
    _show_moved(reply)
    note("Written. What is in the books already follows with: outlay tags apply --from TIME")


@click.command()
@click.argument("name")
@shared
def remove(name: str) -> None:
    """Take a rule out; it ends now.

    What it said of usages in the books stays until: outlay tags apply --from TIME.
    """
    with open_desk(current()) as desk:
        reply = desk.remove_tag_rule(name)
    _show_moved(reply)
