"""tau2-bench results: simulated customer sessions with two payers, a reward and the cost written on each message.

A simulation is a session and a task. Messages state no provider and no cache; a cost of 0 beside tokens is a model
without a price, a message without usage (the greeting) is not a call and is passed over. Times have no zone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from outlay.core.errors import FormatError, Problem
from outlay.sources.facts import Batch
from outlay.sources.gather import Gathering
from outlay.sources.jsons import count_in, list_in, mapping_in, text_in
from outlay.sources.moments import Moment, zone_of
from outlay.sources.options import ReadOptions
from outlay.sources.reader import plain_name, read_json
from outlay.sources.sample import Sample
from outlay.sources.stated import recorded_nano

NAME = "tau2"


def recognises(sample: Sample) -> bool:
    """A results file: run information of an agent and a user, and simulations."""
    top = mapping_in(sample.json)
    info = mapping_in(top.get("info"))
    return "agent_info" in info and ("environment_info" in info or "simulations" in top)


def read(path: Path, options: ReadOptions) -> Iterator[Batch]:
    """Batches of one results file. Raises FormatError where it holds no simulations at all."""
    gathering = Gathering(NAME, plain_name(path), zone_of(options.zone))
    run = mapping_in(read_json(path, gathering.problems))
    if not isinstance(run.get("simulations"), list) and not gathering.problems:
        raise FormatError(f"{path.name} holds no list of simulations", hint="is it a tau2-bench results file?")
    info = mapping_in(run.get("info"))
    for number, simulation in enumerate(list_in(run.get("simulations")), 1):
        _Simulation(gathering, info, mapping_in(simulation), f"{path.name}, simulation {number}").read()
        yield from gathering.batches()
    yield from gathering.batches(last=True)


@dataclass(slots=True)
class _Simulation:
    gathering: Gathering
    info: dict[str, Any]
    body: dict[str, Any]
    where: str

    def read(self) -> None:
        session_id = text_in(self.body.get("id"))
        if session_id is None:
            self.gathering.refuse(self.where, "a simulation without an id")
            return
        try:
            start = self.gathering.moment(self.body.get("start_time"))
        except ValueError as error:
            self.gathering.refuse(self.where, str(error))
            return
        shared = self._shared(session_id)
        end = self._end(start)
        self.gathering.fact(
            {
                **shared,
                "fact_id": f"tau2:{session_id}",
                "operation": "agent",
                "name": self._side("agent_info", "implementation") or "agent",
                "agent": self._side("agent_info", "implementation"),
                "start_ns": start.ns,
                "end_ns": end.ns,
                "zone_assumed": start.zone_assumed,
            },
            self.where,
        )
        self._messages(shared, start)
        self._outcome(session_id, shared, end)

    def _shared(self, session_id: str) -> dict[str, Any]:
        domain = text_in(mapping_in(self.info.get("environment_info")).get("domain_name"))
        tags = {"task": text_in(self.body.get("task_id")), "trial": text_in(self.body.get("trial"))}
        return {
            "session_id": session_id,
            "task_id": session_id,
            "tree_id": f"tau2:{session_id}",
            "feature": domain,
            "tags": [(key, value) for key, value in tags.items() if value is not None],
        }

    def _side(self, side: str, key: str) -> str | None:
        return text_in(mapping_in(self.info.get(side)).get(key))

    def _end(self, start: Moment) -> Moment:
        try:
            return self.gathering.moment(self.body.get("end_time"))
        except ValueError as error:
            self.gathering.problems.append(Problem(self.where, f"end of the session: {error}", "its start was taken"))
            return start

    def _messages(self, shared: dict[str, Any], start: Moment) -> None:
        """A message's own time is when it was complete; it began when the one before it was complete."""
        calls = self._tool_names()
        began = start
        for number, body in enumerate(list_in(self.body.get("messages"))):
            message = mapping_in(body)
            where = f"{self.where}, message {number}"
            try:
                ended = self.gathering.moment(message["timestamp"]) if message.get("timestamp") else began
                row = self._row(message, calls)
            except ValueError as error:
                self.gathering.refuse(where, str(error))
                continue
            if row is None:
                self.gathering.passed_over += message.get("role") in {"assistant", "user"}
            else:
                turn = text_in(message.get("turn_idx")) or str(number)
                identity = {
                    "fact_id": f"tau2:{shared['session_id']}:{turn}",
                    "parent_id": f"tau2:{shared['session_id']}",
                }
                times = {"start_ns": min(began.ns, ended.ns), "end_ns": ended.ns, "zone_assumed": ended.zone_assumed}
                self.gathering.fact({**shared, **identity, **times, **row}, where)
            began = ended

    def _row(self, message: dict[str, Any], calls: dict[str, str]) -> dict[str, Any] | None:
        role = message.get("role")
        if role == "tool":
            failed = bool(message.get("error"))
            side = "user_info" if message.get("requestor") == "user" else "agent_info"
            return {
                "operation": "tool",
                "name": calls.get(str(message.get("id"))) or "tool",
                "failed": failed,
                "error_type": "tool_error" if failed else None,
                "agent": self._side(side, "implementation"),
            }
        usage = mapping_in(message.get("usage"))
        if role not in {"assistant", "user"} or (not usage and not message.get("cost")):
            return None
        side = "agent_info" if role == "assistant" else "user_info"
        input_tokens = count_in(usage.get("prompt_tokens"), "prompt_tokens")
        output_tokens = count_in(usage.get("completion_tokens"), "completion_tokens")
        return {
            "operation": "chat",
            "agent": self._side(side, "implementation"),
            "model_requested": self._side(side, "llm"),
            "input_tokens": input_tokens,
            "output_tokens": output_tokens,
            "basis": "inclusive",
            "cost_nano": recorded_nano(message.get("cost"), (input_tokens or 0) + (output_tokens or 0)),
            "currency": "USD",
            "cost_source": "emitter",
        }

    def _tool_names(self) -> dict[str, str]:
        calls = (
            mapping_in(call)
            for message in list_in(self.body.get("messages"))
            for call in list_in(mapping_in(message).get("tool_calls"))
        )
        return {str(call.get("id")): str(call.get("name")) for call in calls}

    def _outcome(self, session_id: str, shared: dict[str, Any], end: Moment) -> None:
        reward = mapping_in(self.body.get("reward_info")).get("reward")
        self.gathering.outcome(
            {
                "outcome_id": f"tau2:{session_id}",
                "task_id": session_id,
                "session_ids": [session_id],
                "status": "unknown" if reward is None else "done" if reward == 1 else "failed",
                "at_ns": end.ns,
                "zone_assumed": end.zone_assumed,
                "task_type": shared["feature"],
                "feature": shared["feature"],
                "agent": self._side("agent_info", "implementation"),
                "tags": shared["tags"],
            },
            self.where,
        )
