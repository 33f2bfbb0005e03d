"""What the lines of a Claude Code transcript say: usage reports and tool runs. No contents leave this file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from outlay.core.errors import Problem
from outlay.sources.gather import Gathering
from outlay.sources.jsons import count_in, list_in, mapping_in, parse_json, text_in
from outlay.sources.moments import Moment
from outlay.sources.reader import lines

_METERS = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


@dataclass(slots=True)
class Entry:
    """One line: `holder` is the event that holds a message, `agent_id` the sub-agent that speaks, None for the main."""

    body: dict[str, Any]
    holder: dict[str, Any]
    agent_id: str | None
    run_id: str | None
    where: str

    @property
    def message(self) -> dict[str, Any]:
        """The message in it, as the provider returned it."""
        return mapping_in(self.holder.get("message"))

    @property
    def session_id(self) -> str:
        """The session of the transcript."""
        return text_in(self.body.get("sessionId")) or ""

    @property
    def response_key(self) -> str | None:
        """Message id and request id: the identity of a response."""
        message_id = text_in(self.message.get("id"))
        return f"{message_id}:{self.request_id or ''}" if message_id else None

    @property
    def request_id(self) -> str | None:
        """The provider's id of the request, which telemetry states too."""
        return text_in(self.holder.get("requestId"))


def entries_in(
    path: Path, problems: list[Problem], gathering: Gathering, wanted: Sequence[bytes] = ()
) -> Iterator[Entry]:
    """The lines that hold a message; a line that is not JSON is refused. `wanted` reads only lines that contain one."""
    for number, line in lines(path, problems):
        if wanted and not any(text in line for text in wanted):
            continue
        where = f"{path.name}, line {number}"
        try:
            body = mapping_in(parse_json(line))
        except ValueError as error:
            gathering.refuse(where, f"not JSON: {error}")
            continue
        if body.get("type") in {"assistant", "user"}:
            yield Entry(body, body, text_in(body.get("agentId")), None, where)
        elif body.get("type") == "progress":
            data = mapping_in(body.get("data"))
            holder = mapping_in(data.get("message"))
            if holder:
                yield Entry(body, holder, text_in(data.get("agentId")), text_in(body.get("parentToolUseID")), where)


@dataclass(slots=True)
class Report:
    """One report of one response; `key` is None for a result block, which names no response."""

    key: str | None
    message_id: str | None
    session_id: str
    agent_id: str | None
    run_id: str | None
    model: str | None
    usage: dict[str, Any]
    stop_reason: str | None
    start_ns: int
    end_ns: int
    zone_assumed: bool
    where: str
    model_requested: str | None = None
    request_id: str | None = None

    @property
    def response_id(self) -> str | None:
        """The id under which others tell of the same answer: telemetry knows the request, a gateway the message."""
        return self.request_id or self.message_id

    @property
    def output_tokens(self) -> int:
        """How much this report has seen of the answer."""
        return self.usage.get("output_tokens") or 0

    def joined(self, other: Report) -> Report:
        """One report of two: the usage of the larger output, the stretch of time of both."""
        larger = other if _weight(other) > _weight(self) else self
        named = self if self.message_id else other
        return replace(
            larger,
            message_id=named.message_id,
            request_id=named.request_id,
            model=named.model or larger.model,
            agent_id=self.agent_id or other.agent_id,
            run_id=self.run_id or other.run_id,
            stop_reason=larger.stop_reason or self.stop_reason or other.stop_reason,
            start_ns=min(self.start_ns, other.start_ns),
            end_ns=max(self.end_ns, other.end_ns),
        )

    def repeats(self, response: Report) -> bool:
        """Whether this result block tells of that response: same agent, same input meters, not less output."""
        return (
            self.agent_id is not None
            and self.agent_id == response.agent_id
            and all((self.usage.get(meter) or 0) == (response.usage.get(meter) or 0) for meter in _METERS)
            and self.output_tokens >= response.output_tokens
        )

    def meters(self) -> dict[str, Any]:
        """The token columns of a fact, and the searches the provider ran. Counts were checked when it was read."""
        usage = self.usage
        writes = mapping_in(usage.get("cache_creation"))
        searches = mapping_in(usage.get("server_tool_use")).get("web_search_requests") or 0
        return {
            "input_tokens": usage.get("input_tokens"),
            "output_tokens": usage.get("output_tokens"),
            "cache_read_tokens": usage.get("cache_read_input_tokens"),
            "cache_write_tokens": usage.get("cache_creation_input_tokens"),
            "cache_write_5m_tokens": writes.get("ephemeral_5m_input_tokens"),
            "cache_write_1h_tokens": writes.get("ephemeral_1h_input_tokens"),
            "units": [{"meter": "web_searches", "quantity": searches}] if searches else None,
        }


