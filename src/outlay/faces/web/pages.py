"""Pages: the routes of the web face, rendered on the server."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from outlay.core.errors import OutlayError, QueryError, nearest
from outlay.faces.callers import caller_of
from outlay.faces.control_desk import ControlDesk
from outlay.faces.desk import HouseDesk
from outlay.faces.web import forms, overrides, prices, settings, signin
from outlay.faces.web.alerts import alerts_page, change_alerts
from outlay.faces.web.budget_orders import change_budget, make_budget
from outlay.faces.web.budgets import budget_page, budgets_page
from outlay.faces.web.choice import parse_choice
from outlay.faces.web.compare import compare_page
from outlay.faces.web.executive import collect_year, executive_page
from outlay.faces.web.feature import feature_page
from outlay.faces.web.figures import Books, collect
from outlay.faces.web.live import collect_live
from outlay.faces.web.months import parse_month
from outlay.faces.web.rendering import asset, asset_path
from outlay.faces.web.session import session_address, session_page
from outlay.faces.web.sessions import parse_listing, sessions_page
from outlay.faces.web.steps import STEPS_SHOWN
from outlay.faces.web.stopping import change_stop, stop_told
from outlay.faces.web.strategic import collect_strategy, strategic_page
from outlay.faces.web.tactical import tactical_page
from outlay.faces.web.tags import parse_tag_choice, tags_page
from outlay.faces.web.targets import change_targets, targets_page
from outlay.faces.web.view import CENTRES, page_of
from outlay.faces.web.visit import Answer, Carry, Order, Rooms, Visit, shown
from outlay.govern.views import LOCAL, views_in_force
from outlay.metrics.session import SessionDetail
from outlay.metrics.steps import StepsAsked, parse_steps

if TYPE_CHECKING:
    from outlay.control.keyring import Keyring
    from outlay.house import House

ASSETS = {
    "outlay.css": "text/css; charset=utf-8",
    "outlay.js": "text/javascript; charset=utf-8",
    "outlay.svg": "image/svg+xml",
}
_IMMUTABLE = "public, max-age=31536000, immutable"

log = logging.getLogger("outlay.web")


def routes(rooms: Rooms, keyring: Keyring | None = None) -> list[BaseRoute]:
    """The pages and the files they need, over open books."""
    pages = [Route(path, _page(rooms, answer), methods=["GET"]) for path, answer in PAGES.items()]
    orders = [Route(path, _order(rooms, carry, page), methods=["POST"]) for path, (carry, page) in ORDERS.items()]
    files = [
        Route(path, _file(name, kind), methods=["GET"]) for name, kind in ASSETS.items() for path in (asset_path(name),)
    ]
    elsewhere = Route("/{name}", _page(rooms, _nothing), methods=["GET"])
    return [*signin.routes(keyring), *orders, *pages, *files, elsewhere]


def _page(rooms: Rooms, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
    async def page(request: Request) -> Response:
        return await run_in_threadpool(_shown, rooms, answer, request)

    return page


def _order(rooms: Rooms, carry: Carry, page: Answer) -> Callable[[Request], Awaitable[Response]]:
    """Takes a form: done, it leads on; refused, the page is shown again with what was said and why not."""

    async def order(request: Request) -> Response:
        try:
            fields = await forms.fields_of(request)
        except OutlayError as error:
            return await run_in_threadpool(_refused, request, error)
        return await run_in_threadpool(_carried, rooms, carry, page, request, fields)

    return order


def _carried(rooms: Rooms, carry: Carry, page: Answer, request: Request, fields: dict[str, str]) -> Response:
    caller, now = caller_of(request.scope), datetime.now(UTC)
    try:
        control, desk = ControlDesk(rooms.control, caller.actor), HouseDesk(cast("House", rooms), caller.actor)
        target = carry(Order(request, caller, control, fields, now, desk))
    except OutlayError as error:
        return _shown(rooms, page, request, error, fields)
    return RedirectResponse(target, 303) if isinstance(target, str) else _shown(rooms, target, request)


def _shown(
    rooms: Rooms,
    answer: Answer,
    request: Request,
    problem: OutlayError | None = None,
    said: dict[str, str] | None = None,
) -> Response:
    caller, now = caller_of(request.scope), datetime.now(UTC)

    def control() -> ControlDesk:
        return ControlDesk(rooms.control, caller.actor)

    try:
        with rooms.moment() as same:
            return answer(Visit(same, request, now, caller, control, problem, said))
    except OutlayError as error:
        return _refused(request, error)


def _refused(request: Request, error: OutlayError) -> Response:
    if error.status >= 500:
        log.error("page: %s", error.message, exc_info=error)
    since = f"{datetime.now(UTC):%H:%M:%S}"
    return shown(request, caller_of(request.scope), "error.html", error.status, "", error=error, since=since)


def _file(name: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(_: Request) -> Response:
        return Response(asset(name), media_type=kind, headers={"cache-control": _IMMUTABLE})

    return answer


def _overview(visit: Visit) -> Response:
    page = page_of(collect(visit.books, parse_choice(visit.asked, visit.now)))
    return visit.page("page.html", "/overview", **page)


def _home(visit: Visit) -> Response:
    """The view the visitor's role wants; an address with a choice was one of the overview."""
    key = visit.caller.key
    views = views_in_force(visit.control.store)
    view = views.get(key.role if key is not None else LOCAL, views[LOCAL])
    if view == "overview" or visit.asked:
        return _overview(visit)
    return RedirectResponse(f"/{view}", 303)


