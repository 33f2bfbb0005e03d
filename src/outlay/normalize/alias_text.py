"""What is written from the alias tables: the door's allow-list, and the page that lists what Outlay understands.

`python -m outlay.normalize.alias_text --write` brings both up to date in a working copy; a test says when it is needed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from outlay.normalize.aliases import Aliases, load

_DOOR_HEAD = """\
# The door: the only attributes of a span or resource that are ever kept. GENERATED from normalize/data/aliases.toml by
# python -m outlay.normalize.alias_text --write
"""

_PAGE_HEAD = """\
# What Outlay understands in a span or a log record

Generated from the alias tables of version {version}; do not edit by hand. Inside a row the first name found wins, left
to right. A name in *italics* is deprecated or legacy, and read all the same. `attribute#member` is a member of an
attribute that holds a JSON object, a final `*` stands for everything that begins so. Anything that is not listed here
is dropped before it is kept anywhere, message contents first of all; only numbers whose name speaks of usage, tokens,
cost, units or price stay beside the span. Of log records those come in whose event (attribute `event.name`, the own
name of the record, or a body that is nothing else) stands in a row of `event.name` below; their bodies never do.

Conventions: {conventions}.
"""


def door_text(aliases: Aliases) -> str:
    """The allow-list of the OTLP door, as TOML."""
    keys = sorted(set(aliases.spellings()))
    json_keys: dict[str, list[str]] = {}
    for key in keys:
        attribute, sharp, member = key.partition("#")
        if sharp:
            json_keys.setdefault(attribute, []).append(member)
    lines = [
        _DOOR_HEAD,
        f'version = "{aliases.version}"',
        "",
        *_listed("keys", (key for key in keys if key[-1] != "*" and "#" not in key)),
    ]
    lines += ["", *_listed("prefixes", (key[:-1] for key in keys if key[-1] == "*" and "#" not in key))]
    forms = (f"{form}.{member}" for form in aliases.evaluation_forms for member in aliases.evaluation_members)
    lines += ["", *_listed("numbered", sorted(forms))]
    lines += ["", *_listed("events", sorted({event for kind in aliases.kinds for event in kind.events}))]
    lines += ["", *_listed("metrics", sorted(metric.name for metric in aliases.metrics))]
    lines += ["", *_listed("point_keys", sorted({metric.by for metric in aliases.metrics if metric.by}))]
    lines += ["", "[event_scopes]"]
    lines += [f'"{kind.scope}" = "{kind.prefix}"' for kind in aliases.kinds if kind.scope]
    lines += ["", "[json]"]
    lines += [
        f'"{attribute}" = {_quoted(["*"] if "*" in members else sorted(set(members)))}'
        for attribute, members in json_keys.items()
    ]
    return "\n".join(lines) + "\n"


def _listed(name: str, words: Iterable[str]) -> list[str]:
    return [f"{name} = [", *(f'    "{word}",' for word in words), "]"]


def _quoted(words: Iterable[str]) -> str:
    return "[" + ", ".join(f'"{word}"' for word in words) + "]"


def page_text(aliases: Aliases) -> str:
    """`docs/telemetry.md`: every concept with the names each convention has for it."""
    head = _PAGE_HEAD.format(version=aliases.version, conventions=", ".join(aliases.conventions.values()))
    return "\n".join([head, *_page(aliases)]) + "\n"


def _page(aliases: Aliases) -> Iterator[str]:
    def names(keys: Iterable[str]) -> str:
        return ", ".join(f"*`{key}`*" if key in aliases.legacy else f"`{key}`" for key in keys)

    yield "## Concepts\n\n| concept | convention | read from |\n|---|---|---|"
    for concept in aliases.concepts.values():
        head = f"**{concept.name}**: {concept.text}"
        for convention, keys in concept.conventions.items():
            yield f"| {head} | {aliases.conventions[convention]} | {names(keys)} |"
            head = ""
    yield "\n## Kind of step\n\n| convention | attribute | value → operation |\n|---|---|---|"
    for kind in aliases.kinds:
        values = ", ".join(
            f"`{kind.prefix}{word}` → {step.operation}{_ONLY[step.only]}" for word, step in kind.values.items()
        )
        by_name = " or the name of the span" if kind.by_name else ""
        yield f"| {aliases.conventions[kind.convention]} | {names(kind.keys)}{by_name} | {values} |"
    yield "\n## Metrics\n\n| convention | metric | counts |\n|---|---|---|"
    for metric in aliases.metrics:
        by = ", ".join(f"`{word}` → {quantity}" for word, quantity in metric.values.items())
        counts = f"by `{metric.by}`: {by}" if metric.by else metric.quantity
        yield f"| {aliases.conventions[metric.convention]} | `{metric.name}` | {counts} |"
    yield "\n## Cost stated by the emitter\n\n| convention | read from, added up |\n|---|---|"
    for cost in aliases.costs:
        yield f"| {aliases.conventions[cost.convention]} | {names(cost.keys)}{' (millionths)' if cost.micro else ''} |"
    yield "\n## Other meters\n\n| meter | read from |\n|---|---|"
    yield from (f"| {meter} | {names(keys)} |" for meter, keys in aliases.units.items())
    yield "\n## Envelope inside metadata\n\nCarriers: " + "; ".join(
        f"{aliases.conventions[convention]} {names(forms)}" for convention, forms in aliases.carriers.items()
    )
    yield "\nA member of a carrier is a tag, unless it is one of these:\n\n| concept | members |\n|---|---|"
    yield from (f"| {concept} | {names(members)} |" for concept, members in aliases.members.items())
    yield "\n## Tags\n\n| tag | read from |\n|---|---|"
    yield from (f"| {tag} | {names(keys)} |" for tag, keys in aliases.tags.items())
    yield f"| the name itself | {names(aliases.tag_prefixes)} |"
    yield "\n## How a task ended\n\n| status | words |\n|---|---|"
    for status in dict.fromkeys(aliases.outcomes.values()):
        yield f"| {status} | {names(word for word, meaning in aliases.outcomes.items() if meaning == status)} |"
    yield _EVALUATIONS.format(names=names(sorted(aliases.evaluation_names)), forms=names(aliases.evaluation_forms))
    yield "## Kept beside the facts\n\n" + names(aliases.kept)
    yield "\n## Refused on purpose\n\n| name | why |\n|---|---|"
    yield from (f"| `{key}` | {why} |" for key, why in aliases.refused.items())


_ONLY = {
    "": "",
    "usage": " (where it states usage)",
    "failed": " (where it failed)",
    "never": " (as a log record: passed over)",
}

_EVALUATIONS = """
An evaluation (event `gen_ai.evaluation.result`, or the numbered attributes {forms}) says how a task ended only if its
name, compared without case, blanks, dots, dashes and underscores, is one of {names}. The label is read by the table
above; without a label a score of 1 is done and a score of 0 is failed, any other score says nothing.
"""


def main(arguments: list[str]) -> int:
    """Print both texts, or with `--write` bring them up to date in the working copy."""
    aliases = load()
    package = Path(__file__).parent.parent
    targets = {
        package / "sources" / "data" / "otlp_door.toml": door_text(aliases),
        package.parent.parent / "docs" / "telemetry.md": page_text(aliases),
    }
    for path, text in targets.items():
        if "--write" in arguments:
            path.write_text(text, "utf-8")
        else:
            sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
