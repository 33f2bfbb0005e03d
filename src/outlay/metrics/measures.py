"""Measures: every figure Outlay can be asked for, named, defined and explained once.

Amounts and ratios come out as exact decimal strings of at most nine places, counts and tokens as whole numbers.
A figure that is not known is null, never 0: an amount reads `(unpriced)`, anything else `unknown`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction

from outlay.core.centre import STRUCTURE, CostCentre, Operation
from outlay.core.charge import UNPRICED
from outlay.core.envelope import UNTAGGED
from outlay.core.errors import QueryError, nearest
from outlay.core.meters import INPUT_METERS, OUTPUT_METERS, TOKEN_METERS
from outlay.core.money import NANO, decimal_text
from outlay.core.outcome import OutcomeStatus
from outlay.metrics.dimensions import NO_OUTCOME
from outlay.metrics.expressions import (
    CHARGE,
    OUTCOME_OF_WORK,
    Add,
    AllOf,
    AnyOf,
    Condition,
    Count,
    Divide,
    Expression,
    Facts,
    Is,
    Known,
    OneOf,
    Positive,
    Sessions,
    SessionTime,
    Subtract,
    Sum,
    aggregates_of,
)

UNKNOWN = "unknown"
UNPRICED_TOKEN_SHARE_MAX = Fraction(1, 20)
"""A figure derived from cost is unknown where a larger share of the tokens has no price: it would be a wrong number."""

_US_PER_SECOND = 1_000_000
_MS_PER_SECOND = 1_000


class Unit(StrEnum):
    """What a measure is counted in; `MONEY` is decimal text in the row's currency, `RATIO` a plain decimal."""

    MONEY = "money"
    COUNT = "count"
    TOKENS = "tokens"
    RATIO = "ratio"
    SECONDS = "seconds"


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure. `per_unit` is how many of the stored integers make one of the unit: 10^9 nano-units, 1000 ms."""

    name: str
    unit: Unit
    text: str
    definition: Expression
    per_unit: int = 1
    rests_on_cost: bool = field(init=False, compare=False)
    """What usages cost is in it: unknown where nothing was metered."""
    rests_on_value: bool = field(init=False, compare=False)
    """What completed tasks were worth is in it, in the currencies that outcomes state."""
    derived_from_cost: bool = field(init=False, compare=False)
    """A quotient or a difference with cost in it: meaningless where too much of the cost is unknown."""

    def __post_init__(self) -> None:
        """What follows from the definition: asked a dozen times an answer."""
        sums = [part for part in aggregates_of(self.definition) if isinstance(part, Sum)]
        on_cost = any(part.unknown is not None and part.facts is not Facts.OUTCOMES for part in sums)
        on_value = any(part.facts is Facts.OUTCOMES and "value_nano" in part.columns for part in sums)
        object.__setattr__(self, "rests_on_cost", on_cost)
        object.__setattr__(self, "rests_on_value", on_value)
        object.__setattr__(self, "derived_from_cost", on_cost and isinstance(self.definition, Divide | Subtract))

    @property
    def word_for_null(self) -> str:
        """What a face shows where the value is null."""
        is_amount = self.unit is Unit.MONEY and not isinstance(self.definition, Divide)
        return UNPRICED if is_amount and not self.rests_on_value else UNKNOWN

    def text_of(self, value: int | Fraction | None) -> str | int | None:
        """The value as an answer carries it: decimal text for money, ratios and seconds, whole numbers for counts."""
        if value is None:
            return None
        if self.unit in (Unit.COUNT, Unit.TOKENS):
            return int(value)
        if isinstance(value, int) and self.per_unit == NANO:
            return decimal_text(value)
        return decimal_text(round(Fraction(value) * Fraction(NANO, self.per_unit)))  # round() is half to even


def _centre(*centres: CostCentre) -> Condition:
    return OneOf("centre", tuple(centre.value for centre in centres))


def _operation(*operations: Operation) -> Condition:
    return OneOf("operation", tuple(operation.value for operation in operations))


def _cost(where: Condition | None = None) -> Sum:
    return Sum(Facts.USAGES, ("amount_nano",), where, UNPRICED_USAGE)


def _tokens(*meters: str) -> Sum:
    return Sum(Facts.USAGES, meters)


def _tasks(*statuses: OutcomeStatus) -> Count:
    return Count(Facts.OUTCOMES, OneOf("status", tuple(status.value for status in statuses)) if statuses else None)


UNPRICED_USAGE = Positive("unpriced_meters")
BEARS = AnyOf((Is("bears"), Positive("amount_nano")))
_WORK = OneOf("operation", (*sorted(operation.value for operation in STRUCTURE), Operation.RUNTIME.value), exclude=True)
_CALL = AllOf((_operation(Operation.CHAT), Is("bears")))
_FAILED = AllOf((Is("failed"), _WORK))
_NO_LIST = AllOf((Is("bears"), Known("list_nano", value=False)))

_BEARING = Count(Facts.USAGES, BEARS)
_RETRIED = Count(Facts.USAGES, AllOf((BEARS, _centre(CostCentre.RETRIES))))
COST = _cost()
INFERENCE_COST = _cost(_centre(CostCentre.INFERENCE))
TOTAL_TOKENS = _tokens(*TOKEN_METERS)
UNPRICED_TOKENS = Sum(Facts.USAGES, ("unpriced_tokens",))
SUPERSEDED = Count(Facts.USAGES, Is("counted", value=False))
METERED = Count(Facts.USAGES)
TASKS = _tasks()
TASKS_DONE = _tasks(OutcomeStatus.DONE)
_LIST = Sum(Facts.USAGES, ("list_nano",), None, _NO_LIST)
_HIDDEN = _cost(OneOf("centre", (CostCentre.INFERENCE.value,), exclude=True))
_RETRIES = _cost(_centre(CostCentre.RETRIES))
_VALUE = Sum(
    Facts.OUTCOMES, ("value_nano",), OneOf("status", (OutcomeStatus.DONE.value,)), Known("value_nano", value=False)
)
_UNATTRIBUTED = OneOf("team", (UNTAGGED,))
_TAG_GAPS = Positive("tag_gaps")
_NOT_DONE = OneOf(OUTCOME_OF_WORK, (OutcomeStatus.FAILED.value, OutcomeStatus.ABANDONED.value))
_NO_TASK = OneOf(OUTCOME_OF_WORK, (NO_OUTCOME,))


def _money(name: str, text: str, definition: Expression) -> Measure:
    return Measure(name, Unit.MONEY, text, definition, NANO)


def _count(name: str, text: str, definition: Expression) -> Measure:
    return Measure(name, Unit.COUNT, text, definition)


def _token(name: str, text: str, *meters: str) -> Measure:
    return Measure(name, Unit.TOKENS, text, _tokens(*meters))


def _ratio(name: str, text: str, over: Expression, under: Expression) -> Measure:
    return Measure(name, Unit.RATIO, text, Divide(over, under))


def _share(name: str, text: str, condition: Condition) -> Measure:
    return _ratio(name, text, _cost(condition), COST)


MEASURES: tuple[Measure, ...] = (
    # money
    _money("cost", "full cost: every charge of every counted usage, whatever its provenance", COST),
    _money("cost_recorded", "the part of cost that the source itself stated", Sum(Facts.USAGES, ("recorded_nano",))),
    _money("cost_priced", "the part of cost that the price book gave", Sum(Facts.USAGES, ("priced_nano",))),
    _money("cost_estimated", "the part of cost that is an estimate", Sum(Facts.USAGES, ("estimated_nano",))),
    _money("list_cost", "what the price book would have charged, also where a cost was recorded", _LIST),
    _money("inference_cost", "the visible token bill: cost of the centre inference", INFERENCE_COST),
    _money("hidden_cost", "cost outside inference: retries, retrieval, guardrails, tools, orchestration", _HIDDEN),
    _money("retry_cost", "cost of retries and failure recovery", _RETRIES),
    _money("failed_task_cost", "cost of work on tasks that failed or were abandoned", _cost(_NOT_DONE)),
    _money("cost_without_task", "cost of work that belongs to no task whose end is known", _cost(_NO_TASK)),
    _money("unattributed_cost", "cost without a team: nobody said whose it is", _cost(_UNATTRIBUTED)),
    _money(
        "noncompliant_cost",
        "cost that lacks a tag the policy requires, or has one it does not know; see docs/tags.md",
        _cost(_TAG_GAPS),
    ),
    _money("outcome_value", "stated value of the tasks that were completed", _VALUE),
    _money("outcome_margin", "stated value of the completed tasks less the full cost", Subtract(_VALUE, COST)),
    _money("value_per_completed_task", "stated value divided by completed tasks", Divide(_VALUE, TASKS_DONE)),
    _money(
        "cost_per_completed_task",
        "cost divided by completed tasks: what failed and abandoned tasks cost is charged to the successes",
        Divide(COST, TASKS_DONE),
    ),
    _money("cost_per_task", "cost divided by all tasks, whatever became of them", Divide(COST, TASKS)),
    _money("cost_per_session", "cost divided by sessions", Divide(COST, Sessions())),
    # counts
    _count("usages", "things that happened once and bear quantities or cost", _BEARING),
    _count("sessions", "different sessions", Sessions()),
    _count("sessions_seen", "different sessions with a model call of their own in the books", Sessions(_CALL)),
    _count("chat_calls", "calls of a chat model that were answered with usage", Count(Facts.USAGES, _CALL)),
    _count("operations", "everything that was tried: calls, checks, searches, tools", Count(Facts.USAGES, _WORK)),
    _count("tool_calls", "tool calls", Count(Facts.USAGES, _operation(Operation.TOOL))),
    _count(
        "tool_errors",
        "tool calls that failed",
        Count(Facts.USAGES, AllOf((_operation(Operation.TOOL), Is("failed")))),
    ),
    _count("retries", "usages charged to retries and failure recovery", _RETRIED),
    _count("failed_usages", "operations that failed", Count(Facts.USAGES, _FAILED)),
    _count("unpriced_usages", "usages with a quantity whose price is not known", Count(Facts.USAGES, UNPRICED_USAGE)),
    _count("superseded_usages", "reports that are kept but not counted: their money stands elsewhere", SUPERSEDED),
    _count("noncompliant_usages", "usages that break the tag policy", Count(Facts.USAGES, AllOf((BEARS, _TAG_GAPS)))),
    _count("tasks", "tasks that came to an end, by their latest report", TASKS),
    _count("tasks_completed", "tasks that were done", TASKS_DONE),
    _count("tasks_failed", "tasks that failed", _tasks(OutcomeStatus.FAILED)),
    _count("tasks_abandoned", "tasks that were abandoned", _tasks(OutcomeStatus.ABANDONED)),
    _count("tasks_unknown", "tasks whose result the source does not say", _tasks(OutcomeStatus.UNKNOWN)),
    _count(
        "tasks_unattributed",
        "tasks of which the books hold no work: their sessions are not known",
        Count(Facts.OUTCOMES, Is("found", value=False)),
    ),
    _count("charges", "cost lines: one quantity at one rate each", Count(Facts.CHARGES)),
    _count(
        "quantity",
        "quantity charged, in the unit of the one meter asked for",
        Sum(Facts.CHARGES, (f"{CHARGE}quantity",)),
    ),
    # tokens
    _token("input_tokens", "input tokens of every kind, cached ones included", *INPUT_METERS),
    _token("output_tokens", "output tokens of every kind, reasoning included", *OUTPUT_METERS),
    _token("cache_read_tokens", "input tokens that a cache served", "in_cache_read"),
    _token(
        "cache_write_tokens",
        "input tokens written to a cache",
        *(meter for meter in INPUT_METERS if meter.startswith("in_cache_write")),
    ),
    _token("reasoning_tokens", "output tokens spent on reasoning", "out_reasoning"),
    _token("audio_tokens", "audio tokens, in and out", "in_audio", "out_audio"),
    _token("image_tokens", "image tokens, in and out", "in_image", "out_image"),
    Measure("total_tokens", Unit.TOKENS, "input and output tokens", TOTAL_TOKENS),
    Measure("unpriced_tokens", Unit.TOKENS, "tokens whose price is not known", UNPRICED_TOKENS),
    # ratios
    _ratio("completion_rate", "completed tasks divided by all tasks, unknown results included", TASKS_DONE, TASKS),
    _ratio(
        "success_rate",
        "completed tasks divided by tasks whose result is known",
        TASKS_DONE,
        _tasks(OutcomeStatus.DONE, OutcomeStatus.FAILED, OutcomeStatus.ABANDONED),
    ),
    _ratio("cost_to_value", "cost divided by the value of completed tasks", COST, _VALUE),
    _ratio("hidden_share", "hidden cost divided by cost", _HIDDEN, COST),
    _ratio("full_cost_multiple", "cost divided by the visible token bill", COST, INFERENCE_COST),
    _ratio(
        "retry_multiplier",
        "inference and retries together, divided by inference: what failure multiplies the bill with",
        Add(INFERENCE_COST, _RETRIES),
        INFERENCE_COST,
    ),
    _share("retry_share", "cost of retries and failure recovery divided by cost", _centre(CostCentre.RETRIES)),
    _share("retrieval_share", "cost of embedding, search and reranking divided by cost", _centre(CostCentre.RETRIEVAL)),
    _share("embedding_share", "cost of embedding divided by cost", _operation(Operation.EMBEDDING)),
    _share("guardrail_share", "cost of guardrails and judges divided by cost", _centre(CostCentre.GUARDRAILS)),
    _share("tool_share", "cost of tools divided by cost", _centre(CostCentre.TOOLS)),
    _share("attributed_share", "cost with a known team divided by cost", OneOf("team", (UNTAGGED,), exclude=True)),
    _ratio(
        "tag_compliance",
        "cost with every required tag, each of them valid, divided by cost",
        Subtract(COST, _cost(_TAG_GAPS)),
        COST,
    ),
    _ratio(
        "calls_tag_compliance",
        "usages with every required tag, each of them valid, divided by usages",
        Subtract(Count(Facts.USAGES, BEARS), Count(Facts.USAGES, AllOf((BEARS, _TAG_GAPS)))),
        Count(Facts.USAGES, BEARS),
    ),
    _ratio(
        "error_rate",
        "failed operations divided by operations",
        Count(Facts.USAGES, _FAILED),
        Count(Facts.USAGES, _WORK),
    ),
    _ratio("retry_rate", "usages charged to retries divided by usages", _RETRIED, _BEARING),
    _ratio(
        "cache_hit_share",
        "input tokens that a cache served, divided by input tokens",
        _tokens("in_cache_read"),
        _tokens(*INPUT_METERS),
    ),
    _ratio(
        "recorded_to_list",
        "recorded cost divided by list cost, over usages that have both",
        Sum(Facts.USAGES, ("recorded_nano",), AllOf((Positive("recorded_nano"), Known("list_nano")))),
        Sum(Facts.USAGES, ("list_nano",), Positive("recorded_nano")),
    ),
    # time
    Measure(
        "session_seconds",
        Unit.SECONDS,
        "from the first to the last sign of each session, added over sessions",
        SessionTime(),
        _US_PER_SECOND,
    ),
    Measure(
        "duration",
        Unit.SECONDS,
        "time spent in operations, added up; work side by side counts twice",
        Sum(Facts.USAGES, ("duration_ms",), _WORK),
        _MS_PER_SECOND,
    ),
    Measure(
        "saved_against_list",
        Unit.MONEY,
        "list cost less recorded cost, over usages that have both",
        Subtract(
            Sum(Facts.USAGES, ("list_nano",), Positive("recorded_nano")),
            Sum(Facts.USAGES, ("recorded_nano",), AllOf((Positive("recorded_nano"), Known("list_nano")))),
        ),
        NANO,
    ),
)

BY_NAME: dict[str, Measure] = {measure.name: measure for measure in MEASURES}
DEFAULT_MEASURES = ("cost", "sessions", "tasks_completed", "cost_per_completed_task")


def measure_named(name: str) -> Measure:
    """The measure of that name; QueryError with the nearest name otherwise."""
    if name not in BY_NAME:
        raise QueryError(f'no measure is called "{name}"', hint=nearest(name, BY_NAME))
    return BY_NAME[name]
