"""Tasks that are coroutines: how one is interrupted at an ``await``, and the event loop of a thread that runs them one
after the other. ``event_loop.py`` runs many at once.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Generator
from typing import Any

from fastworker.child.async_tasks import running
from fastworker.child.interrupts import ToldToEnd
from fastworker.errors import SoftTimeLimitExceeded


class _SoftCancel(SoftTimeLimitExceeded, asyncio.CancelledError):
    """Both, on its way through the task's own code: a task group cancels what it holds, as for a cancellation, and
    ``except SoftTimeLimitExceeded`` catches the limit."""


async def until_end(interruptible: Interruptible) -> Any:
    """Await it. What its soft limit raised comes out as `SoftTimeLimitExceeded` alone: asyncio would take it for a
    cancellation."""
    try:
        return await interruptible
    except _SoftCancel as exc:
        limit = SoftTimeLimitExceeded(*exc.args)
        raise limit.with_traceback(exc.__traceback__) from exc.__cause__


class Interruptible(Coroutine[Any, Any, Any]):
    """A task's coroutine, in which an exception can be raised at the ``await`` at which it is, or the next one.

    asyncio knows one way to interrupt a task: cancellation. So the task is cancelled, and on its way to the coroutine
    the ``CancelledError`` is exchanged for the exception that was meant, which is a ``CancelledError`` too; the
    cancellation is taken back, so that ``asyncio.timeout`` in the coroutine does not take it for its own. A task that
    is told to end gets the ``CancelledError``, which libraries know how to clean up after.

    Args:
        coroutine: The task's own.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine
        self._task: asyncio.Task[Any] | None = None
        self._soft: BaseException | None = None
        #: Why it was told to end, if it was.
        self.told: type[ToldToEnd] | None = None

    @property
    def wrapped(self) -> Coroutine[Any, Any, Any]:
        """The task's own coroutine."""
        return self._coroutine

    def drive(self, task: asyncio.Task[Any]) -> None:
        """``task`` runs it from now on."""
        self._task = task
        if self._soft is not None or self.told is not None:
            task.cancel()

    def interrupt(self, exception: type[BaseException]) -> None:
        """Raise ``exception`` in it; cancel it if that is one of `ToldToEnd`. In the thread of its loop."""
        if issubclass(exception, ToldToEnd):
            self.told = exception
        else:
            is_soft = exception is SoftTimeLimitExceeded
            self._soft = _SoftCancel() if is_soft else exception()
        if self._task is not None:
            self._task.cancel()

    def interrupt_from_elsewhere(self, exception: type[BaseException]) -> None:
        """The same from another thread, or from a signal handler."""
        if self._task is None:
            self.interrupt(exception)
        else:
            self._task.get_loop().call_soon_threadsafe(self.interrupt, exception)

    def send(self, value: Any) -> Any:
        """As the coroutine's."""
        return self._coroutine.send(value)

    def throw(self, exception: Any, *rest: Any) -> Any:
        """As the coroutine's; a cancellation of ours becomes what it stands for."""
        # Python 3.10 passes the class by itself.
        is_ours = exception is asyncio.CancelledError or isinstance(
            exception, asyncio.CancelledError
        )
        if self._soft is not None and is_ours and self.told is None:
            soft, self._soft = self._soft, None
            uncancel = getattr(self._task, "uncancel", None)
            if uncancel is not None:
                uncancel()
            return self._coroutine.throw(soft)
        return self._coroutine.throw(exception, *rest)

    def close(self) -> None:
        """As the coroutine's."""
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self

    def __iter__(self) -> Interruptible:
        return self

    def __next__(self) -> Any:
        return self._coroutine.send(None)


class _Thread(threading.local):
    """The event loop of this thread, made when its first coroutine comes."""

    loop: asyncio.AbstractEventLoop | None = None


_thread = _Thread()


def run_coroutine(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end on the event loop that this thread keeps.

    What it leaves behind (tasks of its own) goes on when the next one runs here.

    Raises:
        ToldToEnd: It was interrupted by one of these.
        BaseException: What it raises.
    """
    loop = _thread.loop
    if loop is None:
        loop = _thread.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
    ident = threading.get_ident()
    interruptible = Interruptible(coroutine)
    task: asyncio.Task[Any] | None = None
    try:
        task = loop.create_task(until_end(interruptible))
        interruptible.drive(task)
        running[ident] = interruptible
        return loop.run_until_complete(task)
    except asyncio.CancelledError:
        if interruptible.told is not None:
            raise interruptible.told from None
        raise
    finally:
        running.pop(ident, None)
        if task is not None and not task.done():
            # Something was raised in the loop itself, or before it ran.
            task.cancel()
            loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
        # One that was cancelled before its first step has not begun.
        coroutine.close()


def close_loop() -> None:
    """Close this thread's event loop, if it has one: what is left on it is cancelled, and asynchronous generators are
    closed."""
    loop, _thread.loop = _thread.loop, None
    if loop is None:
        return
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
