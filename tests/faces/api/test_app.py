"""The API: one envelope for every answer, one shape for every error, and a description that is complete."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openapi_spec_validator import validate

from faces.double import COVERAGE, FakeHouse, is_reply
from outlay.control.store import ControlStore
from outlay.core.errors import StoreFullError
from outlay.faces.api.app import DESCRIBED, build_app
from outlay.faces.api.docs import error_kinds
from outlay.faces.api.leases import PATHS as LEASE_PATHS
from outlay.faces.api.otlp import PATHS
from outlay.faces.control_desk import ControlDesk
from outlay.faces.desk import catalogue
from outlay.faces.wire import CONTENT_TYPE, pack
from outlay.sources.facts import Batch, facts_of, outcomes_of

HOST = "http://127.0.0.1:4318"


def ask(path: str, method: str = "GET", house: FakeHouse | None = None, **options: Any) -> Any:
    async def run() -> Any:
        transport = httpx2.ASGITransport(build_app(house or FakeHouse()), raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url=options.pop("host", HOST)) as client:
            return await client.request(method, path, **options)

    return asyncio.run(run())


def is_problem(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    said = answer.json()
    assert {"type", "title", "status", "detail", "instance", "errors", "request_id"} <= set(said)
    assert said["request_id"] == answer.headers["x-request-id"]
    return said


def test_a_question_is_answered_with_the_one_object() -> None:
    said = ask("/api/v1/spend?by=team&by=model&measures=cost,usages&since=2026-11&where=team:search|billing").json()
    assert is_reply(said)
    assert said["query"]["by"] == ["team", "model"]
    assert said["query"]["where"] == ["team:search|billing"]
    assert said["rows"][0] == {"team": "search", "model": "search", "cost": "12.5", "usages": 3}
    assert said["rows"][1]["cost"] is None
    assert said["coverage"] == COVERAGE


@pytest.mark.parametrize(("path", "by"), [("spend", "team"), ("sessions", "session"), ("outcomes", "feature")])
def test_each_question_has_its_own_default(path: str, by: str) -> None:
    house = FakeHouse()
    assert is_reply(ask(f"/api/v1/{path}", house=house).json())
    assert house.asked[0].by == (by,)


@pytest.mark.parametrize("path", ["metrics", "doctor", "counters"])
def test_every_other_answer_has_the_same_form(path: str) -> None:
    answer = ask(f"/api/v1/{path}")
    assert answer.status_code == 200
    assert is_reply(answer.json())


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("by=tean", "team"),
        ("measures=costs", "cost"),
        ("wher=team:x", "where"),
        ("grain=daily", "day"),
        ("since=yesterday-ish", "since"),
        ("top=many", "top"),
        ("top=0", "top"),
        ("where=team", "dimension:value"),
        ("where=centre:inferenc", "inference"),
        ("order=sessions&measures=cost", "cannot order"),
        ("since=2026-11-02&until=2026-11-01", "before"),
        ("since=2026-11&since=2026-10", "times"),
        ("counted=perhaps", "only"),
    ],
)
def test_a_bad_question_says_what_is_wrong_and_what_is_near(query: str, named: str) -> None:
    said = is_problem(ask(f"/api/v1/spend?{query}"), 400)
    assert named in said["detail"] + said["hint"]
    assert said["type"].startswith("/api/docs#bad-")
    assert said["instance"] == "/api/v1/spend"


@given(
    st.dictionaries(
        st.sampled_from(["by", "measures", "grain", "since", "until", "where", "top", "order", "counted", "x"]),
        st.one_of(
            st.text(max_size=20),
            st.sampled_from(["team", "cost", "day", "2026-11", "30d", "team:a", "5", "cost:asc", "9" * 30, "99999d"]),
        ),
        max_size=4,
    )
)
def test_no_parameter_brings_the_server_down(params: dict[str, str]) -> None:
    answer = ask("/api/v1/spend", params=params)
    assert answer.status_code in {200, 400}
    if answer.status_code == 400:
        is_problem(answer, 400)
    else:
        assert is_reply(answer.json())


def test_what_is_not_there_is_404() -> None:
    said = is_problem(ask("/api/v1/spent"), 404)
    assert said["type"] == "about:blank"
    assert "/api/docs" in said["hint"]


def test_a_method_that_is_not_possible_is_405() -> None:
    answer = ask("/api/v1/spend", "DELETE")
    is_problem(answer, 405)
    assert "GET" in answer.headers["allow"]


def test_the_houses_own_refusals_keep_their_status_and_detail() -> None:
    house = FakeHouse(refusal=StoreFullError("no room", detail=["12 kB free"], hint="make room"))
    said = is_problem(ask("/api/v1/spend", house=house), 507)
    assert said["errors"] == [{"detail": "12 kB free"}]
    assert said["hint"] == "make room"


def test_a_bug_is_500_and_tells_nothing_of_the_inside() -> None:
    house = FakeHouse()
    house.doctor = lambda: 1 // 0  # type: ignore[method-assign]
    answer = ask("/api/v1/doctor", house=house)
    said = is_problem(answer, 500)
    assert "division" not in json.dumps(said)


@pytest.mark.parametrize(
    "path", ["outcomes", "reprice", "rebuild", "facts", "prices/overrides", "prices/contracts", "prices/aliases"]
)
def test_an_order_of_another_content_type_is_415(path: str) -> None:
    is_problem(ask(f"/api/v1/{path}", "POST", content=b"{}", headers={"content-type": "text/plain"}), 415)


@pytest.mark.parametrize("body", [b"{", b"[" * 100_000, b"\xff", b"3"])
def test_what_is_not_the_json_that_is_asked_for_is_400(body: bytes) -> None:
    is_problem(ask("/api/v1/reprice", "POST", content=body, headers={"content-type": "application/json"}), 400)


@pytest.mark.parametrize(
    "body", [{"fron": "2026-11"}, {"from": 3}, {"from": "x"}, {"from": "2026-11", "to": "2026-10"}]
)
def test_a_bad_period_is_400(body: dict[str, Any]) -> None:
    is_problem(ask("/api/v1/reprice", "POST", json=body), 400)


def test_a_body_over_the_limit_is_413() -> None:
    answer = ask(
        "/api/v1/outcomes", "POST", content=b" " * (16 * 1024 * 1024 + 1), headers={"content-type": "application/json"}
    )
    assert "16 MiB" in is_problem(answer, 413)["detail"]


def test_reprice_tells_amounts_as_exact_texts(tmp_path: Path) -> None:
    with ControlStore(f"sqlite:///{tmp_path / 'control.sqlite'}") as store:
        house = FakeHouse(control=store, prices=SimpleNamespace(version="a book"))
        said = ask("/api/v1/reprice", "POST", house=house, json={"from": "2026-11"}).json()
        (line,) = ControlDesk(store, "test").audit({})["rows"]
    assert (line["action"], line["subject"]) == ("price.reprice", "2026-11 to now")
    assert said["total"]["before"] == "0.00000001"
    assert said["total"]["after"] == "0.000000012"


def test_outcomes_are_taken_and_bad_ones_refused_alone() -> None:
    house = FakeHouse()
    rows = [
        {
            "task_id": "t1",
            "status": "done",
            "session_id": "s1",
            "value": 12.10,
            "team": "onboarding",
            "tags": {"a": "b"},
        },
        {"task_id": "t2", "status": "finished"},
        {"status": "done"},
        {"task_id": "t3", "status": "failed", "valu": "1"},
        {"task_id": "t4", "status": "done", "value": "a lot"},
        {"task_id": "t5", "status": "done", "at": "some day"},
        "t6",
    ]
    said = ask("/api/v1/outcomes", "POST", house=house, json=rows).json()
    assert said["total"] == {"received": 7, "posted": 1, "duplicates": 0, "refused": 6, "revised": 0, "passed_over": 0}
    assert [problem["where"] for problem in said["coverage"]["problems"]] == [f"outcome {n}" for n in range(2, 8)]
    assert 'did you mean "value"' in said["coverage"]["problems"][2]["what"]
    (taken,) = house.posted[0].outcomes.to_pylist()
    assert taken["value_nano"] == 12_100_000_000
    assert taken["session_ids"] == ["s1"]
    assert taken["team"] == "onboarding"


def test_an_outcome_sent_again_is_the_same_outcome() -> None:
    house = FakeHouse()
    for _ in range(2):
        ask("/api/v1/outcomes", "POST", house=house, json={"task_id": "t", "status": "done"})
    first, second = (batch.outcomes.to_pylist()[0]["outcome_key"] for batch in house.posted)
    assert first == second


def test_facts_arrive_as_they_were_packed() -> None:
    house = FakeHouse()
    rows = [{"fact_id": "a", "source": "test", "start_ns": 1, "operation": "chat", "input_tokens": 3}]
    batch = Batch(facts_of(rows), outcomes_of([]), received=2)
    said = ask("/api/v1/facts", "POST", house=house, content=pack(batch), headers={"content-type": CONTENT_TYPE}).json()
    assert said["total"]["refused"] == 1
    assert house.posted[0].facts.equals(batch.facts)
    for bad in (b"", b"{}\n", pack(batch)[:-300], b"x" * 100):
        is_problem(ask("/api/v1/facts", "POST", content=bad, headers={"content-type": CONTENT_TYPE}), 400)


def test_the_description_is_valid_and_complete() -> None:
    said = ask("/openapi.json").json()
    validate(said)
    routes = {(endpoint.method.lower(), endpoint.path) for endpoint in DESCRIBED}
    described = {(method, path) for path, methods in said["paths"].items() for method in methods}
    assert described == routes | {("get", "/healthz"), ("get", "/openapi.json"), *(("post", path) for path in PATHS)}
    served = {getattr(route, "path", "").replace(":path", "") for route in build_app(FakeHouse())._app._api.routes}  # type: ignore[attr-defined]
    doors = {*PATHS, *LEASE_PATHS}
    assert served == {path for _, path in described if path not in doors} | {"/api/docs", "/api/docs.css"}
    parameters = {item["name"]: item for item in said["paths"]["/api/v1/spend"]["get"]["parameters"]}
    for row in catalogue()["rows"]:
        asked = parameters["by" if row["kind"] == "dimension" else "measures"]
        assert row["name"] in asked["description"]


def test_the_page_of_the_api_names_everything_and_needs_nothing_from_elsewhere() -> None:
    answer = ask("/api/docs")
    for endpoint in DESCRIBED:
        assert f"{endpoint.method} {endpoint.path}" in answer.text
    for kind in error_kinds():
        assert f"id={kind.code}" in answer.text
    assert not re.search(r"(src|href)=.?https?://", answer.text)
    assert "'unsafe-inline'" not in answer.headers["content-security-policy"].split("style-src-attr")[0]
    assert answer.headers["x-frame-options"] == "DENY"
    assert ask("/api/docs.css").headers["content-type"].startswith("text/css")


def test_every_answer_forbids_guessing_its_type_and_no_answer_invites_other_sites() -> None:
    for path in ("/api/v1/spend", "/api/docs", "/healthz", "/nowhere"):
        answer = ask(path, headers={"origin": "http://elsewhere.example"})
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("host", ["http://rebound.example:4318", "http://10.0.0.7:4318", "http://127.0.0.1.example"])
def test_a_name_that_was_made_to_point_here_is_refused(host: str) -> None:
    is_problem(ask("/api/v1/spend", host=host), 421)
    is_problem(ask("/v1/traces", "POST", host=host, headers={"content-type": "application/json"}), 421)


@pytest.mark.parametrize("host", ["http://localhost:4318", "http://[::1]:4318", "http://127.0.0.2", "http://LOCALHOST"])
def test_this_machine_is_answered_under_all_its_names(host: str) -> None:
    assert ask("/api/v1/spend", host=host).status_code == 200


def test_a_page_of_another_site_may_not_order_anything() -> None:
    said = {"origin": "http://elsewhere.example", "content-type": "application/json"}
    is_problem(ask("/api/v1/rebuild", "POST", content=b"{}", headers=said), 403)
    is_problem(ask("/v1/traces", "POST", content=b"{}", headers=said), 403)
    own = {"origin": HOST, "content-type": "application/json"}
    assert ask("/v1/traces", "POST", content=b"{}", headers=own).status_code == 200
