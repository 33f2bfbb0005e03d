"""A visit: one request of a page, who makes it, and what it may look at and change."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from starlette.requests import Request
from starlette.responses import Response

from outlay.core.errors import OutlayError
from outlay.faces.callers import Caller
from outlay.faces.control_desk import ControlDesk
from outlay.faces.cookies import FORM_COOKIE, cookie_in, set_cookie
from outlay.faces.web import forms
from outlay.faces.web.choice import Choice
from outlay.faces.web.choosing import unknown_in
from outlay.faces.web.figures import Books
from outlay.faces.web.rendering import html

if TYPE_CHECKING:
    from outlay.control.store import ControlStore
    from outlay.faces.desk import Desk


class Rooms(Protocol):
    """What pages stand on: the books as of a moment, and the control store."""

    def moment(self) -> AbstractContextManager[Books]:
        """The books as they are now: all figures of one page are of one moment."""
        ...

    @property
    def control(self) -> ControlStore:
        """The control store."""
        ...


@dataclass(frozen=True, slots=True)
class Visit:
    """One request. `books` are of one moment; `problem` and `said` are an order that was refused, to be shown again."""

    books: Books
    request: Request
    now: datetime
    caller: Caller
    open_control: Callable[[], ControlDesk]
    problem: OutlayError | None = None
    said: Mapping[str, str] | None = None

    @property
    def control(self) -> ControlDesk:
        """The desk of the control store, in the visitor's name."""
        return self.open_control()

    @property
    def asked(self) -> Mapping[str, str]:
        """The query string."""
        return self.request.query_params

    @property
    def place(self) -> Mapping[str, str]:
        """The variable parts of the path."""
        return self.request.path_params

    def demand(self, permission: str) -> None:
        """Raises RefusedError if the visitor may not do this."""
        self.caller.demand(permission)

    def page(self, template: str, here: str, **told: object) -> Response:
        """The page, with what every page knows: who looks, what they may do, the form's token, a refused order."""
        choice = told.get("choice")
        if isinstance(choice, Choice) and choice.where:
            told["unknown"] = unknown_in(self.books, choice, self.request.url.path, self.asked)
        status = self.problem.status if self.problem is not None else 200
        said = None if self.said is None else defaultdict(str, self.said)  # a field that was not sent is empty
        return shown(self.request, self.caller, template, status, here, problem=self.problem, said=said, **told)


def shown(request: Request, caller: Caller, template: str, status: int, here: str, **told: Any) -> Response:
    """A page for somebody; gives their browser the cookie of forms where it has none."""
    token = forms.token_of(request)
    known = {
        "here": here,
        "visitor": "" if caller.key is None else caller.key.name,
        "may": caller.may,
        "form_token": token,
        "problem": None,
        "said": None,
        "unknown": (),
    }
    answer = html(template, status, known | told)
    if cookie_in(request.headers.get("cookie", ""), FORM_COOKIE) != token:
        secure = request.url.scheme == "https"
        answer.headers.append("set-cookie", set_cookie(FORM_COOKIE, token, secure=secure))
    return answer


@dataclass(frozen=True, slots=True)
class Order:
    """One form that was sent: who sent it, what it says, and the desks of the control store and of the books."""

    request: Request
    caller: Caller
    control: ControlDesk
    fields: Mapping[str, str]
    now: datetime
    desk: Desk

    @property
    def place(self) -> Mapping[str, str]:
        """The variable parts of the path."""
        return self.request.path_params

    def demand(self, permission: str) -> None:
        """Raises RefusedError if the sender may not do this."""
        self.caller.demand(permission)

    def said(self, *names: str) -> dict[str, Any]:
        """The fields of these names that are not empty."""
        return {name: self.fields[name] for name in names if self.fields.get(name)}


Answer = Callable[[Visit], Response]
Carry = Callable[[Order], str | Answer]
"""Carries an order out and names the address to go on to, or the page that can be shown only this once."""
