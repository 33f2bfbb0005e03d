"""Questions and orders about prices, as the desk brings them to the price book.

What is written uses the words of the price files; the book judges it whole and changes nothing if anything is wrong.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from outlay.core.errors import InputError, Problem
from outlay.core.meters import UNIT_OF
from outlay.core.period import parse_moment
from outlay.faces.plain import Reply, plain, reply

if TYPE_CHECKING:
    from outlay.faces.desk import Params
    from outlay.house import House, Progress
    from outlay.pricing.book import PriceBook

_DAYS = ("from", "to")
_UNPRICED_SHOWN_MAX = "100"


def find_prices(book: PriceBook, params: Params) -> Reply:
    """The rates that are charged for a model at a moment; with `sources=all` what every source offers, best first."""
    asked = {name: _one(params, name) for name in ("model", "provider", "at", "sources")}
    sources = asked["sources"]
    if sources not in {"", "used", "all"}:
        raise InputError(f'sources is "used" or "all", not "{sources}"')
    if not asked["model"]:
        raise InputError("which model?", hint="name one, like gpt-5.4 with provider openai")
    try:
        at = parse_moment(asked["at"], datetime.now(UTC)) if asked["at"] else datetime.now(UTC)
    except (ValueError, OverflowError) as error:
        raise InputError(str(error)) from error
    find = book.find if sources == "all" else book.applied
    found = find(asked["model"], asked["provider"], at)
    rows = [{**plain(price), "unit": UNIT_OF[price.meter]} for price in found]
    query = {"model": asked["model"], "provider": asked["provider"], "at": at}
    return reply(query, rows, {"prices": len(rows)}, {"book": book.version})


def add_override(house: House, actor: str, said: Mapping[str, Any]) -> Reply:
    """Writes a price of one's own. Raises PriceError, and then nothing has changed."""
    entry = _entry(said)
    with _audited(house, actor, "price.override", _subject(entry), entry):
        house.prices.add_override(entry)
    return reply({}, [entry], {"written": 1}, {"book": house.prices.version})


def add_contract(house: House, actor: str, said: Mapping[str, Any]) -> Reply:
    """Writes a negotiated price. Raises PriceError, and then nothing has changed."""
    entry = _entry(said)
    with _audited(house, actor, "price.contract", _subject(entry), entry):
        house.prices.add_contract(entry)
    return reply({}, [entry], {"written": 1}, {"book": house.prices.version})


def add_alias(house: House, actor: str, said: Mapping[str, Any]) -> Reply:
    """Says which model of the book a name stands for. Raises PriceError, and then nothing has changed."""
    entry = _flat(said)  # `to` is a model here, not a day
    with _audited(house, actor, "price.alias", _subject(entry), entry):
        house.prices.add_alias(entry)
    return reply({}, [entry], {"written": 1}, {"book": house.prices.version})


def reprice(house: House, actor: str, since: str, until: str, step: Callable[[Progress], None] | None) -> Reply:
    """Values a period again; the line of the audit log says what it came to."""
    from outlay.control import audit
    from outlay.faces.desk import moments_of

    start, end = moments_of(since, until)
    report = plain(house.reprice(start, end, step))
    with house.control.writing() as connection:
        after = {"book": house.prices.version, **report}
        audit.append(connection, actor, "price.reprice", f"{since or 'the first'} to {until or 'now'}", after=after)
    return reply({"from": since, "to": until}, (), report)


def import_litellm(house: House, actor: str, content: bytes) -> Reply:
    """Takes LiteLLM's map as a second source. Raises FormatError if it is none."""
    book = house.prices
    told = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    with _audited(house, actor, "price.import", "litellm", told):
        report = plain(book.import_litellm(content))
    conflicts, problems = report.pop("conflicts"), report.pop("problems")
    return reply({}, (), {**report, "conflicts": len(conflicts)}, {"problems": problems, "book": book.version})


@contextmanager
def _audited(house: House, actor: str, action: str, subject: str, after: Mapping[str, Any]) -> Generator[None]:
    """Writes the line of the audit log together with the change: it is kept only if the change went through."""
    from outlay.control import audit

    with house.control.writing() as connection:
        audit.append(connection, actor, action, subject, before={"book": house.prices.version}, after=plain(after))
        yield
    house.refresh_rates()


def _subject(entry: Mapping[str, Any]) -> str:
    return f"{entry.get('provider') or '*'}/{entry.get('model') or '*'}"


def check_prices(house: House) -> Reply:
    """One row a finding: a model of the books without a price, a conflict, a stale table, a mistake in a file."""
    from outlay.metrics.query import parse_query

    asked = {
        "by": ["provider", "model_raw"],
        "measures": ["unpriced_usages", "unpriced_tokens"],
        "top": [_UNPRICED_SHOWN_MAX],
    }
    answer = house.ask(parse_query(asked))
    rows = [_unpriced(row) for row in answer.rows if row["unpriced_usages"]]
    book = house.prices
    rows += [_finding("conflict", conflict.problem()) for conflict in book.conflicts()]
    rows += [_finding("stale", problem) for problem in book.stale()]
    rows += [_finding("file", problem) for problem in book.check()]
    return reply({}, rows, {"findings": len(rows), **answer.total}, {"book": book.version})


def _unpriced(row: Mapping[str, Any]) -> dict[str, Any]:
    where = f"{row['provider']}/{row['model_raw']}"
    what = f"{row['unpriced_usages']} usages and {row['unpriced_tokens']} tokens have no price"
    return _finding("unpriced", Problem(where, what, "outlay prices add, or outlay prices alias"))


def _finding(kind: str, problem: Problem) -> dict[str, Any]:
    return {"kind": kind, **plain(problem)}


def _entry(said: Mapping[str, Any]) -> dict[str, Any]:
    """The words as the price book takes them: days as days, everything else as it was said."""
    entry = dict(said)
    for name in _DAYS:
        if entry.get(name):
            try:
                entry[name] = date.fromisoformat(str(entry[name]))
            except ValueError as error:
                raise InputError(f'{name} must be a day, not "{entry[name]}"', hint="like 2026-11-01") from error
    return _flat(entry)


def _flat(said: Mapping[str, Any]) -> dict[str, Any]:
    for name, value in said.items():
        if isinstance(value, (list, dict)):
            raise InputError(f'"{name}" must be a text or a number')
    return dict(said)


def _one(params: Params, name: str) -> str:
    given = params.get(name, ())
    if len(given) > 1:
        raise InputError(f'"{name}" is given {len(given)} times', hint="give it once")
    return given[0] if given else ""
