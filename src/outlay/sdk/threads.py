"""Threads: what is in force where a thread is started, or a job is handed to a pool, is in force inside it.

Asyncio copies contexts by itself, `asyncio.to_thread` too. Plain threads, pools and `run_in_executor` do not, so their
doors are fitted once: `Thread.start` and `ThreadPoolExecutor.submit`. A thread of a pool belongs to nobody: it takes on
what is in force for the length of each job.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import wraps
from typing import Any

from outlay.sdk import attachment

_fitted: list[str] = []


class _Pool(threading.local):
    growing = False


_pool = _Pool()


def fit() -> None:
    """Fit the doors, once."""
    if _fitted:
        return
    _fitted.append("threads")
    start, submit = threading.Thread.start, ThreadPoolExecutor.submit

    @wraps(start)
    def starting(self: threading.Thread) -> None:
        held = None if _pool.growing else attachment.portable()
        if held is not None:
            self.run = _Carried(self, held, self.run)
        start(self)

    @wraps(submit)
    def submitting(self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        held = attachment.portable()
        if held is None:
            return submit(self, fn, *args, **kwargs)
        _pool.growing = True  # a thread that the pool starts now outlives this job
        try:
            return submit(self, _job, held, fn, *args, **kwargs)
        finally:
            _pool.growing = False

    threading.Thread.start = starting
    ThreadPoolExecutor.submit = submitting


class _Carried:
    """The `run` of one thread, inside what was in force where it was started.

    A daemon is often a worker that some library starts at its first use and keeps: it must not spend the rest of the
    process under the tags of the session that happened to come first. So it holds them until that session ends.
    """

    def __init__(self, thread: threading.Thread, held: attachment.Held, run: Callable[[], None]) -> None:
        self._thread = thread
        self._held = held
        self._run = run

    def __call__(self) -> None:
        run = self._run
        del self._thread.run  # the thread holds this object: no ring of references
        attachment.put(attachment.lent(self._held) if self._thread.daemon else self._held)
        run()


def _job(held: attachment.Held, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    before = attachment.put(held)
    try:
        return function(*args, **kwargs)
    finally:
        attachment.put(before)
