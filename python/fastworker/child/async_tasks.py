"""What is asked of coroutines before the first one comes. asyncio takes megabytes in every process, so it is imported
with the first task that is a coroutine.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import TYPE_CHECKING, Any

from fastworker.errors import NotRegistered

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker
    from fastworker.child.coroutines import Interruptible

#: What ``coroutines.run_coroutine`` runs, by thread.
running: dict[int, Interruptible] = {}
#: Closes the event loop of this thread, once there can be one.
_closers: list[Callable[[], None]] = []


def is_coroutine_task(task: Any) -> bool:
    """Whether calling the task gives a coroutine: its function is an ``async def``."""
    return inspect.iscoroutinefunction(task.run)


class TaskKinds:
    """Which tasks of an application are coroutines."""

    def __init__(self, app: FastWorker) -> None:
        self._app = app
        self._known: dict[str, bool] = {}

    def is_coroutine(self, name: str) -> bool:
        """Whether this one is; False for one that is not registered."""
        known = self._known.get(name)
        if known is None:
            try:
                known = is_coroutine_task(self._app.tasks[name])
            except NotRegistered:
                known = False
            self._known[name] = known
        return known


def runner_of_thread() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """What runs a coroutine to its end on the event loop of the calling thread."""
    from fastworker.child.coroutines import close_loop, run_coroutine

    if not _closers:
        _closers.append(close_loop)
    return run_coroutine


def blocking(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that returns what the coroutine of ``function`` does."""
    run_coroutine = runner_of_thread()

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        return run_coroutine(function(*args, **kwargs))

    return run


def running_coroutine(ident: int | None = None) -> Interruptible | None:
    """The coroutine that a thread runs by itself; None for ``ident``: this one."""
    return running.get(threading.get_ident() if ident is None else ident)


def close_thread_loop() -> None:
    """Close this thread's event loop, if it has one."""
    for close in _closers:
        close()
