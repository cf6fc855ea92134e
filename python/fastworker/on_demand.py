"""A thread that exists while there is work for it: what stands behind ``await`` in a program that has an event loop.

A client process of fastworker has no thread of ours until a coroutine publishes or awaits a result. Then one thread
does the blocking half for any number of coroutines, and ends some seconds after the last one was served, so that a
program that forks later has no thread of ours to lose.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

#: How long an idle thread waits for more work, in seconds: longer than the pauses of a program in use.
_IDLE_S = 10.0

_all: weakref.WeakSet[OnDemandThread] = weakref.WeakSet()


class OnDemandThread:
    """Calls ``turn`` on a thread as long as there is work.

    Args:
        name: Of the thread.
        has_work: Asked with ``changed`` held.
        turn: Does some work, outside of ``changed``. It must not raise: whoever waits for it would wait for ever.
        forget: Called in a forked child, which has no such thread and nobody waiting in it.

    Attributes:
        changed: Guards what ``has_work`` looks at.
    """

    def __init__(
        self,
        name: str,
        has_work: Callable[[], bool],
        turn: Callable[[], None],
        forget: Callable[[], None],
    ) -> None:
        self.changed = threading.Condition()
        self._name = name
        self._has_work = has_work
        self._turn = turn
        self._forget = forget
        self._thread: threading.Thread | None = None
        _all.add(self)

    def wake(self) -> None:
        """There is work. ``changed`` is held."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        self.changed.notify()

    def _run(self) -> None:
        while True:
            with self.changed:
                if not self.changed.wait_for(self._has_work, _IDLE_S):
                    self._thread = None
                    return
            self._turn()

    def after_fork(self) -> None:
        """In the child: no thread, no work, and a lock that nobody holds."""
        self.changed = threading.Condition()
        self._thread = None
        self._forget()


class Waiter:
    """A coroutine's end of something that a thread will finish. Made on the loop that will wait.

    Attributes:
        future: To be awaited there.
    """

    __slots__ = ("_loop", "future")

    def __init__(self) -> None:
        # Not at the top: most programs that import this have no coroutines, and it is large.
        import asyncio

        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self._loop.create_future()

    def finish(self, outcome: Any) -> None:
        """On its loop: the value, or the exception to raise."""
        if self.future.done():  # cancelled meanwhile
            return
        if isinstance(outcome, BaseException):
            self.future.set_exception(outcome)
        else:
            self.future.set_result(outcome)


class BlockedWaiter:
    """The same for whoever blocks while it waits: a greenlet, where ``threading`` is made for greenlets."""

    __slots__ = ("_event", "_outcome")

    def __init__(self) -> None:
        self._event = threading.Event()
        self._outcome: Any = None

    def wait(self, timeout_s: float) -> Any:
        """The value; None when the time is over.

        Raises:
            BaseException: What it was finished with.
        """
        self._event.wait(timeout_s)
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        return self._outcome

    def finish(self, outcome: Any) -> None:
        """In any greenlet: the value, or the exception to raise."""
        self._outcome = outcome
        self._event.set()


class Inbox:
    """Where a greenlet waits for many things at once."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._came: deque[tuple[str, Any]] = deque()

    def waiter(self, name: str) -> BlockedWaiter:
        """One end of it, which may be finished any number of times."""
        return _Sender(self, name)

    def take(self, name: str, outcome: Any) -> None:
        """In any greenlet: ``name`` has this value, or exception."""
        self._came.append((name, outcome))
        self._event.set()

    def news(self, timeout_s: float) -> list[tuple[str, Any]]:
        """``(name, value)`` of what came, as soon as something has; none when the time is over.

        Raises:
            BaseException: What one of them was finished with.
        """
        self._event.wait(timeout_s)
        self._event.clear()
        came = []
        while self._came:
            name, outcome = self._came.popleft()
            if isinstance(outcome, BaseException):
                raise outcome
            came.append((name, outcome))
        return came


class _Sender(BlockedWaiter):
    __slots__ = ("_inbox", "_name")

    def __init__(self, inbox: Inbox, name: str) -> None:
        super().__init__()
        self._inbox = inbox
        self._name = name

    def finish(self, outcome: Any) -> None:
        self._inbox.take(self._name, outcome)


def finish(outcomes: Iterable[tuple[Waiter | BlockedWaiter, Any]]) -> None:
    """Give each waiter its value, or the exception to raise; from any thread, one wake-up for each loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Waiter, Any]]] = {}
    for waiter, outcome in outcomes:
        if isinstance(waiter, BlockedWaiter):
            waiter.finish(outcome)
            continue
        by_loop.setdefault(waiter._loop, []).append((waiter, outcome))
    for loop, those in by_loop.items():
        try:
            loop.call_soon_threadsafe(_finish_all, those)
        except RuntimeError:
            # The loop is closed: nobody waits there any more.
            continue


def _finish_all(outcomes: list[tuple[Waiter, Any]]) -> None:
    for waiter, outcome in outcomes:
        waiter.finish(outcome)


def _after_fork() -> None:
    for thread in list(_all):
        thread.after_fork()


os.register_at_fork(after_in_child=_after_fork)
