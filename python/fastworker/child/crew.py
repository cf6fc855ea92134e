"""Threads that run tasks of one child beside each other.

Each runs one task at a time, in a context of its own. A time limit or a revoke is raised in the thread that runs the
task (`interrupts.raise_in_thread`), as soon as that runs Python code; a coroutine is cancelled at its ``await``.
"""

from __future__ import annotations

import logging
import threading
from contextvars import copy_context
from queue import SimpleQueue
from typing import TYPE_CHECKING

from fastworker.child import where
from fastworker.child.async_tasks import close_thread_loop, running_coroutine
from fastworker.child.interrupts import INTERRUPTS, RAISED, current_call, raise_in_thread

if TYPE_CHECKING:
    from fastworker._core import Batch, Call, ChildLink
    from fastworker.child.trace import Tracers

logger = logging.getLogger("fastworker.worker")


class Crew:
    """As many threads as are needed at once, at most one for each slot of the child.

    Args:
        link: Where the tasks come from; told to wake the worker when nothing is left to do.
        tracers: Run and report them.
    """

    def __init__(self, link: ChildLink, tracers: Tracers) -> None:
        self._link = link
        self._tracers = tracers
        self._calls: SimpleQueue[Call | Batch | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._context = copy_context()
        self._lock = threading.Lock()
        #: Tasks that were put in and have not ended.
        self._open = 0
        #: By number: the call, and the thread that runs it.
        self._running: dict[int, tuple[Call | Batch, int]] = {}

    def put(self, call: Call | Batch) -> None:
        """Run a call, which was claimed."""
        with self._lock:
            self._open += 1
            is_short = self._open > len(self._threads)
        self._calls.put(call)
        if is_short:
            name = f"task thread {len(self._threads) + 1}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def obey(self, number: int, what: str) -> bool:
        """Interrupt a task, or say in the log where it is; ``what`` as ``ChildLink.poll`` says. False: it does not run
        here, or not any more."""
        with self._lock:
            call, ident = self._running.get(number, (None, None))
            if call is None or ident is None:
                return False
            coroutine = running_coroutine(ident)
            if what == "locate":
                stack = (
                    where.of_thread(ident)
                    if coroutine is None
                    else where.of_coroutine(coroutine.wrapped)
                )
            elif coroutine is not None:
                coroutine.interrupt_from_elsewhere(RAISED[what])
            else:
                # The thread gives the task up under this lock, so that this cannot hit its next one.
                raise_in_thread(ident, RAISED[what])
        if what == "locate":
            where.tell(call, stack)
        return True

    def close(self) -> None:
        """Let the threads end, and wait for them; unless one of them still has a task: then the worker is gone, and
        nobody wants to know how that ends."""
        if self._open:
            return
        for _ in self._threads:
            self._calls.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        try:
            while (call := self._calls.get()) is not None:
                self._context.copy().run(self._run, call)
                with self._lock:
                    self._open -= 1
                if self._calls.empty():
                    self._link.flush()
        finally:
            close_thread_loop()

    def _run(self, call: Call | Batch) -> None:
        ident = threading.get_ident()
        try:
            current_call.set(call)
            # Made before it can be interrupted: the first one takes a while.
            trace = self._tracers[call.task]
            with self._lock:
                self._running[call.number] = (call, ident)
            trace(call)
        except INTERRUPTS as exc:
            # Its tracer deals with those that come while the task is its own. This one came when it had ended, or just
            # before it began.
            if self._link.is_running:
                self._tracers.interrupted(call, exc)
        except BaseException:
            logger.exception("Task %s[%s]: nothing was reported of its end", call.task, call.id)
        while True:
            try:
                with self._lock:
                    self._running.pop(call.number, None)
                    raise_in_thread(ident, None)
                return
            except INTERRUPTS:
                continue
