"""Around: a framework's method runs inside a scope (an agent's run, a tool call), whatever kind of function it is.

A generator holds its scope only while it runs: between two items the consumer sees its own context again. Whatever goes
wrong in here stays in here; the framework's call goes through.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

MARK = "__outlay_frameworks__"


class Scope(Protocol):
    """Something that begins, is the current one while its work runs, and ends."""

    def open(self) -> None:
        """Begins, where and when the work begins."""
        ...

    def current(self) -> AbstractContextManager[Any]:
        """Makes it the current one for a block, which may be one of several."""
        ...

    def close(self, error: object) -> None:
        """Ends, well (None) or with what the work raised, or a word for it."""
        ...


Opener = Callable[[Any, tuple[Any, ...], dict[str, Any]], Scope | None]
"""The scope of a call of this object with these arguments; None where the call needs none."""


Verdict = Callable[[Any], object]
"""What went wrong according to a result that was returned and not raised, in a word; nothing where it went well."""


def wrap(original: Callable[..., Any], opener: Opener, verdict: Verdict | None = None) -> Callable[..., Any]:
    """The method `original` inside the scope of `opener`; generators and coroutines stay what they are."""
    if inspect.isasyncgenfunction(original):
        wrapped = _async_generator(original, opener)
    elif inspect.isgeneratorfunction(original):
        wrapped = _generator(original, opener)
    elif inspect.iscoroutinefunction(original):
        wrapped = _coroutine(original, opener, verdict)
    else:
        wrapped = _function(original, opener, verdict)
    setattr(wrapped, MARK, True)
    return wrapped


class Held:
    """A scope that may be none and never raises."""

    def __init__(self, opener: Opener, owner: Any, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        try:
            self._scope = opener(owner, args, named)
            if self._scope is not None:
                self._scope.open()
        except Exception:  # noqa: BLE001 - metering never breaks the framework's call
            self._scope = None

    def current(self) -> AbstractContextManager[Any]:
        """The scope's own, or nothing."""
        return nullcontext() if self._scope is None else self._scope.current()

    def judge(self, result: Any, verdict: Verdict | None) -> None:
        """Ends it as the result says."""
        try:
            error = verdict(result) if verdict is not None else None
        except Exception:  # noqa: BLE001 - see above
            error = None
        self.close(error or None)

    def close(self, error: object = None) -> None:
        """Ends it once."""
        scope, self._scope = self._scope, None
        if scope is None:
            return
        try:
            scope.close(None if isinstance(error, GeneratorExit) else error)
        except Exception:  # noqa: BLE001 - see above
            return


def _function(original: Callable[..., Any], opener: Opener, verdict: Verdict | None) -> Callable[..., Any]:
    @functools.wraps(original)
    def inside(self: Any, *args: Any, **named: Any) -> Any:
        held = Held(opener, self, args, named)
        try:
            with held.current():
                result = original(self, *args, **named)
        except BaseException as error:
            held.close(error)
            raise
        held.judge(result, verdict)
        return result

    return inside


def _coroutine(original: Callable[..., Any], opener: Opener, verdict: Verdict | None) -> Callable[..., Any]:
    @functools.wraps(original)
    async def inside(self: Any, *args: Any, **named: Any) -> Any:
        held = Held(opener, self, args, named)
        try:
            with held.current():
                result = await original(self, *args, **named)
        except BaseException as error:
            held.close(error)
            raise
        held.judge(result, verdict)
        return result

    return inside


def _generator(original: Callable[..., Any], opener: Opener) -> Callable[..., Any]:
    @functools.wraps(original)
    def inside(self: Any, *args: Any, **named: Any) -> Generator[Any, Any, Any]:
        held = Held(opener, self, args, named)
        inner: Generator[Any, Any, Any] = original(self, *args, **named)
        step: Callable[[], Any] = functools.partial(next, inner)
        try:
            while True:
                with held.current():
                    try:
                        item = step()
                    except StopIteration as end:
                        held.close()
                        return end.value
                try:
                    step = functools.partial(inner.send, (yield item))
                except GeneratorExit:
                    with held.current():
                        inner.close()
                    raise
                except BaseException as error:  # noqa: BLE001 - handed to the generator it was thrown at
                    step = functools.partial(inner.throw, error)
        except BaseException as error:
            held.close(error)
            raise

    return inside


def _async_generator(original: Callable[..., Any], opener: Opener) -> Callable[..., Any]:
    @functools.wraps(original)
    async def inside(self: Any, *args: Any, **named: Any) -> AsyncGenerator[Any, Any]:
        held = Held(opener, self, args, named)
        inner: AsyncGenerator[Any, Any] = original(self, *args, **named)
        step: Callable[[], Any] = functools.partial(anext, inner)
        try:
            while True:
                with held.current():
                    try:
                        item = await step()
                    except StopAsyncIteration:
                        held.close()
                        return
                try:
                    step = functools.partial(inner.asend, (yield item))
                except GeneratorExit:
                    with held.current():
                        await inner.aclose()
                    raise
                except BaseException as error:  # noqa: BLE001 - handed to the generator it was thrown at
                    step = functools.partial(inner.athrow, error)
        except BaseException as error:
            held.close(error)
            raise

    return inside
