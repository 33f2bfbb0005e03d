"""A browser without a screen that visits the pages of a house and sends their forms as a person would."""

from __future__ import annotations

import re
from typing import Any

from starlette.testclient import TestClient

from outlay.control.keyring import Keyring
from outlay.control.keys import ROLES, make_key
from outlay.faces.api.app import build_app
from outlay.faces.web.pages import routes
from outlay.house import House


def visitor(house: House, name: str = "") -> TestClient:
    """A browser: on loopback without a key, or one whose key is named after its role; a lead's is bound to support."""
    keyring = Keyring(house.control)
    app = build_app(house, routes(house, keyring), keyring, key_needed=bool(name))
    client = TestClient(app, base_url="http://127.0.0.1", follow_redirects=False)
    if name:
        teams = ("support",) if name == "lead" else ()
        secret, _ = make_key(house.control, name, ROLES[name], teams, actor="test")
        keyring.refresh()
        send(client, "/signin", key=secret)
    return client


def send(client: TestClient, path: str, **fields: str) -> Any:
    """The answer to a form of the page at this path, with the token that stands in it."""
    page = client.get(path, headers={"accept": "text/html"})
    token = re.search(r'name="form_token" value="([^"]+)"', page.text)
    held = client.cookies.get("outlay_form")
    return client.post(path, data={**fields, "form_token": token.group(1) if token else str(held)})
