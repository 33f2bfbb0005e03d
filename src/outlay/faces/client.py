"""A desk at a distance: asks the server that owns the books, over its API.

Only the standard library, so that a command that asks a running server starts in the time of one request.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from outlay.core.errors import FormatError, OutlayError, ServerError
from outlay.faces.actors import ACTOR_HEADER
from outlay.faces.desk import COUNTS, Params, Told, imported
from outlay.faces.plain import Reply

if TYPE_CHECKING:
    from outlay.sources.facts import Batch
    from outlay.sources.registry import ReadOptions

_JSON = "application/json"
_TOML = "application/toml"
_TIMEOUT_S = 3600.0
"""A rebuild of large books takes minutes; a server that died closes the connection at once."""


class ServerDesk:
    """See `outlay.faces.desk.Desk`; every method may raise what the server refused with, or ServerError."""

    def __init__(self, url: str, key: str = "", actor: str = "") -> None:
        self._url = url
        self._key = key
        self._actor = actor

    def spend(self, params: Params) -> Reply:
        """See Desk."""
        return self._get("spend", params)

    def sessions(self, params: Params) -> Reply:
        """See Desk."""
        return self._get("sessions", params)

    def session(self, session_id: str, params: Params) -> Reply:
        """See Desk."""
        return self._get(f"sessions/{quote(session_id, safe='')}", params)

    def why(self, feature: str, params: Params) -> Reply:
        """See Desk."""
        return self._get(f"features/{quote(feature, safe='')}", params)

    def outcomes(self, params: Params) -> Reply:
        """See Desk."""
        return self._get("outcomes", params)

    def report_outcomes(self, said: object) -> Reply:
        """See Desk."""
        return self._post("outcomes", said)

    def tasks(self, params: Params) -> Reply:
        """See Desk."""
        return self._get("tasks", params)

    def task(self, task: str) -> Reply:
        """See Desk."""
        return self._get(f"tasks/{quote(task, safe='')}", {})

    def forecast(self, params: Params) -> Reply:
        """See Desk."""
        return self._get("forecast", params)

    def efficiency(self, params: Params) -> Reply:
        """See Desk."""
        return self._get("efficiency", params)

    def targets(self, params: Params) -> Reply:
        """See Desk."""
        return self._get("targets/review", params)

    def metrics(self) -> Reply:
        """See Desk."""
        return self._get("metrics", {})

    def prices(self, params: Params) -> Reply:
        """See Desk."""
        return self._get("prices", params)

    def add_price(self, said: Mapping[str, Any]) -> Reply:
        """See Desk."""
        return self._post("prices/overrides", said)

    def add_contract(self, said: Mapping[str, Any]) -> Reply:
        """See Desk."""
        return self._post("prices/contracts", said)

    def add_alias(self, said: Mapping[str, Any]) -> Reply:
        """See Desk."""
        return self._post("prices/aliases", said)

    def import_prices(self, content: bytes) -> Reply:
        """See Desk."""
        return self._send("POST", "prices/imports/litellm", content, _JSON)

    def check_prices(self) -> Reply:
        """See Desk."""
        return self._get("prices/check", {})

    def tags(self, params: Params) -> Reply:
        """See Desk."""
        return self._get("tags", params)

    def tag_causes(self, params: Params) -> Reply:
        """See Desk."""
        return self._get("tags/causes", params)

    def tag_policy(self) -> Reply:
        """See Desk."""
        return self._get("tags/policy", {})

    def check_tag_policy(self, content: bytes) -> Reply:
        """See Desk."""
        return self._send("POST", "tags/policy/check", content, _TOML)

    def set_tag_policy(self, content: bytes, params: Params) -> Reply:
        """See Desk."""
        return self._send("PUT", f"tags/policy?{_query(params)}", content, _TOML)

    def apply_tags(self, params: Params) -> Reply:
        """See Desk."""
        return self._post("tags/apply", {name: texts[0] for name, texts in params.items()})

    def tag_rules(self, params: Params) -> Reply:
        """See Desk."""
        return self._get("tags/rules", params)

    def add_tag_rule(self, said: Mapping[str, Any]) -> Reply:
        """See Desk."""
        return self._post("tags/rules", said)

    def remove_tag_rule(self, name: str) -> Reply:
        """See Desk."""
        return self._send("DELETE", f"tags/rules/{quote(name, safe='')}", None, "")

    def post_batch(self, batch: Batch) -> Reply:
        """See Desk."""
        from outlay.faces.wire import CONTENT_TYPE, pack

        return self._send("POST", "facts", pack(batch), CONTENT_TYPE)

    def import_paths(self, paths: Sequence[Path], options: ReadOptions, progress: Told | None) -> Reply:
        """See Desk; the files are read here, the server gets facts."""
        from outlay.sources.registry import discover, read

        files = discover(paths)
        by_file: dict[str, dict[str, Any]] = {}
        unreadable: list[dict[str, Any]] = []
        for place, file in enumerate(files):
            if progress:
                progress(place, len(files))
            report: dict[str, Any] = {**dict.fromkeys(COUNTS, 0), "problems": []}
            try:
                for batch in read(file, options):
                    _add(report, self.post_batch(batch))
                    report["passed_over"] += batch.passed_over
            except FormatError as error:
                unreadable.append({"where": str(file), "what": error.message, "hint": error.hint})
                continue
            by_file[str(file)] = report
        if progress:
            progress(len(files), len(files))
        return imported(paths, by_file, unreadable)

    def reprice(self, since: str, until: str, progress: Told | None) -> Reply:  # noqa: ARG002 - the protocol has it
        """See Desk; the server does not tell its progress."""
        return self._post("reprice", {"from": since, "to": until})

    def rebuild(self, progress: Told | None) -> Reply:  # noqa: ARG002 - see above
        """See Desk; the server does not tell its progress."""
        return self._post("rebuild", {})

    def true_up(self) -> Reply:
        """See Desk."""
        return self._post("budgets/true-up", {})

    def watch_budgets(self) -> Reply:
        """See Desk."""
        return self._post("alerts/run", {})

    def check_budgets(self) -> Reply:
        """See Desk."""
        return self._get("budgets/check", {})

    def doctor(self) -> Reply:
        """See Desk."""
        return self._get("doctor", {})

    def counters(self) -> Reply:
        """See Desk."""
        return self._get("counters", {})

    def _get(self, path: str, params: Params) -> Reply:
        query = _query(params)
        return self._send("GET", f"{path}?{query}" if query else path, None, "")

    def _post(self, path: str, said: object) -> Reply:
        return self._send("POST", path, json.dumps(said).encode(), _JSON)

    def _send(self, method: str, path: str, body: bytes | None, content_type: str) -> Reply:
        place = urlsplit(self._url)
        headers = {"content-type": content_type} if content_type else {}
        if self._key:
            headers["authorization"] = f"Bearer {self._key}"
        if self._actor:
            headers[ACTOR_HEADER] = quote(self._actor, safe=":@ ")
        connection = HTTPConnection(place.hostname or "127.0.0.1", place.port, timeout=_TIMEOUT_S)
        try:
            connection.request(method, f"/api/v1/{path}", body, headers)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, HTTPException) as error:
            raise ServerError(
                f"the server at {self._url} did not answer: {error}", hint="outlay doctor, or stop the server"
            ) from error
        finally:
            connection.close()
        if answer.status != 200:
            raise _refusal(answer.status, content)
        reply: Reply = json.loads(content)
        return reply


def _query(params: Params) -> str:
    return urlencode([(name, text) for name, texts in params.items() for text in texts])


def _add(report: dict[str, Any], posted: Reply) -> None:
    for count in COUNTS:
        report[count] += posted["total"][count]
    report["problems"] += posted["coverage"]["problems"]


def _refusal(status: int, content: bytes) -> OutlayError:
    """The error the server answered with, of the same kind as if it had happened here."""
    try:
        said: dict[str, Any] = json.loads(content)
        message, hint = str(said["detail"]), str(said.get("hint", ""))
        detail = [str(item["detail"]) for item in said.get("errors", ())]
        code = str(said["type"]).partition("#")[2]
    except (ValueError, KeyError, TypeError):
        message, hint, detail, code = f"the server answered {status}", "", [], ""
    kind = next((kind for kind in _kinds(OutlayError) if kind.code == code), ServerError)
    error = kind(message, detail=detail, hint=hint)
    error.status = status
    return error


def _kinds(kind: type[OutlayError]) -> Iterator[type[OutlayError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _kinds(below)
