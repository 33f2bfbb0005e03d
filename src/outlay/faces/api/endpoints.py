"""What an endpoint is: one record from which the route, the checks of its parameters and its documentation are made."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from outlay.core.errors import InputError, nearest
from outlay.faces.callers import Caller
from outlay.faces.control_desk import ControlDesk
from outlay.faces.desk import Desk

JSON_TYPE = "application/json"
JSON_BODY_BYTES_MAX = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter: `repeated` ones may be given several times or as a list with commas."""

    name: str
    text: str
    place: str = "query"
    repeated: bool = False
    needed: bool = False
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Body:
    """What a request must carry; `schema` is JSON Schema and is shown, the desk judges the content."""

    text: str
    content_type: str = JSON_TYPE
    schema: Mapping[str, Any] = field(default_factory=dict[str, Any])
    bytes_max: int = JSON_BODY_BYTES_MAX


@dataclass(frozen=True, slots=True)
class Call:
    """One request, read and checked."""

    desk: Desk
    path: Mapping[str, str]
    params: Mapping[str, Sequence[str]]
    body: bytes
    caller: Caller
    open_control: Callable[[str], ControlDesk]

    @property
    def control(self) -> ControlDesk:
        """The desk of the control store, in the caller's name."""
        return self.open_control(self.caller.actor)

    def json(self) -> Any:
        """The body as JSON; numbers with a fraction stay exact decimals. Raises InputError."""
        if not self.body:
            return {}
        try:
            return json.loads(self.body, parse_float=Decimal)
        except (ValueError, RecursionError) as error:
            raise InputError(f"the body is not JSON: {error}") from error

    def json_object(self) -> dict[str, Any]:
        """The body as a JSON object. Raises InputError when it is anything else."""
        said = self.json()
        if not isinstance(said, dict):
            raise InputError("the body must be a JSON object")
        return said


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method on one path. `answer` runs in a thread, so it may wait for the books; None: a door of its own answers.

    `reply` is the JSON Schema of an answer that is no Reply.
    """

    method: str
    path: str
    summary: str
    answer: Callable[[Call], Any] | None
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None
    room: str = "books"
    needs: str = ""
    reply: Mapping[str, Any] | None = None

    @property
    def permission(self) -> str:
        """What a key must be allowed: as said, else to read for a question and to govern for an order."""
        return self.needs or ("read" if self.method == "GET" else "govern")


def checked(endpoint: Endpoint, pairs: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    """The query string as texts by name. Raises InputError for a name the endpoint does not know."""
    known = {item.name: item for item in endpoint.parameters if item.place == "query"}
    params: dict[str, list[str]] = {}
    for name, value in pairs:
        if name not in known:
            raise InputError(f'unknown parameter "{name}"', hint=nearest(name, known) if known else "it takes none")
        params.setdefault(name, []).append(value)
    return params