def _weight(report: Report) -> tuple[int, int, int, str]:
    """More output is the later word; among equals the later line, so that the order of lines does not matter."""
    return (report.output_tokens, int(report.stop_reason is not None), report.end_ns, report.where)


def reports_in(entry: Entry, gathering: Gathering) -> Iterator[Report]:
    """The usage reports of a line: the message's own, and that of a finished sub-agent."""
    message = entry.message
    if (
        message.get("role") == "assistant"
        and mapping_in(message.get("usage"))
        and message.get("model") != "<synthetic>"
    ):
        yield from _report(entry, mapping_in(message["usage"]), gathering, entry.response_key, entry.agent_id)
    result = mapping_in(entry.body.get("toolUseResult"))
    if entry.body.get("type") == "user" and mapping_in(result.get("usage")):
        agent_id = text_in(result.get("agentId"))
        yield from _report(entry, mapping_in(result["usage"]), gathering, None, agent_id)


def _report(
    entry: Entry, usage: dict[str, Any], gathering: Gathering, key: str | None, agent_id: str | None
) -> Iterator[Report]:
    try:
        at = _at(entry, gathering)
        _check(usage)
    except ValueError as error:
        gathering.refuse(entry.where, str(error))
        return
    result = key is None and "toolUseResult" in entry.body
    message = {} if result else entry.message
    yield Report(
        key=key if key is not None or result else f"line:{entry.body.get('uuid') or entry.where}",
        message_id=text_in(message.get("id")),
        request_id=None if result else entry.request_id,
        session_id=entry.session_id,
        agent_id=agent_id,
        run_id=_result_run(entry) if result else entry.run_id,
        model=text_in(message.get("model")),
        usage=usage,
        stop_reason=text_in(message.get("stop_reason")),
        start_ns=at.ns,
        end_ns=at.ns,
        zone_assumed=at.zone_assumed,
        where=entry.where,
    )


def _at(entry: Entry, gathering: Gathering) -> Moment:
    return gathering.moment(entry.holder.get("timestamp") or entry.body.get("timestamp"))


def _check(usage: dict[str, Any]) -> None:
    for meter in (*_METERS, "output_tokens"):
        count_in(usage.get(meter), meter)
    for part, value in mapping_in(usage.get("cache_creation")).items():
        count_in(value, part)
    count_in(mapping_in(usage.get("server_tool_use")).get("web_search_requests"), "web_search_requests")


def _result_run(entry: Entry) -> str | None:
    for block in list_in(entry.message.get("content")):
        if mapping_in(block).get("type") == "tool_result":
            return text_in(mapping_in(block).get("tool_use_id"))
    return None


@dataclass(slots=True)
class ToolRun:
    """One half of a tool call: where it was asked for, or its result."""

    id: str
    is_result: bool
    session_id: str
    agent_id: str | None
    name: str | None
    agent_type: str | None
    response_key: str | None
    failed: bool
    start_ns: int
    end_ns: int | None
    zone_assumed: bool
    where: str

    def joined(self, other: ToolRun) -> ToolRun:
        """The two halves as one: it ran from the question to the result."""
        asked, result = (other, self) if self.is_result else (self, other)
        ends = [run.end_ns for run in (self, other) if run.end_ns is not None]
        return replace(
            asked,
            failed=asked.failed or result.failed,
            start_ns=min(self.start_ns, other.start_ns),
            end_ns=max(ends, default=None),
        )


def tool_runs_in(entry: Entry, gathering: Gathering) -> Iterator[ToolRun]:
    """The tool calls and tool results of a line; names and states only."""
    for item in list_in(entry.message.get("content")):
        block = mapping_in(item)
        is_result = block.get("type") == "tool_result"
        run_id = text_in(block.get("tool_use_id" if is_result else "id"))
        if block.get("type") not in {"tool_use", "tool_result"} or run_id is None:
            continue
        try:
            at = _at(entry, gathering)
        except ValueError as error:
            gathering.refuse(entry.where, str(error))
            continue
        yield ToolRun(
            id=run_id,
            is_result=is_result,
            session_id=entry.session_id,
            agent_id=entry.agent_id,
            name=text_in(block.get("name")),
            agent_type=text_in(mapping_in(block.get("input")).get("subagent_type")),
            response_key=None if is_result else entry.response_key,
            failed=bool(block.get("is_error")),
            start_ns=at.ns,
            end_ns=at.ns if is_result else None,
            zone_assumed=at.zone_assumed,
            where=entry.where,
        )
