"""`outlay prices`: the price book and what a company adds to it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from outlay.faces.cli.books import open_desk
from outlay.faces.cli.lazy import Entry, LazyGroup
from outlay.faces.cli.options import asked, current, shared
from outlay.faces.cli.output import note, show, told_problems
from outlay.faces.formats import rate

_HERE = "outlay.faces.cli.prices"


@click.group(
    cls=LazyGroup,
    entries={
        "show": Entry(f"{_HERE}:show_", "The rates in force for a model."),
        "add": Entry(f"{_HERE}:add", "Write a price of your own; it wins over every list price."),
        "contract": Entry(f"{_HERE}:contract", "Write a negotiated price or discount."),
        "alias": Entry(f"{_HERE}:alias", "Say which model a deployment or profile stands for."),
        "import": Entry(f"{_HERE}:import_", "Take another price map as a second source."),
        "check": Entry(f"{_HERE}:check", "What has no price, and where two sources disagree."),
    },
)
def prices() -> None:
    """The price book: show, add, contract, alias, import, check."""


def _scope(command: Callable[..., None]) -> Callable[..., None]:
    """Adds where and when a written price holds, in the words of the price files."""
    for option in (
        click.option("--processing", metavar="NAME", help="Only for this processing, like batch."),
        click.option("--service-tier", metavar="NAME", help="Only for this service tier, as served."),
        click.option("--region", metavar="NAME", help="Only in this region; * stands for anything."),
        click.option("--to", metavar="DAY", help="Up to this day (2026-12-01, midnight UTC), not included."),
        click.option("--from", "from_", metavar="DAY", help="From this day (2026-11-01, midnight UTC)."),
        click.option("--model", metavar="NAME", help="The model; * stands for anything."),
        click.option("--provider", metavar="NAME", help="Who bills; * stands for anything."),
        click.option("--above", type=click.IntRange(1), metavar="TOKENS", help="From this many input tokens on."),
        click.argument("rates", nargs=-1, metavar="[METER=RATE]..."),
    ):
        command = option(command)
    return command


def _said(rates: tuple[str, ...], **scope: str | int | None) -> dict[str, Any]:
    """One entry in the words of the price files; what is wrong with a word is said by the price book."""
    said = {name.rstrip("_"): value for name, value in scope.items() if value}
    for text in rates:
        meter, sign, rate = text.partition("=")
        if not sign or not meter or not rate:
            raise click.UsageError(f'not METER=RATE: "{text}"; like input="2.50 per 1M"', click.get_current_context())
        said[meter] = rate
    return said


@click.command("show")
@click.argument("model")
@click.option("--provider", metavar="NAME", help="Who bills, for instance openai.")
@click.option("--at", metavar="TIME", help="The moment; now if left out.")
@click.option("--all", "every", is_flag=True, help="What every source offers, best first, not only what is charged.")
@shared
def show_(model: str, provider: str | None, at: str | None, *, every: bool) -> None:
    """The rates in force for a model.

    \b
    outlay prices show gpt-5.4 --provider openai
    outlay prices show o3 --provider openai --at 2025-06-01
    """  # noqa: D301 - click reads the mark as a character
    context = current()
    with open_desk(context) as desk:
        reply = desk.prices(asked(model=model, provider=provider, at=at, sources="all" if every else None))
    if context.form == "table":
        reply["rows"], reply["total"] = [_line(row) for row in reply["rows"]], {}
    show(context, reply)
    if not reply["rows"]:
        note(f'No price for "{model}"; outlay prices add writes one.')


def _line(row: dict[str, Any]) -> dict[str, str]:
    """A price as a line of the table: a rate per million tokens or per unit, and where and when it holds."""
    conditions = [f"{name} {row[name]}" for name in ("region", "service_tier", "processing") if row[name] != "*"]
    if row["tier_from"]:
        conditions.append(f"from {row['tier_from']:,} input tokens")
    return {
        "provider": row["provider"],
        "model": row["model"],
        "meter": row["meter"],
        "rate": rate(row["rate"], row["unit"], row["currency"]),
        "only": ", ".join(conditions),
        "from": (row["valid_from"] or "always")[:10],
        "to": (row["valid_to"] or "open")[:10],
        "source": row["source"],
    }


@click.command()
@_scope
@click.option("--source", metavar="TEXT", help="Where the price stands.")
@shared
def add(rates: tuple[str, ...], **scope: str | int | None) -> None:
    """Write a price of your own; it wins over every list price.

    \b
    outlay prices add --provider cohere --model "rerank-*" --from 2024-12-02 searches="2.00 per 1k"
    outlay prices add --provider ollama --model "*" input="0 per 1M" output="0 per 1M" --source "own machines"
    """  # noqa: D301 - click reads the mark as a character
    context = current()
    with open_desk(context) as desk:
        reply = desk.add_price(_said(rates, **scope))
    show(context, reply)
    note("Written. Usages already in the books keep their price until: outlay reprice --from TIME")


@click.command()
@click.argument("name")
@_scope
@click.option("--discount-percent", metavar="N", help="Off what the rest of the book says, like 12.5.")
@shared
def contract(name: str, rates: tuple[str, ...], **scope: str | int | None) -> None:
    """Write a negotiated price or discount.

    \b
    outlay prices contract "2026 agreement" --provider openai --discount-percent 12.5 --from 2026-01-01
    outlay prices contract "committed use" --provider anthropic --model "claude-opus-*" input="4.20 per 1M"
    """  # noqa: D301 - click reads the mark as a character
    context = current()
    with open_desk(context) as desk:
        reply = desk.add_contract(_said(rates, name=name, **scope))
    show(context, reply)
    note("Written. Usages already in the books keep their price until: outlay reprice --from TIME")


@click.command()
@click.argument("model")
@click.option("--to", required=True, metavar="NAME", help="The model as the book spells it.")
@click.option("--provider", metavar="NAME", help="Only where this provider bills.")
@click.option("--to-provider", metavar="NAME", help="Whose price it has, if another's.")
@shared
def alias(model: str, to: str, provider: str | None, to_provider: str | None) -> None:
    """Say which model a deployment or profile stands for.

    \b
    outlay prices alias my-gpt5-prod --provider azure --to gpt-5
    """  # noqa: D301 - click reads the mark as a character
    context = current()
    said = {"model": model, "to": to, "provider": provider, "to_provider": to_provider}
    with open_desk(context) as desk:
        reply = desk.add_alias({name: value for name, value in said.items() if value})
    show(context, reply)
    note("Written. Usages already in the books keep their price until: outlay reprice --from TIME")


@click.command("import")
@click.argument("source", type=click.Choice(["litellm"]))
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@shared
def import_(source: str, file: Path) -> None:  # noqa: ARG001 - one source so far; the word keeps the line readable
    """Take another price map as a second source.

    LiteLLM publishes its map as model_prices_and_context_window.json; it fills in what the book lacks, such as
    rerankers, regions and fine-tunes, and never overrides it.

    \b
    outlay prices import litellm model_prices_and_context_window.json
    """  # noqa: D301 - click reads the mark as a character
    context = current()
    with open_desk(context) as desk:
        reply = desk.import_prices(file.read_bytes())
    show(context, reply)
    told_problems(reply["coverage"])


@click.command()
@shared
def check() -> None:
    """What has no price, and where two sources disagree.

    Exits with 3 when there is anything to tell.
    """
    context = current()
    with open_desk(context) as desk:
        reply = desk.check_prices()
    show(context, reply)
    if reply["rows"]:
        click.get_current_context().exit(3)
    note("Everything in the books has a price, and no two sources disagree.")
