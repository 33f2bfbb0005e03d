"""Rendering: a template and what it is told become an answer."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.responses import HTMLResponse

from outlay import __version__
from outlay.faces.web import forms


@cache
def asset_path(name: str) -> str:
    """The address of a file: its content is in its name, so it may be kept for ever."""
    stem, _, ending = name.rpartition(".")
    return f"/static/{stem}-{hashlib.sha256(asset(name)).hexdigest()[:10]}.{ending}"


@cache
def asset(name: str) -> bytes:
    """The content of a file that pages need."""
    return resources.files("outlay.faces.web").joinpath("static", name).read_bytes()


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("outlay.faces.web"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    names: dict[str, Any] = environment.globals
    names.update(asset=asset_path, version=__version__, form_field=forms.FIELD)
    return environment


def prepare() -> None:
    """Compile every template: else the first page that needs one does."""
    environment = _templates()
    for name in environment.list_templates():
        environment.get_template(name)


def text_of(template: str, told: dict[str, Any]) -> str:
    """A template, filled in."""
    return _templates().get_template(template).render(**told)


def html(template: str, status: int, told: dict[str, Any]) -> HTMLResponse:
    """A page."""
    return HTMLResponse(text_of(template, told), status, {"cache-control": "no-store"})