def _tactical(visit: Visit) -> Response:
    choice = parse_choice({**visit.asked, "period": "24h"}, visit.now)
    return visit.page("tactical.html", "/tactical", **tactical_page(collect_live(visit.books, choice), CENTRES))


def _strategic(visit: Visit) -> Response:
    choice = parse_month(visit.asked, visit.now, "/strategic")
    found = collect_strategy(visit.books, visit.control.store, choice)
    return visit.page("strategic.html", "/strategic", **strategic_page(found))


def _executive(visit: Visit) -> Response:
    choice = parse_month(visit.asked, visit.now, "/executive")
    return visit.page(
        "executive.html", "/executive", **executive_page(collect_year(visit.books, visit.control, choice))
    )


def _targets(visit: Visit) -> Response:
    return visit.page("targets.html", "/targets", **targets_page(visit))


def _sessions(visit: Visit) -> Response:
    asked = visit.asked.get("id", "").strip()
    if asked:
        return RedirectResponse(session_address(asked), 303)
    listing = parse_listing(visit.asked, parse_choice(visit.asked, visit.now))
    return visit.page("sessions.html", "/sessions", **sessions_page(visit.books, listing, CENTRES))


def _session(visit: Visit) -> Response:
    said = {name: visit.asked.get(name, "") for name in ("order", "only", "after", "before")}
    asked = parse_steps({**said, "top": str(STEPS_SHOWN)})
    told = session_page(detail := _found(visit.books, visit.place["id"], asked), CENTRES, asked)
    return visit.page("session.html", "/sessions", **told, **stop_told(visit, detail.root_session or detail.session))


def _compare(visit: Visit) -> Response:
    one, other = (visit.asked.get(name, "").strip() for name in ("a", "b"))
    if not one or not other:
        return visit.page("compare.html", "/sessions", sides=(), a=one, b=other)
    steps = StepsAsked(top=1)  # of two sessions side by side no steps are shown
    told = compare_page(_found(visit.books, one, steps), _found(visit.books, other, steps), CENTRES)
    return visit.page("compare.html", "/sessions", a=one, b=other, **told)


def _feature(visit: Visit) -> Response:
    feature = visit.place["id"]
    choice = parse_choice({**visit.asked, "feature": feature}, visit.now)
    try:
        told = feature_page(visit.books, feature, choice)
    except QueryError as error:
        error.status = 404  # as with sessions
        raise
    return visit.page("feature.html", "/overview", **told)


def _prices(visit: Visit) -> Response:
    return visit.page("prices.html", "/prices", **prices.prices_page(visit))


def _tags(visit: Visit) -> Response:
    picked = parse_tag_choice(visit.asked, parse_choice(visit.asked, visit.now))
    return visit.page("tags.html", "/tags", **tags_page(visit.books, picked))


def _nothing(visit: Visit) -> Response:
    """There is no such page: a person is told on one, a program as the API tells it."""
    if "text/html" not in visit.request.headers.get("accept", ""):
        raise HTTPException(404)
    missing = QueryError(f"there is no page /{visit.place['name']}", hint=nearest(f"/{visit.place['name']}", _NAMED))
    missing.status = 404
    raise missing


def _found(books: Books, session: str, steps: StepsAsked) -> SessionDetail:
    try:
        return books.session(session, steps)
    except QueryError as error:
        error.status = 404  # nothing is wrong with the address: there is no such session
        raise


def _budgets(visit: Visit) -> Response:
    return visit.page("budgets.html", "/budgets", **budgets_page(visit))


def _budget(visit: Visit) -> Response:
    return visit.page("budget.html", "/budgets", **budget_page(visit, visit.place["id"]))


def _overrides(visit: Visit) -> Response:
    return visit.page("overrides.html", "/overrides", **overrides.overrides_page(visit))


def _alerts(visit: Visit) -> Response:
    return visit.page("alerts.html", "/alerts", **alerts_page(visit))


def _settings(visit: Visit) -> Response:
    return visit.page("settings.html", "/settings", **settings.settings_page(visit))


def _override(visit: Visit) -> Response:
    return visit.page("override.html", "/overrides", **overrides.override_page(visit, visit.place["id"]))


PAGES: dict[str, Answer] = {
    "/": _home,
    "/overview": _overview,
    "/tactical": _tactical,
    "/strategic": _strategic,
    "/executive": _executive,
    "/targets": _targets,
    "/sessions": _sessions,
    "/sessions/{id:path}": _session,
    "/features/{id:path}": _feature,
    "/compare": _compare,
    "/budgets": _budgets,
    "/budgets/{id:path}": _budget,
    "/overrides": _overrides,
    "/overrides/{id}": _override,
    "/alerts": _alerts,
    "/prices": _prices,
    "/tags": _tags,
    "/settings": _settings,
}
"""What each address shows."""

_NAMED = [path for path in PAGES if "{" not in path]

ORDERS: dict[str, tuple[Carry, Answer]] = {
    "/budgets": (make_budget, _budgets),
    "/budgets/{id:path}": (change_budget, _budget),
    "/overrides": (overrides.ask, _overrides),
    "/targets": (change_targets, _targets),
    "/alerts": (change_alerts, _alerts),
    "/overrides/{id}": (overrides.decide, _override),
    "/prices": (prices.change_prices, _prices),
    "/sessions/{id:path}": (change_stop, _session),
    "/settings": (settings.change_settings, _settings),
    "/settings/keys": (settings.make_key, _settings),
}
"""What a form that is sent to an address does, and the page it is shown on again when it is refused."""
