"""What lives as long as an event loop that runs tasks: connection pools and the like.

A worker enters every lifespan in each process that runs tasks, before the first task, on the event loop that runs the
process's coroutines, and leaves them in reverse order after the last one.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker

Lifespan = TypeVar("Lifespan", bound=Callable[..., Any])


class Lifespans:
    """The lifespans of an application, in the order in which they were named."""

    def __init__(self) -> None:
        self._factories: list[Callable[[FastWorker], AbstractAsyncContextManager[Any]]] = []

    def __bool__(self) -> bool:
        return bool(self._factories)

    def add(self, function: Lifespan) -> Lifespan:
        """Name one: a function of the application that returns an asynchronous context manager, or is an asynchronous
        generator that yields once. Returns it as it is.
        """
        is_generator = inspect.isasyncgenfunction(function)
        self._factories.append(asynccontextmanager(function) if is_generator else function)
        return function

    @asynccontextmanager
    async def entered(self, app: FastWorker) -> AsyncIterator[None]:
        """Within all of them."""
        async with AsyncExitStack() as stack:
            for factory in self._factories:
                await stack.enter_async_context(factory(app))
            yield
