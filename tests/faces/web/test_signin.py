"""Signing in with a real control store: cookies, forms and their forgeries, roles."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from outlay.control.keyring import Keyring
from outlay.control.keys import ROLES, make_key
from outlay.faces.api.app import build_app
from outlay.faces.web.pages import routes
from outlay.house import House

HTML = {"accept": "text/html,application/xhtml+xml"}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House.open(tmp_path_factory.mktemp("home")) as opened:
        yield opened


@pytest.fixture(scope="module")
def secrets(house: House) -> dict[str, str]:
    teams = {"lead": ("support",)}
    store = house.control
    return {role: make_key(store, role, may, teams.get(role, ()), actor="test")[0] for role, may in ROLES.items()}


@pytest.fixture
def client(house: House, secrets: dict[str, str]) -> TestClient:
    keyring = Keyring(house.control)
    app = build_app(house, routes(house, keyring), keyring, key_needed=True)
    return TestClient(app, base_url="http://outlay.test", follow_redirects=False)


def token_in(text: str) -> str:
    found = re.search(r'name="form_token" value="([^"]{43})"', text)
    assert found is not None
    return found.group(1)


def signed_in(client: TestClient, secret: str, to: str = "/") -> TestClient:
    page = client.get("/signin", headers=HTML)
    answer = client.post("/signin", data={"key": secret, "next": to, "form_token": token_in(page.text)})
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"] == to
    return client


def test_a_browser_is_led_to_sign_in_and_back(client: TestClient, secrets: dict[str, str]) -> None:
    led = client.get("/prices?model=o3", headers=HTML)
    assert led.status_code == 303
    assert led.headers["location"] == "/signin?next=%2Fprices%3Fmodel%3Do3"
    assert client.get(led.headers["location"]).status_code == 200
    signed_in(client, secrets["viewer"], "/prices?model=o3")
    page = client.get("/prices?model=o3", headers=HTML)
    assert page.status_code == 200
    assert "viewer" in page.text
    assert "Sign out" in page.text


def test_a_program_gets_a_problem_and_no_redirect(client: TestClient) -> None:
    answer = client.get("/prices")
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"


def test_the_cookie_is_for_this_server_s_own_pages(client: TestClient, secrets: dict[str, str]) -> None:
    page = client.get("/signin")
    form = {"key": secrets["viewer"], "form_token": token_in(page.text)}
    (cookie,) = client.post("/signin", data=form).headers.get_list("set-cookie")
    assert re.fullmatch(r"outlay_signin=[\w-]{43}; Path=/; HttpOnly; SameSite=Lax", cookie)
    secure = TestClient(client.app, base_url="https://outlay.test", follow_redirects=False)
    form["form_token"] = token_in(secure.get("/signin").text)
    assert secure.post("/signin", data=form).headers["set-cookie"].endswith("; Secure")


def test_a_wrong_key_is_told_so_and_is_not_repeated(client: TestClient) -> None:
    page = client.get("/signin")
    answer = client.post("/signin", data={"key": "outlay_wrong", "form_token": token_in(page.text)})
    assert answer.status_code == 401
    assert "no key that is in force reads so" in answer.text
    assert "outlay_wrong" not in answer.text


@pytest.mark.parametrize("target", ["//evil.test", "https://evil.test", "/\\evil.test", "javascript:alert(1)", "x"])
def test_nobody_is_led_to_another_site(client: TestClient, secrets: dict[str, str], target: str) -> None:
    page = client.get("/signin", params={"next": target})
    form = {"key": secrets["viewer"], "next": target, "form_token": token_in(page.text)}
    assert client.post("/signin", data=form).headers["location"] == "/"


def test_a_forged_form_changes_nothing(client: TestClient, secrets: dict[str, str]) -> None:
    """Complaint of every form: another site makes a signed-in browser send one."""
    signed_in(client, secrets["administrator"])
    token = token_in(client.get("/overview").text)
    assert client.post("/signout", data={"a": "b"}).status_code == 403
    assert client.post("/signout", data={"form_token": "x" * 43}).status_code == 403
    foreign = {"origin": "http://evil.test"}
    assert client.post("/signout", data={"form_token": token}, headers=foreign).status_code == 403
    elsewhere = {"sec-fetch-site": "cross-site"}
    assert client.post("/signout", data={"form_token": token}, headers=elsewhere).status_code == 403
    assert client.get("/overview").status_code == 200
    assert client.post("/signout", data={"form_token": token}).status_code == 303
    assert client.get("/overview").status_code == 401


def test_a_cookie_gives_no_orders_to_the_api(client: TestClient, secrets: dict[str, str]) -> None:
    signed_in(client, secrets["administrator"])
    assert client.get("/api/v1/counters").status_code == 200
    assert client.post("/api/v1/keys", json={"name": "more"}).status_code == 401


def test_signing_in_needs_the_permission_to_read(client: TestClient, house: House) -> None:
    secret, _ = make_key(house.control, "writer", ("write",), actor="test")
    client = TestClient(client.app, base_url="http://outlay.test", follow_redirects=False)
    keyring = Keyring(house.control)
    client = TestClient(build_app(house, routes(house, keyring), keyring, key_needed=True), base_url="http://a.test")
    page = client.get("/signin")
    answer = client.post("/signin", data={"key": secret, "form_token": token_in(page.text)})
    assert answer.status_code == 400
    assert "may not read" in answer.text


def test_a_body_that_is_no_form_is_refused(client: TestClient) -> None:
    client.get("/signin")
    assert client.post("/signin", json={"key": "x"}).status_code == 415
    big = {"key": "x" * 300_000, "form_token": "y"}
    assert client.post("/signin", data=big).status_code == 413


def test_the_tables_are_not_read_by_who_shows_nothing(client: TestClient, tmp_path: Path) -> None:
    assert client.get("/healthz").status_code == 200
    assert client.get("/static/nothing.css").status_code == 404
    assert client.get("/api/docs").status_code == 401
