"""What a sample of an Inspect AI log becomes: one session, its calls, its tools and its outcome."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from outlay.core.errors import Problem
from outlay.sources.gather import Gathering
from outlay.sources.jsons import count_in, list_in, mapping_in, text_in
from outlay.sources.moments import Moment
from outlay.sources.stated import basis_by_total, recorded_nano

ROLL_UP = "roll-up"
"""Begins the name of a fact that repeats a total because nothing below states it."""


@dataclass(slots=True)
class InspectLog:
    """What holds for all samples of a log."""

    gathering: Gathering
    id: str
    task: str
    solver: str | None
    model: str | None
    start: Moment
    end: Moment

    @classmethod
    def of(cls, header: dict[str, Any], gathering: Gathering) -> InspectLog | None:
        """The log of a header; None where it names no task or no time."""
        about, stats = mapping_in(header.get("eval")), mapping_in(header.get("stats"))
        task = text_in(about.get("task"))
        identity = text_in(about.get("eval_id")) or ":".join(
            part for part in (text_in(about.get("run_id")), text_in(about.get("task_id"))) if part
        )
        try:
            start = gathering.moment(text_in(stats.get("started_at")) or about.get("created"))
        except ValueError:
            return None
        if task is None or not identity:
            return None
        try:
            end = gathering.moment(stats.get("completed_at"))
        except ValueError:
            end = start
        return cls(gathering, identity, task, text_in(about.get("solver")), text_in(about.get("model")), start, end)

    def shared(self, session_id: str) -> dict[str, Any]:
        """The columns which all facts of a session have in common."""
        return {
            "tree_id": f"inspect:{session_id}",
            "session_id": session_id,
            "task_id": session_id,
            "feature": self.task,
            "agent": self.solver or self.task,
        }


def sample_id(log: InspectLog, sample: dict[str, Any]) -> str:
    """The session of a sample: its id alone repeats from epoch to epoch."""
    return f"{log.id}/{text_in(sample.get('id')) or '?'}/{text_in(sample.get('epoch')) or '1'}"


def sample_facts(log: InspectLog, sample: dict[str, Any], where: str) -> bool:
    """Gather a sample's calls, tools and outcome; whether it states any tokens."""
    if sample.get("id") is None:
        log.gathering.refuse(where, "a sample without an id")
        return False
    session_id = sample_id(log, sample)
    shared = log.shared(session_id)
    events = [(event, scoring) for event, scoring in _with_scorers(list_in(sample.get("events")))]
    start, end = _stretch(log, sample, [event for event, _ in events])
    stated = 0
    for number, (event, scoring) in enumerate(events):
        stated += _event(log, event, shared, f"{where}, event {number}", scoring=scoring, number=number)
    if not stated:
        usage = mapping_in(sample.get("model_usage"))
        stated = roll_up(log, usage, {**shared, "start_ns": start.ns, "end_ns": end.ns}, f"sample {session_id}", where)
    _outcome(log, sample, shared, end, where)
    return bool(stated)


def _with_scorers(events: list[Any]) -> Iterator[tuple[dict[str, Any], bool]]:
    """Each event, and whether a scorer is running; scorers open and close as steps (old logs) or spans."""
    depth = 0
    spans: set[str] = set()
    for item in events:
        event = mapping_in(item)
        kind = event.get("event")
        if kind == "step" and event.get("type") == "scorer":
            depth += 1 if event.get("action") == "begin" else -1
        elif kind == "span_begin" and (event.get("type") in {"scorer", "scorers"} or event.get("parent_id") in spans):
            spans.add(str(event.get("id")))
        yield event, depth > 0 or event.get("span_id") in spans


def _stretch(log: InspectLog, sample: dict[str, Any], events: list[dict[str, Any]]) -> tuple[Moment, Moment]:
    """When a sample began and ended, as far as it says so; else as the log."""
    moments: list[Moment] = []
    for text in (sample.get("started_at"), sample.get("completed_at"), *(event.get("timestamp") for event in events)):
        try:
            moments.append(log.gathering.moment(text))
        except ValueError:
            continue
    by_time = sorted(moments, key=lambda moment: moment.ns)
    return (by_time[0], by_time[-1]) if by_time else (log.start, log.end)


def _event(
    log: InspectLog, event: dict[str, Any], shared: dict[str, Any], where: str, *, scoring: bool, number: int
) -> int:
    """Gather a model call or a tool call; how many model calls stated tokens (0 or 1)."""
    if event.get("event") not in {"model", "tool"} or event.get("cache") == "read" or event.get("pending"):
        return 0
    try:
        start = log.gathering.moment(event.get("timestamp"))
        ended = log.gathering.moment(event["completed"]) if event.get("completed") else None
        row = _model(event) if event["event"] == "model" else _tool(event)
    except ValueError as error:
        log.gathering.refuse(where, str(error))
        return 0
    if scoring and row["operation"] == "chat":
        row |= {"operation": "evaluation", "name": "grader"}
    identity = text_in(event.get("uuid")) or text_in(event.get("id")) or str(number)
    times = {"start_ns": start.ns, "end_ns": ended.ns if ended else None, "zone_assumed": start.zone_assumed}
    log.gathering.fact({**shared, **times, **row, "fact_id": f"inspect:{shared['session_id']}:{identity}"}, where)
    return int(row.get("input_tokens") is not None or row.get("output_tokens") is not None)


