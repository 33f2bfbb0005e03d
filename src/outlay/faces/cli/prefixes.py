"""`outlay prefixes FILE...`: how much of a trace's input could have come from a cache."""

from __future__ import annotations

from pathlib import Path

import click

from outlay.faces.cli.options import current, shared
from outlay.faces.cli.output import note, show, told_problems

_COLUMNS = ("file", "requests", "input_tokens", "blocks", "blocks_seen_before", "cacheable_share", "cacheable_tokens")
PROBLEMS_MAX = 100


@click.command()
@click.argument(
    "paths", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE..."
)
@click.option(
    "--mapping",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file that names the columns of a table, with the blocks under [prefix].",
)
@shared
def prefixes(paths: tuple[Path, ...], mapping: Path | None) -> None:
    """How much of a request trace's input a prefix cache could have served.

    Reads the files alone: nothing enters the books. A block counts as seen before where an earlier request of the
    same file began with the same blocks; a cache that forgets, or that bills its writes, gives less.

    \b
    outlay prefixes conversation_trace.jsonl.gz
    outlay prefixes requests.csv --mapping my-trace.toml --json
    """  # noqa: D301 - click reads the mark as a character
    from outlay.core.money import NANO, decimal_text
    from outlay.faces.plain import plain, reply
    from outlay.sources.options import ReadOptions
    from outlay.sources.prefixes import prefixes_of

    rows, problems = [], []
    for path in paths:
        found = prefixes_of(path, ReadOptions(mapping=mapping))
        problems += found.problems
        share = found.cacheable_share
        row = {name: value for name, value in plain(found).items() if name != "problems"}
        rows.append(
            {"file": str(path), **row, "cacheable_share": None if share is None else decimal_text(round(share * NANO))}
        )
    left_out = max(0, len(problems) - PROBLEMS_MAX)
    coverage = {"problems": problems[:PROBLEMS_MAX], "problems_left_out": left_out}
    answer = reply({"files": [str(path) for path in paths]}, rows, None, coverage)
    show(current(), answer, columns=_COLUMNS)
    note(
        "what it saves: cacheable_tokens at the difference between the rates of in_uncached and in_cache_read; "
        "outlay prices show MODEL prints both"
    )
    told_problems(answer["coverage"])
