"""The tag policy: what a file may say, what becomes of words, what is filled in and what is wrong."""

from __future__ import annotations

import time
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tag_strategies import RULE_WORDS, rules

from normalizing import NOON_NS, facts
from outlay.core.errors import InputError
from outlay.core.tagging import TagSource, digit_at, gaps_of, sources_of
from outlay.ledger.tagging import attributed
from outlay.normalize.clean import Normalised, normalise
from outlay.normalize.columns import text_of
from outlay.normalize.policy.judge import REMEMBERED_MAX, Judge
from outlay.normalize.policy.matching import speakers
from outlay.normalize.policy.model import Rule
from outlay.normalize.policy.reading import read_policy, refuse
from outlay.normalize.policy.timeline import Adopted, Timeline

HOUR_NS = 3_600 * 10**9


def timeline(text: str, at_ns: int = 0) -> Timeline:
    policy, problems = read_policy(text.encode())
    assert not problems, problems
    return Timeline((Adopted(1, policy, at_ns, None, None),))


def cleaned(text: str, *rows: dict[str, Any], at_ns: int = 0) -> Normalised:
    return normalise(facts(*rows), NOON_NS + HOUR_NS, timeline(text, at_ns))


def tagged(text: str, *rows: dict[str, Any]) -> list[dict[str, Any]]:
    """The usages of these facts as they would be posted under a policy."""
    done = cleaned(text, *rows)
    assert not done.refused, done.problems
    return attributed(done.usages, timeline(text)).to_pylist()


def source(row: dict[str, Any], key: str = "team") -> TagSource:
    return TagSource(row["tag_source"] >> digit_at(key) & 15)


