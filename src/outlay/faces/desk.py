"""The desk: every question and every order a face can bring, answered with plain values.

`Desk` is the protocol; `HouseDesk` answers from books that are open in this process, `outlay.faces.client.ServerDesk`
asks the server that owns them. Both give the same reply to the same parameters, which a test checks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from outlay.core.errors import InputError, QueryError
from outlay.core.money import decimal_text
from outlay.core.period import NS_PER_US, parse_moment
from outlay.faces import price_orders, tag_orders
from outlay.faces.actors import LOOPBACK
from outlay.faces.plain import Reply, plain, reply

if TYPE_CHECKING:
    from outlay.house import House
    from outlay.normalize.writers import Sender
    from outlay.sources.facts import Batch
    from outlay.sources.registry import ReadOptions

Params = Mapping[str, Sequence[str]]
"""A question as it was typed: names and the texts given for each; `by`, `measures` and `where` may have several."""

Told = Callable[[int, int], None]
"""Told how much of a long piece of work is done, and how much there is."""

PROBLEMS_SHOWN_MAX = 100
TASKS_LISTED = 100
COUNTS = ("received", "posted", "duplicates", "refused", "revised", "passed_over")

SPEND: Params = {"by": ["team"]}
SESSIONS: Params = {
    "by": ["session"],
    "measures": ["cost", "usages", "input_tokens", "output_tokens", "unpriced_usages"],
    "top": ["20"],
}
OUTCOMES: Params = {
    "by": ["feature"],
    "measures": [
        *("tasks_completed", "tasks_failed", "tasks_abandoned", "completion_rate", "cost_per_completed_task"),
        *("outcome_value", "outcome_margin", "tasks_unattributed"),
    ],
}
"""What `spend`, `sessions` and `outcomes` ask when nothing else is said."""


class Desk(Protocol):
    """The questions and orders."""

    def spend(self, params: Params) -> Reply:
        """Cost and any other measure, by any dimension."""
        ...

    def sessions(self, params: Params) -> Reply:
        """The dearest sessions."""
        ...

    def session(self, session_id: str, params: Params) -> Reply:
        """One session, and a page of its steps."""
        ...

    def why(self, feature: str, params: Params) -> Reply:
        """Why a completed task of a feature costs what it costs."""
        ...

    def outcomes(self, params: Params) -> Reply:
        """Tasks that came to an end and what a completed one cost."""
        ...

    def report_outcomes(self, said: object) -> Reply:
        """Writes outcomes that a program reports."""
        ...

    def tasks(self, params: Params) -> Reply:
        """Single tasks, latest first, each with its cost."""
        ...

    def task(self, task: str) -> Reply:
        """One task with every report on it."""
        ...

    def forecast(self, params: Params) -> Reply:
        """What a month will have cost when it is over."""
        ...

    def efficiency(self, params: Params) -> Reply:
        """What an outcome costs against a year ago."""
        ...

    def targets(self, params: Params) -> Reply:
        """The features of a quarter beside their targets."""
        ...

    def metrics(self) -> Reply:
        """The catalogue of measures and dimensions."""
        ...

    def prices(self, params: Params) -> Reply:
        """The rates in force for a model."""
        ...

    def add_price(self, said: Mapping[str, Any]) -> Reply:
        """Writes an override."""
        ...

    def add_contract(self, said: Mapping[str, Any]) -> Reply:
        """Writes a negotiated price."""
        ...

    def add_alias(self, said: Mapping[str, Any]) -> Reply:
        """Says which model of the book a deployment or profile stands for."""
        ...

    def import_prices(self, content: bytes) -> Reply:
        """Takes LiteLLM's public price map as a second source."""
        ...

    def check_prices(self) -> Reply:
        """What in the books has no price, and where two sources disagree."""
        ...

    def tags(self, params: Params) -> Reply:
        """How much of the cost is tagged as the policy asks, by any dimension, and why not all of it."""
        ...

    def tag_causes(self, params: Params) -> Reply:
        """Why cost has no valid tag, by code path."""
        ...

    def tag_policy(self) -> Reply:
        """The tag policy and its adoptions."""
        ...

    def check_tag_policy(self, content: bytes) -> Reply:
        """What is wrong with a policy file."""
        ...

    def set_tag_policy(self, content: bytes, params: Params) -> Reply:
        """Adopts a policy for a stretch of time."""
        ...

    def apply_tags(self, params: Params) -> Reply:
        """Lets the policy hold for a period that has passed."""
        ...

    def tag_rules(self, params: Params) -> Reply:
        """The rules in force, with the cost each has spoken for."""
        ...

    def add_tag_rule(self, said: Mapping[str, Any]) -> Reply:
        """Appends a rule to the policy."""
        ...

    def remove_tag_rule(self, name: str) -> Reply:
        """Takes a rule out of the policy."""
        ...

    def post_batch(self, batch: Batch) -> Reply:
        """Writes a batch of facts; durable when this returns."""
        ...

    def import_paths(self, paths: Sequence[Path], options: ReadOptions, progress: Told | None) -> Reply:
        """Reads files and writes what is in them."""
        ...

    def reprice(self, since: str, until: str, progress: Told | None) -> Reply:
        """Values a period again at today's book; differences become correcting lines."""
        ...

    def rebuild(self, progress: Told | None) -> Reply:
        """Makes the books again from the journal and compares them."""
        ...

    def true_up(self) -> Reply:
        """Sets what every budget has spent by the books."""
        ...

    def watch_budgets(self) -> Reply:
        """Trues budgets up, writes down what is worth telling, and delivers what is due."""
        ...

    def check_budgets(self) -> Reply:
        """What is doubtful about the budgets in force."""
        ...

    def doctor(self) -> Reply:
        """One line a check."""
        ...

    def counters(self) -> Reply:
        """What came in and what became of it."""
        ...


