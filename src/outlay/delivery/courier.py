"""The courier: takes what is due from the outbox, delivers it, and writes down how each attempt ended.

Nobody waits for it: it has threads of its own, so a channel that hangs holds up neither another channel nor a request.
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from outlay.control import outbox
from outlay.control.alerts import post as put
from outlay.control.channels import Channel, channel_named, list_channels
from outlay.control.outbox import CLAIM_NS, Message
from outlay.control.store import ControlStore
from outlay.core.errors import OutlayError
from outlay.core.period import NS_PER_SECOND, moment_of
from outlay.delivery.kinds import deliver
from outlay.delivery.places import networks
from outlay.delivery.post import Outcome, Post
from outlay.govern.channels import quiet_until

ATTEMPTS_MAX = 30
"""About a day with the waits below; after that a message is dead until somebody asks for it again."""

REST_NS = 30 * NS_PER_SECOND
"""How long a channel that hung is left alone."""

EVERY_S = 2
_AT_ONCE = 4
_FIRST_WAIT_S = 5
_WAIT_S_MAX = 3600

_log = logging.getLogger("outlay.delivery")


class Courier:
    """Delivers what is due, from `start` until `stop`; `round` does it once."""

    def __init__(self, store: ControlStore, post: Post | None = None) -> None:
        self._store = store
        self._post = Post(networks()) if post is None else post
        self._resting: dict[str, int] = {}  # channels that hung, each until a moment
        self._stopped = threading.Event()
        self._hands = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="outlay-courier")
        self._thread = threading.Thread(target=self._walk, name="outlay-courier", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Finish what is on its way and end; what was not delivered stays due."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._hands.shutdown()

    def round(self, now_ns: int | None = None) -> int:
        """Delivers what is due; how many attempts were made."""
        made = 0
        while claimed := outbox.claim(self._store, time.time_ns() if now_ns is None else now_ns, _AT_ONCE * 4):
            channels = {channel.name: channel for channel in list_channels(self._store)}
            list(self._hands.map(lambda message: self._deliver(message, channels, now_ns), claimed))  # noqa: B023
            made += len(claimed)
            if self._stopped.is_set():
                break
        return made

    def _deliver(self, message: Message, channels: dict[str, Channel], now_ns: int | None) -> None:
        now = time.time_ns() if now_ns is None else now_ns
        channel = channels.get(message.channel)
        if channel is None:
            outbox.failed(self._store, message, "the channel is not there any more", 0, now, None)
            return
        loud_ns = quiet_until(channel.settings.get("quiet"), now, str(message.payload.get("severity", "info")))
        later_ns = max(loud_ns, self._resting.get(message.channel, 0))
        if later_ns > now:
            outbox.put_off(self._store, message, later_ns)
            return
        began = time.monotonic()
        outcome = self._tried(channel, message)
        took_ms = int((time.monotonic() - began) * 1000)
        if outcome.ok:
            outbox.sent(self._store, message, outcome.said, took_ms, now)
            return
        if outcome.hung:  # what else is for it waits, so that other channels need not
            self._resting[message.channel] = now + REST_NS
        last = outcome.final or message.attempts >= ATTEMPTS_MAX
        due_ns = None if last else now + int(wait_s(message.attempts, outcome) * NS_PER_SECOND)
        if last:
            _log.warning("message %s to %s is dead: %s", message.id, message.channel, outcome.said)
        outbox.failed(self._store, message, outcome.said, took_ms, now, due_ns)

    def _tried(self, channel: Channel, message: Message) -> Outcome:
        try:
            return deliver(self._post, channel, message.key, message.payload)
        except Exception as error:  # noqa: BLE001 - one message that cannot be said must not hold up the others
            _log.warning("message %s cannot be sent: %s", message.id, type(error).__name__, exc_info=True)
            return Outcome(ok=False, said=f"it cannot be said: {type(error).__name__}")

    def _walk(self) -> None:
        while not self._stopped.wait(EVERY_S):
            try:
                self.round()
            except OutlayError as error:
                _log.warning("%s; tried again in a moment", error.message)
            except Exception as error:  # noqa: BLE001 - messages that wait are worth more than a thread that died
                _log.warning("%s; tried again in a moment", error, exc_info=True)


def wait_s(attempt: int, outcome: Outcome) -> int:
    """How long to wait after an attempt: twice as long each time, up to an hour, and never all at the same moment."""
    most = min(_WAIT_S_MAX, _FIRST_WAIT_S * 2 ** min(attempt - 1, 20))
    return max(outcome.after_s, most // 2 + secrets.randbelow(most // 2 + 1))


def try_channel(store: ControlStore, name: str, actor: str, post: Post | None = None) -> tuple[Message, Outcome]:
    """Sends one message to a channel now, quiet or not, and says how that went; it is in the log like any other."""
    channel = channel_named(store, name)
    now_ns = time.time_ns()
    payload = {
        "type": "test",
        "severity": "info",
        "title": f"This is a test of the channel {name}, asked for by {actor}",
        "at": f"{moment_of(now_ns):%Y-%m-%dT%H:%M:%SZ}",
    }
    key = f"test:{secrets.token_hex(8)}@{name}"
    with store.writing() as connection:
        number = put(connection, key, "test", json.dumps(payload), name, now_ns + CLAIM_NS, now_ns)
    assert number is not None, "its key was made a moment ago"
    message = Message(number, key, "test", payload, name, 1, now_ns, now_ns + CLAIM_NS)
    began = time.monotonic()
    outcome = deliver(Post(networks()) if post is None else post, channel, key, payload)
    took_ms = int((time.monotonic() - began) * 1000)
    if outcome.ok:
        outbox.sent(store, message, outcome.said, took_ms, time.time_ns())
    else:
        outbox.failed(store, message, outcome.said, took_ms, time.time_ns(), None)
    return message, outcome
