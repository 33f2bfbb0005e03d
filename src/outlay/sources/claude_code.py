"""Claude Code transcripts: one JSON line an event, one response on several lines and in up to three places.

A response is known by message id and request id; the largest output is the last word, because usage is written while
the answer still streams. A sub-agent's responses stand in its own log, in the parent's progress lines, and its last one
in the result block of the tool that ran it. That block has no id: it takes the identity of the response it repeats
where that response is in the transcript or in the sub-agent's log beside it, else one of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from outlay.sources.claude_entries import Report, ToolRun, entries_in, reports_in, tool_runs_in
from outlay.sources.facts import Batch
from outlay.sources.gather import Gathering
from outlay.sources.moments import zone_of
from outlay.sources.options import ReadOptions
from outlay.sources.reader import plain_name
from outlay.sources.sample import Sample

NAME = "claude_code"
MAIN_AGENT = "claude-code"

_LINE_TYPES = {"user", "assistant", "progress", "system", "summary", "file-history-snapshot", "queue-operation"}


def recognises(sample: Sample) -> bool:
    """Lines with a known type, one of them in a session."""
    types = {record.get("type") for record in sample.records if isinstance(record.get("type"), str)}
    in_session = any("sessionId" in record and "type" in record for record in sample.records)
    return in_session and bool(types & _LINE_TYPES)


def read(path: Path, options: ReadOptions) -> Iterator[Batch]:
    """Batches of one transcript or sub-agent log."""
    gathering = Gathering(NAME, plain_name(path), zone_of(options.zone))
    reports: list[Report] = []
    runs: list[ToolRun] = []
    for entry in entries_in(path, gathering.problems, gathering):  # a line's contents are let go with the line
        reports += reports_in(entry, gathering)
        runs += tool_runs_in(entry, gathering)
    types = _agent_types(path, reports, runs)
    for response in _responses(path, reports, gathering):
        gathering.fact(_chat(response, types), response.where)
        yield from gathering.batches()
    for run in _runs(runs, gathering):
        gathering.fact(_tool(run, types), run.where)
        yield from gathering.batches()
    yield from gathering.batches(last=True)


def _responses(path: Path, reports: list[Report], gathering: Gathering) -> list[Report]:
    """One report per response, that of the largest output; the others are repeats."""
    named: dict[str, Report] = {}
    for report in reports:
        if report.key is not None:
            _keep(named, report.key, report, gathering)
    for result in reports:
        if result.key is None:
            response = _repeated_by(path, result, list(named.values()))
            elsewhere = response is not None and response.key not in named
            told = response.joined(result) if response is not None and elsewhere else result
            _keep(named, response.key if response and response.key else _own_key(result), told, gathering)
    return list(named.values())


def _keep(named: dict[str, Report], key: str, report: Report, gathering: Gathering) -> None:
    known = named.get(key)
    named[key] = report if known is None else known.joined(report)
    named[key].key = key
    if known is not None:
        gathering.repeat()


def _own_key(result: Report) -> str:
    return f"result:{result.agent_id}:{result.run_id}"


def _repeated_by(path: Path, result: Report, responses: list[Report]) -> Report | None:
    """The response which a result block repeats: same agent, same input and cache meters, the latest of them.

    Where there is none, the result still learns its model, which is that of the agent's other responses.
    """
    mine = [response for response in (*responses, *_own_log(path, result)) if response.agent_id == result.agent_id]
    models = {response.model for response in mine if response.model is not None}
    if len(models) == 1:
        result.model_requested = models.pop()
    here = [response for response in mine if result.repeats(response)]
    return max(here, key=lambda response: (response.start_ns, response.key or ""), default=None)


def _own_log(path: Path, result: Report) -> list[Report]:
    """The responses in the sub-agent's own log, where it lies beside the transcript."""
    if result.agent_id is None:
        return []
    folder = path.parent / result.session_id / "subagents"
    for name in (f"agent-{result.agent_id}.jsonl", f"agent-{result.agent_id}.jsonl.gz"):
        log = folder / name
        if log.is_file():
            quiet = Gathering(NAME, name, zone_of(None))
            entries = entries_in(log, quiet.problems, quiet)
            return [report for entry in entries for report in reports_in(entry, quiet) if report.key is not None]
    return []


