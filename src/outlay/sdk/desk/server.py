"""The server's desk: leases over HTTP, for agents on other machines and for control stores that are no file.

What holds is fetched by a thread of its own, so that a decision in memory never waits for a round trip; only the first
call waits a moment for the first answer. Each thread that asks keeps one connection.
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from outlay.core.budget import Budget, Standing
from outlay.core.calendar import Calendar
from outlay.core.errors import LeaseError
from outlay.core.estimate import Estimate
from outlay.core.in_force import InForce
from outlay.core.lease import TTL_NS, Ask, Grant
from outlay.core.money import decimal_text, nano_of
from outlay.core.rate import Rate
from outlay.core.stop import Stop
from outlay.sdk import attachment
from outlay.sdk.desk import RENEWED, SETTLED, Report, Samples, UnreachableError
from outlay.sdk.desk.line import Line
from outlay.sdk.destination import Destination
from outlay.sdk.exceeded import refusal_from
from outlay.sdk.tags import say_once

FRESH_NS = 1_000_000_000
"""How old what holds may be before it is fetched again; where there are no budgets it may be five times as old."""

FIRST_S = 2.0
"""How long the first call waits for the first answer."""

NOT_ASKED_NS = 60_000_000_000
"""How long a server that has no desk, or none for this key, is left alone."""

SAMPLES_MAX = 1_000


_log = logging.getLogger("outlay")


class ServerDesk:
    """Asks a server. Safe to share between threads."""

    def __init__(self, where: Callable[[], Destination | None], ttl_ns: int = TTL_NS) -> None:
        self._where = where
        self._ttl_s = max(1, ttl_ns // 10**9)
        self._local = threading.local()
        self._force: InForce | None = None
        self._version = ""
        self._fetched_ns = self._not_before_ns = 0
        self._fetching = False
        self._answered = threading.Event()
        self._told = False  # the first answer was looked at, or nobody waits for it any more
        self._missed: UnreachableError | None = None
        self._held: dict[str, int] = {}  # lease → what the server holds for it

    @property
    def place(self) -> str:
        """Where the server is."""
        to = self._where()
        return "" if to is None else to.url

    def in_force(self, known: InForce | None) -> InForce | None:  # noqa: ARG002 - the last answer is known better
        """See Desk. It is what the last answer said; another one is fetched aside where that is old."""
        now = time.time_ns()
        empty = self._force is not None and not (self._force.budgets or self._force.stops)
        stale = now - self._fetched_ns > (5 * FRESH_NS if empty else FRESH_NS)
        if stale and now >= self._not_before_ns and not self._fetching:
            self._fetching = True
            before = attachment.put(None)  # the thread belongs to no session
            try:
                threading.Thread(target=self._fetch_aside, name="outlay-budgets", daemon=True).start()
            except RuntimeError:
                self._fetching = False
            finally:
                attachment.put(before)
        self._told = self._told or self._answered.is_set()
        missed, self._missed = self._missed, None
        if missed is not None:
            raise missed
        return self._force

    def ready(self) -> bool:
        """See Desk."""
        if self._told:
            return True
        came = self._answered.wait(FIRST_S)
        if not came:
            self._told = True
        return not came

    def decide(self, ask: Ask, reports: Sequence[Report] = ()) -> Grant:
        """See Desk."""
        self.report(reports, {})
        status, said = self._post("/api/v1/decide", _words(ask, self._ttl_s))
        if status == 402 and "refusal" in said:
            return Grant("", 0, refusal_from(said["refusal"]))
        if status != 200:
            raise self._unreachable(status, said)
        if said.get("unasked"):
            raise UnreachableError(f"{self.place} could not ask its control store", hint="outlay doctor")
        amount = nano_of(said["amount_usd"])
        self._held[said["lease"]] = amount
        return Grant(
            said["lease"],
            amount,
            None,
            self._bound(said, amount),
            tuple(said.get("over", ())),
            int(said["expires_ns"]),
            said.get("max_tokens"),
            said.get("model", ""),
            bool(said.get("chunk")),
            nano_of(said.get("call_usd", "0")),
        )

    def draw(self, lease: str, amount_nano: int) -> Grant:
        """See Desk."""
        held = self._held.get(lease, 0)
        words = {"lease": lease, "more_usd": decimal_text(amount_nano), "ttl_s": self._ttl_s}
        status, said = self._post("/api/v1/renew", words)
        if status == 404:
            raise LeaseError(f'the lease "{lease}" is over', hint="ask for another")
        if status != 200:
            raise self._unreachable(status, said)
        self._held[lease] = nano_of(said["amount_usd"])
        refused = refusal_from(said["refusal"]) if "refusal" in said else None
        return Grant(lease, max(0, self._held[lease] - held), refused, None, (), int(said["expires_ns"]))

    def report(self, reports: Sequence[Report], samples: Samples) -> Sequence[str]:
        """See Desk. What was told before one failed would count once only if it is told again."""
        over: list[str] = []
        for each in reports:
            if each.what == SETTLED:
                words = {"lease": each.lease, "amount_usd": decimal_text(each.amount_nano)}
                status, said = self._post("/api/v1/settle", words)
                self._held.pop(each.lease, None)
            else:
                words = {"lease": each.lease, "ttl_s": self._ttl_s}
                words |= {} if each.what == RENEWED else {"spent_usd": decimal_text(each.amount_nano)}
                status, said = self._post("/api/v1/renew", words)
                if status == 200:
                    self._held[each.lease] = nano_of(said["amount_usd"])
            if status == 404:
                over.append(each.lease)
            elif status != 200:
                raise self._unreachable(status, said)
        for kind, amounts in samples.items():
            self._post("/api/v1/costs", {"kind": kind, "amounts": list(amounts)[-SAMPLES_MAX:]})
        return over

    def rate(self, provider: str, model: str) -> Rate | None:
        """See Desk."""
        said = self._get("/api/v1/costs", provider=provider, model=model)["total"]["rate"]
        return None if said is None else Rate(*said)

    def usual(self, kind: str) -> Estimate | None:
        """See Desk."""
        said = self._get("/api/v1/costs", kind=kind)["total"]["usual"]
        return None if said is None else Estimate(*said)

    def tidy(self) -> None:
        """See Desk; the server does that."""

    def close(self) -> None:
        """See Desk."""
        line: Line | None = getattr(self._local, "line", None)
        if line is not None:
            line.close()

    # ---- what holds ------------------------------------------------------------------------------------------------

    def _fetch_aside(self) -> None:
        try:
            self._fetch()
        except UnreachableError as error:
            self._missed, self._fetched_ns = error, time.time_ns()
        except Exception as error:  # noqa: BLE001 - what was known goes on
            say_once(f"budgets could not be fetched: {error!r}")
        finally:
            self._fetching = False
            self._answered.set()
            self.close()

    def _fetch(self) -> None:
        if self._where() is None:
            self._force = None
            return
        status, said = self._line().exchange("GET", "/api/v1/in-force", {"known": self._version})
        now = self._fetched_ns = time.time_ns()
        if status in {401, 403, 404}:
            self._not_before_ns = now + NOT_ASKED_NS
            why = said.get("title") or f"it answers {status}"
            _log.info("outlay: no budgets are asked at %s: %s", self.place, why)
            self._force = None
            return
        if status != 200:
            raise self._unreachable(status, said)
        if "version" not in (said.get("total") or ()):
            raise UnreachableError(
                f"{self.place} answers 200, but not as Outlay does", hint="outlay.init(endpoint=…) names the server"
            )
        version = str(said["total"]["version"])
        if version == self._version and self._force is not None:
            return
        first, second, third = (int(number) for number in version.split("."))
        stops = tuple(_stop_of(each) for each in said["total"].get("stops", ()))
        budgets = tuple(_budget_of(each) for each in said["rows"])
        self._force, self._version = InForce((first, second, third), budgets, stops), version

    def _bound(self, said: Mapping[str, Any], amount_nano: int) -> Standing | None:
        """How the budget that bound stood before this lease, as far as an answer tells."""
        if "left_usd" not in said or self._force is None:
            return None
        budget = next((each for each in self._force.budgets if each.name == said.get("budget")), None)
        if budget is None:
            return None
        left = nano_of(said["left_usd"])
        return Standing(budget, "", 0, 0, max(left, amount_nano), max(0, amount_nano - left), 0)

    # ---- how it is asked -------------------------------------------------------------------------------------------

    def _line(self) -> Line:
        line: Line | None = getattr(self._local, "line", None)
        if line is None:
            line = self._local.line = Line(self._where)
        return line

    def _post(self, path: str, words: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        return self._line().exchange("POST", path, body=json.dumps(words).encode())

    def _get(self, path: str, **query: str) -> dict[str, Any]:
        status, said = self._line().exchange("GET", path, query)
        if status != 200:
            raise self._unreachable(status, said)
        return said

    def _unreachable(self, status: int, said: Mapping[str, Any]) -> UnreachableError:
        with suppress(Exception):
            self.close()
        return UnreachableError(f"{self.place} answers {status}: {said.get('title', '')}", hint="outlay doctor")


def _words(ask: Ask, ttl_s: int) -> dict[str, Any]:
    """An Ask as `POST /api/v1/decide` takes it."""
    words: dict[str, Any] = {
        "envelope": dict(ask.envelope),
        "chunk": ask.chunk,
        "final": ask.final,
        "parent": ask.parent,
        "counts": dict(ask.counts) or {"steps": 0},
        "depth": ask.depth,
        "ttl_s": ttl_s,
        "id": secrets.token_hex(16),  # asked again over another connection, it is the same lease
    }
    for name, amount in (("estimate_usd", ask.amount_nano), ("least_usd", ask.least_nano)):
        if amount is not None:
            words[name] = decimal_text(amount)
    call = ask.call
    if call is not None:
        names = ("provider", "model", "step", "input_tokens", "max_tokens", "answers")
        words |= {name: getattr(call, name) for name in (*names, "metered", "can_clamp", "can_swap")}
    return words


def _budget_of(said: Mapping[str, Any]) -> Budget:
    return Budget(
        int(said["id"]),
        str(said["name"]),
        dict(said["scope"]),
        Calendar(*said["calendar"]),
        said["mode"],
        said["fail"],
        said["unpriced"],
        said["currency"],
        reserve_percent=int(said["reserve_percent"]),
        caps=dict(said["caps"]),
        ladder=dict(said["ladder"]),
        owner=said["owner"],
    )


def _stop_of(said: Mapping[str, Any]) -> Stop:
    ends = (said["reason"], said["by"], int(said["set_at"]), int(said["until_at"]))
    return Stop(int(said["id"]), dict(said["scope"]), said["level"], *ends)
