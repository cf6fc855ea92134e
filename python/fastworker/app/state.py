"""Which application and which task are current.

The current *application* is per thread, as in Celery, with one difference: a thread that has none
of its own takes the default one or, failing that, the one made current last in the process (Celery
makes up an unconfigured one there, and tasks published from a thread pool go nowhere). The current
*task* is per context, so that threads, greenlets and coroutines each see their own.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from fastworker.app.proxy import Proxy
from fastworker.results.application import set_application_lookup

if TYPE_CHECKING:
    from fastworker.app.app import FastWorker
    from fastworker.app.task import Task

T = TypeVar("T")


class LocalStack(Generic[T]):
    """A stack of which every thread, greenlet and coroutine has its own. ``top`` is the innermost
    entry.
    """

    __slots__ = ("_entries",)

    def __init__(self, name: str) -> None:
        self._entries: ContextVar[tuple[T, ...]] = ContextVar(name, default=())

    def push(self, entry: T) -> None:
        """Make ``entry`` the innermost one."""
        self._entries.set((*self._entries.get(), entry))

    def pop(self) -> T | None:
        """Remove the innermost entry and return it; None when there is none."""
        entries = self._entries.get()
        if not entries:
            return None
        self._entries.set(entries[:-1])
        return entries[-1]

    @property
    def top(self) -> T | None:
        """The innermost entry, None when there is none."""
        entries = self._entries.get()
        return entries[-1] if entries else None

    @property
    def stack(self) -> tuple[T, ...]:
        """All entries, innermost last."""
        return self._entries.get()

    def __len__(self) -> int:
        return len(self._entries.get())


#: The tasks that run here, innermost last; a task that calls another one directly has both.
task_stack: LocalStack[Task[..., Any]] = LocalStack("fastworker_tasks")
push_current_task = task_stack.push
pop_current_task = task_stack.pop


class _ThreadState(threading.local):
    current_app: FastWorker | None = None


_thread: _ThreadState | _EverywhereState = _ThreadState()
_default_app: FastWorker | None = None
_latest_app: weakref.ref[FastWorker] | None = None
_apps: weakref.WeakSet[FastWorker] = weakref.WeakSet()
#: Called with every application that is finalised; shared tasks register themselves this way.
_finalizers: list[Callable[[FastWorker], object]] = []


def set_default_app(app: FastWorker | None) -> None:
    """Make ``app`` the current one of every thread that has none of its own."""
    global _default_app
    _default_app = app


def set_current_app(app: FastWorker | None) -> None:
    """Make ``app`` the current one of this thread."""
    global _latest_app
    _thread.current_app = app
    if app is not None:
        _latest_app = weakref.ref(app)


def get_thread_app() -> FastWorker | None:
    """The application that was made current in this thread."""
    return _thread.current_app


def get_default_app() -> FastWorker | None:
    """The application of every thread that has none of its own."""
    return _default_app


def get_current_app() -> FastWorker:
    """The current application; when there is none at all, a new one with default settings."""
    app = (
        _thread.current_app or _default_app or (_latest_app() if _latest_app is not None else None)
    )
    if app is None:
        from fastworker.app.app import FastWorker

        app = FastWorker("default", set_as_current=False)
        set_default_app(app)
    return app


def app_or_default(app: FastWorker | None = None) -> FastWorker:
    """``app``, or the current one."""
    return get_current_app() if app is None else app


def get_current_task() -> Task[..., Any] | None:
    """The innermost task that runs here."""
    entries = task_stack.stack
    return entries[-1] if entries else None


def get_current_worker_task() -> Task[..., Any] | None:
    """The task that a worker runs here, even if it called another task directly; None outside a
    worker.
    """
    for task in task_stack.stack[::-1]:
        request: Any = task.request
        if not request.called_directly:
            return task
    return None


def register_app(app: FastWorker) -> None:
    """Remember ``app`` (weakly) for tasks that are shared with every application."""
    _apps.add(app)


def deregister_app(app: FastWorker) -> None:
    """Forget ``app``."""
    _apps.discard(app)


def active_apps() -> list[FastWorker]:
    """Every application that is alive and was not closed."""
    return list(_apps)


def connect_on_app_finalize(
    callback: Callable[[FastWorker], object],
) -> Callable[[FastWorker], object]:
    """Call ``callback`` with every application that is finalised from now on."""
    _finalizers.append(callback)
    return callback


class _EverywhereState:
    """In the place of the threads' own state: one application for all of them."""

    def __init__(self, app: Any) -> None:
        self.current_app = app


@contextmanager
def trapped(app: Any) -> Iterator[None]:
    """For a block, ``app`` is the current application of every thread, until another one is made current, and the
    default one. For tests.
    """
    global _thread, _default_app
    before, default = _thread, _default_app
    _thread, _default_app = _EverywhereState(app), app
    try:
        yield
    finally:
        _thread, _default_app = before, default


@contextmanager
def restored() -> Iterator[FastWorker | None]:
    """Puts back, after a block, this thread's current application (which it gives), the default one, the finalisers
    and the known applications. For tests.
    """
    global _default_app, _latest_app, _apps
    current, default, latest = _thread.current_app, _default_app, _latest_app
    finalizers, apps = list(_finalizers), weakref.WeakSet(_apps)
    try:
        yield current
    finally:
        _thread.current_app, _default_app, _latest_app = current, default, latest
        _finalizers[:], _apps = finalizers, apps


def announce_app_finalized(app: FastWorker) -> None:
    """Call all finalisers with ``app``, in the order they were connected."""
    for callback in list(_finalizers):
        callback(app)


current_app = cast("FastWorker", Proxy(get_current_app))
current_task = cast("Task[..., Any]", Proxy(get_current_task))

set_application_lookup(get_current_app)