class HouseDesk:
    """A desk before open books, in the name of `actor`, who sends facts with a key, if at all."""

    def __init__(self, house: House, actor: str = LOOPBACK, sender: Sender | None = None) -> None:
        self._house = house
        self._actor = actor
        self._sender = sender

    def spend(self, params: Params) -> Reply:
        """See Desk."""
        return self._ask(SPEND, params)

    def sessions(self, params: Params) -> Reply:
        """See Desk."""
        from outlay.metrics.query import parse_query

        query = parse_query({**SESSIONS, **params})
        with self._house.moment() as books:
            answer, together = books.ask(query), books.together(query)
        seconds = decimal_text(together.wall_clock_us * NS_PER_US)  # whole nanoseconds are nine places of a second
        in_time = {"sessions_at_once_max": together.at_once_max, "wall_clock_seconds": seconds}
        return reply(answer.query, answer.rows, {**answer.total, **in_time}, answer.coverage)

    def why(self, feature: str, params: Params) -> Reply:
        """See Desk."""
        from outlay.faces.task_reasons import why_reply

        since, until = (params.get(name, [""])[-1] for name in ("since", "until"))
        with self._house.moment() as books:
            try:
                return why_reply(books.ask, feature, since, until, datetime.now(UTC))
            except QueryError as error:
                raise _no_such_thing(error) from error

    def outcomes(self, params: Params) -> Reply:
        """See Desk."""
        from outlay.metrics.query import parse_query

        answer = self._house.ask_outcomes(parse_query({**OUTCOMES, **params}))
        return reply(answer.query, answer.rows, answer.total, answer.coverage)

    def tasks(self, params: Params) -> Reply:
        """See Desk."""
        from outlay.metrics.query import parse_query

        query = parse_query({"top": [str(TASKS_LISTED)], **params})
        rows = self._house.tasks(query, limit=query.top or TASKS_LISTED)
        asked = {name: query.described()[name] for name in ("since", "until", "where", "top")}
        return reply(asked, [plain(row) for row in rows], {"tasks": len(rows)})

    def task(self, task: str) -> Reply:
        """See Desk."""
        try:
            detail = self._house.task(task)
        except QueryError as error:
            raise _no_such_thing(error) from error
        return reply({"task": task}, plain(detail.reports), plain(detail.row))

    def _ask(self, defaults: Params, params: Params) -> Reply:
        from outlay.metrics.query import parse_query

        answer = self._house.ask(parse_query({**defaults, **params}))
        return reply(answer.query, answer.rows, answer.total, answer.coverage)

    def session(self, session_id: str, params: Params) -> Reply:
        """See Desk."""
        from outlay.metrics.steps import parse_steps

        steps = parse_steps(params)
        try:
            detail = plain(self._house.session(session_id, steps))
        except QueryError as error:
            raise _no_such_thing(error) from error
        page = detail.pop("steps")
        rows = page.pop("steps")
        coverage = {name: detail.pop(name) for name in ("unpriced_usages", "usages_left_out")}
        return reply({"session": session_id, **plain(steps)}, rows, detail, coverage | page)

    def report_outcomes(self, said: object) -> Reply:
        """See Desk."""
        from outlay.faces.outcomes import outcomes_batch

        return self.post_batch(outcomes_batch(said, datetime.now(UTC)))

    def post_batch(self, batch: Batch) -> Reply:
        """See Desk."""
        if self._sender is not None:
            from outlay.normalize.writers import of_own_work, permitted

            batch = permitted(batch, self._sender)
            if self._sender.teams:
                batch = of_own_work(batch, self._sender.teams, self._house.owners(batch))
        report = plain(self._house.post_facts(batch))
        problems = report.pop("problems")
        return reply({}, (), report, _told(problems))

    def import_paths(self, paths: Sequence[Path], options: ReadOptions, progress: Told | None) -> Reply:
        """See Desk."""
        report = self._house.import_paths(paths, options, _steps(progress))
        return imported(paths, {name: plain(file) for name, file in report.by_file.items()}, plain(report.unreadable))

    def forecast(self, params: Params) -> Reply:
        """See Desk."""
        from outlay.faces.forecast import forecast_reply

        with self._house.moment() as books:
            return forecast_reply(books.ask, lambda: self._house.control, params)

    def efficiency(self, params: Params) -> Reply:
        """See Desk."""
        from outlay.faces.efficiency import efficiency_reply

        with self._house.moment() as books:
            return efficiency_reply(books.ask, params)

    def targets(self, params: Params) -> Reply:
        """See Desk."""
        from outlay.faces.targets import review_reply

        with self._house.moment() as books:
            return review_reply(books.ask, lambda: self._house.control, params)

    def metrics(self) -> Reply:
        """See Desk."""
        return catalogue()

    def prices(self, params: Params) -> Reply:
        """See Desk."""
        return price_orders.find_prices(self._house.prices, params)

    def add_price(self, said: Mapping[str, Any]) -> Reply:
        """See Desk."""
        return price_orders.add_override(self._house, self._actor, said)

    def add_contract(self, said: Mapping[str, Any]) -> Reply:
        """See Desk."""
        return price_orders.add_contract(self._house, self._actor, said)

    def add_alias(self, said: Mapping[str, Any]) -> Reply:
        """See Desk."""
        return price_orders.add_alias(self._house, self._actor, said)

    def import_prices(self, content: bytes) -> Reply:
        """See Desk."""
        return price_orders.import_litellm(self._house, self._actor, content)

    def check_prices(self) -> Reply:
        """See Desk."""
        return price_orders.check_prices(self._house)

    def tags(self, params: Params) -> Reply:
        """See Desk."""
        return tag_orders.score(self._house, params)

    def tag_causes(self, params: Params) -> Reply:
        """See Desk."""
        return tag_orders.causes(self._house, params)

    def tag_policy(self) -> Reply:
        """See Desk."""
        return tag_orders.policy(self._house)

    def check_tag_policy(self, content: bytes) -> Reply:
        """See Desk."""
        return tag_orders.check_policy(content)

    def set_tag_policy(self, content: bytes, params: Params) -> Reply:
        """See Desk."""
        return tag_orders.set_policy(self._house, self._actor, content, params)

    def apply_tags(self, params: Params) -> Reply:
        """See Desk."""
        return tag_orders.apply(self._house, self._actor, params)

    def tag_rules(self, params: Params) -> Reply:
        """See Desk."""
        return tag_orders.rules(self._house, params)

    def add_tag_rule(self, said: Mapping[str, Any]) -> Reply:
        """See Desk."""
        return tag_orders.add_rule(self._house, self._actor, said)

    def remove_tag_rule(self, name: str) -> Reply:
        """See Desk."""
        return tag_orders.remove_rule(self._house, self._actor, name)

    def reprice(self, since: str, until: str, progress: Told | None) -> Reply:
        """See Desk."""
        return price_orders.reprice(self._house, self._actor, since, until, _steps(progress))

    def rebuild(self, progress: Told | None) -> Reply:
        """See Desk."""
        report = self._house.rebuild(_steps(progress))
        total = plain(report) | {"matches": report.matches}
        rows = [{"difference": line} for line in total.pop("differences")]
        return reply({}, rows, total)

    def true_up(self) -> Reply:
        """See Desk."""
        looked = self._house.true_up()
        return reply({}, (), {"balances": looked})

    def watch_budgets(self) -> Reply:
        """See Desk."""
        from outlay.delivery.courier import Courier

        new = self._house.watch()
        courier = Courier(self._house.control)
        try:
            attempts = courier.round()
        finally:
            courier.stop()
        return reply({}, (), {"alerts": new, "attempts": attempts})

    def check_budgets(self) -> Reply:
        """See Desk."""
        from outlay.govern.budgets import findings

        self.true_up()
        found = findings(self._house.control, time.time_ns(), self._occurring)
        return reply({}, [plain(item) for item in found], {"findings": len(found)})

    def _occurring(self, key: str) -> set[str]:
        from outlay.metrics.query import Query

        return {str(row[key]) for row in self._house.ask(Query(("usages",), (key,))).rows}

    def doctor(self) -> Reply:
        """See Desk."""
        checks = plain(self._house.doctor())
        failed = sum(not check["ok"] for check in checks)
        return reply({}, checks, {"checks": len(checks), "failed": failed})

    def counters(self) -> Reply:
        """See Desk."""
        return reply({}, (), self._house.counters(), _told(plain(self._house.intake.problems())))


