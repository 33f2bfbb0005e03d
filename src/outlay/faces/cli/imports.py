"""`outlay import`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from outlay.core.envelope import ENVELOPE_KEYS
from outlay.core.errors import nearest
from outlay.faces.cli.books import open_desk
from outlay.faces.cli.options import current, shared
from outlay.faces.cli.output import note, show, told_problems
from outlay.faces.cli.progress import progress_bar

_ENVELOPE_HELP = "For every fact that names no {} of its own."


def _envelope_options(command: Callable[..., None]) -> Callable[..., None]:
    for key in reversed(ENVELOPE_KEYS):
        words = key.replace("_", " ")
        option = click.option(f"--{key.replace('_', '-')}", key, metavar="NAME", help=_ENVELOPE_HELP.format(words))
        command = option(command)
    return command


@click.command("import")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="PATH...")
@click.option(
    "--format", "format_", metavar="NAME", help="The format, where its content does not tell; see docs/sources.md."
)
@click.option(
    "--mapping",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file that names the columns of a table.",
)
@click.option("--zone", metavar="ZONE", help="Zone of times that name none, like Europe/Berlin; UTC if left out.")
@_envelope_options
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="A free tag; may be given several times.")
@shared
def import_(
    paths: tuple[Path, ...],
    format_: str | None,
    mapping: Path | None,
    zone: str | None,
    tags: tuple[str, ...],
    **envelope: Any,
) -> None:
    """Read files of any known format into the books.

    The format is recognised by content. Folders are read whole, gzip is read through, and reading the same file
    twice changes nothing. What cannot be used is refused and listed; the rest goes through.

    \b
    outlay import ~/.claude/projects
    outlay import results/ --team onboarding --tag experiment=7
    outlay import spend.csv --mapping my-columns.toml --zone Europe/Berlin
    """  # noqa: D301 - click reads the mark as a character
    from outlay.faces.desk import COUNTS
    from outlay.sources.options import ReadOptions

    context = current()
    _check_format(format_)
    _check_zone(zone)
    given = {key: value for key, value in envelope.items() if value}
    options = ReadOptions(format=format_, mapping=mapping, zone=zone, envelope=given, tags=_pairs(tags))
    with progress_bar(context, "reading") as told, open_desk(context) as desk:
        reply = desk.import_paths(paths, options, told)
    total = reply["total"]
    show(context, reply, columns=("file", *COUNTS, "error") if total["unreadable"] else ("file", *COUNTS))
    note(
        f"{total['files']} files: {total['received']} received = {total['posted']} posted + "
        f"{total['duplicates']} known already + {total['refused']} refused"
        + (f"; {total['passed_over']} rows are no usage and were passed over" if total["passed_over"] else "")
    )
    told_problems(reply["coverage"])
    if total["unreadable"]:
        click.get_current_context().exit(1)


def _check_format(name: str | None) -> None:
    from outlay.sources.registry import FORMATS

    if name is not None and name not in FORMATS:
        raise click.BadParameter(f'no format is called "{name}": {nearest(name, FORMATS)}', param_hint="--format")


def _check_zone(name: str | None) -> None:
    from zoneinfo import ZoneInfo

    if name is None:
        return
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise click.BadParameter(f'no zone is called "{name}": like Europe/Berlin', param_hint="--zone") from error


def _pairs(texts: Iterable[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        key, sign, value = text.partition("=")
        if not sign or not key or not value:
            raise click.BadParameter(f'not KEY=VALUE: "{text}"', param_hint="--tag")
        pairs[key] = value
    return pairs
