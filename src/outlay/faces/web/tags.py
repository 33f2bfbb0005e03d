"""The page of tags: how much of the cost is tagged as the policy asks, where the rest lost its tag, and the policy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any
from urllib.parse import quote, urlencode

from outlay.core.envelope import ENVELOPE_KEYS, UNTAGGED
from outlay.core.errors import QueryError, nearest
from outlay.core.money import decimal_text
from outlay.core.period import NS_PER_US, moment_of
from outlay.core.session import NO_SESSION
from outlay.faces import formats, tag_words
from outlay.faces.tag_orders import RULES_ASKED, SCORE, rule_rows
from outlay.faces.web import charts, tables
from outlay.faces.web.changes import decimal_of
from outlay.faces.web.choice import FILTERS, WINDOWS, Choice
from outlay.faces.web.figures import Asking, Books, Row, bucket_of
from outlay.faces.web.view import Number
from outlay.govern.tags import GATES, HINTS, CauseFinding, level_of
from outlay.metrics.dimensions import OTHER
from outlay.metrics.query import Order, Query
from outlay.metrics.tags import Cause
from outlay.normalize.policy.model import Policy

TEAMS_SHOWN = 20
PATHS_SHOWN = 12
CAUSES_SHOWN = 25
CAUSES_ASKED = 500
OWNERS_SHOWN = 200

_PICKED = ("team", "feature", "environment")
_PATH = ("agent", "origin")


@dataclass(frozen=True, slots=True)
class TagChoice:
    """What the reader picked: the window and filters of every page, and the key whose absence is explained."""

    choice: Choice
    key: str = "team"

    def sessions(self, **picked: str) -> str:
        """Where the sessions behind a figure are."""
        said = {**self.choice.said, **picked}
        return "/sessions?" + urlencode({name: value for name, value in said.items() if value})


def parse_tag_choice(parameters: Mapping[str, str], choice: Choice) -> TagChoice:
    """The choice an address spells. QueryError for a key there is not."""
    key = parameters.get("key", "") or "team"
    if key not in ENVELOPE_KEYS:
        raise QueryError(f'no tag is called "{key}"', hint=nearest(key, ENVELOPE_KEYS))
    return TagChoice(choice, key)


def tags_page(books: Books, picked: TagChoice) -> dict[str, Any]:
    """What the template needs."""
    choice, asking = picked.choice, Asking(books, picked.choice)
    policy, total = books.policies.timeline.current, asking(SCORE).total
    part = Query(("cost",), (), None, choice.where, choice.period)
    causes = books.tag_causes(part, picked.key, CAUSES_ASKED)
    return {
        "choice": choice,
        "picked": picked,
        "windows": WINDOWS.values(),
        "keys": ENVELOPE_KEYS,
        "options": {name: asking.options(name) for name in _PICKED},
        "lede": _lede(total),
        "numbers": _numbers(total, asking, choice),
        "teams": _teams(asking, picked, policy),
        "paths": _paths(asking, picked),
        "by_cause": _by_cause(causes),
        "causes": [_cause(cause, picked) for cause in causes[:CAUSES_SHOWN]],
        "causes_left_out": max(0, len(causes) - CAUSES_SHOWN),
        "findings": books.tag_findings(part),
        "asked": tag_words.asked_of(policy),
        "valid": tag_words.valid_under(policy),
        "unknown": tag_words.unknown_tags(policy),
        "owners": policy.owners[:OWNERS_SHOWN],
        "owners_left_out": max(0, len(policy.owners) - OWNERS_SHOWN),
        "rules": _rules(asking, policy),
        "adoptions": _adoptions(books),
    }


def _lede(total: Row) -> str:
    """The score in a sentence, with what it is enough for."""
    score = decimal_of(total.get("tag_compliance"))
    if score is None:
        return "no cost in this period, so no score"
    above = next((f"; {name} begins at {_percent(floor)}" for name, floor in reversed(GATES) if score < floor), "")
    return f"{formats.share(str(score))} of the cost is tagged as the policy asks ({level_of(Fraction(score))}{above})"


def _percent(share: Fraction) -> str:
    return formats.share(str(Decimal(share.numerator) / share.denominator))


def _numbers(total: Row, asking: Asking, choice: Choice) -> list[Number]:
    before = asking(("tag_compliance",), period=choice.before).total
    earlier = decimal_of(before.get("tag_compliance"))
    cost, lost = decimal_of(total.get("cost")), decimal_of(total.get("unattributed_cost"))
    part = (
        f"{formats.share(str(lost / cost))} of {tables.money(total.get('cost'))}"
        if cost and lost is not None
        else "no cost"
    )
    usages = f"{tables.count(total.get('noncompliant_usages'))} usages"
    past = "no earlier" if earlier is None else f"{formats.share(str(earlier))} the period before"
    calls = tables.share(total.get("calls_tag_compliance"))
    return [
        Number("Tagged cost", tables.share(total.get("tag_compliance")), None, past),
        Number("Tagged calls", calls, None, "a cheap call untagged is a dear one later"),
        Number("Breaks the policy", tables.money(total.get("noncompliant_cost")), None, usages),
        Number("Without a team", tables.money(total.get("unattributed_cost")), None, part),
    ]


def _teams(asking: Asking, picked: TagChoice, policy: Policy) -> list[dict[str, Any]]:
    """A row a team, the least compliant money first."""
    trend: dict[str, dict[Any, Decimal | None]] = defaultdict(dict)
    window = picked.choice.window
    for row in asking(("tag_compliance",), ("team",), grain=window.grain, period=picked.choice.trend).rows:
        trend[str(row["team"])][bucket_of(row)] = decimal_of(row.get("tag_compliance"))
    rows: list[dict[str, Any]] = []
    for row in asking(SCORE, ("team",), top=TEAMS_SHOWN, order=Order("noncompliant_cost")).rows:
        name = str(row["team"])
        owner = policy.owner_of("team", name)
        values = [trend[name].get(start) for start in picked.choice.buckets]
        words = f"tagged cost of {name}, {len(values)} {window.grain.value}s"
        rows.append(
            {
                "team": name,
                "href": "" if name == OTHER else picked.sessions(team=name),
                "owner": "" if owner is None else owner.name,
                "score": tables.share(row.get("tag_compliance")),
                "calls": tables.share(row.get("calls_tag_compliance")),
                "lacking": tables.money(row.get("noncompliant_cost")),
                "cost": tables.money(row.get("cost")),
                "spark": charts.sparkline(values, "plain", words) if any(map(_known, values)) else "",
            }
        )
    return rows


def _paths(asking: Asking, picked: TagChoice) -> list[dict[str, Any]]:
    """The code paths (agent and service) on which most money breaks the policy."""
    answer = asking(SCORE, _PATH, top=PATHS_SHOWN, order=Order("noncompliant_cost"))
    return [
        {
            "agent": row["agent"],
            "service": row["origin"],
            "href": picked.sessions(agent=str(row["agent"])),
            "score": tables.share(row.get("tag_compliance")),
            "lacking": tables.money(row.get("noncompliant_cost")),
            "usages": tables.count(row.get("noncompliant_usages")),
            "cost": tables.money(row.get("cost")),
        }
        for row in answer.rows
        if row.get("noncompliant_usages") and row["agent"] != OTHER
    ]


def _by_cause(causes: list[CauseFinding]) -> list[dict[str, str]]:
    """What each cause takes, per currency."""
    found: dict[tuple[str, str], list[int]] = {}
    for row in causes:
        held = found.setdefault((row.cause.value, row.currency), [0, 0, 0])
        for place, amount in enumerate((row.amount_nano, row.usages, row.unpriced_usages)):
            held[place] += amount
    order = sorted(found.items(), key=lambda item: (-item[1][0], item[0]))
    return [
        {
            "cause": cause,
            "hint": HINTS[Cause(cause)],
            "cost": _money(held[0], currency, unpriced=held[2]),
            "usages": formats.count(held[1]),
        }
        for (cause, currency), held in order
    ]


def _cause(row: CauseFinding, picked: TagChoice) -> dict[str, Any]:
    """One cause on one code path, with the way to the sessions behind it."""
    path = [item for item in (row.agent, row.service, row.scope, row.feature) if item and item != UNTAGGED]
    narrowed = {"agent": row.agent, "feature": row.feature}
    if picked.key in FILTERS:
        narrowed[picked.key] = row.value or UNTAGGED
    return {
        "cause": row.cause.value,
        "value": row.value,
        "path": " · ".join(path) or row.source,
        "cost": _money(row.amount_nano, row.currency, unpriced=row.unpriced_usages),
        "usages": formats.count(row.usages),
        "sessions": formats.count(row.sessions),
        "href": picked.sessions(**narrowed),
        "example": "" if row.example == NO_SESSION else row.example,
        "example_href": "/sessions/" + quote(row.example, safe=""),
    }


def _money(amount_nano: int, currency: str, *, unpriced: int) -> str:
    """An amount; where nothing of it has a price, the word for that and never 0."""
    if not amount_nano and unpriced:
        return tables.money(None)
    return formats.money(decimal_text(amount_nano), currency)


def _known(value: Decimal | None) -> bool:
    return value is not None


def _rules(asking: Asking, policy: Policy) -> list[dict[str, Any]]:
    """The rules in force with what each has spoken for."""
    if not policy.rules:
        return []
    return [
        {
            **row,
            "from": _day(row["from"], "always"),
            "to": _day(row["to"], "open"),
            "cost": tables.money(row["cost"]),
            "usages": formats.count(row["usages"]),
        }
        for row in rule_rows(policy, asking(("cost", "usages"), ("tag_rule",), top=RULES_ASKED))
    ]


def _adoptions(books: Books) -> list[dict[str, str]]:
    """Which policy was adopted when, by whom, for which time; the latest first."""
    return [
        {
            "number": str(entry.number),
            "adopted": f"{moment_of(entry.at_ns):%Y-%m-%d %H:%M}",
            "from": _of_us(entry.from_us, "always"),
            "to": _of_us(entry.to_us, "open"),
            "by": entry.by,
            "policy": entry.policy.digest[:12],
        }
        for entry in reversed(books.policies.timeline.adopted)
    ]


def _of_us(moment_us: int | None, word: str) -> str:
    return word if moment_us is None else f"{moment_of(moment_us * NS_PER_US):%Y-%m-%d %H:%M}"


def _day(moment: Any, word: str) -> str:
    return word if moment is None else f"{moment:%Y-%m-%d}"
