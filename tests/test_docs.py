"""Docs that cannot lie: links lead somewhere, examples parse, and everything that has a name is named."""

from __future__ import annotations

import contextlib
import importlib.util
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from outlay.faces.cli.main import outlay

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SHELLS = {"console", "sh", "bash", "shell"}


def tokens(page: Path) -> Iterator[Token]:
    """The Markdown of a page, inline parts included."""
    for token in MarkdownIt().enable("table").parse(page.read_text(encoding="utf-8")):
        yield token
        yield from token.children or ()


def shell_lines(page: Path) -> Iterator[str]:
    """Every command line a page shows; of a block with prompts only what stands behind one."""
    for token in tokens(page):
        if token.type == "fence" and token.info.strip() in SHELLS:
            lines = token.content.replace("\\\n", " ").splitlines()
            prompted = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
            yield from (line.strip() for line in (prompted or lines) if line.strip())


def examples(program: str) -> list[tuple[str, str]]:
    """Page and arguments of every shown call of a program, also behind a variable or in a pipe."""
    found = []
    for page in PAGES:
        for line in shell_lines(page):
            for part in re.split(r"\s*(?:&&|\|\||;|\|)\s*", line):
                words = shlex.split(part, comments=True)
                while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                    words = words[1:]
                if words and words[0] == program:
                    found.append((page.name, shlex.join(words[1:])))
    return found


def generator() -> ModuleType:
    """`tools/docs.py`, which stands outside the package."""
    spec = importlib.util.spec_from_file_location("outlay_tools_docs", ROOT / "tools" / "docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def parse(words: list[str], monkeypatch: pytest.MonkeyPatch) -> click.Context:
    """Parses a command line as click would, without running it; files need not exist."""
    monkeypatch.setattr(click.Path, "convert", lambda _self, value, _param, _ctx: value)
    command: click.Command = outlay
    context = command.make_context("outlay", words, resilient_parsing=False)
    while isinstance(command, click.Group):
        rest = [*context._protected_args, *context.args]
        if not rest:
            break
        name, below, rest = command.resolve_command(context, rest)
        assert below is not None
        command = below
        context = command.make_context(name, rest, parent=context)
    return context


@pytest.mark.parametrize(("page", "arguments"), sorted(set(examples("outlay"))))
def test_every_shown_command_is_one(page: str, arguments: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(arguments)
    try:
        with contextlib.suppress(click.exceptions.Exit):  # --help and --version end there
            parse(words, monkeypatch)
    except click.UsageError as error:
        pytest.fail(f"{page} shows `outlay {arguments}`: {error.format_message()}")


def test_the_check_of_shown_commands_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in (["spent"], ["spend", "--bye", "team"], ["session"]):
        with pytest.raises(click.UsageError):
            parse(wrong, monkeypatch)


def test_every_shown_make_target_is_one() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    shown = {
        word
        for _, arguments in examples("make")
        for word in shlex.split(arguments)[:1]
        if re.fullmatch("[a-z-]+", word)
    }
    assert shown
    assert shown <= targets


def test_every_make_target_says_what_it_does() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in ("help", "setup", "test", "lint", "bench", "docs", "demo"):
        assert re.search(rf"^{target}:.*## \w.{{10,}}", text, re.MULTILINE), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for token in tokens(page):
        target = str((token.attrGet("href") if token.type == "link_open" else token.attrGet("src")) or "")
        if target and not re.match(r"[a-z]+:|#", target):
            assert (page.parent / target.partition("#")[0]).exists(), f"{page.name} links to {target}"


def test_every_page_is_in_the_index() -> None:
    linked = {str(token.attrGet("href")) for token in tokens(DOCS / "index.md") if token.type == "link_open"}
    missing = {page.name for page in DOCS.glob("*.md")} - {"index.md"} - {link.partition("#")[0] for link in linked}
    assert not missing, f"docs/index.md does not lead to {sorted(missing)}"


@pytest.mark.parametrize("name", ["cli.md"])
def test_generated_pages_are_current(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == generator().PAGES[name](), "try: make docs"


def test_every_command_and_option_has_help() -> None:
    for path, context in generator().commands(outlay, None, "outlay"):
        assert context.command.help, f"{path} has no help"
        silent = [
            option.name for option in context.command.params if isinstance(option, click.Option) and not option.help
        ]
        assert not silent, f"{path}: {silent} have no help"


def test_every_setting_is_documented() -> None:
    code = {
        name
        for path in (ROOT / "src").rglob("*.py")
        for name in re.findall(r"\bOUTLAY_[A-Z][A-Z_]+\b", path.read_text(encoding="utf-8"))
    }
    documented = set(re.findall(r"\bOUTLAY_[A-Z][A-Z_]+\b", (DOCS / "settings.md").read_text(encoding="utf-8")))
    assert code <= documented, f"docs/settings.md does not name {sorted(code - documented)}"


def test_every_dependency_says_what_it_does() -> None:
    extras = PROJECT["optional-dependencies"]
    wanted = [*PROJECT["dependencies"], *extras["test"], *extras["docs"], *extras["dev"]]
    names = {re.split(r"[\[<>=;! ]", line)[0] for line in wanted} - {"outlay"}
    rows = re.findall(
        r"^\| `([\w-]+)` \| (.+?) \| (.+?) \|$", (DOCS / "dependencies.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert {name for name, _, _ in rows} == names
