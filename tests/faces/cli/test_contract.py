"""The contract of the command line: data on stdout, words on stderr, exit codes, three forms of an answer."""

from __future__ import annotations

import csv
import importlib
import io
import json
import pkgutil
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import click
import pytest

from faces.double import COVERAGE, FakeHouse, is_reply
from outlay.core.errors import InputError, ServerError
from outlay.faces import cli as cli_room
from outlay.faces.cli.main import ENTRIES, outlay, run
from outlay.faces.desk import catalogue


class Ran(NamedTuple):
    code: int
    out: str
    err: str


Outlay = Callable[..., Ran]


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch, home: Path) -> FakeHouse:
    """Books that answer from memory, in a home that is not empty."""
    home.mkdir()
    (home / "books").touch()
    fake = FakeHouse(home)
    opened = SimpleNamespace(open=lambda _folder: nullcontext(fake))
    monkeypatch.setitem(sys.modules, "outlay.house", SimpleNamespace(House=opened))  # type: ignore[arg-type]
    return fake


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Outlay:
    """Runs a command line."""

    def call(*words: str) -> Ran:
        code = run(words)
        told = capsys.readouterr()
        return Ran(code, told.out, told.err)

    return call


def test_json_is_one_object_with_exact_texts(cli: Outlay, house: FakeHouse) -> None:
    ran = cli("spend", "--by", "team", "--measures", "cost,usages", "--json")
    assert ran.code == 0
    assert ran.err == ""
    said = json.loads(ran.out)
    assert is_reply(said)
    assert said == {
        "query": {
            "measures": ["cost", "usages"],
            "by": ["team"],
            "grain": None,
            "since": None,
            "until": None,
            "where": [],
            "top": 10_000,
            "order": "cost:desc",
            "counted_only": True,
        },
        "rows": [{"team": "search", "cost": "12.5", "usages": 3}, {"team": "(untagged)", "cost": None, "usages": None}],
        "total": {"cost": "12.5", "usages": 3},
        "coverage": COVERAGE,
    }


def test_csv_has_a_head_and_no_empty_cell(cli: Outlay, house: FakeHouse) -> None:
    ran = cli("spend", "--by", "team", "--measures", "cost,cost_per_completed_task,usages", "--csv")
    assert list(csv.DictReader(io.StringIO(ran.out))) == [
        {"team": "search", "cost": "12.5", "cost_per_completed_task": "12.5", "usages": "3"},
        {"team": "(untagged)", "cost": "(unpriced)", "cost_per_completed_task": "unknown", "usages": "unknown"},
    ]


def test_a_table_has_a_total_and_a_line_of_coverage(cli: Outlay, house: FakeHouse) -> None:
    lines = cli("spend", "--by", "team", "--measures", "cost,usages").out.splitlines()
    assert lines[0].split() == ["team", "cost", "usages"]
    assert lines[2].split() == ["search", "$12.50", "3"]
    assert lines[3].split() == ["(untagged)", "(unpriced)", "unknown"]
    assert lines[-2].split() == ["total", "$12.50", "3"]
    assert lines[-1] == (
        "recorded 25.0 % · priced 75.0 % · 1 unpriced usages (1,200 tokens) · untagged 10.0 % · "
        "2026-11-01 00:00 to 2026-11-20 10:00 UTC"
    )
    assert "\x1b" not in "".join(lines)


def test_figures_stand_to_the_right(cli: Outlay, house: FakeHouse) -> None:
    head, _, first, *_ = cli("spend", "--by", "team", "--measures", "cost").out.splitlines()
    assert len(first) == len(head)
    assert head.endswith("cost")


def test_a_foreign_name_cannot_reach_the_terminal(cli: Outlay, house: FakeHouse) -> None:
    class Odd(FakeHouse):
        def ask(self, query: object) -> object:
            answer = super().ask(query)  # type: ignore[arg-type]
            answer.rows[0]["team"] = "\x1b]0;owned\x07[red]x[/red]"
            return answer

    house.ask = Odd().ask  # type: ignore[method-assign,assignment]
    out = cli("spend", "--by", "team").out
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "[red]x[/red]" in out


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (["spned"], 'no command is called "spned"', 'did you mean "spend"?'),
        (["spend", "--bye", "team"], "no such option '--bye'", "outlay spend --help"),
        (["spend", "--by", "tean"], 'no dimension is called "tean"', 'did you mean "team"?'),
        (["spend", "--measures", "costs"], 'no measure is called "costs"', 'did you mean "cost"?'),
        (["spend", "--json", "--csv"], "--json and --csv exclude each other", "outlay spend --help"),
        (["session"], "missing argument 'ID'", "outlay session --help"),
        (["sessions", "s1", "--top", "3"], "a session by its ID takes no question", "outlay sessions --help"),
        (["import"], "missing argument 'PATH...'", "outlay import --help"),
        (["import", "nowhere.json"], "does not exist", "outlay import --help"),
        (["up", "--port", "99999"], "not in the range", "outlay up --help"),
    ],
)
def test_wrong_usage_is_2_with_the_nearest_name(
    cli: Outlay, house: FakeHouse, words: list[str], error: str, hint: str
) -> None:
    ran = cli(*words)
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.startswith("error: ")
    assert error in ran.err
    assert hint in ran.err.splitlines()[-1]


