"""Questions and orders about tags, as the desk brings them to the house.

A policy is judged whole and changes nothing if anything is wrong with it; a trial tells what a change would move.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from outlay.core.envelope import ENVELOPE_KEYS
from outlay.core.errors import InputError, nearest
from outlay.core.period import NS_PER_US, moment_of, parse_moment
from outlay.faces.orders import known_fields
from outlay.faces.plain import Reply, plain, reply

if TYPE_CHECKING:
    from outlay.faces.desk import Params
    from outlay.house import House
    from outlay.ledger.retag import RetagReport
    from outlay.metrics.answer import Answer
    from outlay.normalize.policy.model import Policy

SCORE = (
    "cost",
    "tag_compliance",
    "calls_tag_compliance",
    "noncompliant_cost",
    "unattributed_cost",
    "noncompliant_usages",
)
"""The figures of the score."""

CAUSES_SHOWN = 5
RULES_ASKED = 1_000
"""As many as a policy may have."""

RULE_WORDS = ("name", "match", "set", "override", "from", "to")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_ASKED = frozenset(("by", "grain", "since", "until", "where", "top", "order"))


def score(house: House, params: Params) -> Reply:
    """The score by any dimension, with the dearest causes and what else is odd about the tags."""
    from outlay.govern.tags import level_of
    from outlay.metrics.query import parse_query

    query = parse_query({"by": ["team"], **_only(params, _ASKED), "measures": list(SCORE)})
    answer = house.ask(query)
    policy = house.policies.timeline.current
    rows = [dict(row) for row in answer.rows]
    if len(query.by) == 1 and any(owner.key == query.by[0] for owner in policy.owners):
        for row in rows:
            owner = policy.owner_of(query.by[0], str(row[query.by[0]]))
            row["owner"] = "" if owner is None else f"{owner.name} {owner.contact}".strip()
    compliance = answer.total.get("tag_compliance")
    level = level_of(None if compliance is None else Fraction(Decimal(str(compliance))))
    found = house.tag_causes(query, "team", CAUSES_SHOWN)
    coverage = {
        **answer.coverage,
        "causes": plain(found),
        "findings": plain(house.tag_findings(query)),
        "policy": policy.digest,
    }
    return reply(answer.query, rows, {**answer.total, "level": level}, coverage)


def causes(house: House, params: Params) -> Reply:
    """The causes for which cost has no valid value under a key, by code path, the dearest first."""
    from outlay.metrics.query import parse_query

    key = _one(params, "key") or "team"
    if key not in ENVELOPE_KEYS:
        raise InputError(f'no tag is called "{key}"', hint=nearest(key, ENVELOPE_KEYS))
    top = _one(params, "top") or "20"
    if not top.isdecimal() or not 0 < int(top) <= 1_000:
        raise InputError(f'top is "{top}"', hint="a whole number from 1 to 1000")
    query = parse_query({**_only(params, frozenset(("since", "until", "where"))), "measures": ["cost"]})
    found = house.tag_causes(query, key, int(top))
    by_cause: dict[tuple[str, str], int] = {}
    for row in found:
        place = row.cause.value, row.currency
        by_cause[place] = by_cause.get(place, 0) + row.amount_nano
    named = [{"cause": cause, "currency": money, "amount_nano": nano} for (cause, money), nano in by_cause.items()]
    return reply({"key": key, **_said(params)}, plain(found), {"causes": len(found)}, {"by_cause": plain(named)})


def policy(house: House) -> Reply:
    """The policy file as it stands, and every adoption with the time it holds for."""
    shelf = house.policies
    rows = [
        {
            "number": entry.number,
            "adopted": moment_of(entry.at_ns),
            "from": _moment(entry.from_us),
            "to": _moment(entry.to_us),
            "by": entry.by,
            "policy": entry.policy.digest,
        }
        for entry in shelf.timeline.adopted
    ]
    text = shelf.text().decode("utf-8", "replace")
    current = shelf.timeline.current
    counts = {"keys": len(current.keys), "rules": len(current.rules), "owners": len(current.owners)}
    return reply({}, rows, {"policy": current.digest, **counts}, {"text": text})


def check_policy(content: bytes) -> Reply:
    """One row a problem; nothing is changed."""
    from outlay.normalize.policy.shelf import check

    read, problems = check(content)
    counts = {"keys": len(read.keys), "rules": len(read.rules), "owners": len(read.owners)}
    return reply({}, plain(problems), {"problems": len(problems), **counts}, {"policy": read.digest})


def set_policy(house: House, actor: str, content: bytes, params: Params) -> Reply:
    """Adopts a policy for a stretch of time, now on if nothing else is said; `trial` only tells what moves."""
    from outlay.faces.desk import moments_of

    trial = _yes(_one(params, "trial"))
    since, until = _one(params, "from"), _one(params, "to")
    start, end = moments_of("" if since == "always" else since or "now", until)
    action = "tags.apply" if content == house.policies.text() else "tags.policy"
    report = house.adopt_policy(content, start, end, actor, action, trial=trial)
    return _moved({"from": since or "now", "to": until, "trial": trial}, report)


def apply(house: House, actor: str, params: Params) -> Reply:
    """Lets the policy file hold for a period that has passed; with `trial` only tells what would move."""
    since = _one(params, "from")
    if not since:
        raise InputError("from when?", hint="like from=2026-11-01, or from=always")
    return set_policy(house, actor, house.policies.text(), params)


def rules(house: House, params: Params) -> Reply:
    """The rules in force in their order, with the cost each has spoken for."""
    from outlay.metrics.query import parse_query

    period = _only(params, frozenset(("since", "until")))
    asked = {**period, "by": ["tag_rule"], "measures": ["cost", "usages"], "top": [str(RULES_ASKED)]}
    current = house.policies.timeline.current
    rows = rule_rows(current, house.ask(parse_query(asked)))
    return reply(_said(params), rows, {"rules": len(rows)}, {"policy": current.digest})


def rule_rows(policy: Policy, spoken: Answer) -> list[dict[str, Any]]:
    """The rules of a policy in their order; `spoken` is the cost and the usages by `tag_rule`."""
    spoke: dict[str, list[Any]] = {}
    for row in spoken.rows:
        for name in {pair.partition("=")[2] for pair in str(row["tag_rule"]).split() if "=" in pair}:
            held = spoke.setdefault(name, [Decimal(0), 0])
            held[0] += Decimal(str(row["cost"] or 0)) if _is_number(row["cost"]) else 0
            held[1] += int(row["usages"])
    return [
        {
            "name": rule.name,
            "match": " ".join(f"{word}={'|'.join(globs)}" for word, globs in rule.matches.items()),
            "set": " ".join(f"{key}={value}" for key, value in rule.sets.items()),
            "override": rule.overrides,
            "from": _moment(rule.from_us),
            "to": _moment(rule.to_us),
            "cost": f"{spoke.get(rule.name, [Decimal(0), 0])[0]:f}",
            "usages": spoke.get(rule.name, [Decimal(0), 0])[1],
        }
        for rule in policy.rules
    ]


def add_rule(house: House, actor: str, said: Mapping[str, Any]) -> Reply:
    """Appends a rule to the policy file and adopts it from now on. Raises InputError, and then nothing has changed."""
    known_fields(said, RULE_WORDS, "a rule")
    text = house.policies.text().decode("utf-8-sig")
    content = f"{text.rstrip()}\n\n{_rule_table(said)}".lstrip("\n").encode()
    report = house.adopt_policy(content, datetime.now(UTC), None, actor, "tags.rule.add")
    return _moved({"from": "now", "to": "", "trial": False}, report)


def remove_rule(house: House, actor: str, name: str) -> Reply:
    """Takes a rule out of the policy file and adopts the rest from now on."""
    known = [rule.name for rule in house.policies.timeline.current.rules]
    if name not in known:
        error = InputError(f'no rule is called "{name}"', hint=nearest(name, known) if known else "there are none")
        error.status = 404
        raise error
    content = _without_rule(house.policies.text().decode("utf-8-sig"), name).encode()
    report = house.adopt_policy(content, datetime.now(UTC), None, actor, "tags.rule.remove")
    return _moved({"from": "now", "to": "", "trial": False}, report)


# ---- small things ----------------------------------------------------------------------------------------------------


def _moved(query: Mapping[str, Any], report: RetagReport) -> Reply:
    total = plain(report)
    rows = [{"cost": row.pop("amount"), **row} for row in total.pop("moved")]
    return reply(query, rows, total)


def _rule_table(said: Mapping[str, Any]) -> str:
    lines = ["[[rule]]", f"name = {_text(said.get('name', ''))}"]
    for word in ("match", "set"):
        table = said.get(word)
        if not isinstance(table, Mapping) or not table:
            raise InputError(f"a rule needs {word}", hint='{"match": {"agent": "bot-*"}, "set": {"team": "support"}}')
        lines.append(f"{word} = {{ {', '.join(f'{_text(key)} = {_value(value)}' for key, value in table.items())} }}")
    if "override" in said:
        lines.append(f"override = {_value(said['override'])}")
    for word in ("from", "to"):
        if said.get(word):
            if not _DAY.fullmatch(str(said[word])):
                raise InputError(f'{word} must be a day, not "{said[word]}"', hint="like 2026-11-01")
            lines.append(f"{word} = {said[word]}")
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(_value(item) for item in value)}]"
    return _text(value)


def _text(value: object) -> str:
    """A TOML text: JSON's escapes are a part of TOML's, but for the delete character."""
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def _without_rule(text: str, name: str) -> str:
    """The file without the table of one rule; everything else stays as it was written."""
    lines = text.splitlines(keepends=True)
    heads = [place for place, line in enumerate(lines) if line.lstrip().startswith("[")]
    named = re.compile(rf"^\s*name\s*=\s*(?:\"{re.escape(name)}\"|'{re.escape(name)}')\s*(?:#.*)?$")
    for place, head in enumerate(heads):
        end = heads[place + 1] if place + 1 < len(heads) else len(lines)
        is_rule = re.match(r"^\s*\[\[\s*rule\s*\]\]", lines[head])
        if is_rule and any(named.match(line.rstrip("\r\n")) for line in lines[head:end]):
            return "".join([*lines[:head], *lines[end:]])
    raise InputError(
        f'the rule "{name}" cannot be cut out of the file', hint="edit tags.toml, then: outlay tags policy set"
    )


def _moment(us: int | None) -> datetime | None:
    return None if us is None else moment_of(us * NS_PER_US)


def _only(params: Params, names: frozenset[str]) -> dict[str, Sequence[str]]:
    return {name: texts for name, texts in params.items() if name in names}


def _said(params: Params) -> dict[str, Any]:
    now = datetime.now(UTC)
    found: dict[str, Any] = {}
    for name in ("since", "until"):
        if text := _one(params, name):
            found[name] = parse_moment(text, now)
    return found


def _one(params: Params, name: str) -> str:
    given = params.get(name, ())
    if len(given) > 1:
        raise InputError(f'"{name}" is given {len(given)} times', hint="give it once")
    return given[0] if given else ""


def _yes(text: str) -> bool:
    if text not in {"", "yes", "no"}:
        raise InputError(f'trial is "{text}"', hint="yes or no")
    return text == "yes"


def _is_number(text: object) -> bool:
    return isinstance(text, str) and text.lstrip("-")[:1].isdigit()