def _model(event: dict[str, Any]) -> dict[str, Any]:
    output = mapping_in(event.get("output"))
    choice = mapping_in(next(iter(list_in(output.get("choices"))), None))
    error = event.get("error") or output.get("error")
    retries = count_in(event.get("retries"), "retries")
    return {
        **model_columns(text_in(event.get("model"))),
        **usage_columns(mapping_in(output.get("usage"))),
        "operation": "chat",
        "name": text_in(event.get("role")),
        "model_served": text_in(output.get("model")),
        "finish_reason": text_in(choice.get("stop_reason")),
        "failed": bool(error),
        "error_type": "error" if error else None,
        "attempt": retries,
    }


def _tool(event: dict[str, Any]) -> dict[str, Any]:
    error = mapping_in(event.get("error"))
    return {
        "operation": "tool",
        "name": text_in(event.get("function")) or "tool",
        "failed": bool(error) or bool(event.get("failed")),
        "error_type": text_in(error.get("type")),
    }


def model_columns(model: str | None) -> dict[str, Any]:
    """Provider and model of Inspect's `provider/model`; the name stays as it is written."""
    provider = model.split("/", 1)[0] if model and "/" in model else None
    return {"provider": provider, "model_requested": model}


def usage_columns(usage: dict[str, Any]) -> dict[str, Any]:
    """Token columns of a usage block; the stated total decides what contains what. Raises ValueError."""
    names = ("input_tokens", "output_tokens", "total_tokens", "reasoning_tokens")
    row: dict[str, Any] = {name: count_in(usage.get(name), name) for name in names}
    row["cache_read_tokens"] = count_in(usage.get("input_tokens_cache_read"), "input_tokens_cache_read")
    row["cache_write_tokens"] = count_in(usage.get("input_tokens_cache_write"), "input_tokens_cache_write")
    cached = (row["cache_read_tokens"] or 0) + (row["cache_write_tokens"] or 0)
    row |= basis_by_total(row["input_tokens"], row["output_tokens"], row["total_tokens"], cached)
    apart = (row["input_tokens"] or 0) + (row["output_tokens"] or 0)
    if row["reasoning_tokens"] and row["total_tokens"] is not None and not cached:
        row["output_excludes_reasoning"] = row["total_tokens"] == apart + row["reasoning_tokens"]
    cost = recorded_nano(usage.get("total_cost"), apart)
    if cost is not None:
        row |= {"cost_nano": cost, "currency": "USD", "cost_source": "emitter"}
    return row


def roll_up(log: InspectLog, usage: dict[str, Any], row: dict[str, Any], of: str, where: str) -> int:
    """Gather the totals of each model as they stand above the calls; how many there were."""
    stated = 0
    for model, block in usage.items():
        try:
            columns = usage_columns(mapping_in(block))
        except ValueError as error:
            log.gathering.refuse(where, str(error))
            continue
        identity = {"fact_id": f"inspect:{row['session_id']}:{ROLL_UP}:{model}", "name": f"{ROLL_UP} of {of}"}
        times = {"zone_assumed": log.start.zone_assumed}
        log.gathering.fact({**row, **times, **columns, **model_columns(model), **identity, "operation": "chat"}, where)
        stated += 1
    return stated


def rolled_up(log: InspectLog, header: dict[str, Any], sessions: list[str], name: str) -> None:
    """Fall back to the totals of the log, on its only session where it has one, else on the log itself."""
    session_id = sessions[0] if len(sessions) == 1 else log.id
    row = {**log.shared(session_id), "start_ns": log.start.ns, "end_ns": log.end.ns}
    if roll_up(log, mapping_in(mapping_in(header.get("stats")).get("model_usage")), row, "the log", name):
        log.gathering.problems.append(
            Problem(name, "no sample states its tokens", "the totals of the log were taken, named as a roll-up")
        )


def _outcome(log: InspectLog, sample: dict[str, Any], shared: dict[str, Any], end: Moment, where: str) -> None:
    log.gathering.outcome(
        {
            "outcome_id": f"inspect:{shared['session_id']}",
            "task_id": shared["session_id"],
            "session_ids": [shared["session_id"]],
            "status": _status(sample),
            "at_ns": end.ns,
            "zone_assumed": end.zone_assumed,
            "task_type": log.task,
            "feature": log.task,
            "agent": shared["agent"],
        },
        where,
    )


def _status(sample: dict[str, Any]) -> str:
    """Done where the first score is correct; one that broke off, on an error or on a limit without a score, failed."""
    if sample.get("error"):
        return "failed"
    scores = list(mapping_in(sample.get("scores")).values())
    value = mapping_in(scores[0]).get("value") if scores else None
    if value in ("C", 1, True):
        return "done"
    if value is not None or sample.get("limit"):
        return "failed"
    return "unknown"
