"""`outlay digests`: which view goes to which channel every week or month."""

from __future__ import annotations

from pathlib import Path

import click

from outlay.faces.cli.control import open_control_desk
from outlay.faces.cli.documents import read_document
from outlay.faces.cli.options import current, shared
from outlay.faces.cli.output import note, show


@click.command()
@click.option(
    "-f",
    "--file",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML, YAML or JSON: a list of digests, which takes the place of the present one.",
)
@click.option("--every", type=click.Choice(["week", "month"]), help="Send one every week or month.")
@click.option("--channel", metavar="NAME", help="The channel it goes to.")
@click.option("--hour", type=click.IntRange(0, 23), default=8, show_default=True, help="At this hour.")
@click.option("--zone", default="UTC", show_default=True, metavar="ZONE", help="Of this IANA time zone.")
@click.option("--none", "end", is_flag=True, help="Send none any more.")
@shared
def digests(file: Path | None, every: str | None, channel: str | None, hour: int, zone: str, *, end: bool) -> None:
    """Which view goes to which channel every week or month.

    On Mondays the strategic view, on the first the executive view of the month before.

    \b
    outlay digests --every week --channel team-mail --zone Europe/Berlin
    outlay digests -f digests.toml
    """  # noqa: D301 - click reads the mark as a character
    context = current()
    if (every is None) != (channel is None) or (file is not None and (every or end)) or (end and every):
        raise click.UsageError("say --every and --channel, or --file, or --none")
    with open_control_desk(context) as desk:
        if file is not None:
            reply = desk.set_digests(read_document(file, "a list of digests"))
        elif end:
            reply = desk.set_digests([])
        elif every is not None:
            names = ("every", "channel", "hour", "zone")
            held = [{name: row[name] for name in names} for row in desk.digests()["rows"]]
            kept = [row for row in held if (row["every"], row["channel"]) != (every, channel)]
            reply = desk.set_digests([*kept, {"every": every, "channel": channel, "hour": hour, "zone": zone}])
        else:
            reply = desk.digests()
    changed = reply["total"].get("changed")
    columns = ("every", "view", "channel", "hour", "zone", "due")
    show(context, reply if context.form == "json" else {**reply, "total": {}}, columns=columns)
    if changed is not None:
        note("In force." if changed else "Nothing was different.")
