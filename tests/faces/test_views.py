"""First views by role, in a shell and over the API."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from outlay.control.place import open_control
from outlay.core.errors import InputError
from outlay.faces.cli.main import run
from outlay.faces.control_desk import ControlDesk
from outlay.govern.views import DEFAULTS, views_in_force


def test_a_first_view_is_set_kept_beside_others_and_reset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["views", "viewer", "strategic", "--home", str(tmp_path)]) == 0
    assert run(["views", "local", "tactical", "--home", str(tmp_path)]) == 0
    with open_control(tmp_path) as store:
        assert views_in_force(store) == {**DEFAULTS, "viewer": "strategic", "local": "tactical"}
    capsys.readouterr()
    assert run(["views", "--json", "--home", str(tmp_path)]) == 0
    rows = {row["role"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    assert (rows["viewer"]["default"], rows["lead"]["default"]) == (False, True)
    assert run(["views", "--reset", "--home", str(tmp_path)]) == 0
    with open_control(tmp_path) as store:
        assert views_in_force(store) == DEFAULTS
        lines = ControlDesk(store, "me").audit({})["rows"]
    assert [line["subject"] for line in lines] == ["policy:views"] * 3


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"boss": "tactical"}, "no role"),
        ({"viewer": "tactcal"}, "no view"),
        (["viewer"], "an object"),
    ],
)
def test_what_is_no_view_is_refused(tmp_path: Path, said: object, told: str) -> None:
    with open_control(tmp_path) as store, pytest.raises(InputError, match=told):
        ControlDesk(store, "me").set_views(said)


def test_half_a_wish_is_no_wish(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["views", "viewer", "--home", str(tmp_path)]) == 2
    assert "a role and a view" in capsys.readouterr().err