# ---- the file --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "what", "hint"),
    [
        ("[keys.tean]\nrequired = true", 1, '"tean" is no key', 'did you mean "team"?'),
        ("\n[keys.team]\nallowd = []", 2, 'unknown word "allowd"', 'did you mean "allowed"?'),
        ("[keys.team]\nrequired = 1", 1, "required is 1", "required = true"),
        ("[keys.team]\nallowed = ['']", 1, "allowed holds a value that is ''", "at most 256 characters"),
        ("[keys.team]\nallowed = 'x'", 1, "allowed is 'x'", "a list"),
        ("[keys.team]\npattern = '[a-'", 1, "is no regular expression", "like pattern"),
        ("[keys.team]\npattern = 3", 1, "is no regular expression", "like pattern"),
        ("[keys.team]\nmode = 'reject'", 1, "team has nothing that is not valid", "name allowed values"),
        ("[keys.team]\ncase = 'Lower'", 1, "case is 'Lower'", 'did you mean "lower"?'),
        ("[keys.team]\nvalues_max = 0", 1, "values_max is 0", "above 0"),
        ("[keys.team]\nallowed = ['a']\naliases = { b = 'c' }", 1, 'leads to "c", which is not valid', "a"),
        ("[keys.team]\naliases = { a = 'b', b = 'c' }", 1, "an alias too", "name the last value"),
        ("[keys.team]\ncase = 'lower'\naliases = { A = 'x', a = 'y' }", 1, "is an alias of", "keep one"),
        ("[keys.team]\nspellings = ['s']\n[keys.feature]\nspellings = ['s']", 3, "means team already", "one key"),
        ("[[require]]\nenvironment = 'p'", 1, "names no keys", 'keys = ["team"]'),
        ("[[require]]\nkeys = ['teem']", 1, '"teem" is no key', "team"),
        ("\n\n[[rule]]\nmatch = { agent = 'a' }\nset = { team = 'x' }", 3, "has no name", "name"),
        ("[[rule]]\nname = 'A b'\nmatch = { agent = 'a' }\nset = { team = 'x' }", 1, "is no name of a rule", "lower"),
        ("[[rule]]\nname = 'a'\nset = { team = 'x' }", 1, "matches nothing", "match ="),
        ("[[rule]]\nname = 'a'\nmatch = { agnt = 'a' }\nset = { team = 'x' }", 1, 'look at "agnt"', "agent"),
        ("[[rule]]\nname = 'a'\nmatch = { agent = 3 }\nset = { team = 'x' }", 1, "match.agent is 3", "a text"),
        ("[[rule]]\nname = 'a'\nmatch = { agent = 'a' }\nset = { user = 'x' }", 1, 'cannot set "user"', "customer"),
        ("[[rule]]\nname = 'a'\nmatch = { agent = 'a' }\nset = { team = '(untagged)' }", 1, "set.team is", "text"),
        (
            "[[rule]]\nname = 'a'\nmatch = { agent = 'a' }\nset = { team = 'x' }\nfrom = 2026-02-01\nto = 2026-01-01",
            1,
            "ends (2026-01-01) before it begins",
            "exclusive",
        ),
        ("[[rule]]\nname = 'a'\nmatch = { agent = 'a' }\nset = { team = 'x' }\nfrom = '2026'", 1, "from is", "a day"),
        (
            "[keys.team]\nallowed = ['a']\n[[rule]]\nname = 'r'\nmatch = { agent = 'a' }\nset = { team = 'b' }",
            3,
            "b",
            "a",
        ),
        ("[[owner]]\nkey = 'team'\nvalue = 'x'", 1, "has no name", "name"),
        (
            "[[owner]]\nkey='team'\nvalue='x'\nname='A'\n[[owner]]\nkey='team'\nvalue='x'\nname='B'",
            5,
            "two owners",
            "one",
        ),
        ("[tags]\nunknown = 'drp'", 2, "unknown is 'drp'", 'did you mean "drop"?'),
        ("[teems]", 1, 'unknown table "teems"', "valid"),
        ("keys = 3", 1, "`keys` is not a table", "[keys.team]"),
        ("rule = 3", 1, "`rule` is not a list of tables", "[[rule]]"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_the_way_out(text: str, line: int, what: str, hint: str) -> None:
    _, problems = read_policy(text.encode())
    found = [problem for problem in problems if what in problem.what]
    assert found, problems
    assert found[0].where == f"tags.toml:{line}"
    assert hint in found[0].hint


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[keys", b"x" * (1024 * 1024 + 1), b"a" + b"[" * 5000])
def test_what_is_no_policy_at_all_is_one_problem(content: bytes) -> None:
    _, problems = read_policy(content)
    assert len(problems) == 1
    assert problems[0].where == "tags.toml"


def test_all_mistakes_of_a_file_are_told_together() -> None:
    _, problems = read_policy(b"[keys.tean]\n[[rule]]\nname = ''\n[tags]\nunknown = 1\n")
    assert len(problems) >= 4
    with pytest.raises(InputError, match="problems; the policy in force is unchanged") as told:
        refuse(problems)
    assert len(told.value.detail) == len(problems)


# ---- words -----------------------------------------------------------------------------------------------------------

WORDS = """
[keys.team]
case = "lower"
allowed = ["search", "support"]
aliases = { "search team" = "search" }
spellings = ["squad"]
"""


def test_spellings_become_one_value_and_what_was_said_is_kept() -> None:
    own, alias, folded, moved, wrong = tagged(
        WORDS, {"team": "search"}, {"team": " Search Team "}, {"team": "SUPPORT"}, {"tags": [("squad", "Search")]},
        {"team": "serch"},
    )  # fmt: skip
    assert [row["team"] for row in (own, alias, folded, moved, wrong)] == ["search"] * 2 + [
        "support",
        "search",
        "serch",
    ]
    assert [source(row) for row in (own, alias, moved)] == [TagSource.OWN, TagSource.ALIAS, TagSource.ALIAS]
    assert own["said"] == ""
    assert alias["said"] == '{"team":["Search Team",1]}'
    assert moved["said"] == '{"team":[null,0]}'
    assert gaps_of(wrong["tag_gaps"]) == ["team not valid"]
    assert not alias["tag_gaps"]


def test_a_warning_names_the_value_what_is_valid_and_how_often() -> None:
    done = cleaned(WORDS, {"team": "serch"}, {"team": "serch"})
    assert done.refused == 0
    (problem,) = done.problems
    assert problem.what == '2 usages: team "serch" is not valid'
    assert problem.hint == "search, support"


def test_what_is_not_valid_can_fold_into_one_word() -> None:
    (row,) = tagged(WORDS + 'invalid = "fold"\n', {"team": "9f8e7d"})
    assert row["team"] == "(invalid)"
    assert row["said"] == '{"team":["9f8e7d",1]}'
    assert gaps_of(row["tag_gaps"]) == ["team not valid"]


def test_a_rejected_value_refuses_its_fact_alone() -> None:
    done = cleaned(WORDS + 'mode = "reject"\n', {"team": "serch"}, {"team": "search"}, {})
    assert (done.refused, done.by_policy, done.usages.num_rows) == (1, 1, 2)
    (problem,) = done.problems
    assert problem.where == "support row 0"
    assert problem.what == 'team "serch" is not valid and the policy rejects it'
    assert problem.hint == "valid: search, support; correct the sender and send again, or outlay tags policy set"


def test_a_policy_refuses_nothing_that_was_accepted_before_it() -> None:
    done = cleaned(WORDS + 'mode = "reject"\n', {"team": "serch"}, at_ns=time.time_ns())
    assert done.refused == 0


def test_a_missing_key_is_refused_only_where_nothing_could_supply_it() -> None:
    text = (
        '[[require]]\nkeys = ["team"]\nmode = "reject"\n'
        '[[rule]]\nname = "r"\nmatch = { agent = "b" }\nset = { team = "x" }'
    )
    done = cleaned(text, {}, {"session_id": "s"}, {"tree_id": "t"}, {"agent": "b"}, {"team": "x"})
    assert (done.refused, done.by_policy) == (1, 1)
    assert done.problems[0].what == "team is missing and the policy rejects it"


def test_unknown_free_tags_are_told_or_dropped() -> None:
    tags = [("a", "1"), ("zone", "EU")]
    named = '[keys."tag.zone"]\ncase = "lower"\nspellings = ["region"]\n'
    assert tagged(named, {"tags": tags})[0]["tags"] == '{"a":"1","zone":"eu"}'
    dropped = tagged(named + '[tags]\nunknown = "drop"\n', {"tags": tags}, {"tags": [("region", "US")]})
    assert [row["tags"] for row in dropped] == ['{"zone":"eu"}', '{"zone":"us"}']
    assert dropped[0]["said"] == '{"tags":["{\\"a\\":\\"1\\",\\"zone\\":\\"EU\\"}",0]}'
    told = cleaned(named + '[tags]\nunknown = "warn"\n', {"tags": tags})
    assert [problem.what for problem in told.problems] == ['free tag "a" is not in the policy']


@pytest.mark.parametrize("value", ["x" * 257, "y" * 10_000, "a\x07b", "a\nb", "\x9fz"])
def test_a_text_that_is_no_label_becomes_no_tag(value: str) -> None:
    done = cleaned(WORDS, {"team": value, "tags": [("squad", value)]})
    assert done.refused == 0
    assert done.usages.column("team").to_pylist() == ["(untagged)"]
    assert done.usages.column("tags").to_pylist() == [""]
    assert len(done.problems) == 2
    assert not any(value in problem.what for problem in done.problems)


def test_a_million_values_cost_time_and_no_memory() -> None:
    policy, _ = read_policy(WORDS.encode())
    judge = Judge(policy)
    rule = policy.keys["team"]
    for number in range(2 * REMEMBERED_MAX + 10):
        judge.value(rule, f"made up {number}")
    assert len(judge._values) <= REMEMBERED_MAX


# ---- rules and verdicts ----------------------------------------------------------------------------------------------

RULES = """
[[rule]]
name = "bots"
match = { agent = ["bot-*", "crawler"], service = "sup*" }
set = { team = "support", feature = "chat" }

[[rule]]
name = "rest"
match = { service = "support" }
set = { team = "search", customer = "acme" }

[[rule]]
name = "loud"
match = { "tag.vip" = "*" }
set = { team = "vip" }
override = true
"""


def test_the_first_rule_that_fits_fills_what_nobody_said() -> None:
    bot, said, other, loud = tagged(
        RULES, {"agent": "bot-7"}, {"agent": "bot-7", "team": "own"}, {}, {"team": "own", "tags": [("vip", "1")]}
    )
    assert (bot["team"], bot["feature"], bot["customer"]) == ("support", "chat", "acme")
    assert bot["tag_rule"] == "team=bots feature=bots customer=rest"
    assert source(bot) is source(bot, "customer") is TagSource.RULE
    assert (said["team"], said["feature"], source(said)) == ("own", "chat", TagSource.OWN)
    assert (other["team"], other["feature"], other["tag_rule"]) == ("search", "(untagged)", "team=rest customer=rest")
    assert (loud["team"], source(loud), loud["said"]) == ("vip", TagSource.OVERRIDE, '{"team":["own",1]}')


def test_a_dated_rule_holds_from_its_day_up_to_its_end() -> None:
    text = (
        '[[rule]]\nname = "r"\nmatch = { service = "*" }\nset = { team = "x" }\n'
        "from = 2026-09-01T12:00:01Z\nto = 2026-09-01T12:00:02Z\n"
    )
    assert [row["team"] for row in tagged(text, {}, {}, {})] == ["(untagged)", "x", "(untagged)"]


def test_required_keys_depend_on_environment_and_source() -> None:
    text = (
        '[[require]]\nkeys = ["feature", "tag.p"]\nenvironment = "prod*"\n'
        '[[require]]\nkeys = ["agent"]\nsource = "t*"\n'
    )
    production, staging, other = tagged(
        text,
        {"environment": "production"},
        {"environment": "staging"},
        {"source": "tau2", "environment": "prod", "feature": "x", "tags": [("p", "1")]},
    )
    assert gaps_of(production["tag_gaps"]) == ["feature missing", "a free tag missing"]
    assert not staging["tag_gaps"]
    assert gaps_of(other["tag_gaps"]) == ["agent missing"]


def test_without_a_policy_a_team_is_asked_for_and_nothing_changes() -> None:
    done = normalise(facts({"team": "A"}, {}), NOON_NS + HOUR_NS)
    rows = attributed(done.usages, Timeline()).to_pylist()
    assert [gaps_of(row["tag_gaps"]) for row in rows] == [[], ["team missing"]]
    assert [row["team"] for row in rows] == ["A", "(untagged)"]
    assert {name for row in rows for name in ("said", "tag_rule") if row[name]} == set()


def test_the_source_of_a_value_may_be_told_by_the_fact() -> None:
    packed = int(TagSource.RESOURCE) << digit_at("team") | int(TagSource.API_KEY) << digit_at("feature")
    table = facts({"team": "a", "feature": "b", "agent": "c", "session_id": "s"})
    place = table.schema.get_field_index("tag_source")
    table = table.set_column(place, "tag_source", pa.array([packed]))
    (row,) = normalise(table, NOON_NS + HOUR_NS).usages.to_pylist()
    assert sources_of(row["tag_source"]) == {
        "team": TagSource.RESOURCE,
        "feature": TagSource.API_KEY,
        "agent": TagSource.OWN,
        "session_id": TagSource.OWN,
    }


@given(st.data())
def test_a_rule_speaks_for_the_same_rows_whether_they_are_asked_one_by_one_or_together(data: st.DataObject) -> None:
    texts = {
        name: data.draw(st.lists(st.sampled_from(["", "a", "b", "ab"]), min_size=6, max_size=6))
        for name in ("agent", "origin", "model")
    }
    time_us = np.asarray(data.draw(st.lists(st.integers(0, 9), min_size=6, max_size=6)), np.int64)
    asked = data.draw(st.lists(rules(10), min_size=1, max_size=5))

    def fits(rule: Rule, row: int) -> bool:
        since = rule.from_us is None or time_us[row] >= rule.from_us
        until = rule.to_us is None or time_us[row] < rule.to_us
        named = all(
            any(texts[RULE_WORDS[word]][row] and fnmatchcase(texts[RULE_WORDS[word]][row], glob) for glob in globs)
            for word, globs in rule.matches.items()
        )
        return bool(since and until and named)

    found = speakers(asked, lambda name: text_of(pa.array(texts[name])), time_us)
    for key, numbers in found.items():
        wanted = [
            next((place for place, rule in enumerate(asked) if key in rule.sets and fits(rule, row)), -1)
            for row in range(6)
        ]
        assert numbers.tolist() == wanted


def test_of_several_overriding_rules_the_first_speaks() -> None:
    text = "".join(
        f'[[rule]]\nname = "{name}"\nmatch = {{ agent = "*" }}\nset = {{ team = "{name}" }}\noverride = true\n'
        for name in ("first", "second")
    )
    (row,) = tagged(text, {"agent": "bot", "team": "own"})
    assert (row["team"], row["tag_rule"]) == ("first", "team=first")