def _agent_types(path: Path, reports: list[Report], runs: list[ToolRun]) -> dict[str, str]:
    """Agent id → the type it was started as, where this transcript, or the parent's beside a log, says so."""
    started = {run.id: run.agent_type for run in runs if run.agent_type}
    types = {
        report.agent_id: started[report.run_id]
        for report in reports
        if report.agent_id is not None and report.run_id in started
    }
    if path.parent.name == "subagents":
        for parent in (path.parents[1].with_suffix(".jsonl"), path.parents[1].with_suffix(".jsonl.gz")):
            if parent.is_file():
                types |= _types_in(parent, parent.stat().st_mtime_ns)
    return types


@lru_cache(maxsize=16)
def _types_in(parent: Path, _written_ns: int) -> dict[str, str]:
    """The types of all sub-agents a transcript started; read once for all logs beside it while it does not change."""
    quiet = Gathering(NAME, parent.name, zone_of(None))
    started: dict[str, str] = {}
    ran: dict[str, str] = {}
    for entry in entries_in(parent, quiet.problems, quiet, (b'"subagent_type"', b'"agentId"')):
        started |= {run.id: run.agent_type for run in tool_runs_in(entry, quiet) if run.agent_type}
        for report in reports_in(entry, quiet):
            if report.agent_id is not None and report.run_id is not None:
                ran[report.agent_id] = report.run_id
    return {agent_id: started[run_id] for agent_id, run_id in ran.items() if run_id in started}


def _who(agent_id: str | None, types: dict[str, str]) -> dict[str, Any]:
    if agent_id is None:
        return {"agent": MAIN_AGENT}
    return {"agent": types.get(agent_id, agent_id), "tags": [("agent_id", agent_id)]}


def _chat(response: Report, types: dict[str, str]) -> dict[str, Any]:
    return {
        **response.meters(),
        **_who(response.agent_id, types),
        "fact_id": f"claude_code:{response.key}",
        "tree_id": f"claude_code:{response.session_id}",
        "session_id": response.session_id,
        "response_id": response.response_id,
        "operation": "chat",
        "provider": "anthropic",
        "model_served": response.model,
        "model_requested": response.model_requested,
        "basis": "exclusive",
        "scope_name": "claude_code",
        "start_ns": response.start_ns,
        "end_ns": response.end_ns,
        "zone_assumed": response.zone_assumed,
        "finish_reason": response.stop_reason,
        "service_tier": response.usage.get("service_tier"),
        "speed": response.usage.get("speed"),
    }


def _runs(runs: list[ToolRun], gathering: Gathering) -> list[ToolRun]:
    """One run per tool call: where it was asked for, joined with its result. A copy of a line is a repeat."""
    joined: dict[str, ToolRun] = {}
    halves: set[tuple[str, bool]] = set()
    for run in runs:
        if (run.id, run.is_result) in halves:
            gathering.repeat()
        halves.add((run.id, run.is_result))
        joined[run.id] = run if run.id not in joined else joined[run.id].joined(run)
    return list(joined.values())


def _tool(run: ToolRun, types: dict[str, str]) -> dict[str, Any]:
    return {
        **_who(run.agent_id, types),
        "fact_id": f"claude_code:tool:{run.id}",
        "parent_id": f"claude_code:{run.response_key}" if run.response_key else None,
        "tree_id": f"claude_code:{run.session_id}",
        "session_id": run.session_id,
        "response_id": run.id,
        "operation": "tool",
        "name": run.name or "tool",
        "failed": run.failed,
        "error_type": "tool_error" if run.failed else None,
        "start_ns": run.start_ns,
        "end_ns": run.end_ns,
        "zone_assumed": run.zone_assumed,
    }
