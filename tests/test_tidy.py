"""Taste as a test: reads the code and the texts of the repository and says what a reviewer would say.

Ruff says the rest: a print outside a tool (T201), an unused name, a missing docstring (D).
"""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "outlay"

FILE_LINES_MAX = 500
FILE_LINES_MEDIAN_MAX = 250
FUNCTION_LINES_MAX = 70
README_LINES_MAX = 70
ROOM_HEADINGS = ("Model", "Owns", "Does not own", "Invariants", "Time")

MONEY_ROOMS = ("pricing", "ledger", "metrics")
MONEY_MODULES = ("core/money.py", "core/charge.py", "core/price.py")
EXCUSED = re.compile(r"# (not money|exact): \w")
"""How a line in a money room ends whose float is a share or a duration, or whose division is exact; why follows."""

FLOAT_SQL = re.compile(r"\b(DOUBLE|FLOAT[48]?|REAL)\b")
# Spelled in two halves, so that this file does not find itself.
UNFINISHED = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b")
UNFINISHED_CODE = re.compile("raise Not" + r"ImplementedError|pragma:\s*no " + "cover")
MACHINE = re.compile(
    r"(?<![\w.:/-])/(?:home|root|Users|work|mnt)/\w|https?://[^\s\"]+\.(?:whl|deb|tgz)\b|python" + "hosted"
)
TEXT_SUFFIXES = {".py", ".md", ".toml", ".txt", ".in", ".html", ".css", ".js", ".yml", ".yaml", ".csv", ".cfg", ""}


@cache
def tracked() -> tuple[Path, ...]:
    """Every file git knows or would take, outside ignored folders."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout: the tracked files cannot be listed")
    return tuple(path for name in sorted(set(listed.stdout.splitlines())) if (path := ROOT / name).is_file())


def texts() -> Iterator[tuple[Path, str]]:
    """Every tracked text a person wrote, with its place relative to the root; vendored files keep their own ways."""
    for path in tracked():
        place = path.relative_to(ROOT)
        if path.suffix in TEXT_SUFFIXES and ".min." not in path.name and path.name != "LICENSE":
            yield place, path.read_text(encoding="utf-8")


def modules(*tops: str) -> list[Path]:
    """The tracked Python modules below these top folders."""
    return [path for path in tracked() if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in tops]


def found(pattern: re.Pattern[str], *, only: str = "") -> list[str]:
    """`place:line: text` for every line that a pattern matches."""
    return [
        f"{place}:{number}: {line.strip()[:120]}"
        for place, text in texts()
        if place.suffix.endswith(only)
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def test_a_module_is_not_two_modules() -> None:
    lengths = {
        path.relative_to(ROOT): len(path.read_text(encoding="utf-8").splitlines())
        for path in modules("src", "tests", "bench", "tools")
    }
    long = {str(path): lines for path, lines in lengths.items() if lines > FILE_LINES_MAX}
    assert not long, f"over {FILE_LINES_MAX} lines; which two nouns live here? {long}"
    rooms = [lines for path, lines in lengths.items() if path.parts[0] == "src" and path.name != "__init__.py"]
    assert statistics.median(rooms) <= FILE_LINES_MEDIAN_MAX


def test_a_function_fits_a_screen() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {node.end_lineno - node.lineno + 1} lines"
        for path in modules("src", "tests", "bench", "tools")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno >= FUNCTION_LINES_MAX
    ]
    assert not long, "\n".join(long)


def test_nothing_is_left_unfinished() -> None:
    marks = found(UNFINISHED) + found(UNFINISHED_CODE, only=".py")
    assert not marks, "\n".join(marks)


def test_no_path_of_a_machine_and_no_registry_is_written_down() -> None:
    places = found(MACHINE)
    assert not places, "\n".join(places)


def test_every_module_says_what_it_is() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in modules("src", "tests", "bench", "tools")
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        and not (path.name == "__init__.py" and not path.read_text(encoding="utf-8").strip())
    ]
    assert not silent, silent


def rooms() -> list[Path]:
    """The rooms of the river: the packages right below `outlay`."""
    return sorted(path.parent for path in SOURCE.glob("*/__init__.py"))


@pytest.mark.parametrize("room", rooms(), ids=lambda room: room.name)
def test_every_room_opens_with_a_page(room: Path) -> None:
    readme = room / "README.md"
    assert readme.is_file(), f"{room.name}/ has no README.md with {', '.join(ROOM_HEADINGS)}"
    text = readme.read_text(encoding="utf-8")
    missing = [word for word in ROOM_HEADINGS if not re.search(rf"^(#+\s*|\*\*){word}\b", text, re.MULTILINE)]
    assert not missing, f"{room.name}/README.md lacks {missing}"
    assert len(text.splitlines()) <= README_LINES_MAX


def money_modules() -> list[Path]:
    """Every module through which amounts flow."""
    inside = [path for room in MONEY_ROOMS for path in sorted((SOURCE / room).rglob("*.py"))]
    return [SOURCE / name for name in MONEY_MODULES] + inside


def is_path_join(node: ast.BinOp) -> bool:
    """Whether `a / b` joins paths: a text beside it, or a left side that is named after a place."""
    sides = (node.left, node.right)
    if any(
        isinstance(side, ast.JoinedStr) or (isinstance(side, ast.Constant) and isinstance(side.value, str))
        for side in sides
    ):
        return True
    return bool(re.search(r"(path|folder|home|root|dir|file)s?\b", ast.unparse(node.left), re.IGNORECASE))


def floats(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and reason for everything in a module that makes or takes a binary fraction."""
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=float()):
                yield node.lineno, f"the float {node.value}"
            case ast.Constant(value=str(text)) if FLOAT_SQL.search(text):
                yield node.lineno, "a float type in SQL"
            case ast.Call(func=ast.Name(id="float")):
                yield node.lineno, "float()"
            case ast.Attribute(attr="float16" | "float32" | "float64" | "float_power" | "true_divide" as name):
                yield node.lineno, name
            case ast.BinOp(op=ast.Div()) if not is_path_join(node):
                yield node.lineno, "true division"
            case ast.AugAssign(op=ast.Div()):
                yield node.lineno, "true division"
            case _:
                pass


def unmarked_floats(text: str) -> list[str]:
    """`line: reason` for every float of a module whose statement does not say why it is no money."""
    lines = text.splitlines()
    tree = ast.parse(text)
    docstrings = {
        range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and ast.get_docstring(node)
    }
    return [
        f"{number}: {reason}"
        for number, reason in sorted(set(floats(tree)))
        if not EXCUSED.search(lines[number - 1]) and not any(number in span for span in docstrings)
    ]


@pytest.mark.parametrize("path", money_modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_money_never_meets_a_float(path: Path) -> None:
    assert not unmarked_floats(path.read_text(encoding="utf-8")), "excuse a line with `# not money: why`"


@pytest.mark.parametrize(
    ("text", "caught"),
    [
        ("rate = 0.5", True),
        ("share = a / b", True),
        ("share = a / b  # not money: a share for the screen", False),
        ("share = a / b  # not money:", True),
        ("rate = Decimal(a) / b  # exact: Decimal", False),
        ("total = float(nano)", True),
        ("sql = 'SELECT sum(x)::DOUBLE'", True),
        ("column = pa.float64()", True),
        ("x /= 2", True),
        ("file = folder / name", False),
        ("file = home / 'books'", False),
        ("nano = quantity * rate // 1000", False),
        ('"""Ratio as DOUBLE 0.5."""', False),
    ],
)
def test_the_float_test_can_fail(text: str, caught: bool) -> None:
    assert bool(unmarked_floats(text)) is caught
