"""`outlay tags`: the score, the causes, the policy and the rules, to the letter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.tagging import POLICY, troubled_home

from outlay.faces.cli.main import run


@pytest.fixture
def cli(home: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command line: exit code, what it printed, its remarks."""
    troubled_home(home)

    def call(*words: str) -> tuple[int, str, str]:
        code = run(list(words))
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    file = tmp_path / "policy.toml"
    file.write_text(POLICY, encoding="utf-8")
    return file


MOVED = """\
 key         before    after   usages    cost
 ────────────────────────────────────────────
 team   Search Team   search        1   $1.00
"""

CAUSES = [
    ("emitter never tags", "", "(untagged)", "silent"),
    ("lost in sub-agent", "", "helper", "support"),
    ("lost in thread or queue", "", "bot-1", "support"),
    ("lost in thread or queue", "", "worker", "support"),
    ("missing at the root", "", "(untagged)", "support"),
    ("unknown value", "serch", "(untagged)", "support"),
]


def test_from_a_bad_score_to_a_better_one(cli: Any, policy: Path) -> None:
    code, out, _ = cli("tags", "policy", "set", str(policy), "--from", "always", "--dry-run")
    assert code == 0
    assert out == MOVED
    assert "Search Team" in cli("spend", "--by", "team")[1], "a trial changes nothing"
    code, out, err = cli("tags", "policy", "set", str(policy), "--from", "always")
    assert (code, out) == (0, MOVED)
    assert "usages and 0 outcomes got other tags" in err
    code, out, err = cli("tags")
    lines = out.splitlines()
    assert lines[0].startswith("40.0 % of the cost is tagged as the policy asks (level 1), and 40.0 % of the calls")
    assert [line.split() for line in lines if line.startswith(" search")] == [
        ["search", "$3.00", "100.0", "%", "100.0", "%", "$0.00", "$0.00", "0", "Ann", "Lee", "ann@example.com"]
    ]
    assert "contradictory tags: 1 sessions say several things under one key, like quarrel: team support, search" in err
    code, out, _ = cli("tags", "causes", "--json")
    found = [tuple(row[name] for name in ("cause", "value", "agent", "service")) for row in json.loads(out)["rows"]]
    assert found == CAUSES
    code, out, _ = cli("tags", "rules", "add", "bots", "--match", "agent=bot-*", "--set", "team=support")
    assert code == 0
    code, out, _ = cli("tags", "apply", "--from", "2026-09-01", "--json")
    said = json.loads(out)
    assert said["rows"] == [
        {"key": "team", "before": "(untagged)", "after": "support", "usages": 1, "currency": "USD", "cost": "1"}
    ]
    assert (said["total"]["usages"], said["total"]["changed"]) == (11, 1)
    assert json.loads(cli("tags", "--json")[1])["total"]["tag_compliance"] == "0.5"
    (rule,) = json.loads(cli("tags", "rules", "list", "--json")[1])["rows"]
    assert (rule["name"], rule["cost"], rule["usages"]) == ("bots", "1", 1)
    code, out, _ = cli("tags", "rules", "remove", "bots")
    assert code == 0
    assert "bots" not in json.loads(cli("tags", "policy", "show", "--json")[1])["coverage"]["text"]
    assert json.loads(cli("tags", "--json")[1])["total"]["tag_compliance"] == "0.5", "what a rule said stays"
    code, out, _ = cli("rebuild", "--json")
    assert json.loads(out)["total"]["matches"] is True


def test_the_gate_exits_with_three_below_its_share(cli: Any) -> None:
    code, _, err = cli("tags", "--check", "--min", "0.9")
    assert code == 3
    assert "is below 90.0 %; outlay tags causes says why" in err
    assert cli("tags", "--check", "--min", "0.1")[0] == 0
    assert cli("tags", "--check", "--since", "2020", "--until", "2021")[0] == 0


def test_a_session_shows_where_its_tags_came_from(cli: Any, policy: Path) -> None:
    cli("tags", "policy", "set", str(policy), "--from", "always")
    code, out, _ = cli("session", "S")
    assert code == 0
    assert "team: search (alias 1, own 1, parent 1)" in out
    reply = json.loads(cli("session", "S", "--json")[1])
    assert {"key": "team", "value": "search", "source": "parent", "usages": 1} in reply["total"]["tags"]
    assert [row["tag_source"]["team"] for row in reply["rows"]] == ["alias", "own", "parent"]
    assert json.loads(cli("session", "typo", "--json")[1])["rows"][0]["tag_gaps"] == ["team not valid"]


def test_a_policy_with_mistakes_is_refused_whole(cli: Any, policy: Path, home: Path) -> None:
    policy.write_text("[keys.team]\nallowd = []\n[tags]\nunknown = 1\n", encoding="utf-8")
    code, out, _ = cli("tags", "policy", "check", str(policy), "--json")
    assert code == 3
    assert json.loads(out)["rows"] == [
        {"where": "tags.toml:1", "what": 'unknown word "allowd"', "hint": 'did you mean "allowed"?'},
        {"where": "tags.toml:4", "what": "unknown is 1", "hint": "valid: allow, drop, warn"},
    ]
    code, _, err = cli("tags", "policy", "set", str(policy))
    assert code == 1
    assert "the tag policy has 2 problems; the policy in force is unchanged" in err
    assert 'tags.toml:1: unknown word "allowd"' in err
    assert not (home / "tags.toml").exists()
    assert not (home / "tags.history.jsonl").exists()


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        (["--min", "95"], 2, "a share from 0 to 1"),
        (["--by", "tean"], 2, 'did you mean "team"?'),
        (["causes", "--key", "tean"], 1, 'did you mean "team"?'),
        (["causes", "--top", "many"], 1, "from 1 to 1000"),
        (["apply"], 2, "--from"),
        (["apply", "--from", "some day"], 1, "not a time"),
        (["apply", "--from", "2026-02", "--to", "2026-01"], 1, "ends before it begins"),
        (["rules", "add", "x", "--match", "agent", "--set", "team=a"], 2, "NAME=VALUE"),
        (["rules", "add", "x", "--match", "agnt=a", "--set", "team=a"], 1, 'did you mean "agent"?'),
        (["rules", "add", "x", "--match", "agent=a", "--set", "user=a"], 1, 'cannot set "user"'),
        (["rules", "add", "x", "--match", "agent=a", "--set", "team=a", "--from", "soon"], 1, "must be a day"),
        (["rules", "remove", "nobody"], 1, 'no rule is called "nobody"'),
        (["policy", "set", "nowhere.toml"], 2, "does not exist"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(
    cli: Any, home: Path, words: list[str], code: int, named: str
) -> None:
    found, _, said = cli("tags", *words)
    assert found == code, said
    assert named in said
    assert not (home / "tags.toml").exists()
