"""Reading: the policy file, checked as a whole. Every problem is told with its line; a file with one is not used.

    [keys.team]                       # a key of the envelope, or "tag.<name>" for a free tag
    required = true
    allowed = ["search", "support"]   # or pattern = "[a-z-]+", or both
    case = "lower"                    # keep, lower, upper
    aliases = { "search team" = "search" }
    spellings = ["squad"]             # free tags that mean this key
    mode = "warn"                     # warn, reject
    invalid = "keep"                  # keep, fold

    [[require]]                       # keys that must have a value, here and there
    keys = ["feature"]
    environment = "prod*"

    [[rule]]                          # whose it is when nobody said so
    name = "support-bots"
    match = { agent = "support-*", key = ["ci", "nightly"] }
    set = { team = "support" }

    [[owner]]                         # who answers for a value
    key = "team"
    value = "search"
    name = "Ann Lee"
    contact = "ann@example.com"

    [tags]
    unknown = "allow"                 # allow, warn, drop

Every table and every word in one may be left out.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any, TypeVar

from outlay.core.envelope import ENVELOPE_KEYS, UNTAGGED, VALUE_CHARACTERS_MAX
from outlay.core.errors import InputError, Problem, nearest
from outlay.core.period import NS_PER_US, ns_of
from outlay.normalize.policy.model import (
    INVALID,
    MATCHED,
    TAG,
    VALUES_MAX,
    Case,
    KeyRule,
    Mode,
    Owner,
    Policy,
    Require,
    Rule,
    Unknown,
)

FILE = "tags.toml"
BYTES_MAX = 1024 * 1024
RULES_MAX = 1_000
PROBLEMS_SHOWN_MAX = 12

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_KEY_WORDS = frozenset(
    ("required", "allowed", "pattern", "case", "aliases", "spellings", "mode", "invalid", "values_max")
)
_TABLES = {
    "require": frozenset(("keys", "environment", "source", "mode")),
    "rule": frozenset(("name", "match", "set", "override", "from", "to")),
    "owner": frozenset(("key", "value", "name", "contact")),
}
_TOP = frozenset(("keys", "tags", *_TABLES))

Word = TypeVar("Word", bound=StrEnum)


def read_policy(content: bytes, file: str = FILE) -> tuple[Policy, list[Problem]]:
    """The policy that a file states, and everything wrong in it; with a problem the policy is not to be used."""
    if len(content) > BYTES_MAX:
        return Policy(), [Problem(file, f"is larger than {BYTES_MAX >> 20} MiB", "is it the policy?")]
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return Policy(), [Problem(file, f"is not UTF-8 text: {error.reason}", "save it as UTF-8")]
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        return Policy(), [Problem(file, f"is not TOML: {error}", "docs/tags.md shows a whole file")]
    reader = _Reader(file, text, data)
    policy = reader.policy(digest_of(text.encode()))
    return policy, reader.problems


def digest_of(content: bytes) -> str:
    """A short name of a policy's bytes."""
    return hashlib.blake2b(content, digest_size=6).hexdigest()


def refuse(problems: list[Problem]) -> None:
    """Raises one InputError that lists the problems, the first ones in full."""
    lines = [
        f"{each.where}: {each.what}{f' ({each.hint})' if each.hint else ''}" for each in problems[:PROBLEMS_SHOWN_MAX]
    ]
    if len(problems) > PROBLEMS_SHOWN_MAX:
        lines.append(f"and {len(problems) - PROBLEMS_SHOWN_MAX} more")
    what = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    raise InputError(
        f"the tag policy has {what}; the policy in force is unchanged",
        detail=lines,
        hint="outlay tags policy check FILE",
    )


