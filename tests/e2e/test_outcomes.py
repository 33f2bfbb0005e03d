"""Outcomes through a real server: from telemetry, over HTTP, before their session, revised, rebuilt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.e2e.processes import JSON, Server, chat, settled, told, up

from otlp_wire import request, span


def post(server: Server, said: object) -> dict[str, Any]:
    connection = server.connect()
    try:
        connection.request("POST", "/api/v1/outcomes", json.dumps(said), {"content-type": JSON})
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status == 200, content
        reply: dict[str, Any] = json.loads(content)
        return reply
    finally:
        connection.close()


def test_from_telemetry_and_reports_to_the_cost_of_a_completed_task(tmp_path: Path) -> None:
    home = tmp_path / "home"
    event = (
        "gen_ai.evaluation.result",
        {"gen_ai.evaluation.name": "task completion", "gen_ai.evaluation.score.value": 0},
    )
    tags = {"outlay.feature": "onboarding", "gen_ai.usage.cost": 0.5}
    work = [
        span(1, chat(1, **tags, **{"gen_ai.conversation.id": "run-1"})),
        span(2, chat(2, **tags, **{"gen_ai.conversation.id": "run-2"}), events=[event]),
        span(
            3,
            chat(
                3, **tags, **{"gen_ai.conversation.id": "run-3", "outlay.task.outcome": "done", "outlay.task.value": 3}
            ),
        ),
    ]
    with up(home) as server:
        early = {"task_id": "ticket", "status": "failed", "session_id": "run-1", "id": "r1"}
        taken = post(server, [early, early, {"status": "done"}])["total"]
        assert (taken["posted"], taken["duplicates"], taken["refused"]) == (1, 1, 1)
        assert server.send(request(work).SerializeToString())[0] == 200
        settled(server)
        post(server, {"task_id": "ticket", "status": "done", "value": "4.00"})
        server.get("doctor")  # settles
        total = server.get("outcomes?by=feature")["total"]
        assert (total["tasks_completed"], total["tasks_failed"], total["tasks_unattributed"]) == (2, 1, 0)
        assert (total["cost_per_completed_task"], total["outcome_margin"]) == ("0.75", "5.5")
        (row,) = server.get("outcomes?by=feature")["rows"]
        assert (row["feature"], row["interval_tasks"]) == ("onboarding", 3)
        shown = server.get("tasks/ticket")
        assert [item["outcome"] for item in shown["rows"]] == ["done", "failed"]
        assert (shown["total"]["cost"], shown["total"]["sessions"]) == ("0.5", ["run-1"])
        listed = {item["task"] for item in server.get("tasks?where=outcome:failed")["rows"]}
        assert listed == {"run-2"}
    before = told(home, "outcomes", "--by", "feature")["rows"]
    assert told(home, "rebuild")["total"]["matches"]
    assert told(home, "outcomes", "--by", "feature")["rows"] == before