def test_a_failure_is_1_in_three_parts(cli: Outlay, house: FakeHouse) -> None:
    house.refusal = InputError("no such thing", detail=["12 of 14 went through"], hint="outlay doctor")
    ran = cli("spend")
    assert ran == Ran(1, "", "error: no such thing\n  12 of 14 went through\n  try: outlay doctor\n")


def test_not_authorised_is_4(cli: Outlay, house: FakeHouse) -> None:
    house.refusal = ServerError("this server needs an API key")
    house.refusal.status = 401
    assert cli("spend").code == 4


def test_interrupted_is_130(cli: Outlay, house: FakeHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_query: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(house, "ask", interrupted)
    assert cli("spend").code == 130


def test_a_bug_shows_its_traceback_only_when_asked(
    cli: Outlay, house: FakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def buggy(_query: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(house, "ask", buggy)
    ran = cli("spend")
    assert ran.code == 1
    assert "Traceback" not in ran.err
    assert "--debug" in ran.err
    with pytest.raises(ZeroDivisionError):
        cli("spend", "--debug")


def test_the_home_is_the_option_then_the_environment(
    cli: Outlay, house: FakeHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []

    def opening(folder: Path) -> nullcontext[FakeHouse]:
        opened.append(folder)
        return nullcontext(house)

    monkeypatch.setattr(sys.modules["outlay.house"].House, "open", opening)  # type: ignore[attr-defined]
    cli("spend")
    cli("spend", "--home", str(tmp_path / "a"))
    cli("--home", str(tmp_path / "b"), "spend")
    assert opened == [house.home, tmp_path / "a", tmp_path / "b"]


def test_the_bare_command_shows_today_by_team(cli: Outlay, house: FakeHouse) -> None:
    ran = cli()
    assert ran.code == 0
    assert ran.out.startswith("Today, by team")
    assert house.asked[0].by == ("team",)
    assert house.asked[0].period.start_ns is not None
    assert is_reply(json.loads(cli("--json").out))


def test_the_bare_command_says_how_to_start_and_makes_nothing(cli: Outlay, home: Path) -> None:
    ran = cli()
    assert ran.code == 0
    assert ran.out == ""
    assert "outlay demo" in ran.err
    assert not home.exists()


def test_session_and_sessions_id_are_the_same_question(cli: Outlay, house: FakeHouse) -> None:
    said = {
        "cost_nano": 7,
        "steps": {"steps": [{"operation": "chat", "cost_nano": 5}], "first": 0, "count": 1, "previous": "", "next": ""},
        "unpriced_usages": 0,
        "usages_left_out": 0,
    }
    house.session = lambda _name, _steps: said  # type: ignore[attr-defined]
    one, other = cli("session", "s1", "--json"), cli("sessions", "s1", "--json")
    assert one == other
    assert json.loads(one.out)["rows"] == [{"operation": "chat", "cost": "0.000000005"}]


def test_doctor_is_1_when_a_check_fails(cli: Outlay, house: FakeHouse) -> None:
    assert cli("doctor").code == 0
    house.doctor = lambda: [{"name": "sums", "ok": False, "text": "differ by 1", "hint": "outlay rebuild"}]  # type: ignore[method-assign]
    ran = cli("doctor")
    assert ran.code == 1
    assert "NO" in ran.out
    assert "outlay rebuild" in ran.out


def commands(command: click.Command, path: str) -> list[tuple[str, click.Command]]:
    found = [(path, command)]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            found += commands(below, f"{path} {name}")
    return found


ALL = commands(outlay, "")


@pytest.mark.parametrize("path", [path for path, _ in ALL])
def test_every_command_has_help(cli: Outlay, path: str) -> None:
    ran = cli(*path.split(), "--help")
    assert ran.code == 0
    assert ran.out.startswith(f"Usage: outlay{path}")


def test_the_list_of_commands_says_what_each_says_of_itself() -> None:
    for path, command in ALL:
        if not isinstance(command, click.Group):
            continue
        for name, entry in command.entries.items():  # type: ignore[attr-defined]
            below = command.get_command(click.Context(command), name)
            assert below is not None
            assert (below.help or "").splitlines()[0] == entry.line, f"{path} {name}"


def test_the_help_of_spend_explains_every_word(cli: Outlay) -> None:
    told = " ".join(cli("spend", "--help").out.split())
    for row in catalogue()["rows"]:
        assert f"{row['name']} {row['text']}" in told


def test_the_commands_of_the_contract_are_there() -> None:
    wanted = "import spend sessions session outcomes prices reprice rebuild doctor up demo metrics"
    assert set(wanted.split()) <= set(ENTRIES)


@pytest.mark.parametrize("path", [path for path, command in ALL if not isinstance(command, click.Group)])
def test_every_command_answers_json_and_csv_and_knows_a_home(path: str) -> None:
    command = dict(ALL)[path]
    options = {word for option in command.params for word in option.opts}
    assert {"--json", "--csv", "--home", "--no-color", "--debug"} <= options


def test_every_command_that_is_written_can_be_typed() -> None:
    written = {
        command.callback
        for module in pkgutil.iter_modules(cli_room.__path__, f"{cli_room.__name__}.")
        for command in vars(importlib.import_module(module.name)).values()
        if isinstance(command, click.Command) and command is not outlay
    }
    with click.Context(outlay) as context:
        reached = set(_below(outlay, context))
    assert {callback.__name__ for callback in written - reached if callback is not None} == set()


def _below(group: click.Group, context: click.Context) -> Iterator[object]:
    """What the commands under a group call."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None:
            yield command.callback
        if isinstance(command, click.Group):
            yield from _below(command, context)