class _Reader:
    """Walks over one parsed file and keeps a Problem, with its line, for everything that is wrong."""

    def __init__(self, file: str, text: str, data: dict[str, Any]) -> None:
        self.problems: list[Problem] = []
        self._file = file
        self._lines = text.splitlines()
        self._data = data

    def policy(self, digest: str) -> Policy:
        for name in sorted(set(self._data) - _TOP):
            self._wrong(self._line(name), f'unknown table "{name}"', nearest(name, _TOP))
        keys = self._keys()
        requires = self._requires()
        asked = tuple(key for key, entry in self._tables("keys").items() if entry.get("required") is True)
        if asked:
            requires = (Require(asked), *requires)
        rules = self._rules(keys)
        owners = tuple(self._owners(keys))
        free = self._data.get("tags", {})
        unknown = Unknown.ALLOW
        if isinstance(free, dict):
            self._only(self._line("tags"), free, frozenset(("unknown",)))
            unknown = self._word(self._line("unknown"), free, "unknown", Unknown)
        else:
            self._wrong(self._line("tags"), "`tags` is not a table", "write [tags]")
        return Policy(keys, requires or Policy().requires, rules, owners, unknown, digest)

    # ---- keys ----------------------------------------------------------------------------------------------------

    def _keys(self) -> dict[str, KeyRule]:
        found: dict[str, KeyRule] = {}
        spelled: dict[str, str] = {}
        for key, entry in self._tables("keys").items():
            place = self._line_of_key(key)
            if not self._is_key(place, key):
                continue
            rule = self._key(place, key, entry)
            for spelling in rule.spellings:
                if spelling in spelled or spelling == key.removeprefix(TAG):
                    other = spelled.get(spelling, key)
                    self._wrong(place, f'the spelling "{spelling}" means {other} already', "one spelling, one key")
                spelled[spelling] = key
            found[key] = rule
        return found

    def _key(self, place: str, key: str, entry: dict[str, Any]) -> KeyRule:
        self._only(place, entry, _KEY_WORDS)
        case = self._word(place, entry, "case", Case)
        plain = KeyRule(key, case=case)
        allowed = frozenset(plain.fold(value) for value in self._texts(place, entry, "allowed"))
        folds = self._choice(place, entry, "invalid", ("keep", "fold")) == "fold"
        values_max = entry.get("values_max", VALUES_MAX)
        if not isinstance(values_max, int) or isinstance(values_max, bool) or values_max < 1:
            self._wrong(place, f"values_max is {values_max!r}", "a whole number above 0")
            values_max = VALUES_MAX
        if not isinstance(entry.get("required", False), bool):
            self._wrong(place, f"required is {entry['required']!r}", "required = true")
        rule = KeyRule(
            key,
            allowed,
            self._pattern(place, entry),
            case,
            {},
            tuple(self._texts(place, entry, "spellings")),
            self._word(place, entry, "mode", Mode),
            folds,
            values_max,
        )
        if not rule.restricts and (rule.mode is Mode.REJECT or folds):
            self._wrong(place, f"{key} has nothing that is not valid", "name allowed values or a pattern")
        aliases = self._aliases(place, entry, rule)
        return KeyRule(key, allowed, rule.pattern, case, aliases, rule.spellings, rule.mode, folds, values_max)

    def _pattern(self, place: str, entry: Mapping[str, Any]) -> re.Pattern[str] | None:
        said = entry.get("pattern")
        if said is None:
            return None
        try:
            return re.compile(said)
        except (re.error, TypeError, RecursionError, OverflowError) as error:
            self._wrong(place, f"pattern {said!r} is no regular expression: {error}", 'like pattern = "[a-z][a-z-]*"')
            return None

    def _aliases(self, place: str, entry: Mapping[str, Any], rule: KeyRule) -> dict[str, str]:
        said = entry.get("aliases", {})
        if not isinstance(said, dict):
            self._wrong(place, f"aliases is {said!r}", 'aliases = { "Search Team" = "search" }')
            return {}
        found: dict[str, str] = {}
        for spelling, value in said.items():
            if not self._is_value(place, f"alias {spelling!r}", value):
                continue
            folded, target = rule.fold(spelling), rule.fold(value)
            if found.get(folded, target) != target:
                self._wrong(place, f'"{folded}" is an alias of "{found[folded]}" and of "{target}"', "keep one of them")
            if not rule.valid(target):
                self._wrong(place, f'the alias "{spelling}" leads to "{target}", which is not valid', rule.expected())
            found[folded] = target
        for spelling, target in found.items():
            if target in found and target != spelling:
                self._wrong(place, f'the alias "{spelling}" leads to "{target}", an alias too', "name the last value")
        return found

    # ---- require, rule, owner ------------------------------------------------------------------------------------

    def _requires(self) -> tuple[Require, ...]:
        found: list[Require] = []
        for place, entry in self._entries("require"):
            keys = tuple(self._texts(place, entry, "keys"))
            if not keys:
                self._wrong(place, "names no keys", 'keys = ["team"]')
            if sum(not self._is_key(place, key) for key in keys):  # each wrong one is told
                continue
            environment, source = (self._text(place, entry, name, "*") for name in ("environment", "source"))
            found.append(Require(keys, environment, source, self._word(place, entry, "mode", Mode)))
        return tuple(found)

    def _rules(self, keys: Mapping[str, KeyRule]) -> tuple[Rule, ...]:
        found: list[Rule] = []
        names: set[str] = set()
        entries = self._entries("rule")
        if len(entries) > RULES_MAX:
            self._wrong(self._file, f"has {len(entries)} rules", f"at most {RULES_MAX}")
        for place, entry in entries[:RULES_MAX]:
            name = self._text(place, entry, "name")
            if name and not _NAME.fullmatch(name):
                self._wrong(place, f'"{name}" is no name of a rule', "lower-case letters, digits and . _ -, at most 64")
            if name in names:
                self._wrong(place, f'two rules are called "{name}"', "names are how a rule is told from another")
            names.add(name)
            start, end = self._moment(place, entry, "from"), self._moment(place, entry, "to")
            if start is not None and end is not None and end <= start:
                self._wrong(place, f"ends ({entry['to']}) before it begins ({entry['from']})", "to is exclusive")
            override = entry.get("override", False)
            if not isinstance(override, bool):
                self._wrong(place, f"override is {override!r}", "override = true")
            matches, sets = self._matches(place, entry), self._sets(place, entry, keys)
            found.append(Rule(name, matches, sets, override is True, start, end))
        return tuple(found)

    def _matches(self, place: str, entry: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
        said = entry.get("match")
        if not isinstance(said, dict) or not said:
            self._wrong(place, "matches nothing", 'match = { agent = "support-*" }')
            return {}
        found: dict[str, tuple[str, ...]] = {}
        for word, globs in said.items():
            if word not in MATCHED and not (word.startswith(TAG) and len(word) > len(TAG)):
                self._wrong(place, f'a rule cannot look at "{word}"', nearest(word, (*MATCHED, f"{TAG}<name>")))
                continue
            listed = globs if isinstance(globs, list) else [globs]
            if not listed or not all(isinstance(glob, str) and glob for glob in listed):
                self._wrong(place, f"match.{word} is {globs!r}", "a text, or a list of texts; * stands for anything")
                continue
            found[word] = tuple(listed)
        return found

    def _sets(self, place: str, entry: Mapping[str, Any], keys: Mapping[str, KeyRule]) -> dict[str, str]:
        said = entry.get("set")
        if not isinstance(said, dict) or not said:
            self._wrong(place, "sets nothing", 'set = { team = "support" }')
            return {}
        found: dict[str, str] = {}
        for key, value in said.items():
            if key not in ENVELOPE_KEYS:
                self._wrong(place, f'a rule cannot set "{key}"', nearest(key, ENVELOPE_KEYS))
            elif self._is_value(place, f"set.{key}", value):
                rule = keys.get(key, KeyRule(key))
                found[key] = rule.value(value)
                if not rule.valid(found[key]):
                    self._wrong(place, f'{key} = "{value}" is not valid', rule.expected())
        return found

    def _owners(self, keys: Mapping[str, KeyRule]) -> list[Owner]:
        found: dict[tuple[str, str], Owner] = {}
        for place, entry in self._entries("owner"):
            key, value, name = (self._text(place, entry, word) for word in ("key", "value", "name"))
            contact = self._text(place, entry, "contact", "")
            if key and not self._is_key(place, key):
                continue
            rule = keys.get(key, KeyRule(key))
            value = rule.value(value)
            if value and not rule.valid(value):
                self._wrong(place, f'{key} "{value}" has an owner and is not valid', rule.expected())
            if (key, value) in found:
                self._wrong(place, f'{key} "{value}" has two owners', "one value, one owner")
            found[key, value] = Owner(key, value, name, contact)
        return list(found.values())

    # ---- small things --------------------------------------------------------------------------------------------

    def _tables(self, word: str) -> dict[str, dict[str, Any]]:
        said = self._data.get(word, {})
        if not isinstance(said, dict):
            self._wrong(self._line(word), f"`{word}` is not a table", f"write [{word}.team]")
            return {}
        found: dict[str, dict[str, Any]] = {}
        for name, entry in said.items():
            if isinstance(entry, dict):
                found[name] = entry
            else:
                self._wrong(self._line(name), f"{word}.{name} is {entry!r}", f"write [{word}.{name}]")
        return found

    def _entries(self, word: str) -> list[tuple[str, dict[str, Any]]]:
        said = self._data.get(word, [])
        if not isinstance(said, list):
            self._wrong(self._line(word), f"`{word}` is not a list of tables", f"write [[{word}]]")
            return []
        head = re.compile(rf"^\s*\[\[\s*{word}\s*\]\]")
        lines = [number for number, line in enumerate(self._lines, 1) if head.match(line)]
        found: list[tuple[str, dict[str, Any]]] = []
        for number, entry in enumerate(said):
            place = f"{self._file}:{lines[number]}" if number < len(lines) else f"{self._file}, {word} {number + 1}"
            if isinstance(entry, dict):
                self._only(place, entry, _TABLES[word])
                found.append((place, entry))
            else:
                self._wrong(place, f"{word} is {entry!r}", f"write [[{word}]]")
        return found

    def _is_key(self, place: str, key: str) -> bool:
        if key in ENVELOPE_KEYS or (key.startswith(TAG) and 0 < len(key) - len(TAG) <= VALUE_CHARACTERS_MAX):
            return True
        self._wrong(place, f'"{key}" is no key', nearest(key, (*ENVELOPE_KEYS, f"{TAG}<name>")))
        return False

    def _is_value(self, place: str, what: str, value: object) -> bool:
        well = isinstance(value, str) and bool(value.strip()) and len(value) <= VALUE_CHARACTERS_MAX
        if not well or not value.isprintable() or value.strip() in {UNTAGGED, INVALID}:  # type: ignore[union-attr]
            self._wrong(place, f"{what} is {str(value)[:64]!r}", f"a text of at most {VALUE_CHARACTERS_MAX} characters")
            return False
        return True

    def _only(self, place: str, entry: Mapping[str, Any], words: frozenset[str]) -> None:
        for name in sorted(set(entry) - words):
            self._wrong(place, f'unknown word "{name}"', nearest(name, words))

    def _text(self, place: str, entry: Mapping[str, Any], name: str, default: str | None = None) -> str:
        value = entry.get(name, default)
        if isinstance(value, str) and (value.strip() or value == default):
            return value.strip()
        said = f"has no {name}" if value is None else f"{name} is {value!r}"
        self._wrong(place, said, f'{name} = "…"')
        return default or ""

    def _texts(self, place: str, entry: Mapping[str, Any], name: str) -> list[str]:
        value = entry.get(name, [])
        if not isinstance(value, list):
            self._wrong(place, f"{name} is {value!r}", f'a list: {name} = ["…"]')
            return []
        return [item for item in value if self._is_value(place, f"{name} holds a value that", item)]

    def _word(self, place: str, entry: Mapping[str, Any], name: str, words: type[Word]) -> Word:
        said = self._choice(place, entry, name, tuple(words))
        return words(said)

    def _choice(self, place: str, entry: Mapping[str, Any], name: str, words: tuple[str, ...]) -> str:
        value = entry.get(name, words[0])
        if value in words:
            return str(value)
        self._wrong(place, f"{name} is {value!r}", nearest(str(value), words))
        return words[0]

    def _moment(self, place: str, entry: Mapping[str, Any], name: str) -> int | None:
        value = entry.get(name)
        if value is None:
            return None
        if isinstance(value, date) and not isinstance(value, datetime):
            value = datetime(value.year, value.month, value.day, tzinfo=UTC)
        if isinstance(value, datetime):
            return ns_of(value if value.tzinfo else value.replace(tzinfo=UTC)) // NS_PER_US
        self._wrong(place, f"{name} is {value!r}", f"a day without quotes: {name} = 2026-11-01")
        return None

    def _line(self, name: str) -> str:
        """The line on which a name is first said as a table or a word."""
        head = re.compile(rf"^\s*(?:\[+\s*)?[\"']?{re.escape(name)}\b")
        return next((f"{self._file}:{n}" for n, line in enumerate(self._lines, 1) if head.match(line)), self._file)

    def _line_of_key(self, key: str) -> str:
        head = re.compile(rf"^\s*\[\s*keys\s*\.\s*[\"']?{re.escape(key)}[\"']?\s*\]")
        return next((f"{self._file}:{n}" for n, line in enumerate(self._lines, 1) if head.match(line)), self._file)

    def _wrong(self, place: str, what: str, hint: str) -> None:
        self.problems.append(Problem(place, what, hint))
