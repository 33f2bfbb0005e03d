"""Summaries of an LLM judge over tau2-bench sessions: one evaluation call and one verdict of the benchmark each.

The sessions themselves are elsewhere, so the cost stands under their ids. Entries carry no time; the file's own time
is taken, and said so once.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from outlay.core.errors import Problem
from outlay.sources.facts import Batch
from outlay.sources.gather import Gathering
from outlay.sources.jsons import count_in, list_in, mapping_in, text_in
from outlay.sources.moments import Moment, file_moment, zone_of
from outlay.sources.options import ReadOptions
from outlay.sources.reader import plain_name, read_json
from outlay.sources.sample import Sample
from outlay.sources.stated import recorded_nano

NAME = "tau2_judges"


def recognises(sample: Sample) -> bool:
    """A list of entries, each with a simulation and its judge."""
    entries = list_in(mapping_in(sample.json).get("entries"))
    return bool(entries) and {"simulation_id", "judge_model"} <= set(mapping_in(entries[0]))


def read(path: Path, options: ReadOptions) -> Iterator[Batch]:
    """Batches of one judge summary."""
    gathering = Gathering(NAME, plain_name(path), zone_of(options.zone))
    report = mapping_in(read_json(path, gathering.problems))
    at = file_moment(path)
    gathering.problems.append(
        Problem(path.name, "judge entries carry no time", "kept under the time at which the file was written")
    )
    for number, entry in enumerate(list_in(report.get("entries")), 1):
        _entry(gathering, mapping_in(entry), at, f"{path.name}, entry {number}")
        yield from gathering.batches()
    yield from gathering.batches(last=True)


def _entry(gathering: Gathering, entry: dict[str, Any], at: Moment, where: str) -> None:
    session_id = text_in(entry.get("simulation_id"))
    if session_id is None:
        gathering.refuse(where, "a judgement without a simulation_id")
        return
    judge = text_in(entry.get("judge_prompt_name")) or "judge"
    tags = [("task", task)] if (task := text_in(entry.get("task_id"))) else []
    if label := text_in(entry.get("label")):
        tags.append(("label", label))
    if verdict := text_in(entry.get("judge_verdict")):
        tags.append(("verdict", verdict))
    try:
        row = _call(entry)
    except ValueError as error:
        gathering.refuse(where, str(error))
        return
    shared: dict[str, Any] = {"task_id": session_id, "zone_assumed": at.zone_assumed, "tags": tags}
    gathering.fact(
        {
            **shared,
            **row,
            "fact_id": f"tau2_judges:{session_id}:{judge}:{row['model_requested']}",
            "tree_id": f"tau2:{session_id}",
            "session_id": session_id,
            "start_ns": at.ns,
            "name": judge,
            "agent": "judge",
        },
        where,
    )
    success = entry.get("tau2_success")
    gathering.outcome(
        {
            **shared,
            "outcome_id": f"tau2_judges:{session_id}",
            "session_ids": [session_id],
            "status": "done" if success is True else "failed" if success is False else "unknown",
            "at_ns": at.ns,
        },
        where,
    )


def _call(entry: dict[str, Any]) -> dict[str, Any]:
    model = text_in(entry.get("judge_model"))
    input_tokens = count_in(entry.get("judge_prompt_tokens"), "judge_prompt_tokens")
    output_tokens = count_in(entry.get("judge_completion_tokens"), "judge_completion_tokens")
    return {
        "operation": "evaluation",
        "provider": model.split("/", 1)[0] if model and "/" in model else None,
        "model_requested": model,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "total_tokens": count_in(entry.get("judge_total_tokens"), "judge_total_tokens"),
        "basis": "inclusive",
        "cost_nano": recorded_nano(entry.get("judge_cost_usd"), (input_tokens or 0) + (output_tokens or 0)),
        "currency": "USD",
        "cost_source": "emitter",
    }
