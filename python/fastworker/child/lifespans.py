"""The application's lifespans in pools whose main thread is no event loop.

They are entered on the loop that runs the process's coroutines, before the first task, and left on it after the last
one, by one task: what is entered in a task (a task group, a cancel scope) has to be left in the same one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker


@contextmanager
def entered(app: FastWorker, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> Iterator[None]:
    """Within all lifespans of ``app``. ``run``: runs a coroutine to its end on the loop in question.

    Raises:
        BaseException: What entering or leaving one raises.
    """
    living = _Living(app)
    run(living.enter())
    try:
        yield
    finally:
        run(living.leave())


class _Living:
    """The task that is within the lifespans."""

    def __init__(self, app: FastWorker) -> None:
        self._app = app

    async def enter(self) -> None:
        loop = asyncio.get_running_loop()
        self._is_in = loop.create_future()
        self._is_over = loop.create_future()
        self._task = loop.create_task(self._live())
        await asyncio.wait({self._task, self._is_in}, return_when=asyncio.FIRST_COMPLETED)
        if self._task.done():
            await self._task

    async def _live(self) -> None:
        async with self._app.lifespans.entered(self._app):
            self._is_in.set_result(None)
            await self._is_over

    async def leave(self) -> None:
        if not self._is_over.done():
            self._is_over.set_result(None)
        await self._task
