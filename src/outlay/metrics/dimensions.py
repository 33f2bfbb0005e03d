"""Dimensions: everything a figure can be split and filtered by, named and explained once.

A dimension lives on usages, on charges (one usage has many) or on the work a usage belongs to; some live on outcomes
too. Where a dimension does not exist on outcomes, tasks are not split by it: every row divides by the tasks of the
whole filtered set, so that the rows of `cost_per_completed_task` add up to the total as contributions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from outlay.core.centre import CostCentre, Operation
from outlay.core.charge import PROVENANCES
from outlay.core.envelope import ENVELOPE_KEYS, UNTAGGED
from outlay.core.errors import QueryError, nearest
from outlay.core.meters import METER_NAMES
from outlay.core.outcome import OutcomeStatus

NONE = "(none)"
NO_TASK = "(no task)"
NO_OUTCOME = "(no outcome)"
SEVERAL = "(several)"
OTHER = "(other)"

TAG = "tag."
_TAG_KEY = re.compile(r"^[\w.:/ \-]{1,64}$")


class Place(StrEnum):
    """Where the value of a dimension stands: on the usage, on its charges, or on the task the usage worked on."""

    USAGE = "usage"
    CHARGE = "charge"
    WORK = "work"


@dataclass(frozen=True, slots=True)
class Dimension:
    """One way to split. `column` holds it at `place`; `outcome_column` on outcomes, empty if not there.

    `empty` is the name of the group without a value, `values` the closed set where there is one, `coded` says that
    the column holds the place in that set, `flag` that it holds yes or no, `tag` the key within the free tags.
    """

    name: str
    text: str
    column: str
    place: Place = Place.USAGE
    outcome_column: str = ""
    empty: str = NONE
    values: tuple[str, ...] = ()
    coded: bool = False
    flag: bool = False
    tag: str = ""

    @property
    def on_outcomes(self) -> bool:
        """Tasks can be split by it."""
        return bool(self.outcome_column)


_ENVELOPE_TEXT = {
    "team": "who answers for the work",
    "feature": "the product feature the agent serves",
    "user_tier": "plan of the user who asked",
    "agent": "the agent by name",
    "product_line": "product line of the business",
    "environment": "production, staging, …",
    "customer": "the customer the work was for",
    "cost_code": "cost centre code of the company's books",
}

_ENVELOPE = tuple(Dimension(key, _ENVELOPE_TEXT[key], key, outcome_column=key, empty=UNTAGGED) for key in ENVELOPE_KEYS)

DIMENSIONS: tuple[Dimension, ...] = (
    *_ENVELOPE,
    Dimension("user", "the user who asked, as the source names them", "user"),
    Dimension(
        "session", "one agent run; a task counts under its first session", "session_id", outcome_column="session_id"
    ),
    Dimension("parent_session", "the run that started this one", "parent_session_id"),
    Dimension(
        "task", "the task worked on: the usage's own, else its session's", "task_id", Place.WORK, "task_id", NO_TASK
    ),
    Dimension("task_type", "kind of task, from its outcome", "task_type", Place.WORK, "task_type"),
    Dimension(
        "outcome",
        "what became of the task that the usage, its session or the session above worked on",
        "status",
        Place.WORK,
        "status",
        NO_OUTCOME,
        (*(status.value for status in OutcomeStatus), NO_OUTCOME, SEVERAL),
    ),
    Dimension("model", "model, resolved to the price book's name", "model_id"),
    Dimension("model_raw", "model as the source spells it", "model"),
    Dimension("provider", "who served the model", "provider"),
    Dimension("model_tier", "frontier, mid or efficient, by rule", "model_tier"),
    Dimension("centre", "cost centre", "centre", values=tuple(centre.value for centre in CostCentre)),
    Dimension("meter", "the quantity that was charged", "meter", Place.CHARGE, values=METER_NAMES, coded=True),
    Dimension(
        "provenance",
        "how the amount was obtained",
        "provenance",
        Place.CHARGE,
        values=tuple(item.value for item in PROVENANCES),
        coded=True,
    ),
    Dimension("operation", "what was done", "operation", values=tuple(item.value for item in Operation)),
    Dimension("name", "tool, guardrail or step by name", "name"),
    Dimension("source", "kind of source the fact came from", "source", outcome_column="source"),
    Dimension("signal", "span, log, metric or file", "signal"),
    Dimension("origin", "file or service the fact came from", "origin", outcome_column="origin"),
    Dimension("scope", "instrumentation scope the fact came through", "scope"),
    Dimension("api_key", "name of the key it was sent with", "api_key"),
    Dimension("tag_rule", "rules of the tag policy that said whose it was, as key=rule", "tag_rule"),
    Dimension("service_tier", "service tier, as served", "service_tier"),
    Dimension("processing", "batch, …", "processing"),
    Dimension("region", "region that served the call", "region"),
    Dimension("currency", "currency of the amount; currencies are never added", "currency", empty="USD"),
    Dimension("reason", "why a usage counts as a retry or recovery", "reason"),
    Dimension("error_type", "kind of failure", "error_type"),
    Dimension("cost_source", "who stated a recorded cost", "cost_source"),
    Dimension(
        "counted", "whether the usage enters totals; ask with counted=all", "counted", flag=True, values=("yes", "no")
    ),
    Dimension("failed", "whether the operation failed", "failed", flag=True, values=("yes", "no")),
)

BY_NAME: dict[str, Dimension] = {dimension.name: dimension for dimension in DIMENSIONS}


def dimension_named(name: str) -> Dimension:
    """The dimension of that name, `tag.<key>` included; QueryError with the nearest name otherwise."""
    if name in BY_NAME:
        return BY_NAME[name]
    if name.startswith(TAG):
        key = name.removeprefix(TAG)
        if not _TAG_KEY.match(key):
            raise QueryError(f'"{key}" cannot be the key of a tag', hint="letters, digits and . : / - _, at most 64")
        return Dimension(name, "a free tag", "tags", outcome_column="tags", empty=UNTAGGED, tag=key)
    raise QueryError(f'no dimension is called "{name}"', hint=nearest(name, (*BY_NAME, f"{TAG}<key>")))
