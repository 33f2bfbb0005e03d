"""Block: a stretch of work that is written as `with`, `async with`, or in front of any kind of function."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from types import FrameType, TracebackType
from typing import Any, Generic, TypeVar, cast

from outlay.sdk.attachment import frame_at

Handle = TypeVar("Handle")
Function = TypeVar("Function", bound=Callable[..., Any])


class Block(Generic[Handle]):
    """What every such stretch shares. A decorated function opens a block of its own at each call.

    A decorated generator is inside while it runs and outside while its consumer does.
    """

    __slots__ = ()

    def _open(self, caller: FrameType) -> Handle:  # noqa: ARG002 - a form to be filled in
        """Begin; `caller` is the frame of whoever wrote the `with`."""
        raise TypeError(f"{type(self).__name__} is no block")

    def _shut(self, error: BaseException | None) -> None:
        """End, well or with an error."""

    def _again(self) -> Block[Handle]:
        """Another one like it."""
        return self

    def __enter__(self) -> Handle:
        return self._open(frame_at(1))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shut(error)

    async def __aenter__(self) -> Handle:
        return self._open(frame_at(1))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shut(error)

    def __call__(self, function: Function) -> Function:
        """The function, each call of which is such a stretch."""
        return cast("Function", _wrapped(function, self._again))


def _wrapped(function: Callable[..., Any], again: Callable[[], Block[Any]]) -> Callable[..., Any]:
    if inspect.isasyncgenfunction(function):

        @functools.wraps(function)
        async def asynchronous_generator(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
            inner = function(*args, **kwargs)
            with again():
                try:
                    item = await inner.__anext__()
                    while True:
                        try:
                            sent = yield item
                        except GeneratorExit:
                            raise
                        except BaseException as error:  # noqa: BLE001 - handed in, as to the generator itself
                            item = await inner.athrow(error)
                        else:
                            item = await inner.asend(sent)
                except StopAsyncIteration:
                    return
                finally:
                    await inner.aclose()

        return asynchronous_generator
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            with again():
                return await function(*args, **kwargs)

        return coroutine
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            with again():
                return (yield from function(*args, **kwargs))

        return generator

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with again():
            return function(*args, **kwargs)

    return call
