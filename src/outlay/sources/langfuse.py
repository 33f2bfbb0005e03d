"""Langfuse trace exports: a trace and its observations, each with its parent.

Identities come from the source (trace id and observation id), so a trace that lies in two files is one trace. A
generation inside another generation keeps its parent; which of the two counts is settled where all are known. The
recorded cost is Langfuse's, at whatever prices its project had.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from outlay.core.envelope import ENVELOPE_KEYS
from outlay.core.errors import FormatError
from outlay.sources.facts import EVALUATED, EVALUATION_LABEL, EVALUATION_NAME, EVALUATION_SCORE, Batch
from outlay.sources.gather import Gathering
from outlay.sources.jsons import count_in, list_in, mapping_in, parse_json, text_in
from outlay.sources.moments import zone_of
from outlay.sources.options import ReadOptions
from outlay.sources.reader import lines, plain_name, read_json
from outlay.sources.sample import Sample
from outlay.sources.stated import basis_by_total, recorded_nano

NAME = "langfuse"

OPERATIONS = {
    "GENERATION": "chat",
    "EMBEDDING": "embedding",
    "TOOL": "tool",
    "RETRIEVER": "retrieval",
    "GUARDRAIL": "guardrail",
    "EVALUATOR": "evaluation",
    "AGENT": "agent",
    "CHAIN": "step",
    "SPAN": "step",
    "EVENT": "step",
    # what an instrumentation wrote on a plain span (openinference.span.kind)
    "LLM": "chat",
    "RERANKER": "rerank",
}

_LABEL_CHARACTERS_MAX = 64
"""A longer text is a comment and no label; it is not kept."""

_READ = ("input_cached_tokens", "input_cache_read", "cache_read_input_tokens", "prompt_details.cache_read")
_WRITE = ("input_cache_creation", "cache_creation_input_tokens", "prompt_details.cache_write")
_REASONING = ("output_reasoning_tokens", "output_reasoning", "completion_details.reasoning")
_AUDIO_IN = ("input_audio_tokens", "input_audio", "prompt_details.audio")
_AUDIO_OUT = ("output_audio_tokens", "output_audio", "completion_details.audio")


def recognises(sample: Sample) -> bool:
    """A trace with observations, alone, in a list or on each line."""
    top = sample.json
    first = mapping_in(top[0]) if isinstance(top, list) and top else next(iter(sample.records), {})
    return "observations" in first and ("trace" in first or ("timestamp" in first and "projectId" in first))


def read(path: Path, options: ReadOptions) -> Iterator[Batch]:
    """Batches of one export. Raises FormatError where it holds no trace."""
    gathering = Gathering(NAME, plain_name(path), zone_of(options.zone))
    found = False
    for number, export in enumerate(_exports(path, gathering), 1):
        trace = mapping_in(export.get("trace")) or export
        if text_in(trace.get("id")) is None:
            gathering.refuse(f"{path.name}, trace {number}", "a trace without an id")
            continue
        found = True
        _trace(gathering, trace, list_in(export.get("observations")), path.name)
        yield from gathering.batches()
    if not found and not gathering.problems:
        raise FormatError(f"{path.name} holds no Langfuse trace", hint="export a trace with its observations as JSON")
    yield from gathering.batches(last=True)


def _exports(path: Path, gathering: Gathering) -> Iterator[dict[str, Any]]:
    if Sample.of(path).is_json_lines:
        for number, line in lines(path, gathering.problems):
            try:
                yield mapping_in(parse_json(line))
            except ValueError as error:
                gathering.refuse(f"{path.name}, line {number}", f"not JSON: {error}")
        return
    top = read_json(path, gathering.problems)
    yield from (mapping_in(item) for item in (top if isinstance(top, list) else [top]))


def _metadata(holder: dict[str, Any]) -> dict[str, Any]:
    """Metadata as an object; exports hold it as JSON text."""
    value = holder.get("metadata")
    if isinstance(value, str):
        try:
            value = parse_json(value.encode())
        except ValueError:
            return {}
    return mapping_in(value)


def _trace(gathering: Gathering, trace: dict[str, Any], items: list[Any], name: str) -> None:
    trace_id = str(trace["id"])
    observations = [mapping_in(item) for item in items]
    known = {str(item.get("id")): item for item in observations if item.get("id")}
    shared = _shared(trace, trace_id)
    for number, item in enumerate(observations, 1):
        where = f"{name}, observation {item.get('id') or number}"
        if item.get("id") is None:
            gathering.refuse(where, "an observation without an id")
            continue
        try:
            row = _observation(gathering, item, trace_id)
        except ValueError as error:
            gathering.refuse(where, str(error))
            continue
        agent = _agent_of(item, known) or text_in(trace.get("name"))
        gathering.fact({**shared, "agent": agent, **row}, where)
    for score in list_in(trace.get("scores")):
        _score(gathering, mapping_in(score), trace, shared, f"{name}, score {mapping_in(score).get('id')}")


def _shared(trace: dict[str, Any], trace_id: str) -> dict[str, Any]:
    metadata = _metadata(trace)
    tags = {"release": text_in(trace.get("release")), "version": text_in(trace.get("version"))}
    tags["trace_tags"] = ",".join(sorted(str(tag) for tag in list_in(trace.get("tags")))) or None
    return {
        "tree_id": f"langfuse:{trace_id}",
        "session_id": text_in(trace.get("sessionId")) or trace_id,
        "task_id": trace_id,
        "user": text_in(trace.get("userId")),
        "environment": text_in(trace.get("environment")),
        **{key: text_in(metadata[key]) for key in ENVELOPE_KEYS if key in metadata},
        "tags": [(key, value) for key, value in tags.items() if value is not None],
    }


def _agent_of(item: dict[str, Any], known: dict[str, dict[str, Any]]) -> str | None:
    """The name of the nearest agent observation around this one."""
    seen: set[str] = set()
    while item and str(item.get("id")) not in seen:
        if item.get("type") == "AGENT":
            return text_in(item.get("name"))
        seen.add(str(item.get("id")))
        item = known.get(str(item.get("parentObservationId")), {})
    return None


def _observation(gathering: Gathering, item: dict[str, Any], trace_id: str) -> dict[str, Any]:
    start = gathering.moment(item.get("startTime"))
    end = gathering.moment(item["endTime"]) if item.get("endTime") else None
    metadata = _metadata(item)
    scope = mapping_in(metadata.get("scope"))
    kind = str(item.get("type") or "SPAN").upper()
    if kind == "SPAN":
        kind = str(mapping_in(metadata.get("attributes")).get("openinference.span.kind") or kind).upper()
    failed = item.get("level") == "ERROR"
    parent = text_in(item.get("parentObservationId"))
    return {
        "fact_id": f"langfuse:{trace_id}:{item['id']}",
        "parent_id": f"langfuse:{trace_id}:{parent}" if parent else None,
        "operation": OPERATIONS.get(kind, "step"),
        "name": text_in(item.get("name")),
        "model_served": text_in(item.get("model")),
        "start_ns": start.ns,
        "end_ns": end.ns if end else None,
        "zone_assumed": start.zone_assumed,
        "failed": failed,
        "error_type": "error" if failed else None,
        "scope_name": text_in(scope.get("name")),
        "scope_version": text_in(scope.get("version")),
        **_usage(item),
    }


def _usage(item: dict[str, Any]) -> dict[str, Any]:
    details = mapping_in(item.get("usageDetails"))

    def stated(*names: str) -> int | None:
        return next((count_in(details[name], name) for name in names if details.get(name) is not None), None)

    input_tokens, output_tokens, total = stated("input"), stated("output"), stated("total")
    if input_tokens is None and output_tokens is None and total is None:
        return _cost(item, 0)
    read_tokens, written = stated(*_READ), stated(*_WRITE)
    parts = (stated("input_cache_creation_5m"), stated("input_cache_creation_1h"))
    if written is None and any(parts):
        written = sum(part or 0 for part in parts)
    return {
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "total_tokens": total,
        "cache_read_tokens": read_tokens,
        "cache_write_tokens": written,
        "cache_write_5m_tokens": parts[0],
        "cache_write_1h_tokens": parts[1],
        "reasoning_tokens": stated(*_REASONING),
        "input_audio_tokens": stated(*_AUDIO_IN),
        "output_audio_tokens": stated(*_AUDIO_OUT),
        **basis_by_total(input_tokens, output_tokens, total, (read_tokens or 0) + (written or 0)),
        **_cost(item, total or (input_tokens or 0) + (output_tokens or 0)),
    }


def _cost(item: dict[str, Any], tokens: int) -> dict[str, Any]:
    details = {key: value for key, value in mapping_in(item.get("costDetails")).items() if value is not None}
    if "total" in details:
        cost = details["total"]
    else:
        cost = sum((Decimal(str(value)) for value in details.values()), Decimal(0)) if details else None
    nano = recorded_nano(cost, tokens)
    return {} if nano is None else {"cost_nano": nano, "currency": "USD", "cost_source": "emitter"}


def _score(
    gathering: Gathering, score: dict[str, Any], trace: dict[str, Any], shared: dict[str, Any], where: str
) -> None:
    """A score is an evaluation of the trace; whether it says how the task ended, the rules decide."""
    said = _said(score)
    if EVALUATION_NAME not in said or len(said) == 1:
        return
    try:
        at = gathering.moment(score.get("timestamp") or score.get("createdAt") or trace.get("timestamp"))
    except ValueError as error:
        gathering.refuse(where, str(error))
        return
    envelope = {key: shared[key] for key in ("session_id", *ENVELOPE_KEYS) if key in shared}
    session_id = envelope.pop("session_id")
    gathering.outcome(
        {
            **envelope,
            "outcome_id": f"langfuse:{trace['id']}:{score.get('id') or score.get('name')}",
            "task_id": str(trace["id"]),
            "session_ids": [session_id],
            "status": EVALUATED,
            "at_ns": at.ns,
            "zone_assumed": at.zone_assumed,
            "task_type": text_in(trace.get("name")),
            "tags": [*shared["tags"], *said.items()],
        },
        where,
    )


def _said(score: dict[str, Any]) -> dict[str, str]:
    """Name, label and score as tags. The number beside a category is its place in a list, and no score."""
    kind = str(score.get("dataType") or "").upper()
    label, value = text_in(score.get("stringValue")), score.get("value")
    if label is None and isinstance(value, str | bool):
        label = str(value)
    number = value if isinstance(value, int | Decimal) and kind != "CATEGORICAL" else None
    said = {
        EVALUATION_NAME: text_in(score.get("name")),
        EVALUATION_LABEL: label if label is not None and len(label) <= _LABEL_CHARACTERS_MAX else None,
        EVALUATION_SCORE: None if number is None else str(number),
    }
    return {name: text for name, text in said.items() if text}
