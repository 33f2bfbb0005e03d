"""Make the company up and send it through the OTLP door of a running server.

Each day is generated on its own, from a generator seeded with the seed, the day and the feature, so days can be made
in any order and in several processes and the bytes are still a function of (seed, now). The last days go first: the
page is useful while the history is still arriving.
"""

from __future__ import annotations

import http.client
import multiprocessing
import os
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

from outlay.core.errors import ServerError
from outlay.core.period import ns_of
from outlay.demo.company import (
    FALLBACK_DAY,
    FALLBACK_FEATURE,
    FEATURES,
    FULL_DEPTH_DAYS,
    HISTORY_DAYS,
    HOURS,
    LOOP_FEATURE,
    LOOP_HOURS,
    LOOP_STARTED_HOURS_AGO,
    WEEKEND_PERCENT,
    Feature,
)
from outlay.demo.otlp import requests_of
from outlay.demo.work import Run, summarised, unfold

DEFAULT_SEED = 7
TIMEOUT_SECONDS = 120
SUMMARY_DAYS = 7
_ATTEMPTS_MAX = 60
_HOUR_NS = 3_600_000_000_000
_SATURDAY = 5


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the demo is: days sent of days to send, and the spans acknowledged so far."""

    days: int
    days_total: int
    spans: int


@dataclass(frozen=True, slots=True)
class Sent:
    """What was acknowledged by the server."""

    days: int
    spans: int
    seconds: float


def prepare(home: Path) -> None:
    """Give a fresh home the company's rate card and tag policy, before its books are opened; what is there stays."""
    for place, name in ((home / "prices" / "rate_card.toml", "rate_card.toml"), (home / "tags.toml", "tags.toml")):
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(resources.files("outlay.demo").joinpath(name).read_bytes())


def run(
    target: str,
    seed: int = DEFAULT_SEED,
    progress: Callable[[Progress], None] | None = None,
    now: datetime | None = None,
) -> Sent:
    """Send the whole company to the server at `target` (`http://127.0.0.1:4318`).

    `progress` is called after each day, from this thread. `now` is where the story ends, by default the present.
    Raises ServerError when the server cannot be reached or keeps refusing.
    """
    began = time.perf_counter()
    end = now or datetime.now(UTC)
    spans = 0
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(4, os.cpu_count() or 1), mp_context=context) as pool:
        sent = {pool.submit(_send, target, seed, end, stretch): stretch for stretch in stretches()}
        days = 0
        try:
            for stretch in as_completed(sent):
                spans += stretch.result()
                days += len(sent[stretch])
                if progress is not None:
                    progress(Progress(days, HISTORY_DAYS + 1, spans))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return Sent(days, spans, time.perf_counter() - began)


def stretches() -> list[range]:
    """The days that are made and sent together, last ones first: single days at full depth, then about a week each."""
    full = [range(day, day + 1) for day in range(min(FULL_DEPTH_DAYS, HISTORY_DAYS + 1))]
    rest = range(len(full), HISTORY_DAYS + 1)
    return [*full, *(rest[place : place + SUMMARY_DAYS] for place in range(0, len(rest), SUMMARY_DAYS))]


def bodies(seed: int, now: datetime, days: range) -> Iterator[tuple[bytes, int]]:
    """The export requests of some days of the story, and the number of spans in each."""
    rng = random.Random(f"{seed}/{days}/ids")  # noqa: S311 - a story, not a secret
    yield from requests_of((run for days_ago in days for run in runs(seed, now, days_ago)), rng)


def runs(seed: int, now: datetime, days_ago: int) -> Iterator[Run]:
    """The runs of one day of the story; the last 60 days step by step, those before as summaries."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days_ago)
    end_ns = ns_of(now)
    for feature in FEATURES:
        rng = random.Random(f"{seed}/{days_ago}/{feature.name}")  # noqa: S311 - a story
        for opened_ns in sorted(_openings(feature, midnight, days_ago, rng)):
            too_much = feature.name == FALLBACK_FEATURE and days_ago == FALLBACK_DAY
            told = unfold(feature, opened_ns, days_ago, rng, whole_documents=too_much)
            if opened_ns + told.steps[0].length_ms * 1_000_000 < end_ns:
                yield told if days_ago < FULL_DEPTH_DAYS else summarised(told)
        if feature.name == LOOP_FEATURE:
            yield from _loop(feature, midnight, now, days_ago, rng)


def _openings(feature: Feature, midnight: datetime, days_ago: int, rng: random.Random) -> Iterator[int]:
    """When the day's sessions open, in nanoseconds."""
    growth_percent = 100 + (feature.sessions_then - 100) * days_ago // HISTORY_DAYS
    weekday_percent = WEEKEND_PERCENT[feature.rhythm] if midnight.weekday() >= _SATURDAY else 100
    middle = feature.sessions * growth_percent * weekday_percent
    count = middle * rng.randint(84, 116) // 1_000_000
    count += rng.randrange(1_000_000) < middle * 100 % 1_000_000
    start_ns = ns_of(midnight)
    for hour in rng.choices(range(24), HOURS[feature.rhythm], k=count):
        yield start_ns + hour * _HOUR_NS + rng.randrange(_HOUR_NS)


def _loop(feature: Feature, midnight: datetime, now: datetime, days_ago: int, rng: random.Random) -> Iterator[Run]:
    """The sessions that could not stop, on the day on which they began."""
    began = (now - timedelta(hours=LOOP_STARTED_HOURS_AGO)).replace(minute=27, second=0, microsecond=0)
    if not midnight <= began < midnight + timedelta(days=1):
        return
    for _ in range(11):
        yield unfold(feature, ns_of(began) + rng.randrange(LOOP_HOURS * _HOUR_NS), days_ago, rng, looping=True)


_connections: dict[str, http.client.HTTPConnection] = {}


def _send(target: str, seed: int, now: datetime, days: range) -> int:
    """In a worker process: make some days and send them over this process's own connection."""
    spans = 0
    for body, size in bodies(seed, now, days):
        _post(target, body)
        spans += size
    return spans


def _post(target: str, body: bytes) -> None:
    """Send one body; while the server says that it is busy, wait and send the same again."""
    last = ""
    for _ in range(_ATTEMPTS_MAX):
        connection = _connections.get(target)
        if connection is None:
            connection = http.client.HTTPConnection(urlsplit(target).netloc, timeout=TIMEOUT_SECONDS)
            _connections[target] = connection
        try:
            connection.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
            response = connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            _connections.pop(target).close()
            last = str(error) or type(error).__name__
            time.sleep(0.5)
            continue
        if response.status == http.client.OK:
            return
        last = f"HTTP {response.status}: {answer[:200].decode(errors='replace')}"
        if response.status not in (429, 502, 503, 504):
            break
        time.sleep(min(_seconds(response.getheader("Retry-After")), 5))
    raise ServerError(f"the server at {target} did not take the demo's spans: {last}", hint="is it running? outlay up")


def _seconds(text: str | None) -> int:
    return int(text) if text and text.isdigit() else 1
