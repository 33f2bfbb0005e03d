"""One session as a page: what it cost and why, whose it was, how it ended, and every step of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode

from outlay.core.charge import UNPRICED
from outlay.core.money import DEFAULT_CURRENCY, decimal_text
from outlay.core.period import NS_PER_SECOND, moment_of
from outlay.faces import formats
from outlay.faces.reasons import why_dear_of
from outlay.faces.web import charts
from outlay.faces.web.relatives import tree_of
from outlay.faces.web.steps import step_lines
from outlay.faces.web.tables import outcome_tone
from outlay.metrics.measures import UNKNOWN
from outlay.metrics.session import SessionDetail
from outlay.metrics.steps import StepsAsked


@dataclass(frozen=True, slots=True)
class Fact:
    """A word and its value, with the address it leads to where there is one."""

    word: str
    value: str
    href: str = ""


def session_address(session: str, **parameters: str) -> str:
    """Where the page of a session is."""
    asked = {name: value for name, value in parameters.items() if value}
    return f"/sessions/{quote(session, safe='')}" + (f"?{urlencode(asked)}" if asked else "")


def session_page(detail: SessionDetail, centres: Mapping[str, str], asked: StepsAsked) -> dict[str, Any]:
    """What the template of a session needs; `asked` are the steps on its page."""
    return {
        "session": detail.session,
        "why": why_dear_of(detail),
        "figures": figures_of(detail),
        "facts": facts_of(detail),
        "outcomes": outcomes_of(detail),
        "parts": parts_of(detail, centres),
        "bar": charts.micro_stack(_stack(detail, centres), "cost by centre"),
        "family": family_of(detail),
        "tree": tree_of(detail),
        "steps": step_lines(detail),
        "lists": lists_of(detail, asked),
        "pages": _pages(detail, asked),
        "outcomes_more": detail.outcomes_count - len(detail.outcomes),
        "compare": "/compare?" + urlencode({"a": detail.session}),
    }


def figures_of(detail: SessionDetail) -> list[Fact]:
    """The headline of a session."""
    lasted = Decimal(detail.last_seen_ns - detail.first_seen_ns) / NS_PER_SECOND
    figures = [Fact("Full cost", _money(detail.cost_nano, detail.currencies))]
    if detail.sessions_below:
        figures.append(Fact("With its sub-agents", _money(detail.tree_cost_nano, detail.tree_currencies)))
    figures += [
        Fact(
            "Usual for its feature", UNKNOWN if detail.usual_cost_nano is None else formats.nano(detail.usual_cost_nano)
        ),
        Fact("Alive", formats.duration(str(lasted))),
        Fact("Steps", formats.count(detail.usages_count)),
        Fact("Retries", formats.count(detail.retries)),
        Fact("Without a price", formats.count(detail.unpriced_usages)),
    ]
    return figures


def facts_of(detail: SessionDetail) -> list[Fact]:
    """When it was and whose; a value leads to everything of the same."""
    began, ended = moment_of(detail.first_seen_ns), moment_of(detail.last_seen_ns)
    facts = [
        Fact("State", str(detail.state)),
        Fact("From", f"{began.day} {began:%b %Y %H:%M:%S}"),
        Fact("To", f"{ended.day} {ended:%b %Y %H:%M:%S}"),
    ]
    for key, value in detail.envelope.items():
        facts.append(Fact(key.replace("_", " ").capitalize(), value, "/sessions?" + urlencode({key: value})))
    return facts


def outcomes_of(detail: SessionDetail) -> list[dict[str, str]]:
    """How the tasks it worked on ended."""
    return [
        {
            "task": outcome.task,
            "type": outcome.task_type,
            "outcome": outcome.outcome,
            "tone": outcome_tone(outcome.outcome),
            "value": ""
            if outcome.value_nano is None
            else formats.money(decimal_text(outcome.value_nano), outcome.currency),
            "source": outcome.source,
            "shared": f"with {len(outcome.sessions) - 1} other sessions" if len(outcome.sessions) > 1 else "",
        }
        for outcome in detail.outcomes
    ]


def parts_of(detail: SessionDetail, centres: Mapping[str, str]) -> list[dict[str, str]]:
    """Cost by centre, in stacking order."""
    rows: list[dict[str, str]] = []
    for centre, word in centres.items():
        if centre not in detail.cost_by_centre:
            continue
        amount = detail.cost_by_centre[centre]
        rows.append(
            {
                "kind": centre,
                "word": word,
                "cost": UNPRICED if amount is None else formats.money(amount),
                "share": "" if amount is None or not detail.cost_nano else _share(amount, detail.cost_nano),
            }
        )
    return rows


def family_of(detail: SessionDetail) -> dict[str, Any]:
    """The sessions above it: the one that started it, and the outermost."""
    return {
        "parent": _link(detail.parent_session),
        "root": _link(detail.root_session) if detail.root_session != detail.session else None,
    }


def lists_of(detail: SessionDetail, asked: StepsAsked) -> list[dict[str, Any]]:
    """The lists of its steps: all by time, the dearest first, and what is odd, each with how many there are."""
    odd = {
        "failed": ("Failed", detail.failed_steps),
        "retries": ("Retries", detail.retries),
        "unpriced": ("Without a price", detail.unpriced_usages),
    }
    lists: list[dict[str, Any]] = [
        {"word": "In order of time", "here": not asked.only and asked.order == "time", "said": {}},
        {"word": "The dearest first", "here": not asked.only and asked.order == "cost", "said": {"order": "cost"}},
    ]
    for name, (word, count) in odd.items():
        if count:
            lists.append(
                {"word": f"{word}: {formats.count(count)}", "here": asked.only == name, "said": {"only": name}}
            )
    return [{**each, "href": session_address(detail.session, **each.pop("said")) + "#steps"} for each in lists]


def _link(session: str) -> Fact | None:
    return Fact("", session, session_address(session)) if session else None


def _stack(detail: SessionDetail, centres: Mapping[str, str]) -> Sequence[charts.Part]:
    parts: list[charts.Part] = []
    for centre, word in centres.items():
        amount = detail.cost_by_centre.get(centre)
        if amount is not None and Decimal(amount) > 0:
            parts.append(charts.Part(centre, Decimal(amount), f"{word} {formats.money(amount)}"))
    return parts


def _share(amount: str, whole_nano: int) -> str:
    return formats.share(str(Decimal(amount) / Decimal(decimal_text(whole_nano))))


def _money(nano: int | None, currencies: Sequence[str]) -> str:
    if nano is None:
        return "several currencies" if len(currencies) > 1 else UNPRICED
    return formats.money(decimal_text(nano), (*currencies, DEFAULT_CURRENCY)[0])


def _pages(detail: SessionDetail, asked: StepsAsked) -> dict[str, str]:
    page = detail.steps
    said = {"order": "" if asked.order == "time" else asked.order.value, "only": asked.only}
    first, last = formats.count(page.first + 1), formats.count(page.first + len(page.steps))
    return {
        "words": f"steps {first} to {last} of {formats.count(page.count)}" if page.steps else "no such step",
        "start": session_address(detail.session, **said) + "#steps" if page.previous else "",
        "before": session_address(detail.session, **said, before=page.previous) + "#steps" if page.previous else "",
        "after": session_address(detail.session, **said, after=page.next) + "#steps" if page.next else "",
    }