def _no_such_thing(error: QueryError) -> InputError:
    """Nothing is wrong with the question: what it names does not exist."""
    missing = InputError(error.message, detail=error.detail, hint=error.hint)
    missing.status = 404
    return missing


def catalogue() -> Reply:
    """The measures and dimensions, as rows; the same for every home."""
    from outlay.metrics.dimensions import DIMENSIONS
    from outlay.metrics.measures import MEASURES

    rows: list[dict[str, Any]] = [
        {"kind": "measure", "name": item.name, "unit": item.unit, "text": item.text} for item in MEASURES
    ]
    rows += [{"kind": "dimension", "name": item.name, "unit": "", "text": item.text} for item in DIMENSIONS]
    return reply({}, rows, {"measures": len(MEASURES), "dimensions": len(DIMENSIONS)})


def imported(
    paths: Sequence[Path], by_file: Mapping[str, dict[str, Any]], unreadable: Sequence[Mapping[str, Any]]
) -> Reply:
    """The reply to an import: a row a file with its counts, their sum, and every problem."""
    rows: list[dict[str, Any]] = []
    problems: list[Mapping[str, Any]] = []
    total = {"files": len(by_file), "unreadable": len(unreadable), **dict.fromkeys(COUNTS, 0)}
    for name, report in by_file.items():
        problems += report["problems"]
        rows.append({"file": name, **{count: report[count] for count in COUNTS}, "error": ""})
        for count in COUNTS:
            total[count] += report[count]
    for problem in unreadable:
        problems.append(problem)
        rows.append({"file": problem["where"], **dict.fromkeys(COUNTS, 0), "error": problem["what"]})
    return reply({"paths": [str(path) for path in paths]}, rows, total, _told(problems))


def _told(problems: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    left_out = max(0, len(problems) - PROBLEMS_SHOWN_MAX)
    return {"problems": problems[:PROBLEMS_SHOWN_MAX], "problems_left_out": left_out}


def _steps(progress: Told | None) -> Callable[[Any], None] | None:
    return None if progress is None else lambda step: progress(step.done, step.total)


def moments_of(since: str, until: str) -> tuple[datetime | None, datetime | None]:
    """The moments two texts name; an empty one is open. Raises InputError."""
    now = datetime.now(UTC)
    try:
        start = parse_moment(since, now) if since else None
        end = parse_moment(until, now) if until else None
    except (ValueError, OverflowError) as error:
        raise InputError(str(error)) from error
    if start is not None and end is not None and start >= end:
        raise InputError(f"the period ends before it begins: {since} to {until}", hint="from must be before to")
    return start, end
